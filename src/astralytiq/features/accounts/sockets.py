"""Who opened a WebSocket, and whether they may still listen.

A browser sends its cookies and its Origin along, but no header of ours; a program sends a header;
whoever can do neither sends a ticket in the address, or a first message.
"""

import math
import time
from urllib.parse import urlsplit

from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import security
from astralytiq.core.errors import Forbidden, Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings

from . import keys, signing_in, tickets
from .deps import ACCESS_COOKIES, cookie_of, header_credential
from .models import User
from .tickets import Admitted

CLOSED = "This account is gone, closed, or may do less than before: sign in again."
IN_ADDRESS = (
    "An address is kept in logs: ask for a ticket at POST /api/v1/auth/ws-ticket and send that, "
    "or set ALLOW_WS_QUERY_TOKEN where old clients need it."
)


def refuse_foreign_page(connection: HTTPConnection, settings: Settings) -> None:
    """Cookies come along from any page: browsers tell which one, and programs send no Origin."""
    origin = connection.headers.get("origin")
    if origin is None or origin in settings.cors_origins:
        return
    if urlsplit(origin).netloc != connection.headers.get("host"):
        raise Forbidden("This page may not listen here: open our own address.")


async def admitted_by_handshake(
    connection: HTTPConnection, resources: Resources
) -> Admitted | None:
    """Whoever the request itself names; None where the first message has to."""
    refuse_foreign_page(connection, resources.settings)
    credential = header_credential(connection) or cookie_of(connection, ACCESS_COOKIES)
    if credential:
        return await admitted(resources, credential)
    asked = connection.query_params
    if given := asked.get("ticket") or asked.get("token"):
        if not is_ticket(given) and not resources.settings.allow_ws_query_token:
            raise Unauthenticated(IN_ADDRESS)
        return await admitted(resources, given)
    return None


def is_ticket(given: str) -> bool:
    """Access tokens have dots, keys their beginning; tickets have neither."""
    return "." not in given and not given.startswith(f"{keys.SCHEME}_")


async def admitted(resources: Resources, given: str) -> Admitted:
    """By a ticket, an access token or an API key."""
    if is_ticket(given):
        return await tickets.redeem(resources, given)
    found = await signing_in.verify(resources, given)
    ends = math.inf if found.session_id or found.actor.via.startswith("key:") else found.expires
    return await still_admitted(resources, Admitted(found.actor, found.session_id, ends))


async def still_admitted(resources: Resources, known: Admitted) -> Admitted:
    """The same as long as nothing was revoked; raises Unauthenticated afterwards.

    A socket outlives the access token that opened it, but not the sign-in or the key behind that.
    """
    async with resources.database.reading() as session:
        await refuse_less(session, known)
        ends = await tickets.end_of(session, resources.settings, known.session_id, known.actor.via)
    ends = min(ends, known.expires)
    if ends <= time.time():
        raise Unauthenticated(CLOSED)
    return Admitted(known.actor, known.session_id, ends)


async def refuse_less(session: AsyncSession, known: Admitted) -> None:
    user = await session.get(User, known.actor.id)
    if user is None or not user.is_active:
        raise Unauthenticated(CLOSED)
    if not known.actor.scopes <= security.scopes_of(user.role):
        raise Unauthenticated(CLOSED)
