"""What the door for model files takes in and gives out."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from astralytiq.core.jobs import JobStatus
from astralytiq.core.schemas import Answer, Body

MOST_FEATURES, MOST_CLASSES = 10_000, 1_000

Name = Annotated[str, Field(min_length=1, max_length=200)]
Class = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=200)]


class FeatureGiven(Body):
    name: Name
    type: Literal["float64", "int64", "bool"] = "float64"


class UploadSignature(Body):
    """What the file does not say itself."""

    features: Annotated[list[FeatureGiven], Field(min_length=1, max_length=MOST_FEATURES)] = Field(
        description="in the order of the model's input"
    )
    task: Literal["classification", "regression"]
    target: Annotated[str, Field(max_length=200)] = ""
    classes: Annotated[list[Class], Field(min_length=2, max_length=MOST_CLASSES)] | None = Field(
        None, description="of classification, in the order of the model's outputs"
    )

    @model_validator(mode="after")
    def agrees_with_itself(self) -> Self:
        if (self.task == "classification") != (self.classes is not None):
            raise ValueError("classes belong to classification, and to it alone")
        names = [feature.name for feature in self.features]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"features are named twice: {sorted(twice)}")
        if self.classes and len({str(label) for label in self.classes}) < len(self.classes):
            raise ValueError("classes are named twice")
        return self


class UploadAsked(Answer):
    """The job's result says which version it became; if the file is refused, its error says why."""

    job_id: str
    status: JobStatus
    model: str
    sha256: str = Field(description="of the file as it came")
    size_bytes: int
    message: str
