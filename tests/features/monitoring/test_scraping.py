"""What Prometheus reads, and that the Grafana dashboard asks for nothing else."""

import json
import re
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs, offers
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.monitoring import exposition, gauges
from tests.conftest import SignIn
from tests.factories import make_client
from tests.features.registry.factories import store_version
from tests.journeys.guides import ROOT

pytestmark = pytest.mark.anyio

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
DASHBOARD = ROOT / "deploy" / "grafana" / "astralytiq.json"
NAME = re.compile(r"\b(?:astralytiq|process)_\w+")


async def scraped(client: httpx2.AsyncClient) -> dict[str, Metric]:
    answer = await client.get("/metrics", headers=OPENMETRICS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {family.name: family for family in openmetrics(answer.text)}  # type: ignore[no-untyped-call]


async def test_requests_jobs_and_figures_are_told(sign_in: SignIn, resources: Resources) -> None:
    await resources.database.write(lambda s: jobs.enqueue(s, "tests.nothing"))
    viewer = await sign_in(Role.viewer)
    for path in ("/api/v1/jobs", "/api/v1/jobs/a", "/api/v1/jobs/b"):
        await viewer.get(path)
    found = await scraped(viewer)
    job = {"method": "GET", "path": "/api/v1/jobs/{job_id}"}
    counts = {
        (s.labels["path"], s.labels["outcome"]): s.value
        for s in found["astralytiq_http_requests"].samples
    }
    assert counts["/api/v1/jobs/{job_id}", "client_error"] == 2
    assert counts["/api/v1/jobs", "ok"] == 1
    buckets = [
        s for s in found["astralytiq_http_request_duration_seconds"].samples
        if s.name.endswith("_bucket") and s.labels.items() >= job.items()
    ]  # fmt: skip
    assert [b.labels["le"] for b in buckets][::16] == ["0.00064", "41.943"]
    assert (buckets[-1].labels["le"], buckets[-1].value) == ("+Inf", 2)
    (waiting,) = found["astralytiq_jobs"].samples
    assert (waiting.labels, waiting.value) == ({"kind": "tests.nothing", "status": "queued"}, 1)
    assert found["astralytiq_database_up"].samples[0].value == 1
    assert found["astralytiq_jobs_queued"].samples[0].value == 1
    assert found["process_resident_memory_bytes"].samples[0].value > 1_000_000


async def test_predictions_are_told_by_model_and_version(
    sign_in: SignIn, resources: Resources
) -> None:
    scientist = await sign_in(Role.data_scientist)
    await store_version(resources, scientist)
    rows = {"records": [{"length": 1.0, "width": 0}]}
    answer = await scientist.post("/api/v1/models/flowers/versions/1/predict", json=rows)
    assert answer.status_code == 200, answer.text
    found = await scraped(scientist)
    (count,) = found["astralytiq_predictions"].samples
    assert (count.name, count.labels) == (
        "astralytiq_predictions_total",
        {"model": "flowers", "version": "1"},
    )
    assert count.value == 1
    assert found["astralytiq_prediction_seconds"].samples[0].value > 0


async def test_the_plain_form_is_told_unless_another_is_asked_for(sign_in: SignIn) -> None:
    viewer = await sign_in(Role.viewer)
    await viewer.get("/health")
    answer = await viewer.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "astralytiq_http_requests_total" in {
        sample.name for family in text(answer.text) for sample in family.samples
    }


async def test_a_key_with_the_scope_scrapes_and_nobody_else(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    assert (await client.get("/metrics")).status_code == 401
    viewer = await sign_in(Role.viewer)
    for scope, status in (("metrics:read", 200), ("data:read", 403)):
        made = await viewer.post("/api/v1/api-keys", json={"name": scope, "scopes": [scope]})
        async with make_client(app, made.json()["key"]) as prometheus:
            assert (await prometheus.get("/metrics")).status_code == status


async def test_a_fault_in_one_figure_costs_no_other(
    resources: Resources, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(session: AsyncSession) -> float | None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setitem(offers.FIGURES, "broken", offers.Figure("never told", "", broken))
    found = await scraped(await sign_in(Role.viewer))
    assert "astralytiq_broken" not in found
    assert "astralytiq_jobs_queued" in found


async def test_scrapes_share_their_queries(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    measure = gauges.measure

    async def counted(session: AsyncSession) -> gauges.Measured:
        asked.append(1)
        return await measure(session)

    monkeypatch.setattr(gauges, "measure", counted)
    viewer = await sign_in(Role.viewer)
    for _ in range(3):
        await scraped(viewer)
    assert asked == [1]


async def test_without_its_database_a_house_tells_what_it_counted_itself(
    app: FastAPI, resources: Resources, sign_in: SignIn
) -> None:
    viewer = await sign_in(Role.viewer)
    await viewer.get("/metrics")  # The key is known now.
    away = type(resources.database)("postgresql://nobody@127.0.0.1:1/nothing")
    app.state.resources = type(resources)(resources.settings, away, resources.storage)
    found = await scraped(viewer)
    await away.close()
    app.state.resources = resources
    assert found["astralytiq_database_up"].samples[0].value == 0
    assert found["astralytiq_http_requests"].samples
    assert "astralytiq_jobs_queued" not in found


async def test_every_expression_of_the_dashboard_names_a_metric_that_there_is(
    sign_in: SignIn,
) -> None:
    found = await scraped(await sign_in(Role.viewer))
    endings = {
        "counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count"),
    }  # fmt: skip
    known = {
        name + ending
        for name, family in found.items()
        for ending in endings.get(family.type, ("",))
    }
    # A figure of which there is nothing to tell yet has no line.
    known |= {exposition.name_of(name, one.unit) for name, one in offers.FIGURES.items()}
    dashboard = json.loads(DASHBOARD.read_text())
    asked = list(expressions(dashboard))
    assert len(asked) > 25
    for expression in asked:
        names = set(NAME.findall(expression))
        assert names, expression
        assert names <= known, expression
    (job,) = [one for one in dashboard["templating"]["list"] if one["name"] == "job"]
    assert set(NAME.findall(job["query"]["query"])) <= known


def expressions(dashboard: dict[str, list[dict[str, list[dict[str, str]]]]]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
