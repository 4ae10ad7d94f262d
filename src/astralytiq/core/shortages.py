"""What the machine or the database has run out of, in words for whoever has to give it more."""

import errno

from sqlalchemy.exc import DBAPIError

DISK = "The disk is full: free some space"
# PostgreSQL's SQL states of class 53, "insufficient resources".
STATES = {
    "53000": "The database has run out of something: its log says of what",
    "53100": "The database's disk is full: free some space",
    "53200": "The database has run out of memory: give it more, or let it do less at once",
    "53300": (
        "The database has no connection left: raise its max_connections, or run fewer processes"
    ),
    "53400": "The database has reached a limit of its configuration: its log says which",
}


def shortage(error: BaseException) -> str | None:
    """What is short and what to do, without a full stop; None for any other fault."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK
    if not isinstance(error, DBAPIError):
        return None
    if "database or disk is full" in str(error.orig):  # SQLite's words.
        return DISK
    return STATES.get(getattr(error.orig, "sqlstate", None) or "")


def is_about_space(error: BaseException) -> bool:
    return shortage(error) in (DISK, STATES["53100"])
