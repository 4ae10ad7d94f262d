"""What goes before the training itself: how well it would do, and how far all of it is."""

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from astralytiq.core.executor import Work
from astralytiq.engines.models.contract import Adapter, BadTraining, Progress
from astralytiq.engines.models.selection import cross_validated, summary
from astralytiq.engines.models.splitting import Rows, folds

from .plan import Plan

Parts = list[tuple[Rows, Rows]]

# By what candidates are compared; more is better.
LEADING = {"classification": "accuracy", "regression": "r2"}
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


def fits_of(plan: Plan) -> int:
    return 1 + plan.cv_folds * max(1, len(plan.candidates))


@dataclass(frozen=True)
class Selection:
    """Cross-validates on the training rows alone: those held back for the test stay unseen."""

    plan: Plan
    meter: Meter
    adapter: Adapter
    features: NDArray[Any]
    target: NDArray[Any]

    def chosen(self) -> tuple[Plan, dict[str, Any]]:
        """The plan with the best of its candidates' params, and what was found on the way."""
        plan, task = self.plan, self.adapter.algorithm.task
        if not plan.cv_folds:
            return plan, {}
        parts = folds(task, self.target, plan.cv_folds, plan.seed)
        if not plan.candidates:
            return plan, {"cross_validation": self.scored(plan.params, parts)}
        metric = LEADING[task]
        tried = [self.tried(number, parts) for number in range(len(plan.candidates))]
        best = best_of(tried, metric)
        params = {**plan.params, **tried[best]["params"]}
        search = {"metric": metric, "folds": len(parts), "best": best, "candidates": tried}
        found = tried[best]["found"]
        for one in tried:  # The scores of each fold are kept of the best alone.
            one["metrics"] = one.pop("found", {}).get("metrics", {})
        return replace(plan, params=params), {"search": search, "cross_validation": found}

    def tried(self, number: int, parts: Parts) -> dict[str, Any]:
        candidates = self.plan.candidates
        params = candidates[number]
        prefix = f"candidate {number + 1} of {len(candidates)}, "
        try:
            found = self.scored({**self.plan.params, **params}, parts, prefix)
        except BadTraining as error:  # The others may do.
            return {"params": params, "error": str(error)}
        return {"params": params, "found": found}

    def scored(self, params: dict[str, Any], parts: Parts, prefix: str = "") -> dict[str, Any]:
        count = len(parts)
        meters = [self.meter.fit(f"fold {fold} of {count}", prefix) for fold in range(1, count + 1)]
        scores = cross_validated(
            self.adapter,
            self.features,
            self.target,
            params,
            self.plan.seed,
            parts,
            lambda fold, done, total: meters[fold](done, total),
        )
        return {"folds": count, "metrics": summary(scores), "scores": scores}


def best_of(tried: list[dict[str, Any]], metric: str) -> int:
    """Of equally good candidates the first."""
    means = {
        number: one["found"]["metrics"][metric]["mean"]
        for number, one in enumerate(tried)
        if "found" in one
    }
    if not means:
        raise BadTraining(f"None of {len(tried)} candidates can be trained: {tried[0]['error']}")
    return max(means, key=lambda number: means[number])
