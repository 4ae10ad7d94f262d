"""Versions are measured: profile, quality, rules, and how one version differs from another."""

import json
from typing import Any

import httpx2
import pytest

from astralytiq.core.security import Role
from astralytiq.features.datasets import measuring
from tests.conftest import RunJobs, SignIn

from .factories import upload

pytestmark = pytest.mark.anyio

DATASETS = "/api/v1/datasets"
PEOPLE = "id,age,mail\n1,30,a@b.co\n2,,c@d.co\n3,200,e@f.co\n3,41,g\n"


async def made(client: httpx2.AsyncClient, content: str = PEOPLE) -> str:
    answer = await upload(client, content, "people.csv")
    assert answer.status_code == 201, answer.text
    return f"{DATASETS}/{answer.json()['id']}"


async def read(client: httpx2.AsyncClient, url: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(url, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def part(quality: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in quality["parts"] if one["name"] == name)
    assert isinstance(found, dict)
    return found


async def test_a_small_table_is_measured_with_its_upload(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    url = await made(analyst)
    schema = await read(analyst, f"{url}/schema")
    assert [column["name"] for column in schema["columns"]] == ["id", "age", "mail"]
    assert (schema["version"], schema["rows"]) == (1, 4)
    profile = await read(analyst, f"{url}/profile")
    age = profile["columns"][1]
    assert (age["nulls"], age["distinct"], age["min"], age["max"]) == (1, 3, 30, 200)
    assert "distribution" not in age
    quality = await read(analyst, f"{url}/quality")
    completeness = part(quality, "completeness")
    assert completeness["faults"][0]["examples"] == [{"row": 2, "value": None}]
    assert quality["score"] < 100
    assert (await read(analyst, url))["quality_score"] == quality["score"]


async def test_a_large_table_is_measured_by_a_job(
    sign_in: SignIn, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "SMALL_CELLS", 3)
    analyst = await sign_in(Role.analyst)
    url = await made(analyst)
    assert (await read(analyst, url))["quality_score"] is None
    for path in ("profile", "quality", "compare/1"):
        waiting = await analyst.get(f"{url}/{path}")
        assert (waiting.status_code, "not measured yet" in waiting.json()["detail"]) == (409, True)
    await run_jobs()
    quality = await read(analyst, f"{url}/quality")
    assert (await read(analyst, url))["quality_score"] == quality["score"] > 0
    (job,) = (await analyst.get("/api/v1/jobs")).json()
    assert (job["kind"], job["status"]) == ("datasets.measure", "succeeded")
    await run_jobs()
    assert await read(analyst, f"{url}/quality") == quality


async def test_rules_are_held_against_each_version_with_the_rows_that_fail(
    sign_in: SignIn, run_jobs: RunJobs
) -> None:
    analyst = await sign_in(Role.analyst)
    url = await made(analyst)
    before = (await read(analyst, url))["quality_score"]
    rules = [
        {"kind": "unique", "column": "id"},
        {"kind": "range", "column": "age", "low": 0, "high": 120},
        {"kind": "regex", "column": "mail", "pattern": ".+@.+"},
        {"kind": "in", "column": "id", "values": [1, 2, 3]},
    ]
    put = await analyst.put(f"{url}/rules", json={"rules": rules})
    assert put.status_code == 200, put.text
    assert (await read(analyst, f"{url}/rules"))["rules"] == put.json()["rules"]
    await run_jobs()
    quality = await read(analyst, f"{url}/quality")
    assert [one["passed"] for one in quality["rules"]] == [False, False, False, True]
    assert [one["rule"] for one in quality["rules"]] == rules
    assert quality["rules"][1]["examples"] == [{"row": 3, "value": 200}]
    assert quality["score"] < before

    content = "id,age\n1,30\n2,40\n"
    path = f"{url.split('/')[-1]}/versions/upload"
    assert (await upload(analyst, content, path=path)).is_success
    quality = await read(analyst, f"{url}/quality")
    assert [one["passed"] for one in quality["rules"]] == [True, True, None, True]
    assert "no column 'mail'" in quality["rules"][2]["problem"]
    assert (await read(analyst, url))["quality_score"] == quality["score"] == 100
    assert (await read(analyst, f"{url}/quality", version=1))["score"] < 100


async def test_a_rule_may_refer_to_another_set_and_outlives_it(
    sign_in: SignIn, run_jobs: RunJobs
) -> None:
    analyst = await sign_in(Role.analyst)
    url, countries = await made(analyst), await made(analyst, "key,name\n1,x\n2,y\n")
    rule = {"kind": "foreign", "column": "id", "dataset": countries.split("/")[-1], "key": "key"}
    assert (await analyst.put(f"{url}/rules", json={"rules": [rule]})).status_code == 200
    await run_jobs()
    (found,) = (await read(analyst, f"{url}/quality"))["rules"]
    assert (found["passed"], found["rows_affected"]) == (False, 2)
    await analyst.delete(countries)
    again = await upload(analyst, PEOPLE, path=f"{url.split('/')[-1]}/versions/upload")
    assert again.is_success
    (found,) = (await read(analyst, f"{url}/quality"))["rules"]
    assert (found["passed"], "not there any more" in found["problem"]) == (None, True)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "unique", "column": "absent"},
        {"kind": "range", "column": "mail", "low": 1},
        {"kind": "regex", "column": "mail", "pattern": "(?=a)"},
        {"kind": "foreign", "column": "id", "dataset": "999", "key": "id"},
        {"kind": "foreign", "column": "id", "dataset": "../x", "key": "id"},
        {"kind": "foreign", "column": "id", "path": "/etc/passwd", "key": "id"},
        {"kind": "sql", "column": "id"},
    ],
)
async def test_a_rule_that_could_not_be_applied_is_refused(
    sign_in: SignIn, rule: dict[str, Any]
) -> None:
    analyst = await sign_in(Role.analyst)
    url = await made(analyst)
    answer = await analyst.put(f"{url}/rules", json={"rules": [rule]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][:3] == ["body", "rules", 0]
    assert (await read(analyst, f"{url}/rules"))["rules"] == []


async def test_only_its_owner_and_admins_change_the_rules_and_nobody_a_stale_set(
    sign_in: SignIn,
) -> None:
    owner, other = await sign_in(Role.analyst), await sign_in(Role.data_scientist)
    url = await made(owner)
    assert (await other.get(f"{url}/rules")).status_code == 200
    assert (await other.put(f"{url}/rules", json={"rules": []})).status_code == 403
    tag = (await owner.get(f"{url}/rules")).headers["etag"]
    changed = await owner.put(f"{url}/rules", json={"rules": []}, headers={"If-Match": tag})
    assert changed.status_code == 200
    rules = {"rules": [{"kind": "not_null", "column": "id"}]}
    assert (await owner.put(f"{url}/rules", json=rules, headers={"If-Match": tag})).is_success
    stale = await owner.put(f"{url}/rules", json=rules, headers={"If-Match": tag})
    assert stale.status_code == 412


async def test_versions_are_compared_column_by_column(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    first = "x,y\n" + "".join(f"{n % 50},a\n" for n in range(500))
    second = "x,z\n" + "".join(f"{n % 50 + 30},a\n" for n in range(500))
    url = await made(analyst, first)
    dataset_id = url.split("/")[-1]
    await upload(analyst, second, path=f"{dataset_id}/versions/upload")
    found = await read(analyst, f"{url}/compare/1")
    assert (found["before"], found["after"]) == (f"{dataset_id}@1", f"{dataset_id}@2")
    kinds = {column["column"]: column["kind"] for column in found["columns"]}
    assert kinds == {"x": "compared", "y": "removed", "z": "added"}
    assert (found["verdict"], found["columns"][0]["verdict"]) == ("major", "major")
    assert found["columns"][0]["ks"] == pytest.approx(0.6, abs=0.02)
    same = await read(analyst, f"{url}/compare/{dataset_id}@1", version=1)
    assert {column["verdict"] for column in same["columns"]} == {"none"}
    assert (await analyst.get(f"{url}/compare/9")).status_code == 404
    assert (await analyst.get(f"{url}/compare/x@1")).status_code == 422


async def test_values_that_a_database_cannot_hold_are_measured_all_the_same(
    sign_in: SignIn,
) -> None:
    analyst = await sign_in(Role.analyst)
    lines = "\n".join(json.dumps({"a": text}) for text in ("x\0y", "x\0y", " z"))
    answer = await upload(analyst, lines, "a.jsonl")
    assert answer.status_code == 201
    profile = await read(analyst, f"{DATASETS}/{answer.json()['id']}/profile")
    assert profile["columns"][0]["top"][0] == {"value": "x\ufffdy", "count": 2}
