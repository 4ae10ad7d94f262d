"""What the doors for told truths take in and give out."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from astralytiq.core.schemas import Answer, Body, Moment

MOST_ROWS = 10_000
MOST_AT_ONCE = 10_000

Truth = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=10_000)]
OBSERVED = Field(None, description="when it was seen to be so; default: now")


class OutcomeTold(Body):
    """The truth of a prediction: of its only row, or of each of its rows."""

    outcome: Truth | None = Field(None, description="of a prediction of one row")
    outcomes: Annotated[list[Truth | None], Field(max_length=MOST_ROWS)] | None = Field(
        None, description="one for each row in their order; null where it is not known yet"
    )
    observed_at: Moment | None = OBSERVED

    @model_validator(mode="after")
    def has_one_form(self) -> Self:
        if (self.outcome is None) == (self.outcomes is None):
            raise ValueError("give either outcome or outcomes")
        return self


class RowOutcome(Body):
    """The truth of one row of one prediction."""

    prediction_id: Annotated[str, Field(max_length=64)]
    row: int = Field(0, ge=0, lt=MOST_ROWS)
    outcome: Truth
    observed_at: Moment | None = OBSERVED


class OutcomesTold(Body):
    """Of many predictions of one model: all of them are stored, or none."""

    outcomes: Annotated[list[RowOutcome], Field(min_length=1, max_length=MOST_AT_ONCE)]


class OutcomeRead(Answer):
    """What was true of a row. `before`: what had been told of it earlier, the newest last."""

    row: int
    predicted: Any
    outcome: Any
    observed_at: datetime
    told_at: datetime
    before: list[dict[str, Any]]


class OutcomesRead(Answer):
    prediction_id: str
    model: str
    version: int
    rows: int = Field(description="of the prediction; not all of them need have an outcome")
    outcomes: list[OutcomeRead]


class OutcomesStored(Answer):
    """How many rows were new, told otherwise than before, or told just so already."""

    model: str
    new: int
    replaced: int
    unchanged: int
