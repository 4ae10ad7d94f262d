"""The thirty lines, the tests that hold them, and the table that says where those are."""

import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "security.md"
NUMBERED = re.compile(r"^ *(?:async )?def test_(\d\d)_", re.MULTILINE)
# | 7 | requirement | `core/test_web.py`, ... |
ROW = re.compile(r"^\| (\d+) \|.*\|([^|]*)\|$", re.MULTILINE)


def found() -> dict[int, set[str]]:
    """Which files have tests whose names begin with a number."""
    places: dict[int, set[str]] = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        for number in NUMBERED.findall(path.read_text()):
            places[int(number)].add(path.relative_to(TESTS).as_posix())
    return places


def told() -> dict[int, set[str]]:
    rows = ROW.findall(TABLE.read_text())
    return {int(number): set(re.findall(r"`([\w/]+\.py)`", places)) for number, places in rows}


def test_every_line_has_a_test_and_the_table_says_where() -> None:
    assert found().keys() == set(range(1, 31))
    assert told() == dict(found())
