"""Sums by the minute and the hour, written in the transaction of the events that they count.

Each event counts in four cells: its device's minute and hour, and those of all devices. They are
added up from the rows that were really inserted, which a repeated event is not, and taken away in
the same way before events are deleted. So they equal a recount at every moment.
"""

from .models import ALL

MINUTE = 60_000_000  # microseconds
HOUR = 60 * MINUTE
TABLES = {"telemetry_minutes": MINUTE, "telemetry_hours": HOUR}
SUMS = ("events", "drowsy", "ear", "duration", "closed", "low", "medium", "high", "critical")
SELECTED = (
    "count(*)",
    "sum(CASE WHEN drowsy THEN 1 ELSE 0 END)",
    "sum(ear)",
    "sum(duration)",
    "sum(CASE WHEN severity > 0 THEN duration ELSE 0 END)",
    *(f"sum(CASE WHEN severity = {place} THEN 1 ELSE 0 END)" for place in range(1, 5)),
)


def added(which: str) -> tuple[str, ...]:
    """Statements that add the events which `which` (a condition in SQL) names to all sums."""
    return (*(change(table, "+", which) for table in TABLES), count(which, "+"))


def taken_away(which: str) -> tuple[str, ...]:
    """The same before they are deleted; cells that count nothing any more go, too."""
    changes = tuple(change(table, "-", which) for table in TABLES)
    return (*changes, count(which, "-"), *(empty(table, which) for table in TABLES))


def change(table: str, sign: str, which: str) -> str:
    """One pass over the events; the cells of all devices are summed from those of each.

    A plus before the device keeps SQLite from walking the whole index of devices to group by it.
    """
    step, sums, selected = TABLES[table], ", ".join(SUMS), ", ".join(SELECTED)
    each = ", ".join(f"{sign}{one}" for one in SUMS)
    together = ", ".join(f"{sign}sum({one})" for one in SUMS)
    summed = ", ".join(f"{one} = {table}.{one} + excluded.{one}" for one in SUMS)
    return f"""
WITH few (device, start, {sums}) AS (
  SELECT +device, at - at % {step}, {selected}
  FROM telemetry_events WHERE {which} GROUP BY 1, 2
)
INSERT INTO {table} (device, start, {sums})
SELECT device, start, {each} FROM few WHERE true
UNION ALL
SELECT {ALL}, start, {together} FROM few WHERE true GROUP BY start
ON CONFLICT (device, start) DO UPDATE SET {summed}"""


def count(which: str, sign: str) -> str:
    return f"""
UPDATE telemetry_devices SET events = telemetry_devices.events {sign} few.events
FROM (
  SELECT +device AS device, count(*) AS events FROM telemetry_events WHERE {which} GROUP BY 1
) AS few
WHERE few.device = telemetry_devices.id"""


def empty(table: str, which: str) -> str:
    step = TABLES[table]
    return f"""
DELETE FROM {table} WHERE events = 0 AND (device, start) IN (
  SELECT device, at - at % {step} FROM telemetry_events WHERE {which}
  UNION ALL SELECT {ALL}, at - at % {step} FROM telemetry_events WHERE {which}
)"""
