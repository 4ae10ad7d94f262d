"""Rules for telemetry: events are taken in whole, durably, once."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from astralytiq.core.db import utc_now
from astralytiq.core.resources import Resources

from .intake import Limits, Row, decoded_batch, decoded_event, decoded_lines, rows_of
from .recording import Posted, recorder
from .schemas import Reading, moment_of, severity_named

BYTES_IN_LOOP = 16_384  # A larger body takes longer to read than a thread costs.

Decode = Callable[[bytes], list[Reading]]


async def record(resources: Resources, body: bytes) -> dict[str, Any]:
    """One event, durable before the answer; sent again it is answered as at first."""
    limits = Limits.at(utc_now(), resources.settings)
    (row,) = rows_of([decoded_event(body)], limits)
    posted = Posted([row], is_single=True)
    await recorder(resources).add(posted)
    at, severity = posted.first or (row[2], row[6])
    return {
        "status": "logged",
        "event_id": row[1],
        "timestamp": moment_of(at),
        "severity": severity_named(severity),
    }


async def record_batch(resources: Resources, body: bytes, *, is_lines: bool) -> dict[str, Any]:
    """All of its events or none. Those that are stored already count as logged."""
    limits = Limits.at(utc_now(), resources.settings)
    decode: Decode = decoded_lines if is_lines else decoded_batch
    read = partial(read_batch, decode, body, limits)
    rows = read() if len(body) <= BYTES_IN_LOOP else await asyncio.to_thread(read)
    await recorder(resources).add(Posted(rows))
    return {"status": "success", "events_logged": len(rows), "timestamp": utc_now()}


def read_batch(decode: Decode, body: bytes, limits: Limits) -> list[Row]:
    return rows_of(decode(body), limits)
