"""What every adapter offers. Nothing here imports NumPy: the API lists algorithms without it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Label = str | int | float | bool
Progress = Callable[[int, int], None]
AVAILABLE = "available"


class BadTraining(Exception):
    """No model can be trained so. The message says why and what to do."""


class MissingExtra(ValueError):
    """The library behind an algorithm is not installed. The message says what to install."""


class NoAnswer(ValueError):
    """A model from elsewhere fails at these rows. The message says what it does."""


class NoOnnx(Exception):
    """This model has no form in ONNX. The message says why."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of an algorithm, and what it may be: `kinds` are names of JSON types."""

    name: str
    default: Any
    description: str
    kinds: tuple[str, ...]
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Algorithm:
    """What the API tells about an algorithm."""

    name: str
    description: str
    cli_command: str
    parameters: tuple[Parameter, ...]
    task: str = "classification"  # or "regression", or "clustering", which has no target
    unit: str = "steps"  # what `progress` counts
    extra: str = ""  # of our distribution: what it needs to be installed with
    needs: tuple[str, ...] = ()  # the modules that the extra brings


@dataclass(frozen=True)
class Predictions:
    """A label for each row, and each row's probabilities in the order of the model's classes.

    Clusters and numbers have no probabilities: there the list is empty.
    """

    labels: list[Label]
    probabilities: list[list[float]]


@dataclass(frozen=True)
class Evaluation:
    """How a model does on rows that it has not seen."""

    metrics: dict[str, float]
    classes: list[Label]
    confusion: list[list[int]] = field(default_factory=list)  # [truth][prediction]
    more: dict[str, Any] = field(default_factory=dict)  # what JSON can hold


class Adapter(Protocol):
    """One algorithm. A model is whatever `train` gave: only its adapter looks inside."""

    algorithm: Algorithm

    def train(
        self,
        features: "NDArray[Any]",
        target: "NDArray[Any]",
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Any:
        """(rows, features) float64 and (rows,) labels into a model; raises BadTraining.

        Labels are float64 for regression; clustering does not look at them. The same arguments
        give a model that is saved as the same bytes. What `progress` raises ends the training.
        """

    def predict(self, model: Any, features: "ArrayLike") -> Predictions:
        """For (rows, features) of finite numbers; raises NoAnswer, if it was not trained here."""

    def evaluate(
        self, model: Any, features: "NDArray[Any]", target: "NDArray[Any]"
    ) -> Evaluation: ...

    def importances(self, model: Any) -> list[float]:
        """Of each feature, adding up to 1; empty where the algorithm has none."""

    def classes(self, model: Any) -> list[Label]:
        """The labels in order; none of a regression."""

    def save(self, model: Any) -> bytes: ...

    def load(self, content: bytes) -> Any:
        """The model of these bytes; raises ValueError for any that `save` did not give."""

    def to_onnx(self, model: Any) -> bytes:
        """The model for other runtimes; raises NoOnnx."""


@cache
def status_of(algorithm: Algorithm) -> str:
    if all(find_spec(module) for module in algorithm.needs):
        return AVAILABLE
    return (
        f"needs the extra {algorithm.extra}: pip install 'astralytiq[{algorithm.extra}]' where the "
        "API and the workers run"
    )


def faults_of(algorithm: Algorithm, params: dict[str, Any]) -> list[tuple[str, str]]:
    """Everything wrong with `params`: (name, what is wrong)."""
    known = {parameter.name: parameter for parameter in algorithm.parameters}
    faults = []
    for name, value in params.items():
        if name not in known:
            faults.append((name, f"unknown parameter; {algorithm.name} has {sorted(known)}"))
        elif words := fault_of(known[name], value):
            faults.append((name, words))
    return faults


def fault_of(parameter: Parameter, value: Any) -> str:
    if isinstance(value, str) and parameter.choices and value in parameter.choices:
        return ""
    low, high = parameter.minimum, parameter.maximum
    kind = kind_of(value)
    if kind in parameter.kinds and kind != "string" and within(value, low, high):
        return ""
    choices = [repr(choice) for choice in parameter.choices]
    others = [kind for kind in parameter.kinds if kind != "string"]
    bounds = (f" from {low:g}" if low is not None else "") + (
        f" to {high:g}" if high is not None else ""
    )
    return f"must be one of: {', '.join(choices + others)}{bounds}; not {value!r}"


def within(value: Any, low: float | None, high: float | None) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {int: "integer", float: "number", str: "string"}.get(type(value), "other")


def completed(algorithm: Algorithm, params: dict[str, Any]) -> dict[str, Any]:
    """With the defaults of all that is not named, so that a run says what it really used."""
    return {p.name: params.get(p.name, p.default) for p in algorithm.parameters}
