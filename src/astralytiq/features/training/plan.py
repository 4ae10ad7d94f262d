"""What a training job was asked to do, and on what."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astralytiq.features.datasets.models import Dataset, DatasetVersion


@dataclass(frozen=True)
class Plan:
    """What a training job was asked to do."""

    algorithm: str
    dataset: str
    target: str | None
    features: list[str]
    params: dict[str, Any]
    test_size: float
    seed: int
    experiment: str
    model_name: str
    # Jobs from before there were folds and searches do not name them.
    cv_folds: int = 0
    candidates: list[dict[str, Any]] = field(default_factory=list)  # to choose params from

    @property
    def columns(self) -> list[str]:
        return [*self.features, *([self.target] if self.target is not None else [])]


@dataclass(frozen=True)
class Source:
    """The data set version that a model is trained on."""

    dataset: "Dataset"
    version: "DatasetVersion"

    @property
    def types(self) -> dict[str, str]:
        return {column["name"]: column["type"] for column in self.version.schema}
