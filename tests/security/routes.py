"""What the OpenAPI document says of every operation, and somebody's things to try them on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import Any

import httpx2
from sqlalchemy import select

from astralytiq.app import create_app
from astralytiq.core import jobs
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.features.alerts import watching
from astralytiq.features.ingestion.models import DataRecord, Reject
from tests.conftest import RunJobs
from tests.features.datasets.factories import upload
from tests.features.projects.factories import Person
from tests.features.registry.factories import store_version

API = "/api/v1"
METHODS = ("get", "post", "put", "patch", "delete")

# SPEC §2: what is open to all. Nothing comes in here without being named there.
OPEN = frozenset(
    {
        "/",
        "/health",
        *(f"{prefix}/health{more}" for prefix in ("", API)
          for more in ("", "/detailed", "/live", "/ready")),
        *(f"{API}/auth/{name}" for name in
          ("register", "login", "refresh", "status", "csrf-token",
           "password/forgot", "password/reset")),
        f"{API}/ml",
    }
)  # fmt: skip
# What every account does for itself, whatever its role: no scope stands before it.
OWN = (f"{API}/auth/", f"{API}/api-keys", f"{API}/users/me", f"{API}/users/profile")


class Kind(Enum):
    """Whose the thing is that a part of a path names."""

    owned = "its owner's and admins' alone: for others it is not there"
    shared = "read by the whole team, changed by its owner"
    admins = "for admins alone"
    part = "a part of the thing before it"


# Every parameter of a path, with the word before it. A new one must say here whose it is.
KINDS: Mapping[str, Kind] = {
    "users/{user_id}": Kind.admins,
    "sessions/{session_id}": Kind.owned,
    "api-keys/{key_id}": Kind.owned,
    "projects/{project_id}": Kind.owned,
    "members/{user_id}": Kind.part,
    "tasks/{task_id}": Kind.owned,
    "jobs/{job_id}": Kind.owned,
    "predictions/{prediction_id}": Kind.owned,
    "sources/{name}": Kind.shared,
    "secrets/{name}": Kind.shared,
    "checkpoints/{source}": Kind.shared,
    "runs/{run_id}": Kind.shared,
    "rejects/{reject_id}": Kind.shared,
    "compare/{other_id}": Kind.shared,
    "data/{record_id}": Kind.shared,
    "datasets/{dataset_id}": Kind.shared,
    "devices/{device}": Kind.shared,
    "compare/{other}": Kind.part,
    "dashboards/{dashboard_id}": Kind.shared,
    "rules/{rule_id}": Kind.shared,
    "channels/{channel_id}": Kind.shared,
    "alerts/{alert_id}": Kind.shared,
    "models/{name}": Kind.shared,
    "versions/{version}": Kind.part,
    "lineage/{kind}": Kind.shared,
    "{kind}/{thing_id}": Kind.part,
}
# What the team does with a thing of somebody else's, if it has the scope.
TEAMS = {
    # Whoever is on call.
    ("post", f"{API}/alerts/rules/{{rule_id}}/silence"),
    ("delete", f"{API}/alerts/rules/{{rule_id}}/silence"),
    ("post", f"{API}/alerts/rules/{{rule_id}}/test"),
    ("post", f"{API}/alerts/{{alert_id}}/acknowledge"),
    ("post", f"{API}/dashboards/{{dashboard_id}}/duplicate"),
    ("post", f"{API}/sources/{{name}}/run"),
    ("post", f"{API}/sources/{{name}}/replay"),
    ("post", f"{API}/etl/rejects/{{reject_id}}/retry"),
    ("post", f"{API}/models/{{name}}/predict"),
    ("post", f"{API}/models/{{name}}/versions/{{version}}/predict"),
    ("post", f"{API}/models/{{name}}/predict-batch"),
    ("post", f"{API}/models/{{name}}/versions/{{version}}/reproduce"),
    ("post", f"{API}/models/{{name}}/versions/{{version}}/compare"),
}
# What the team does at a shared thing with what is its own: of somebody else's it is told nothing.
THEIR_OWN = {("post", f"{API}/models/{{name}}/outcomes")}
ABSENT = {"integer": "987654", "string": "absent"}
# Bodies that get past the schema where an empty one does not.
BODIES: Mapping[tuple[str, str], Any] = {
    ("post", f"{API}/alerts/rules/{{rule_id}}/silence"): {"minutes": 5},
    ("put", f"{API}/projects/{{project_id}}/members/{{user_id}}"): {"role": "viewer"},
    ("put", f"{API}/secrets/{{name}}"): {"value": "s"},
    ("put", f"{API}/datasets/{{dataset_id}}/rules"): {"rules": []},
    ("post", f"{API}/models/{{name}}/versions/{{version}}/stage"): {"stage": "production"},
    ("post", f"{API}/models/{{name}}/predict"): {"records": [{"length": 1.0, "width": 0}]},
    ("post", f"{API}/models/{{name}}/outcomes"): {
        "outcomes": [{"prediction_id": "absent", "outcome": "setosa"}]
    },
    ("post", f"{API}/predictions/{{prediction_id}}/outcome"): {"outcome": "setosa"},
    ("post", f"{API}/models/{{name}}/shadow"): {"version": 1},
    ("post", f"{API}/models/{{name}}/versions/{{version}}/predict"): {
        "records": [{"length": 1.0, "width": 0}]
    },
    ("post", f"{API}/models/{{name}}/predict-batch"): {"dataset_id": 1, "version": 1},
}
# What some doors want beside a file.
FORMS: Mapping[tuple[str, str], dict[str, str]] = {
    ("post", f"{API}/models/{{name}}/versions"): {
        "signature": '{"features": [{"name": "length"}], "task": "regression"}'
    },
}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    scopes: frozenset[str]
    closed: bool
    parameters: tuple[tuple[str, str], ...]
    queries: tuple[str, ...]
    body: Any
    uploads: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path

    @property
    def is_open(self) -> bool:
        return self.path in OPEN

    @property
    def is_safe(self) -> bool:
        return self.method == "get"

    @property
    def kind(self) -> Kind | None:
        return KINDS[self.parameters[0][0]] if self.parameters else None

    def address(self, things: Mapping[str, str] | None = None) -> str:
        """With the ids of `things`, or with those of nothing."""
        path = self.path
        for name, type_ in self.parameters:
            found = things[name] if things else ABSENT[type_]
            path = path.replace(name.partition("/")[2], found, 1)
        return path

    async def call(
        self,
        client: httpx2.AsyncClient,
        things: Mapping[str, str] | None = None,
        body: Any = None,
        **options: Any,
    ) -> httpx2.Response:
        if self.uploads:
            options["files"] = {"file": ("a.csv", "a,b\n1,2\n")}
            options["data"] = FORMS.get(self.key, {})
        elif self.method in ("post", "put", "patch") or body is not None:
            options["json"] = body if body is not None else BODIES.get(self.key, {})
        # Of events those so far: a stream of them would go on until the run ends.
        options.setdefault("headers", {"Accept": "application/json"})
        return await client.request(self.method.upper(), self.address(things), **options)


@cache
def operations() -> tuple[Operation, ...]:
    document = create_app(Settings(_env_file=None)).openapi()
    return tuple(
        Operation(
            method,
            path,
            frozenset(
                scope
                for way in operation.get("security", ())
                for scopes in way.values()
                for scope in scopes
            ),
            bool(operation.get("security")),
            parameters(path, operation),
            tuple(p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"),
            body_schema(document, operation),
            # A sign-in takes a form, too, but no file.
            "multipart/form-data" in (sent := operation.get("requestBody", {}).get("content", {}))
            and "application/json" not in sent,
        )
        for path, found in document["paths"].items()
        for method, operation in found.items()
        if method in METHODS
    )


def parameters(path: str, operation: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    types = {
        one["name"]: one["schema"].get("type", "string")
        for one in operation.get("parameters", ())
        if one["in"] == "path"
    }
    words = path.split("/")
    return tuple(
        (f"{before}/{word}", types[word.strip("{}")])
        for before, word in pairwise(words)
        if word.startswith("{")
    )


def body_schema(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Any:
    """The schema of the JSON that it takes, if it takes any."""
    content = operation.get("requestBody", {}).get("content", {})
    return resolved(document, content.get("application/json", {}).get("schema"))


def resolved(document: Mapping[str, Any], schema: Any) -> Any:
    while schema and "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema and "anyOf" in schema:  # A body that may be left out.
        (schema,) = (one for one in schema["anyOf"] if one.get("type") != "null")
        return resolved(document, schema)
    return schema


async def things_of(resources: Resources, owner: Person, run_jobs: RunJobs) -> dict[str, str]:
    """One of each thing that a path can name, all made by `owner`."""

    async def made(url: str, **body: Any) -> dict[str, Any]:
        answer = await owner.client.post(f"{API}/{url}", json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    (resources.settings.home / "inbox" / "shop.csv").write_text("id,title\n1,a\n2\n")
    kept = await owner.client.put(f"{API}/secrets/shop-key", json={"value": "s"})
    assert kept.is_success, kept.text
    source = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}
    await made("sources", **source)
    await made("sources/shop/run")
    await run_jobs()
    run = await made("sources/shop/run")  # One that waits.
    job = await resources.database.write(
        lambda session: jobs.enqueue(session, "tests.nothing", owner_id=owner.id)
    )
    assert job
    async with resources.database.reading() as session:
        record = await session.scalar(select(DataRecord.id).limit(1))
        reject = await session.scalar(select(Reject.id).limit(1))
    await store_version(resources, owner.client)
    event = {"ear_value": 0.3, "is_drowsy": False, "duration_ms": 0}
    await made("telemetry", **event)
    (device,) = (await owner.client.get(f"{API}/devices")).json()
    rows = {"records": [{"length": 1.0, "width": 0}]}
    (session_,) = (await owner.client.get(f"{API}/auth/sessions")).json()
    return {
        "users/{user_id}": str(owner.id),
        "members/{user_id}": str(owner.id),
        "sessions/{session_id}": session_["id"],
        "api-keys/{key_id}": str((await made("api-keys", name="k", scopes=["data:read"]))["id"]),
        "projects/{project_id}": str((await made("projects", name="churn"))["id"]),
        "tasks/{task_id}": str((await made("tasks", title="label"))["id"]),
        "jobs/{job_id}": job.id,
        "sources/{name}": "shop",
        "secrets/{name}": "shop-key",
        "checkpoints/{source}": "shop",
        "runs/{run_id}": run["run_id"],
        "rejects/{reject_id}": str(reject),
        "compare/{other_id}": run["run_id"],
        "data/{record_id}": str(record),
        "compare/{other}": "1",
        "devices/{device}": str(device["id"]),
        "dashboards/{dashboard_id}": str((await made("dashboards", name="shop"))["id"]),
        **await alerted(resources, owner),
        "datasets/{dataset_id}": str((await upload(owner.client)).json()["id"]),
        "models/{name}": "flowers",
        "versions/{version}": "1",
        "lineage/{kind}": "source",
        "{kind}/{thing_id}": "shop",
        "predictions/{prediction_id}": (await made("models/flowers/versions/1/predict", **rows))[
            "prediction_id"
        ],
    }


async def alerted(resources: Resources, owner: Person) -> dict[str, str]:
    """A rule, a channel, and an alert that has fired."""
    body = {"name": "quiet", "metric": "datasets", "operator": ">=", "threshold": 0}
    rule = await owner.client.post(f"{API}/alerts/rules", json=body)
    hook = {"name": "pager", "kind": "webhook", "url": "https://pager.example/hook"}
    channel = await owner.client.post(f"{API}/alerts/channels", json=hook)
    await watching.look(resources)
    (alert,) = (await owner.client.get(f"{API}/alerts")).json()
    return {
        "rules/{rule_id}": str(rule.json()["id"]),
        "channels/{channel_id}": str(channel.json()["id"]),
        "alerts/{alert_id}": str(alert["id"]),
    }
