"""`{cursor}` in what an API is asked with: the bookmark, or nothing while there is none."""

from collections.abc import Mapping
from typing import Any

from astralytiq.core.errors import Invalid
from astralytiq.engines.etl.cursor_values import Written

from .checks import CURSOR
from .schemas import ApiSource
from .service import Spec

LEFT_OUT = object()


def filled(spec: Spec, bookmark: Written | None) -> Spec:
    """The source as it is asked. Without a bookmark the whole parameter is left out."""
    return asked(spec, bookmark) if isinstance(spec, ApiSource) else spec


def asked(source: ApiSource, bookmark: Written | None) -> ApiSource:
    headers = without_gaps(source.headers, None if bookmark is None else str(bookmark))
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise Invalid(f"The bookmark cannot be sent in {name}: it must be printable ASCII.")
    parts = {"headers": headers, "params": without_gaps(source.params, bookmark)}
    body = None if source.body is None else without_gaps(source.body, bookmark)
    return source.model_copy(update={**parts, "body": body})


def without_gaps(values: Mapping[str, Any], bookmark: Written | None) -> dict[str, Any]:
    found = {name: filled_in(value, bookmark) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not LEFT_OUT}


def filled_in(value: Any, bookmark: Written | None) -> Any:
    if isinstance(value, dict):
        return without_gaps(value, bookmark)
    if isinstance(value, list):
        found = [filled_in(inner, bookmark) for inner in value]
        return [inner for inner in found if inner is not LEFT_OUT]
    if not isinstance(value, str) or CURSOR not in value:
        return value
    if bookmark is None:
        return LEFT_OUT
    return bookmark if value == CURSOR else value.replace(CURSOR, str(bookmark))
