"""Traces: from a request through the job's row to the worker, without anybody waiting for them."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from astralytiq.app import create_app
from astralytiq.core import executor, jobs, tracing
from astralytiq.core.executor import Work
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from tests.factories import make_client, signed_in
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


class Collector(HTTPServer):
    """Takes in what is exported; `hangs` lets it answer nobody."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.hangs = threading.Event()
        self.asked = threading.Event()
        self.closed = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.hangs.is_set():
            self.server.asked.set()
            self.server.closed.wait(PATIENCE)
            return
        assert self.path == "/v1/traces"
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {one.key: one.value.string_value for one in sent.resource.attributes}
            self.server.services.add(facts["service.name"])
            for scope in sent.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """No line for each request."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever, args=(0.01,))
    thread.start()
    yield collector
    collector.closed.set()
    collector.shutdown()
    thread.join()
    collector.server_close()


@pytest.fixture
def traced(settings: Settings, collector: Collector) -> Settings:
    return settings.model_copy(update={"otel_exporter_otlp_endpoint": collector.url})


async def test_a_trace_goes_from_the_request_to_the_job(
    traced: Settings, collector: Collector
) -> None:
    app = create_app(traced)
    async with app.router.lifespan_context(app):
        inbox = traced.home / "inbox"
        (inbox / "shop.csv").write_text("id,title\n1,a\n")
        async with await signed_in(app, Role.data_scientist) as client:
            source = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}
            assert (await client.post("/api/v1/sources", json=source)).status_code == 201
            answer = await client.post("/api/v1/sources/shop/run", headers={"X-Request-ID": "r-7"})
            assert answer.status_code == 202
        await executor.run_until_idle(app.state.resources, "tests")
    asked = next(s for s in collector.spans if attributes(s).get("astralytiq.request_id") == "r-7")
    job = next(s for s in collector.spans if s.name == "job ingestion.run")
    parents = {span.span_id: span for span in collector.spans}
    assert asked.name == "POST /api/v1/sources/{name}/run"
    assert asked.trace_id == job.trace_id
    above = parents[job.parent_span_id]  # the endpoint, which called the service
    while above.span_id != asked.span_id:
        above = parents[above.parent_span_id]
    assert attributes(job)["astralytiq.job_id"]
    assert collector.services == {"astralytiq"}


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


async def test_a_job_that_fails_is_an_error_of_its_span(
    traced: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(work: Work) -> None:
        raise KeyError("hunter2")

    monkeypatch.setitem(jobs.HANDLERS, "tests.broken", broken)
    app = create_app(traced)
    async with app.router.lifespan_context(app):
        resources = app.state.resources
        await resources.database.write(lambda s: jobs.enqueue(s, "tests.broken"))
        await executor.run_until_idle(resources, "tests")
    (span,) = [span for span in collector.spans if span.name == "job tests.broken"]
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert "hunter2" not in str(span)


async def test_a_collector_that_hangs_holds_up_no_request(
    traced: Settings, collector: Collector
) -> None:
    collector.hangs.set()
    app = create_app(traced)
    async with app.router.lifespan_context(app), make_client(app) as client:
        for _ in range(3):
            assert (await client.get("/health")).status_code == 200
        await asyncio.to_thread(collector.asked.wait, PATIENCE)
        for _ in range(20):
            assert (await client.get("/health")).status_code == 200
        assert collector.asked.is_set()  # and still waits for an answer
        collector.closed.set()
    assert tracing.PROCESS.provider is None


def test_without_the_setting_nothing_of_the_sdk_is_imported() -> None:
    program = (
        "import sys\n"
        "from astralytiq.app import create_app\n"
        "from astralytiq.core.settings import Settings\n"
        "create_app(Settings(_env_file=None))\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', "
        "'opentelemetry.exporter'))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert tracing.context() is None
