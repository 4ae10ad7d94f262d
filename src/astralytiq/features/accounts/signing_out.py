"""What admins see and end of other people's sessions."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.security import Actor

from . import service, sessions
from .models import UserSession


async def sessions_of(session: AsyncSession, user_id: int) -> Sequence[UserSession]:
    await service.get(session, user_id, lock=False)
    return await sessions.of_user(session, user_id)


async def sign_out(session: AsyncSession, actor: Actor, user_id: int) -> None:
    await service.get(session, user_id)
    await sessions.end_all(session, user_id)
    audit.record(session, actor, "user.signed_out", f"user/{user_id}")
