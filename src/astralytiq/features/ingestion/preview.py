"""A few records of a proposed source, raw beside normalised. Nothing is stored."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from astralytiq.core.errors import Invalid
from astralytiq.core.jobs import Transient
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings
from astralytiq.engines.etl.batch import Normalised, normalised
from astralytiq.engines.etl.columns import rows_of
from astralytiq.engines.etl.normalise import as_object, refuse_deep

from . import extract, secrets
from .calls import Calls
from .downloads import BEGINNING
from .pipeline import normaliser_of
from .placeholders import filled
from .service import Spec, find_source, may_change, refuse_unsafe, spec_of

SECONDS = 20.0
MOST_BYTES = 1 << 20
REPLACED = "A later record of these has the same primary key: a run keeps that one."


async def preview(resources: Resources, actor: Actor, spec: Spec, limit: int) -> dict[str, Any]:
    """What a run would make of the first `limit` records, read as a run reads them."""
    refuse_unsafe(resources.settings, spec)
    calls = await allowed(resources, actor, spec)
    first = spec.model_copy(update={"batch_size": limit})
    try:
        async with asyncio.timeout(SECONDS):
            payloads = await read(resources.settings, first, limit, calls)
    except TimeoutError:
        raise Invalid(
            f"The source gave no {limit} records within {SECONDS:g} s: ask for fewer, "
            "or look why it is slow."
        ) from None
    except Transient as trouble:
        raise Invalid(f"{trouble} Try again when the source is up.") from None
    made = await asyncio.to_thread(normalised, normaliser_of(spec), payloads)
    return {"source": spec.name, "records": side_by_side(payloads, made)}


async def allowed(resources: Resources, actor: Actor, spec: Spec) -> Calls:
    """With the secret that the source refers to, if `actor` may send it there."""
    keys = resources.settings.signing_keys
    async with resources.database.reading() as session:
        known = await find_source(session, spec.name)
        before = spec_of(known) if known and may_change(actor, known) else None
        await secrets.refuse_unusable(session, actor, spec, before)
    return Calls(secret=await secrets.revealed(resources.database, keys, spec))


async def read(settings: Settings, spec: Spec, limit: int, calls: Calls) -> list[Any]:
    payloads: list[Any] = []
    first = filled(spec, spec.cursor_start)
    async with aclosing(extract.batches(settings, first, None, calls, BEGINNING)) as found:
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


def side_by_side(payloads: Sequence[Any], made: Normalised) -> list[dict[str, Any]]:
    rows = rows_of(made.records, made.size)
    records = {record.pop("raw_position"): record for record in rows}
    reasons = {reject.position: reject.reason for reject in made.rejects}
    return [
        {
            "raw": shown(as_object(payload)),
            "record": records.get(at),
            "reason": None if at in records else reasons.get(at, REPLACED),
        }
        for at, payload in enumerate(payloads)
    ]
