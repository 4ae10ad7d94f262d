"""Data sets that are made up by a rule: made when they are first named, then the whole team's.

"synthetic:drowsiness" names one, "synthetic:drowsiness?rows=4000&seed=7" another. They are made
outside of any transaction, as uploads are converted; afterwards they are like any other set.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import Field, ValidationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import new_id
from astralytiq.core.errors import AppError, Fault, Invalid
from astralytiq.core.resources import Resources
from astralytiq.core.schemas import Body
from astralytiq.core.security import Actor
from astralytiq.core.storage import Storage, discard
from astralytiq.engines.tabular.parquet import ParquetWriter

from . import measuring, outputs, service
from .models import Dataset, DatasetType, DatasetVersion
from .tables import Written

Store = Callable[[AsyncSession], Awaitable[DatasetVersion]]
PREFIX = "synthetic:"
DROWSINESS = "drowsiness"
TRIES = 2  # Another request may add the set first: then it is found.
ABOUT = (
    "Made up: minutes of drivers' eyes, alert or drowsy by a rule, with a twentieth of the labels "
    "turned round. No person was measured: what learns from it makes no claim of safety."
)


class Size(Body):
    """What may be asked of a generator."""

    rows: Annotated[int, Field(ge=100, le=20_000)] = 2_000
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 0


@dataclass(frozen=True)
class Recipe:
    """What a set is made by; the same one gives the same bytes."""

    size: Size

    @property
    def name(self) -> str:
        usual = Size()
        more = "" if self.size == usual else f", {self.size.rows} rows, seed {self.size.seed}"
        return f"{DROWSINESS} (synthetic{more})"

    @property
    def origin(self) -> dict[str, Any]:
        from astralytiq.engines import synthetic  # noqa: PLC0415 - NumPy: few requests need it

        made_by = {"name": DROWSINESS, "generator": synthetic.VERSION}
        return {"kind": "synthetic", **made_by, **self.size.model_dump()}

    @property
    def types(self) -> dict[str, str]:
        from astralytiq.engines import synthetic  # noqa: PLC0415 - NumPy

        return {column.name: column.type for column in synthetic.COLUMNS}


def named(reference: int | str) -> Recipe | None:
    """What `reference` asks for; None if it names an ordinary data set."""
    text = str(reference)
    if not text.startswith(PREFIX):
        return None
    name, _, asked = text.removeprefix(PREFIX).partition("?")
    if name != DROWSINESS:
        raise refusal(f"There is no generator {name!r}; there is {PREFIX}{DROWSINESS}.")
    try:
        given = dict(parse_qsl(asked, keep_blank_values=True, strict_parsing=bool(asked)))
        return Recipe(Size.model_validate(given))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        what = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in faults)
        raise refusal(f"{text!r} cannot be made: {what}.") from None
    except ValueError:
        raise refusal(f"{text!r} cannot be read: write {PREFIX}{name}?rows=4000&seed=7.") from None


def refusal(words: str) -> Invalid:
    return Invalid(words, faults=(Fault(("body", "dataset_id"), words),))


async def ensured(resources: Resources, actor: Actor, recipe: Recipe) -> str:
    """Names the version ("7@1") that is there already, or that is made now."""
    async with resources.database.reading() as session:
        if known := await find(session, recipe):
            return known.reference
    actor.require("datasets:write")
    key = f"datasets/{new_id()}.parquet"
    written = await asyncio.to_thread(write, resources.storage, recipe, key)
    measured = await asyncio.to_thread(
        measuring.at_once, resources.storage, written, measuring.NONE
    )

    async def store(session: AsyncSession) -> DatasetVersion:
        return await find(session, recipe) or await add(session, actor, recipe, written, measured)

    try:
        version = await stored(resources, store, TRIES)
    except (AppError, IntegrityError):  # After any other failure it may be stored all the same.
        await discard(resources.storage, key)
        raise
    if version.storage_key != key:
        await discard(resources.storage, key)
    return version.reference


async def stored(resources: Resources, store: Store, tries: int) -> DatasetVersion:
    try:
        return await resources.database.write(store)
    except IntegrityError:
        if tries == 1:
            raise
    return await stored(resources, store, tries - 1)


async def find(session: AsyncSession, recipe: Recipe) -> DatasetVersion | None:
    """Whoever made it: a set of the team's. Uploads may have become versions beside it."""
    origin = recipe.origin
    query = (
        select(DatasetVersion)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(Dataset.deleted_at.is_(None), Dataset.type == DatasetType.synthetic)
        .order_by(DatasetVersion.id)
    )
    return next((one for one in await session.scalars(query) if one.origin == origin), None)


def write(storage: Storage, recipe: Recipe, key: str) -> Written:
    """Blocks for as long as it takes to make up, a second for 5,000 rows."""
    import pyarrow as pa  # noqa: PLC0415 - takes 0.2 s and 50 MB

    from astralytiq.engines import synthetic  # noqa: PLC0415 - NumPy

    table = pa.table(synthetic.drowsiness(recipe.size.rows, recipe.size.seed))
    with storage.writing(key) as file, ParquetWriter(file, synthetic.COLUMNS) as writer:
        writer.add(table)
    return Written(storage.describe(key), writer.rows, synthetic.COLUMNS)


async def add(
    session: AsyncSession,
    actor: Actor,
    recipe: Recipe,
    written: Written,
    measured: measuring.Measured | None,
) -> DatasetVersion:
    dataset = await outputs.reserve(session, actor, recipe.name, DatasetType.synthetic)
    dataset.description = dataset.description or ABOUT
    is_first = dataset.current == 0  # Of a later one the rules of the first are asked, by a job.
    version = await service.add_version(session, actor, dataset.id, written, recipe.origin)
    await measuring.settle(session, actor, dataset, version, measured if is_first else None)
    return version
