"""What goes before the training itself: how well it would do, and how far all of it is."""

from typing import Any

from numpy.typing import NDArray

from astralytiq.core.executor import Work
from astralytiq.engines.models.contract import Adapter, Progress
from astralytiq.engines.models.selection import cross_validated, summary
from astralytiq.engines.models.splitting import folds

from .plan import Plan

BEGIN, SHARE = 0.05, 0.8  # of a job's progress: reading comes before, evaluating after


class Meter:
    """Tells the job how far it is, as if each of its fits took as long as the others."""

    def __init__(self, work: Work, unit: str, fits: int) -> None:
        self._work, self._unit, self._fits = work, unit, fits
        self._begun = 0

    def fit(self, phase: str, prefix: str = "") -> Progress:
        """For the next fit. What it raises, as when somebody cancels the job, ends the training."""
        before, self._begun = self._begun, self._begun + 1

        def progress(done: int, total: int) -> None:
            share = (before + done / total) / self._fits
            message = f"{prefix}{done} of {total} {self._unit}"
            self._work.report(BEGIN + SHARE * share, phase, message)

        return progress


def cross_validation(
    plan: Plan, meter: Meter, adapter: Adapter, features: NDArray[Any], target: NDArray[Any]
) -> dict[str, Any]:
    """On the training rows alone: those held back for the test stay unseen."""
    if not plan.cv_folds:
        return {}
    parts = folds(adapter.algorithm.task, target, plan.cv_folds, plan.seed)
    meters = [meter.fit(f"fold {fold} of {len(parts)}") for fold in range(1, len(parts) + 1)]
    scores = cross_validated(
        adapter,
        features,
        target,
        plan.params,
        plan.seed,
        parts,
        lambda fold, done, total: meters[fold](done, total),
    )
    found = {"folds": len(parts), "metrics": summary(scores), "scores": scores}
    return {"cross_validation": found}
