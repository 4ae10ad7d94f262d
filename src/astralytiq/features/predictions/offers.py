"""What the predictions room holds on a person."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import Rows, columns_of, personal_data, streamed

from .models import Outcome, Prediction, Shadow

AT_ONCE = 5  # One request can hold ten thousand rows.


@personal_data("predictions", "Predictions that you asked for: what came in and what went out.")
def predictions(session: AsyncSession, user_id: int) -> Rows:
    """In no order: SQLite would sort them in memory."""
    query = select(*columns_of(Prediction)).where(Prediction.actor_id == user_id)
    return streamed(session, query, AT_ONCE)


@personal_data("outcomes", "Outcomes of predictions that you told.")
def outcomes(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Outcome)).where(Outcome.actor_id == user_id)
    return streamed(session, query)


@personal_data("shadows", "Model versions that you let score in the shadow.")
def shadows(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Shadow)).where(Shadow.actor_id == user_id)
    return streamed(session, query.order_by(Shadow.id))
