"""What the ingestion room holds on a person.

Records and payloads are what sources sent: their authors are no accounts of ours.
"""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import Rows, columns_of, personal_data, streamed
from astralytiq.core.secrets import Secret

from .models import Source


@personal_data("sources", "Sources that you registered; secrets stand in them by reference only.")
def sources(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Source)).where(Source.owner_id == user_id)
    return streamed(session, query.order_by(Source.id))


@personal_data("secrets", "Secrets that you keep for sources: their names, never their values.")
def secrets(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Secret, "sealed", "key_id")).where(Secret.owner_id == user_id)
    return streamed(session, query.order_by(Secret.id))
