"""What the doors of the runs take in and give out."""

import posixpath
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt

from astralytiq.core.schemas import Answer, Body
from astralytiq.core.tracking import OURS

EXPERIMENT = "model-metrics"
MOST_PAIRS = 100

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


NAME = re.compile(r"[/\w.\- :]{1,200}")
Pairs = TypeVar("Pairs", bound=Mapping[str, object])


def named(pairs: Pairs) -> Pairs:
    """Of names in a free-form object no schema can tell."""
    for name in pairs:
        if name.startswith((OURS, "mlflow.")):
            raise ValueError(f"names beginning with {OURS!r} or 'mlflow.' are kept for programs")
        if not NAME.fullmatch(name):
            raise ValueError("a name has 1 to 200 letters, digits, or '/_-.: '")
        # MLflow takes a name for a path, which must not climb or have two spellings.
        if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
            raise ValueError("a name with slashes must read like a path below: 'loss/train'")
    return pairs


Text = Annotated[str, Field(max_length=5000)]


class ModelMetrics(Body):
    """Figures of a model that was trained or watched elsewhere."""

    accuracy: Share
    precision: Share
    recall: Share
    f1_score: Share | None = None
    experiment: Line = Field(EXPERIMENT, description="the MLflow experiment that the run goes to")
    run_name: Line | None = None
    model_name: Line | None = None
    params: Annotated[
        dict[str, StrictBool | StrictInt | StrictFloat | Text],
        Field(max_length=MOST_PAIRS),
        AfterValidator(named),
    ] = Field(default_factory=dict)
    tags: Annotated[dict[str, Text], Field(max_length=MOST_PAIRS), AfterValidator(named)] = Field(
        default_factory=dict
    )


class Logged(Answer):
    status: Literal["logged"] = "logged"
    run_id: str
    timestamp: datetime


class MlflowRunRead(Answer):
    run_id: str
    run_name: str
    experiment: str
    status: str = Field(description="RUNNING, SCHEDULED, FINISHED, FAILED or KILLED")
    start_time: datetime | None
    end_time: datetime | None
    metrics: dict[str, float | None] = Field(
        description="the last value of each; null of one that is no finite number"
    )
    params: dict[str, str]
    tags: dict[str, str]


class Runs(Answer):
    runs: list[MlflowRunRead]
    count: int
    timestamp: datetime
