"""The database's clock, in SQL: leases are compared by one clock, not by each machine's own."""

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement

from astralytiq.core.db import UtcDateTime


class DatabaseNow(ColumnElement[Any]):
    """The time now, `seconds` later, as the column type stores it."""

    inherit_cache = False  # The offset is part of the text.
    type = UtcDateTime()

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = float(seconds)


@compiles(DatabaseNow, "sqlite")
def sqlite_now(element: DatabaseNow, compiler: Any, **_: Any) -> str:
    # SQLAlchemy stores six decimals as text; SQLite's clock gives three.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{element.seconds:+.3f} seconds')"


@compiles(DatabaseNow)
def server_now(element: DatabaseNow, compiler: Any, **_: Any) -> str:
    return f"(clock_timestamp() + interval '{element.seconds:.3f} seconds')"
