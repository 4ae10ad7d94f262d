"""What MLflow's clients may not say, whatever MLflow itself would make of it.

Its faults began again and again with a place that a client could choose: where an experiment's
files lie, or where those of a model version come from.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from astralytiq.core.errors import Forbidden, Invalid
from astralytiq.core.tracking import OURS

# Where the files of a run, a logged model or another version are: all below our own root.
SOURCE = re.compile(r"(mlflow-artifacts:/|runs:/|models:/)(?!/)[^?#]+")
STAGES = frozenset({"newest", "staging", "production"})  # as registry/promoting.py moves them
PATHS = frozenset({"path", "artifact_path"})
# Files of a run, of a logged model, or of a trace: nothing lies anywhere else.
FILE = re.compile(r"[0-9a-f]{1,32}/(?:models/|traces/)?[\w-]{1,64}/artifacts/.+")


def body_of(content: bytes) -> dict[str, Any]:
    """MLflow also reads JSON within a string, and any encoding: what it gets is what we read."""
    if not content:
        return {}
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The body is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Invalid("The body must be a JSON object.")
    return found


def refuse_body(path: str, body: dict[str, Any]) -> None:
    refuse_our_names(body)
    if path.endswith("experiments/create") and given(body, "artifact_location"):
        raise Forbidden(
            "Where files lie is the platform's choice: create the experiment without an "
            "artifact_location."
        )
    if path.endswith("model-versions/create"):
        refuse_source(str(given(body, "source") or ""))
    if path.endswith("registered-models/alias") and given(body, "alias") in STAGES:
        raise Forbidden(
            f"The aliases {', '.join(sorted(STAGES))} follow our stages: change them "
            "with POST /api/v1/models/{name}/versions/{version}/stage."
        )


def given(body: dict[str, Any], name: str) -> Any:
    """Protobuf takes a field by either of its two spellings; MLflow refuses both at once."""
    first, *others = name.split("_")
    return body.get(name, body.get(first + "".join(map(str.title, others))))


def refuse_our_names(found: Any) -> None:
    """By such tags the platform knows its own runs and versions."""
    if isinstance(found, list):
        for one in found:
            refuse_our_names(one)
    elif isinstance(found, dict):
        if str(found.get("key", "")).startswith(OURS):
            raise Forbidden(f"Names beginning with {OURS!r} are the platform's own.")
        for one in found.values():
            refuse_our_names(one)


def refuse_source(source: str) -> None:
    if not SOURCE.fullmatch(source) or climbs(source):
        raise Forbidden(
            "A version's source must be files that were logged here: runs:/…, models:/… or "
            "mlflow-artifacts:/…, as MLflow's client sends it after log_model."
        )


def refuse_path(method: str, path: str, query: str) -> None:
    """Names of files, wherever they stand in a request."""
    named = [value for name, value in parse_qsl(query) if name in PATHS]
    if any(climbs(one) for one in (path, *named)) or any(one.startswith("/") for one in named):
        raise Invalid("A path of an artifact goes down from its run: it has no '..', '\\' or root.")
    _, found, file = path.partition("/mlflow-artifacts/artifacts/")
    if found and method in ("PUT", "DELETE") and not FILE.fullmatch(file):
        raise Forbidden("Files are kept below their run or logged model, and nowhere else.")
    if f"/tags/{OURS}" in path:
        raise Forbidden(f"Names beginning with {OURS!r} are the platform's own.")


def climbs(path: str) -> bool:
    """Also where it is quoted, once or twice."""
    if not path.isprintable():  # Once only: MLflow's clients give images names with a '%' in them.
        return True
    while True:
        if "\\" in path or ".." in path.split("/"):
            return True
        if (plain := unquote(path)) == path:
            return False
        path = plain
