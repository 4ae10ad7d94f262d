"""Outcomes as people write them: on the command line, and in CSV files."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MOST_AT_ONCE = 10_000
NEEDED = {"prediction_id", "outcome"}
KNOWN = NEEDED | {"row", "observed_at"}


def meant(text: str, classes: Sequence[Any]) -> Any:
    """The class that is written so, else what it is as JSON, else the text."""
    for label in classes:
        if text in (str(label), json.dumps(label)):
            return label
    try:
        return json.loads(text)
    except ValueError:
        return text


def read(file: Path, classes: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Raises ValueError naming what is wrong with the file."""
    with file.open(encoding="utf-8-sig", newline="") as source:
        rows = csv.DictReader(source)
        names = set(rows.fieldnames or ())
        if not names >= NEEDED or names - KNOWN:
            raise ValueError(f"its columns are {sorted(names)}; it takes {sorted(KNOWN)}, "
                             f"of which {sorted(NEEDED)} are needed")  # fmt: skip
        for row in rows:
            try:
                yield outcome_of(row, classes)
            except (TypeError, ValueError) as error:
                raise ValueError(f"line {rows.line_num}: {error}") from None


def outcome_of(row: dict[str, Any], classes: Sequence[Any]) -> dict[str, Any]:
    if None in row or None in row.values():
        raise ValueError("it has not as many cells as there are columns")
    found = {"prediction_id": row["prediction_id"], "outcome": meant(row["outcome"], classes)}
    if row.get("row"):
        found["row"] = int(row["row"])
    if row.get("observed_at"):
        found["observed_at"] = row["observed_at"]
    return found


def parts(outcomes: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    """What one request takes. Of a longer file each part is stored as a whole, or not at all."""
    return (outcomes[at : at + MOST_AT_ONCE] for at in range(0, len(outcomes), MOST_AT_ONCE))
