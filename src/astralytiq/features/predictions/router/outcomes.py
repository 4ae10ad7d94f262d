"""Doors for what was true in the end of what was predicted."""

from typing import Annotated

from astralytiq.core.security import Actor
from astralytiq.core.web import Session, needs
from astralytiq.features.predictions import outcomes
from astralytiq.features.predictions.schemas_outcomes import (
    OutcomesRead,
    OutcomesStored,
    OutcomesTold,
    OutcomeTold,
)

from .asking import models, predictions

__all__ = ["models", "predictions"]

Predictor = Annotated[Actor, needs("models:predict")]


@predictions.post("/{prediction_id}/outcome")
async def tell_outcome(
    session: Session, actor: Predictor, prediction_id: str, body: OutcomeTold
) -> OutcomesRead:
    """The same truth again changes nothing; another one replaces it."""
    return await outcomes.tell(session, actor, prediction_id, body)


@models.post("/{name}/outcomes")
async def tell_outcomes(
    session: Session, actor: Predictor, name: str, body: OutcomesTold
) -> OutcomesStored:
    """Of up to 10,000 rows at once: all of them are stored, or none."""
    return await outcomes.tell_many(session, actor, name, body)
