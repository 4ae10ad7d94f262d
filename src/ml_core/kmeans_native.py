"""The passes of K-Means by the compiled kernels, part by part on as many threads as wanted."""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml_core.kmeans_passes import Assignment
from ml_core.kmeans_reference import Floats, Labels, Rows, part_size
from ml_core.native import pointer
from ml_core.seeding import ChosenRows, place_of, row_at, rows_at

_int64, _pointer = ctypes.c_int64, ctypes.c_void_p

# Handing work to a thread takes some ten microseconds: as long as this many numbers, read once.
_LEAST_FOR_THREADS = 50_000


class _Rows(ctypes.Structure):
    """``struct kmeans_rows``."""

    _fields_ = (
        ("values", _pointer),
        ("weights", _pointer),
        ("is_float32", _int64),
        ("n_rows", _int64),
        ("n_features", _int64),
        ("part_size", _int64),
    )


class _Work(ctypes.Structure):
    """``struct kmeans_work``."""

    _fields_ = (("which", _pointer), ("next", _int64), ("stop", _int64))


class _Assignment(ctypes.Structure):
    """``struct kmeans_assignment``."""

    _fields_ = (
        ("centres", _pointer),
        ("n_clusters", _int64),
        ("labels", _pointer),
        ("closest", _pointer),
        ("inertias", _pointer),
        ("changed", _pointer),
        ("sums", _pointer),
        ("totals", _pointer),
    )


class _Seeding(ctypes.Structure):
    """``struct kmeans_seeding``."""

    _fields_ = (
        ("centres", _pointer),
        ("n_centres", _int64),
        ("label", ctypes.c_int32),
        ("bounds", _pointer),
        ("closest", _pointer),
        ("nearest", _pointer),
        ("totals", _pointer),
    )


class Crew:
    """The rows as the kernels want them, and the threads that take parts of them."""

    def __init__(self, library: ctypes.CDLL, X: Rows, weights: Floats, n_threads: int) -> None:
        self.library = library
        # The kernels read rows one behind the other.
        self.X = np.ascontiguousarray(X)
        self.n_rows, self.n_features = X.shape
        self.n_parts = -(-self.n_rows // part_size(self.n_rows))
        # Times 1 changes nothing, and then the weights need not be read.
        self.weights = None if (weights == 1.0).all() else np.ascontiguousarray(weights)
        self._rows = _Rows(
            values=pointer(self.X),
            weights=pointer(self.weights),
            is_float32=X.dtype == np.float32,
            n_rows=self.n_rows,
            n_features=self.n_features,
            part_size=part_size(self.n_rows),
        )
        self._n_threads = 1 if X.size < _LEAST_FOR_THREADS else n_threads
        self._pool: ThreadPoolExecutor | None = None

    def run(self, kernel: Any, *arguments: Any, which: NDArray[np.int64] | None = None) -> None:
        """Let the kernel take part by part, of all or of those in ``which``."""
        n_parts = self.n_parts if which is None else which.size
        work = _Work(which=pointer(which), next=0, stop=n_parts)
        call = (ctypes.byref(self._rows), ctypes.byref(work), *arguments)
        n_helpers = min(self._n_threads, n_parts) - 1
        helpers = [self._threads().submit(kernel, *call) for _ in range(n_helpers)]
        # The calling thread works, too. All must have ended before the arrays may go.
        failed = [kernel(*call), *(helper.result() for helper in helpers)]
        if any(failed):
            raise MemoryError

    def added_up(self, parts: Floats) -> Floats:
        """The sum over the first axis, one part after the other."""
        sums = np.zeros(parts.shape[1:])
        length = _int64(sums.size)
        self.library.kmeans_add_parts(pointer(parts), _int64(len(parts)), length, pointer(sums))
        return sums

    def end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._n_threads - 1)
        return self._pool


class NativePasses:
    """`kmeans_passes.Passes` by the kernels of ``library``, on ``n_threads`` threads."""

    def __init__(self, library: ctypes.CDLL, X: Rows, weights: Floats, n_threads: int) -> None:
        self.weights = weights
        self._crew = Crew(library, X, weights, n_threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._crew.end()

    def spread(self) -> float:
        means = self._column_totals(None) / self._crew.n_rows
        variances: Floats = self._column_totals(means) / self._crew.n_rows
        return float(variances.cumsum()[-1]) / variances.size

    def seed_rows(self, draws: Floats) -> ChosenRows:
        return Seeding(self._crew, self.weights, draws).rows()

    def assign(self, centres: Rows, before: Labels | None, *, with_sums: bool = True) -> Assignment:
        labels = np.full(self._crew.n_rows, -1, dtype=np.int32) if before is None else before
        n_sums = self._crew.n_parts if with_sums else 0
        sums = np.zeros((n_sums, len(centres), self._crew.n_features))
        totals = np.zeros((n_sums, len(centres)))
        inertia, has_changed = self._assign(centres, labels, None, sums, totals)
        of_all = self._crew.added_up(sums), self._crew.added_up(totals)
        return Assignment(labels, has_changed, inertia, *of_all)

    def nearest(self, centres: Rows) -> tuple[Labels, Floats]:
        labels = np.zeros(self._crew.n_rows, dtype=np.int32)
        closest = np.empty(self._crew.n_rows)
        self._assign(centres, labels, closest, np.empty(0), np.empty(0))
        return labels, closest

    def cluster_sums(self, labels: Labels, n_clusters: int) -> tuple[Floats, Floats]:
        sums = np.zeros((self._crew.n_parts, n_clusters, self._crew.n_features))
        totals = np.zeros((self._crew.n_parts, n_clusters))
        arrays = pointer(labels), _int64(n_clusters), pointer(sums), pointer(totals)
        self._crew.run(self._crew.library.kmeans_cluster_sums, *arrays)
        return self._crew.added_up(sums), self._crew.added_up(totals)

    def squared_distances(self, centres: Rows) -> Floats:
        coordinates = np.ascontiguousarray(centres, dtype=np.float64)
        distances = np.empty((self._crew.n_rows, len(centres)))
        arrays = pointer(coordinates), _int64(len(centres)), pointer(distances)
        self._crew.run(self._crew.library.kmeans_distances, *arrays)
        return distances

    def _assign(
        self, centres: Rows, labels: Labels, closest: Floats | None, sums: Floats, totals: Floats
    ) -> tuple[float, bool]:
        coordinates = np.ascontiguousarray(centres, dtype=np.float64)
        inertias = np.zeros(self._crew.n_parts)
        changed = np.zeros(self._crew.n_parts, dtype=np.int64)
        wanted = _Assignment(
            centres=pointer(coordinates),
            n_clusters=len(centres),
            labels=pointer(labels),
            closest=pointer(closest),
            inertias=pointer(inertias),
            changed=pointer(changed),
            sums=pointer(sums if sums.size else None),
            totals=pointer(totals if sums.size else None),
        )
        self._crew.run(self._crew.library.kmeans_assign, ctypes.byref(wanted))
        return float(inertias.cumsum()[-1]), bool(changed.any())

    def _column_totals(self, means: Floats | None) -> Floats:
        sums = np.zeros((self._crew.n_parts, self._crew.n_features))
        self._crew.run(self._crew.library.kmeans_column_sums, pointer(means), pointer(sums))
        return self._crew.added_up(sums)


class Seeding:
    """One greedy k-means++: what is known of the rows while their first centres are chosen."""

    def __init__(self, crew: Crew, weights: Floats, draws: Floats) -> None:
        self._crew = crew
        self._weights = weights
        self._draws = draws
        self._chosen: list[int] = []
        self._centres = np.empty((len(draws), crew.n_features))
        self._closest = np.full(crew.n_rows, np.inf)
        self._nearest = np.zeros(crew.n_rows, dtype=np.int32)

    def rows(self) -> ChosenRows:
        self._choose(int(rows_at(self._weights, self._draws[0, :1])[0]))
        totals = self._seed(self._centres[:1])[:, 0] if len(self._draws) > 1 else np.empty(0)
        for line in self._draws[1:]:
            candidates = self._candidates(totals, line)
            left = self._seed(np.vstack([self._newest(), self._crew.X[candidates]]))[:, 1:]
            best = int(np.argmin(left.cumsum(axis=0)[-1]))
            totals = left[:, best]
            self._choose(candidates[best])
        return np.array(self._chosen, dtype=np.intp)

    def _choose(self, row: int) -> None:
        self._centres[len(self._chosen)] = self._crew.X[row]
        self._chosen.append(row)

    def _newest(self) -> Floats:
        return self._centres[len(self._chosen) - 1 : len(self._chosen)]

    def _candidates(self, totals: Floats, line: Floats) -> list[int]:
        # The centre chosen last is taken over in the pass for the next; only in the parts that
        # candidates are drawn from it must be known before.
        parts = sorted({place_of(totals, draw)[0] for draw in line})
        self._seed(self._newest(), which=np.array(parts, dtype=np.int64))
        return [row_at(self._mass, totals, self._crew.n_rows, draw) for draw in line]

    def _mass(self, rows: slice) -> Floats:
        mass: Floats = self._weights[rows] * self._closest[rows]
        return mass

    def _seed(self, centres: Floats, which: NDArray[np.int64] | None = None) -> Floats:
        """Take over the first of the centres, which was chosen last; for each part and centre the
        inertia that it leaves, (n_parts, n_centres)."""
        n_before = len(self._chosen) - 1
        others = np.ascontiguousarray(centres)
        totals = np.empty((self._crew.n_parts, len(others)))
        bounds = self._bounds(others, n_before)
        seeding = _Seeding(
            centres=pointer(others),
            n_centres=len(others),
            label=n_before,
            bounds=pointer(bounds),
            closest=pointer(self._closest),
            nearest=pointer(self._nearest),
            totals=pointer(totals),
        )
        self._crew.run(self._crew.library.kmeans_seed, ctypes.byref(seeding), which=which)
        return totals

    def _bounds(self, others: Floats, n_before: int) -> Floats:
        # The centre chosen last is its own other: no row of it is passed over.
        bounds = np.full(n_before + 1, -1.0)
        self._crew.library.kmeans_bounds(
            pointer(self._centres),
            _int64(n_before),
            pointer(others),
            _int64(len(others)),
            _int64(self._crew.n_features),
            pointer(bounds),
        )
        return bounds
