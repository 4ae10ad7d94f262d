"""What runs when a job is claimed, and what the ways mean in which it can end."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import AppError, Unavailable
from astralytiq.core.shortages import shortage

Handler = Callable[..., Awaitable[dict[str, Any] | None]]
Ending = Callable[[AsyncSession, dict[str, Any]], Awaitable[None]]
HANDLERS: dict[str, Handler] = {}
ENDINGS: dict[str, Ending] = {}


class LeaseLost(Exception):
    """Another worker has the job now; this one must stop without writing anything."""


class HandedBack(LeaseLost):
    """The worker is leaving: the job goes on elsewhere, from its checkpoint."""


class JobCancelled(Exception):
    """Somebody asked for the job to stop."""


class Transient(Exception):
    """The same job may succeed later: a timeout, a dependency that is away."""


def job(name: str) -> Callable[[Handler], Handler]:
    """Name a handler. It takes a `Work` and JSON values (ids, not objects), and may run twice."""

    def register(handler: Handler) -> Handler:
        if name in HANDLERS:
            raise ValueError(f"Two jobs are named {name!r}.")
        HANDLERS[name] = handler
        return handler

    return register


def ending(name: str) -> Callable[[Ending], Ending]:
    """Name what follows, in the same transaction, when a job ends without its handler.

    That is: cancelled while it waited, or given up after its last worker died. The function takes
    the job's arguments.
    """

    def register(follow: Ending) -> Ending:
        ENDINGS[name] = follow
        return follow

    return register


async def end_without_handler(session: AsyncSession, name: str, arguments: dict[str, Any]) -> None:
    if follow := ENDINGS.get(name):
        await session.flush()
        await follow(session, arguments)


def worded(failure: BaseException) -> str:
    """Only words that were written for people are shown: others may hold paths, SQL or data."""
    if isinstance(failure, (AppError, Transient)):
        return str(failure)
    if short := shortage(failure):
        return f"{short}, then try again. What was stored before stands; it goes on from there."
    return f"Internal fault ({type(failure).__name__}): see the log."


def is_final(failure: BaseException) -> bool:
    """Whether trying again could not help: a refusal, or a fault of the program itself."""
    if isinstance(failure, Unavailable):
        return False
    return isinstance(failure, (AppError, TypeError, KeyError, AttributeError, AssertionError))
