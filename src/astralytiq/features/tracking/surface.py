"""What of MLflow's HTTP API is open through us, and to whom. All else is closed.

MLflow's server does much beside keeping runs: it calls models for its users, runs jobs and
assistants, posts to webhooks. A list of what is open stays right when its next release adds more.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Need(StrEnum):
    read = "models:read"
    write = "models:write"
    delete = "delete"  # an admin's: MLflow knows no owners


class Check(StrEnum):
    """What a body is looked at for, besides what every body is."""

    nothing = ""
    model = "model"  # names a registered model: it must not be somebody else's
    alias = "alias"


@dataclass(frozen=True)
class Rule:
    methods: tuple[str, ...]
    path: str  # as people read it; `{}` is one part of a path, `{+}` all that follows
    need: Need
    check: Check = Check.nothing


API = "/{api}/2.0/mlflow/"
GET, POST = ("GET", "HEAD"), ("POST",)
READS = (
    (GET, ("experiments/search", "experiments/get", "experiments/get-by-name", "runs/get",
           "metrics/get-history", "metrics/get-history-bulk", "metrics/get-history-bulk-interval",
           "artifacts/list", "registered-models/get", "registered-models/search",
           "registered-models/get-latest-versions", "registered-models/alias",
           "model-versions/get", "model-versions/search", "model-versions/get-download-uri",
           "logged-models/{}", "logged-models/{}/artifacts/directories",
           "logged-models/{}/artifacts/files")),
    (POST, ("experiments/search", "runs/search", "logged-models/search",
            "registered-models/get-latest-versions", "experiments/search-datasets")),
)  # fmt: skip
WRITES = (
    (POST, ("experiments/create", "experiments/update", "experiments/restore",
            "experiments/set-experiment-tag", "experiments/delete-experiment-tag",
            "runs/create", "runs/update", "runs/restore", "runs/set-tag", "runs/delete-tag",
            "runs/log-metric", "runs/log-parameter", "runs/log-batch", "runs/log-inputs",
            "runs/log-model", "runs/outputs", "logged-models", "logged-models/{}/params")),
    (("PATCH",), ("logged-models/{}", "logged-models/{}/tags")),
    (("DELETE",), ("logged-models/{}/tags/{}",)),
)  # fmt: skip
OF_MODELS = (
    (POST, ("registered-models/create", "registered-models/set-tag", "model-versions/create",
            "model-versions/set-tag")),
    (("PATCH",), ("registered-models/update", "model-versions/update")),
    (("DELETE",), ("registered-models/delete-tag", "model-versions/delete-tag")),
)  # fmt: skip
DELETES = (
    (POST, ("experiments/delete", "runs/delete")),
    (("DELETE",), ("logged-models/{}",)),
)
FILES = "/{api}/2.0/mlflow-artifacts/artifacts"
UPLOADS = tuple(f"/mlflow{FILES.format(api=api)}/" for api in ("api", "ajax-api"))

RULES = (
    *(Rule(methods, API + name, Need.read) for methods, names in READS for name in names),
    *(Rule(methods, API + name, Need.write) for methods, names in WRITES for name in names),
    *(Rule(methods, API + name, Need.delete) for methods, names in DELETES for name in names),
    *(Rule(methods, API + name, Need.write, Check.model)
      for methods, names in OF_MODELS for name in names),
    Rule(("POST", "DELETE"), f"{API}registered-models/alias", Need.write, Check.alias),
    Rule(GET, FILES, Need.read),
    Rule(GET, f"{FILES}/{{+}}", Need.read),
    Rule(("PUT",), f"{FILES}/{{+}}", Need.write),
    Rule(("DELETE",), f"{FILES}/{{+}}", Need.delete),
    # Of the interface: its files, what it downloads, and the queries of a run's page.
    Rule(GET, "/static-files/{+}", Need.read),
    Rule(GET, "/get-artifact", Need.read),
    Rule(GET, "/model-versions/get-artifact", Need.read),
    Rule(POST, "/graphql", Need.read),
    Rule(GET, "/version", Need.read),
    Rule(GET, "/{api}/3.0/mlflow/server-info", Need.read),
    Rule(GET, "/{api}/3.0/mlflow/ui-telemetry", Need.read),
    # A page of an experiment asks for traces before it shows its runs: there are none.
    Rule(POST, "/{api}/3.0/mlflow/traces/search", Need.read),
    Rule(POST, "/{api}/3.0/mlflow/traces/metrics", Need.read),
    Rule(GET, "/{api}/2.0/mlflow/traces", Need.read),
)  # fmt: skip


def pattern(path: str) -> re.Pattern[str]:
    escaped = re.escape(path).replace(r"\{api\}", "(ajax-api|api)").replace(r"\{\}", "[^/]+")
    return re.compile(escaped.replace(r"\{\+\}", ".+"))


PATTERNS = tuple((rule, pattern(rule.path)) for rule in RULES)


def rule_of(method: str, path: str) -> Rule | None:
    fitting = (rule for rule, found in PATTERNS if method in rule.methods and found.fullmatch(path))
    return next(fitting, None)
