"""The compiled passes of K-Means have the bits of the reference, in every build, on any threads."""

import ctypes
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml_core import KMeans, dumps, kmeans_native, kmeans_reference, native
from ml_core.kmeans_kernels import passes_over
from ml_core.kmeans_native import NativePasses, Seeding
from ml_core.kmeans_passes import Passes, ReferencePasses
from ml_core.kmeans_reference import Floats
from ml_core.kmeans_shared import seeding_draws
from ml_core.lloyd import lloyd
from tests.ml_core.data import clouds

Rows = NDArray[Any]


def runnable() -> list[str]:
    library = native.library()
    if library is None:
        return []
    return [name for name, level in native.BUILDS.items() if level <= library.processor_level()]


each_build = pytest.mark.parametrize("build", runnable())

# Rows around one tile of either kernel (64, 128), and around the parts of 2,048.
SIZES = [1, 2, 7, 63, 64, 65, 127, 128, 129, 300, 2047, 2048, 2049, 4100]
# Ordinary numbers; whole ones, so that rows repeat and distances tie; huge and tiny ones, whose
# squares come near to the greatest float or round to nothing.
SCALES = {"ordinary": 1.0, "whole": 2.0, "huge": 1e150, "tiny": 1e-155, "denormal": 1e-310}


@st.composite
def data(draw: st.DrawFn) -> tuple[Rows, Floats, int, int]:
    """Rows, weights, clusters and a seed."""
    n_rows = draw(st.sampled_from(SIZES))
    n_features = draw(st.integers(1, 40 if n_rows < 2000 else 5))
    n_clusters = draw(st.integers(1, min(n_rows, 21)))
    seed = draw(st.integers(0, 2**31))
    kind = draw(st.sampled_from([*SCALES]))
    rng = np.random.default_rng(seed)
    x: Rows = rng.normal(size=(n_rows, n_features)) * SCALES[kind]
    x = x.round() if kind == "whole" else x
    if kind in ("ordinary", "whole") and draw(st.booleans()):
        x = x.astype(np.float32)
    weights = np.ones(n_rows)
    if draw(st.booleans()):
        weights = rng.integers(0, 3, size=n_rows) * rng.random(n_rows)
        weights[draw(st.integers(0, n_rows - 1))] = 1.0
    return x, weights, n_clusters, seed


def everything(passes: Passes, x: Rows, n_clusters: int, seed: int) -> list[Any]:
    """What the passes find, from the first to the last."""
    chosen = passes.seed_rows(np.array(seeding_draws(Random(seed), n_clusters)))
    centres = x[chosen]
    # Far away: its cluster is empty and must be filled.
    centres[-1] += centres[-1].dtype.type(1e3) * np.abs(x).max()
    labels, closest = passes.nearest(centres)
    sums, totals = passes.cluster_sums(labels, n_clusters)
    found = lloyd(passes, centres, 8, 0.0)
    known = passes.assign(centres, labels.copy(), with_sums=False)
    again = passes.assign(centres, labels[::-1].copy())
    return [
        passes.spread(), chosen, labels, closest, sums, totals, *found, known.has_changed,
        known.inertia, again.has_changed, again.inertia, again.labels, again.sums, again.totals,
        passes.squared_distances(centres),
    ]  # fmt: skip


@each_build
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=data(), n_threads=st.integers(1, 3))
def test_every_build_finds_the_bits_of_the_reference(
    build: str, data: tuple[Rows, Floats, int, int], n_threads: int
) -> None:
    x, weights, n_clusters, seed = data
    library = ctypes.CDLL(str(native.path_of(build)))
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(kmeans_native, "_LEAST_FOR_THREADS", 0)
        # Small parts: a few hundred rows have many, as a million does.
        patch.setattr(kmeans_reference, "LEAST_PART", 2048 if seed % 2 else 48)
        expected = everything(ReferencePasses(x, weights), x, n_clusters, seed)
        with NativePasses(library, x, weights, n_threads) as passes:
            found = everything(passes, x, n_clusters, seed)
    for one, other in zip(expected, found, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@each_build
def test_a_large_table_too_has_the_bits_of_the_reference(build: str) -> None:
    # Parts of 2,049 rows, the last one short; nearly all rows are passed over while seeding.
    x, _ = clouds(131_200, 2, n_classes=4)
    x *= 1 + 30 * (np.arange(131_200) % 2)[:, None]
    weights = np.ones(131_200)
    draws = np.array(seeding_draws(Random(0), 12))
    reference = ReferencePasses(x, weights)
    chosen = reference.seed_rows(draws)
    library = ctypes.CDLL(str(native.path_of(build)))
    for n_threads in (1, 2, 3):
        with NativePasses(library, x, weights, n_threads) as passes:
            assert passes.seed_rows(draws).tolist() == chosen.tolist()
            found = passes.assign(x[chosen], None)
    expected = reference.assign(x[chosen], None)
    assert found.inertia == expected.inertia
    assert found.sums.tobytes() == expected.sums.tobytes()


@each_build
@pytest.mark.parametrize(("scale", "blur"), [(1.0, 0.0), (1e-161, 0.02)])
def test_a_row_half_way_to_a_candidate_is_not_passed_over(
    build: str, scale: float, blur: float
) -> None:
    # Where its distances to centre and candidate are one but for rounding, it may be nearer to the
    # candidate; the squares of the tiny ones have but few digits.
    library = ctypes.CDLL(str(native.path_of(build)))
    rng = np.random.default_rng(0)
    for _ in range(200):
        step = scale * rng.normal(size=16)
        centre = rng.normal(size=16) if scale == 1.0 else np.zeros(16)
        candidate = centre + (2 + blur * rng.normal(size=16)) * step
        some = [centre, centre + step, candidate, centre + 1e9 * step]
        # Where few rows are left to measure, the others are passed over indeed.
        x = np.vstack([*some, np.repeat([centre], 28, axis=0)])
        passes = NativePasses(library, x, np.ones(32), 1)
        seeding = Seeding(passes._crew, np.ones(32), np.zeros((3, 1)))
        seeding._choose(0)
        seeding._seed(x[:1])
        seeding._choose(3)
        left = seeding._seed(x[[3, 2]])[0, 1]
        expected = kmeans_reference.squared_distances(x, x[[0, 3, 2]]).min(axis=0)
        assert left == kmeans_reference.total(expected)


def test_neither_threads_nor_the_layout_of_the_rows_change_a_model() -> None:
    x, _ = clouds(20_000, 6, n_classes=8)
    wide = np.empty((40_000, 12))
    wide[::2, ::2] = x
    layouts = [x, np.asfortranarray(x), wide[::2, ::2]]
    models = [
        KMeans(9, random_state=0, n_jobs=n_jobs).fit(rows)
        for rows in layouts
        for n_jobs in (None, 2, 3, -1)
    ]
    same = {dumps(model.set_params(n_jobs=None)) for model in models}
    assert len(same) == 1


def test_the_threads_end_with_the_fit() -> None:
    x, weights = clouds(20_000, 6)[0], np.ones(20_000)
    with passes_over(x, weights, 2) as passes:
        assert isinstance(passes, NativePasses)
        passes.spread()
        assert passes._crew._pool is not None
    assert passes._crew._pool is None


def test_without_kernels_the_reference_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = clouds(300, 4)
    expected = dumps(KMeans(5, random_state=0).fit(x))
    monkeypatch.setattr("ml_core.kmeans_kernels.library", lambda: None)
    assert isinstance(passes_over(x, np.ones(300), -1), ReferencePasses)
    assert dumps(KMeans(5, random_state=0).fit(x)) == expected


def test_a_kernel_without_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = clouds(20_000, 6)
    with passes_over(x, np.ones(20_000), 2) as passes:
        assert isinstance(passes, NativePasses)
        with pytest.raises(MemoryError):
            passes._crew.run(lambda *_: -1)
