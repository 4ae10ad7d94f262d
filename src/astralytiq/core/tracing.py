"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT is set (extra `otel`).

FastAPI makes the spans of requests, and of the endpoints that they reach; a job's span is a child
of the one in which somebody asked for it, whichever process runs it: the row carries the trace's
context. Spans are exported by a thread of the library, from a queue that drops what it cannot
hold: no request and no job waits for a collector, or fails with it.

Without the setting nothing of the SDK is imported.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from astralytiq import __version__
from astralytiq.core.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger(__name__)

EXPORT_SECONDS = 2.0  # for one answer of the collector
DELAY_SECONDS = 1.0
NAME = "astralytiq"
TRACEPARENT = "traceparent"


class Tracing:
    """Of one process: whoever uses it says when it is done, and the last one flushes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._provider: TracerProvider | None = None
        self._users = 0

    @property
    def provider(self) -> "TracerProvider | None":
        return self._provider

    def prepare(self, settings: Settings) -> "TracerProvider | None":
        with self._lock:
            if self._provider is None and settings.otel_exporter_otlp_endpoint:
                self._provider = provider_for(settings)
            return self._provider

    def begin(self, settings: Settings) -> None:
        self.prepare(settings)
        with self._lock:
            self._users += 1

    def end(self) -> None:
        """Export what waits, for some seconds at most: not for the event loop."""
        with self._lock:
            self._users -= 1
            done = self._provider if self._users == 0 else None
            if done:
                self._provider = None
        if done:
            done.shutdown()


PROCESS = Tracing()


def provider_for(settings: Settings) -> "TracerProvider | None":
    try:
        # With its parts 0.3 s to import, and only for those who trace.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        log.error(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: "
            "pip install 'astralytiq[otel]'"
        )
        return None
    about = {
        "service.name": settings.otel_service_name,
        "service.version": __version__,
        "deployment.environment.name": settings.environment,
    }
    address = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(address, timeout=EXPORT_SECONDS)
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, schedule_delay_millis=DELAY_SECONDS * 1000)
    )
    return provider


def note_request(identifier: str) -> None:
    """Let the request's span tell its id: the log knows it by this."""
    if PROCESS.provider:
        from opentelemetry import trace  # noqa: PLC0415

        trace.get_current_span().set_attribute(f"{NAME}.request_id", identifier)


def context() -> str | None:
    """The span that is under way, as its children in other processes need it (W3C traceparent)."""
    if PROCESS.provider is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(TRACEPARENT)


@contextmanager
def span(name: str, parent: str | None, **attributes: str | int) -> Iterator[None]:
    """What is done within it is traced, as a child of `parent` if there is one."""
    provider = PROCESS.provider
    if provider is None:
        yield
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    carrier = {TRACEPARENT: parent} if parent else {}
    above = TraceContextTextMapPropagator().extract(carrier)
    tracer = provider.get_tracer(NAME, __version__)
    named = {f"{NAME}.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(name, above, SpanKind.CONSUMER, named):
        yield


def failed(reason: str) -> None:
    """Mark the span that is under way."""
    if PROCESS.provider:
        from opentelemetry import trace  # noqa: PLC0415

        trace.get_current_span().set_status(trace.StatusCode.ERROR, reason)
