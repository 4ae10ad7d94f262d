"""What the predictions room holds on a person."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import Rows, columns_of, personal_data, streamed

from .models import Prediction

AT_ONCE = 5  # One request can hold ten thousand rows.


@personal_data("predictions", "Predictions that you asked for: what came in and what went out.")
def predictions(session: AsyncSession, user_id: int) -> Rows:
    """In no order: SQLite would sort them in memory."""
    query = select(*columns_of(Prediction)).where(Prediction.actor_id == user_id)
    return streamed(session, query, AT_ONCE)
