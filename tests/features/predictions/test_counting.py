"""Whatever the order in which predictions are counted, the counts are those of all of them."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from astralytiq.core.db import Database, new_id
from astralytiq.core.resources import Resources
from astralytiq.core.rows import to_json
from astralytiq.core.security import Role
from astralytiq.engines.tabular import histograms
from astralytiq.engines.tabular.histograms import Distribution
from astralytiq.features.predictions import baselines, counting, tallies
from astralytiq.features.predictions.cells import Baseline, Stored, counted, live, spread
from astralytiq.features.predictions.models import Prediction, PredictionHour, Uncounted
from astralytiq.features.predictions.recording import Recorded, keep, parted, recorder_of
from astralytiq.features.registry.models import ModelVersion
from tests.conftest import SignIn
from tests.features.registry.factories import store_version

START = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)
NUMBERS = st.floats(-10, 10, allow_nan=False) | st.integers(-3, 3).map(float)
PARTS = st.lists(st.lists(NUMBERS, min_size=1, max_size=8), min_size=1, max_size=6)


def known(values: list[float]) -> Distribution:
    ordered = np.sort(np.array(values, dtype=float))
    return histograms.distribution(ordered, histograms.runs(ordered), points=8)


# Without a database -----------------------------------------------------------------------------


@given(st.lists(NUMBERS, min_size=1, max_size=40), PARTS)
def test_a_live_distribution_is_exact_at_the_edges_of_the_training_data(
    training: list[float], parts: list[list[float]]
) -> None:
    edges = np.array(known(training).edges)
    total = tallies.total(spread(np.array(part), edges) for part in parts)
    every = np.array([value for part in parts for value in part])
    assert total == spread(every, edges)
    found = live(total, edges)
    assert found.distribution
    assert found.rows == len(every)
    for edge, below, up_to in zip(
        found.distribution.edges, found.distribution.below, found.distribution.up_to, strict=True
    ):
        assert (below, up_to) == ((every < edge).sum(), (every <= edge).sum())
    assert found.distribution.up_to[-1] == len(every)
    assert found.below == (every < edges[0]).sum()
    assert found.above == (every > edges[-1]).sum()
    assert found.unseen == (~np.isin(every, edges)).sum()


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=50), st.integers(0, 49))
def test_percentiles_of_added_sketches_are_within_one_percent(times: list[int], cut: int) -> None:
    parts = [tallies.latency(part) for part in (times[:cut], times[cut:])]
    found = tallies.milliseconds(tallies.total(parts))
    assert found
    assert found["mean_ms"] == round(sum(times) / len(times) / 1000, 3)
    ordered = sorted(times)
    for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
        true = ordered[int(share * (len(ordered) - 1))] / 1000
        assert found[name] == pytest.approx(true, rel=0.011, abs=0.0021)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), min_size=1, max_size=30),
    st.integers(0, 29),
)
def test_a_truth_that_is_taken_back_leaves_no_trace(
    pairs: list[tuple[str, str]], taken: int
) -> None:
    every = [tallies.judged(truth, said, numbers=False) for truth, said in pairs]
    gone = [tallies.judged(*pair, numbers=False, times=-1) for pair in pairs[:taken]]
    left = tallies.total([*every, *gone])
    assert left["outcomes"] == len(pairs[taken:])
    right = sum(truth == said for truth, said in pairs[taken:])
    if pairs[taken:]:
        assert tallies.metrics(left, ["a", "b"])["accuracy"] == right / len(pairs[taken:])
    else:
        assert tallies.metrics(left, ["a", "b"]) == {}


def test_errors_of_numbers_are_those_of_all_pairs() -> None:
    truth, said = np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.5, 2.0, 3.0, 9.0])
    found = tallies.metrics(
        tallies.total(tallies.judged(t, s, numbers=True) for t, s in zip(truth, said, strict=True)),
        [],
    )
    assert found["mae"] == pytest.approx(np.abs(truth - said).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((truth - said) ** 2).mean()))
    spread_ = ((truth - truth.mean()) ** 2).sum()
    assert found["r2"] == pytest.approx(1 - ((truth - said) ** 2).sum() / spread_)


def test_groups_that_are_counted_at_once_fit_into_memory() -> None:
    chance = random.Random(3)
    every = [replace(recorded(1, chance), rows=rows) for rows in (1, 9_999, 1, 10_000, 5, 5)]
    assert [[one.rows for one in group] for group in parted(every)] == [
        [1, 9_999],
        [1],
        [10_000],
        [5, 5],
    ]


# With both databases ----------------------------------------------------------------------------


def recorded(version_id: int, chance: random.Random) -> Recorded:
    rows = [[chance.choice([1.0, 2.0, 3.5, 9.0]), float(chance.randrange(6))]
            for _ in range(chance.randrange(1, 4))]  # fmt: skip
    labels = [chance.choice(["setosa", "virginica"]) for _ in rows]
    return Recorded(
        id=new_id(),
        model_version_id=version_id,
        model="flowers",
        version=1,
        inputs={"columns": ["length", "width"], "data": rows},
        outputs={"predictions": labels, "probabilities": [], "classes": ["setosa", "virginica"]},
        rows=len(rows),
        latency_ms=chance.randrange(1, 10_000) / 1000,
        actor_id=None,
        created_at=START + timedelta(minutes=chance.randrange(180)),
    )


@pytest.fixture
async def version(sign_in: SignIn, resources: Resources) -> ModelVersion:
    return await store_version(resources, await sign_in(Role.data_scientist))


async def recount(database: Database, version: ModelVersion) -> dict[Any, Any]:
    """Of all predictions that are stored, at once."""
    async with database.reading() as session:
        every = list(await session.scalars(select(Prediction)))
        ids = [version.id]
        bases = baselines.restored(await baselines.known_of(session, ids))
    rows = [
        Stored(one.model_version_id, one.created_at, one.latency_ms, to_json(one.inputs),
               to_json(one.outputs))
        for one in every
    ]  # fmt: skip
    assert isinstance(bases[version.id], Baseline)
    return counted(rows, bases)


async def stored(database: Database) -> dict[Any, Any]:
    async with database.reading() as session:
        rows = await session.scalars(select(PredictionHour))
        return {(row.model_version_id, row.hour): row.statistics for row in rows}


@pytest.mark.anyio
async def test_counting_while_many_write_and_many_count_is_exact(
    version: ModelVersion, resources: Resources, database: Database
) -> None:
    chance = random.Random(7)
    recorder_of(resources)
    asked = resources.owned["predictions.counting"]
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(6):
            group = [recorded(version.id, chance) for _ in range(chance.randrange(1, 9))]
            await keep(resources, asked, group)

    async def count() -> None:
        while not done.is_set():
            await counting.count_page(database, most_rows=15)
            await asyncio.sleep(0)

    counters = [asyncio.create_task(count()) for _ in range(3)]
    await asyncio.gather(*(write() for _ in range(4)))
    done.set()
    await asyncio.gather(*counters)
    await counting.count_all(database)
    assert await stored(database) == await recount(database, version)
    async with database.reading() as session:
        assert await session.scalar(select(func.count(Uncounted.id))) == 0
    assert await counting.count_page(database) is None


@pytest.mark.anyio
async def test_who_counts_what_another_has_counted_adds_nothing(
    version: ModelVersion, resources: Resources, database: Database
) -> None:
    recorder_of(resources)
    asked = resources.owned["predictions.counting"]
    await keep(resources, asked, [recorded(version.id, random.Random(1))])
    async with database.reading() as session:
        (group,) = (await session.scalars(select(Uncounted.id))).all()
    await counting.count_all(database)
    before = await stored(database)
    with pytest.raises(counting.CountedElsewhere):
        await database.write(lambda session: counting.take(session, [group]))
    assert await stored(database) == before


@pytest.mark.anyio
async def test_counts_stay_when_predictions_go(
    version: ModelVersion, resources: Resources, database: Database
) -> None:
    recorder_of(resources)
    asked = resources.owned["predictions.counting"]
    await keep(resources, asked, [recorded(version.id, random.Random(2)) for _ in range(5)])
    await counting.count_all(database)
    before = await stored(database)
    await database.write(lambda session: session.execute(delete(Prediction)))
    assert await counting.count_all(database) == 0
    assert await stored(database) == before
