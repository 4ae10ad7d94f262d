"""Gates before production: whether a version is better than the champion, and whether that can be
told at all.

Figures of two versions can be compared where both were judged on the same rows: which these are
depends on the data set version, the target, the share that was held back and the seed.
"""

from dataclasses import dataclass
from typing import Any

from astralytiq.core.errors import Fault, Invalid
from astralytiq.core.jobs import Job

from .models import ModelVersion
from .schemas import Gate, GateRead

# Errors, of which less is better; of every other metric more is.
LESS_IS_BETTER = frozenset({"log_loss", "rmse", "mae", "inertia"})
ROUNDING = 1e-12  # 0.3 - 0.2 is a gain of 0.1


COMPARISON = "training.compare"  # the kind of job that judges two versions on the same rows


@dataclass(frozen=True)
class Judgement:
    """What a gate found of a version beside the champion, if there is one."""

    gate: Gate
    value: float
    champion: ModelVersion | None
    champion_value: float | None
    rows: int | None  # on which the version was judged
    differences: list[str]  # why the two were not judged on the same rows

    @property
    def gain(self) -> float | None:
        """How much better it is than the champion, whichever way better is."""
        if self.champion_value is None:
            return None
        difference = self.value - self.champion_value
        return -difference if self.gate.metric in LESS_IS_BETTER else difference

    @property
    def faults(self) -> list[str]:
        """Why it does not pass, with the remedy."""
        beside = self.champion_fault() if self.champion else ""
        return [words for words in (self.bound_fault(), beside) if words]

    def bound_fault(self) -> str:
        low, high = self.gate.minimum, self.gate.maximum
        if low is not None and self.value < low - ROUNDING:
            return f"{self.own()}, below the minimum of {low:g}"
        if high is not None and self.value > high + ROUNDING:
            return f"{self.own()}, above the maximum of {high:g}"
        return ""

    def champion_fault(self) -> str:
        if self.champion_value is None:
            return f"{self.named()} has no {self.gate.metric}: choose a metric that both have"
        beside = f"{self.own()}, that of {self.named()} {self.champion_value:.6g}"
        if self.differences and not self.gate.allow_different_data:
            return (
                f"{beside}, but they were not measured on the same rows "
                f"({'; '.join(self.differences)}): compare them on the same rows and name that job "
                "as comparison, train both alike, or send allow_different_data"
            )
        if self.gain is None or self.gain >= self.gate.min_gain - ROUNDING:
            return ""
        wanted = f"{self.gate.min_gain:g} better" if self.gate.min_gain else "as good"
        return f"{beside}, and it must be at least {wanted}: train a better one, or lower the gate"

    def own(self) -> str:
        return f"its {self.gate.metric} is {self.value:.6g}"

    def named(self) -> str:
        assert self.champion
        return f"version {self.champion.number}, which is in production,"

    def read(self) -> GateRead:
        return GateRead(
            **self.gate.model_dump(),
            passed=not self.faults,
            value=self.value,
            champion=self.champion.number if self.champion else None,
            champion_value=self.champion_value,
            gain=self.gain,
            rows=self.rows,
            same_rows=not self.differences if self.champion else None,
            differences=self.differences,
        )


def judge(
    gate: Gate,
    version: ModelVersion,
    champion: ModelVersion | None,
    compared: dict[str, Any] | None = None,
) -> Judgement:
    """By the figures of `compared`, a comparison's result, or else by those of their trainings.

    Raises Invalid for a gate that makes no sense for this version.
    """
    refuse_wrong_bound(gate)
    ours = compared["metrics"] if compared else version.metrics
    theirs = compared["other_metrics"] if compared else champion.metrics if champion else {}
    value = measured(ours, gate.metric)
    if value is None:
        words = f"gate.metric: of version {version.number} no {gate.metric!r} is known, but "
        raise refusal("metric", words + f"{sorted(ours)}")
    differences = differences_of(version, champion) if champion and not compared else []
    rows = compared["rows"] if compared else version.evaluation.get("test_rows")
    return Judgement(gate, value, champion, measured(theirs, gate.metric), rows, differences)


def result_of(job: Job | None, name: str, version: int, champion: int) -> dict[str, Any]:
    """Of a comparison of just these versions."""
    found = (job.result or {}) if job and job.name == COMPARISON else {}
    if (found.get("model"), found.get("version"), found.get("other")) == (name, version, champion):
        return found
    raise refusal(
        "comparison",
        f"gate.comparison: that is no comparison of versions {version} and {champion} of {name!r} "
        f"that has succeeded: POST /api/v1/models/{name}/versions/{version}/compare makes one",
    )


def refuse_wrong_bound(gate: Gate) -> None:
    less = gate.metric in LESS_IS_BETTER
    if gate.minimum is not None and less:
        raise refusal("minimum", f"gate: less {gate.metric} is better: give a maximum instead")
    if gate.maximum is not None and not less:
        raise refusal("maximum", f"gate: more {gate.metric} is better: give a minimum instead")


def refusal(field: str, words: str) -> Invalid:
    return Invalid(f"{words}.", faults=(Fault(("body", "gate", field), words),))


def measured(metrics: dict[str, Any], metric: str) -> float | None:
    found = metrics.get(metric)
    return float(found) if isinstance(found, (int, float)) else None


def differences_of(version: ModelVersion, champion: ModelVersion) -> list[str]:
    """In words, what made the rows that they were judged on others; none if they are the same."""
    split = () if version.task == "clustering" else ("target", "test_size", "seed")
    names = ("task", "dataset", *split)
    ours, theirs = ({name: fact(one, name) for name in names} for one in (version, champion))
    if version.task == "clustering":  # Distances are in the space of the features.
        ours["features"], theirs["features"] = version.features, champion.features
    return [
        f"{name.replace('_', ' ')}: {worded(ours[name])} and {worded(theirs[name])}"
        for name in ours
        if ours[name] != theirs[name] or ours[name] is None
    ]


def fact(version: ModelVersion, name: str) -> Any:
    """None of what is not known, as of models that were trained elsewhere."""
    if name == "test_size":
        return version.evaluation.get("test_size")
    return getattr(version, name)


def worded(value: Any) -> str:
    return "unknown" if value is None else str(value)
