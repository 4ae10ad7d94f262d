"""A few records of a proposed source, raw beside normalised. Nothing is stored."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from astralytiq.core.errors import Invalid
from astralytiq.core.jobs import Transient
from astralytiq.core.settings import Settings
from astralytiq.engines.etl.normalise import Normalised, as_object, refuse_deep

from . import extract
from .pipeline import normaliser_of
from .service import Spec, refuse_unsafe

SECONDS = 20.0
MOST_BYTES = 1 << 20
REPLACED = "A later record of these has the same primary key: a run keeps that one."


async def preview(settings: Settings, spec: Spec, limit: int) -> dict[str, Any]:
    """What a run would make of the first `limit` records, read as a run reads them."""
    refuse_unsafe(settings, spec)
    first = spec.model_copy(update={"batch_size": limit})
    try:
        async with asyncio.timeout(SECONDS):
            payloads = await read(settings, first, limit)
    except TimeoutError:
        raise Invalid(
            f"The source gave no {limit} records within {SECONDS:g} s: ask for fewer, "
            "or look why it is slow."
        ) from None
    except Transient as trouble:
        raise Invalid(f"{trouble} Try again when the source is up.") from None
    normalised = await asyncio.to_thread(normaliser_of(spec).batch, payloads)
    return {"source": spec.name, "records": side_by_side(payloads, normalised)}


async def read(settings: Settings, spec: Spec, limit: int) -> list[Any]:
    payloads: list[Any] = []
    async with aclosing(extract.batches(settings, spec, None)) as found:
        async for batch in found:
            payloads += batch.payloads
            if len(payloads) >= limit:
                break
    return small(payloads[:limit])


def small(payloads: list[Any]) -> list[Any]:
    """As many of them as an answer can show."""
    size = 0
    for at, payload in enumerate(payloads):
        size += len(msgspec.json.encode(as_object(payload)))
        if size <= MOST_BYTES:
            continue
        if at == 0:
            raise Invalid(
                f"The first record alone has more than {MOST_BYTES >> 20} MB: "
                "set records_path to the list that holds the records."
            )
        return payloads[:at]
    return payloads


def shown(raw: dict[str, Any]) -> dict[str, Any] | None:
    try:
        refuse_deep(raw)
    except ValueError:
        return None  # No JSON writer of ours goes so deep; its reason says what it is.
    return raw


def side_by_side(payloads: Sequence[Any], normalised: Normalised) -> list[dict[str, Any]]:
    records = {record.pop("raw_position"): record for record in normalised.records}
    reasons = {reject.position: reject.reason for reject in normalised.rejects}
    return [
        {
            "raw": shown(as_object(payload)),
            "record": records.get(at),
            "reason": None if at in records else reasons.get(at, REPLACED),
        }
        for at, payload in enumerate(payloads)
    ]
