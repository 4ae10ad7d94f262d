"""What all trees of a fit grow from, and growing some of them, here or in another process."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.coding import Coded, coded
from ml_core.draws import Draws, drawn_rows
from ml_core.growing import Grove, Rules, Weighing, grow
from ml_core.growing_native import Bootstrap, can_grow, grow_in_c
from ml_core.native import library
from ml_core.prediction import leaf_lines
from ml_core.pruning import pruned
from ml_core.weights import OF_SUBSAMPLE, ClassWeight, Weights, are_whole, class_scales, fixed_point

# Rows that one bootstrap draws at most: its trees count rows in 32 bits.
MOST_DRAWN = 1 << 27
_ROWS_OF_A_TURN = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same for all trees of a fit, beside the rows.

    ``scales`` multiply the masses of classes, None for 1; with ``scales_of_subsample`` each tree
    has its own. A bootstrap makes ``n_draws`` draws, 0 for none. ``oob`` asks where the rows end
    that a tree does not see.
    """

    rules: Rules
    classes: NDArray[Any]
    n_draws: int
    are_whole: bool
    scales: NDArray[np.float64] | None
    scales_of_subsample: bool
    oob: bool


class Ground(NamedTuple):
    """The rows, as arrays that can be sent to other processes one by one.

    The first five are those of `Coded`. ``labels`` (n_rows,) are positions in the plan's classes;
    ``weights`` (n_rows,) are whole numbers, None for 1; ``reached`` is their cumulative sum where
    a bootstrap draws by it; ``X`` are the rows as they were, where they are asked for.
    """

    by_column: NDArray[Any]
    by_row: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    starts: NDArray[np.int64]
    labels: NDArray[Any]
    weights: Weights | None
    reached: Weights | None
    X: NDArray[Any] | None


class Planted(NamedTuple):
    """Trees; or one with the rows it did not see and the lines of shares they end at, if asked."""

    grove: Grove
    left_out: NDArray[np.intp] | None
    lines: NDArray[np.int32] | None


class Rows(NamedTuple):
    """Rows of a positive weight: X (n_rows, n_features), labels as positions, weights or None."""

    X: NDArray[Any]
    labels: NDArray[np.intp]
    weights: NDArray[np.float64] | None


def weighed_rows(
    X: NDArray[Any], labels: NDArray[np.intp], weights: NDArray[np.float64] | None
) -> Rows:
    """A row without weight is as if it were not there."""
    if weights is None or weights.all():
        return Rows(X, labels, weights)
    kept = weights > 0
    return Rows(X[kept], labels[kept], weights[kept])


def prepared(
    rows: Rows,
    classes: NDArray[Any],
    rules: Rules,
    *,
    max_bins: int | None,
    class_weight: ClassWeight,
    bootstrap: bool = False,
    oob: bool = False,
    n_jobs: int | None = None,
) -> tuple[Plan, Ground]:
    """The plan and the ground of a fit.

    Raises
    ------
    ValueError
        If weights have too wide a range, or would let a bootstrap draw too many rows.
    """
    whole = rows.weights is None or are_whole(rows.weights)
    weights = None if rows.weights is None else fixed_point(rows.weights)
    n_draws = _n_draws(rows, weights, whole) if bootstrap else 0
    of_subsample = isinstance(class_weight, str) and class_weight == OF_SUBSAMPLE and bootstrap
    sums = class_sums(rows.labels, weights, classes.size)
    scales = None if of_subsample else class_scales(class_weight, classes, sums)
    table = coded(rows.X, max_bins, weights, n_jobs)
    labels = rows.labels.astype(np.uint16 if can_grow(*_sizes(rows, classes)) else np.uint32)
    reached = weights.cumsum() if bootstrap and weights is not None else None
    plan = Plan(rules, classes, n_draws, whole, scales, of_subsample, oob)
    return plan, Ground(*table, labels, weights, reached, rows.X if oob else None)


def _sizes(rows: Rows, classes: NDArray[Any]) -> tuple[int, int]:
    return len(rows.X), classes.size


def _n_draws(rows: Rows, weights: Weights | None, whole: bool) -> int:
    """With whole weights as many as the rows they stand for."""
    n_draws = len(rows.X) if weights is None or not whole else int(weights.sum())
    if n_draws > MOST_DRAWN:
        raise ValueError(
            f"sample_weight adds up to {n_draws} rows; a bootstrap draws at most {MOST_DRAWN}. "
            "Divide the weights by a common factor, or set bootstrap=False."
        )
    return n_draws


def class_sums(labels: NDArray[Any], weights: Any, n_classes: int) -> Weights:
    """The weights of the rows of each class, which float64 adds exactly: (n_classes,)."""
    return np.bincount(labels, weights, minlength=n_classes).astype(np.int64)


def in_turns(seeds: list[int], n_rows: int, n_workers: int) -> list[list[int]]:
    """Seeds of small trees together: handing a task over costs as much as growing such a tree.

    Trees of many rows stay alone, and every worker has four turns at least.
    """
    size = max(1, min(_ROWS_OF_A_TURN // n_rows, len(seeds) // (4 * n_workers)))
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def seeds_of(random_state: int | None, n_trees: int) -> list[int]:
    """A seed a tree, none of which depends on the number of trees."""
    sequences = np.random.SeedSequence(random_state).spawn(n_trees)
    return [int(sequence.generate_state(1, np.uint64)[0]) for sequence in sequences]


def plant_some(plan: Plan, *ground_and_seeds: Any) -> list[Planted]:
    """A tree for each seed: all in one call of C, or one after the other.

    A function of its arguments alone (plan, the arrays of the ground, seeds).
    """
    *arrays, seeds = ground_and_seeds
    ground, kernels = Ground(*arrays), library()
    if kernels is None or not _is_for_c(ground) or _asks_for_each(plan):
        return [plant(plan, *arrays, seed) for seed in seeds]
    if plan.n_draws:
        bootstrap = Bootstrap(plan.n_draws, ground.reached)
        weighing = Weighing(plan.classes.size, None, None, plan.scales)
    else:
        bootstrap, weighing = None, _of_all_rows(plan, ground)
    labels, position = ground.labels, plan.n_draws
    grove = grow_in_c(
        kernels, _codes(ground), labels, weighing, plan.rules, seeds, position, bootstrap
    )
    return [Planted(grove, None, None)]


def _asks_for_each(plan: Plan) -> bool:
    """Whether something is done for each tree before or after it grows."""
    return plan.oob or plan.scales_of_subsample or plan.rules.ccp_alpha > 0.0


def plant(plan: Plan, *ground_and_seed: Any) -> Planted:
    """A tree; a function of its arguments alone (plan, the arrays of the ground, seed)."""
    *arrays, seed = ground_and_seed
    ground = Ground(*arrays)
    weighing, drawn = _weighing(plan, ground, seed)
    grove = _grow(plan, ground, weighing, seed)
    if plan.rules.ccp_alpha > 0.0:
        grove = pruned(grove, plan.rules.criterion, plan.rules.ccp_alpha)
    if not plan.rules.keep_masses:
        grove = grove._replace(masses=None)
    if not plan.oob or drawn is None or ground.X is None:
        return Planted(grove, None, None)
    left_out = np.flatnonzero(drawn == 0)
    lines = leaf_lines(grove.nodes, grove.roots, ground.X[left_out])
    return Planted(grove, left_out, lines[:, 0])


def _weighing(plan: Plan, ground: Ground, seed: int) -> tuple[Weighing, NDArray[np.int32] | None]:
    """What the rows weigh in a tree, and as often as each was drawn if there is a bootstrap."""
    if not plan.n_draws:
        return _of_all_rows(plan, ground), None
    n_classes, scales = plan.classes.size, plan.scales
    drawn = drawn_rows(seed, plan.n_draws, ground.labels.size, ground.reached)
    if plan.scales_of_subsample:
        scales = class_scales("balanced", plan.classes, class_sums(ground.labels, drawn, n_classes))
    return Weighing(n_classes, drawn, None, scales), drawn


def _of_all_rows(plan: Plan, ground: Ground) -> Weighing:
    if plan.are_whole:
        return Weighing(plan.classes.size, ground.weights, None, plan.scales)
    return Weighing(plan.classes.size, None, ground.weights, plan.scales)


def _grow(plan: Plan, ground: Ground, weighing: Weighing, seed: int) -> Grove:
    kernels, rules = library(), plan.rules
    if rules.ccp_alpha > 0.0:
        rules = replace(rules, keep_masses=True)
    data, labels = _codes(ground), ground.labels
    if kernels is None or not _is_for_c(ground):
        return grow(data, labels, weighing, rules, Draws(seed, plan.n_draws))
    return grow_in_c(kernels, data, labels, weighing, rules, [seed], plan.n_draws)


def _codes(ground: Ground) -> Coded:
    return Coded(*ground[:5])


def _is_for_c(ground: Ground) -> bool:
    return ground.labels.dtype == np.uint16
