"""The computing part of a comparison: two models on rows that neither was trained on.

It blocks and imports NumPy: comparing.py runs it in a thread.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astralytiq.core.errors import Invalid
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.engines.models.metrics import evaluate, evaluate_numbers
from astralytiq.engines.models.splitting import Rows, split

from . import fitting
from .plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST = 2  # rows that say anything


@dataclass(frozen=True)
class Contender:
    """A model, and what it was trained on; None of one that was trained elsewhere."""

    name: str
    plan: Plan
    algorithm: str
    content: bytes
    trained_on: "pa.Table | None"


def judged(ours: Contender, theirs: Contender, table: "pa.Table") -> dict[str, Any]:
    """On the rows of `table` that were held back from `ours`, but for those `theirs` learnt from.

    A row is told by the values of `theirs`' features and the target: a later version of a data
    set holds most rows of the one before.
    """
    fitting.refuse_gaps(table)
    target = truth_of(table, ours.plan)
    task = adapter_of(ours.algorithm).algorithm.task
    _, held = split(task, target, ours.plan.test_size, ours.plan.seed)
    kept = held[~seen(theirs, table, held)]
    if len(kept) < FEWEST:
        raise Invalid(
            f"Of {len(held)} rows that were held back from {ours.name}, {theirs.name} was trained "
            f"on {len(held) - len(kept)}: too few are left to compare by. Hold back more "
            "(test_size), or compare on newer data."
        )
    metrics, others = (scores(one, table, target, kept, task) for one in (ours, theirs))
    left_out = len(held) - len(kept)
    return {"rows": len(kept), "left_out": left_out, "metrics": metrics, "other_metrics": others}


def truth_of(table: "pa.Table", plan: Plan) -> NDArray[Any]:
    return fitting.target_of(table, plan, adapter_of(plan.algorithm))


def seen(theirs: Contender, table: "pa.Table", held: Rows) -> NDArray[np.bool_]:
    """(held,) Whether each row was among those that `theirs` was trained on."""
    if theirs.trained_on is None:
        return np.zeros(len(held), dtype=bool)
    theirs_target, target = truth_of(theirs.trained_on, theirs.plan), truth_of(table, theirs.plan)
    task = adapter_of(theirs.algorithm).algorithm.task
    rows, _ = split(task, theirs_target, theirs.plan.test_size, theirs.plan.seed)
    # The same values and label are the same bytes, whichever table they stand in.
    labels = np.concatenate([theirs_target.astype(str), target.astype(str)])
    codes = np.unique(labels, return_inverse=True)[1]
    names, end = theirs.plan.features, len(theirs_target)
    learnt = keys_of(fitting.matrix_of(theirs.trained_on, names), codes[:end])[rows]
    asked = keys_of(fitting.matrix_of(table, names), codes[end:])[held]
    return np.isin(asked, learnt)


def keys_of(matrix: NDArray[np.float64], codes: NDArray[np.intp]) -> NDArray[np.void]:
    """(rows,) what tells each row."""
    whole = np.ascontiguousarray(np.column_stack([matrix, codes]) + 0.0)  # -0.0 is 0.0
    found: NDArray[np.void] = whole.view(np.dtype((np.void, whole.itemsize * whole.shape[1])))
    return found.ravel()


def scores(
    one: Contender, table: "pa.Table", target: NDArray[Any], kept: Rows, task: str
) -> dict[str, float]:
    """By labels and numbers alone: one model may know classes that the other never met."""
    adapter = adapter_of(one.algorithm)
    matrix = fitting.matrix_of(table, one.plan.features)[kept]
    answers = np.asarray(adapter.predict(adapter.load(one.content), matrix).labels)
    truth = target[kept]
    if task == "regression":
        return evaluate_numbers(truth, answers.astype(np.float64)).metrics
    if answers.dtype.kind != truth.dtype.kind:
        answers, truth = answers.astype(str), truth.astype(str)
    classes = np.unique(np.concatenate([truth, answers]))
    return evaluate(truth, answers, classes).metrics
