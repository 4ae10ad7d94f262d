"""Batches, column by column: always the same as row by row."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.engines.etl import batch
from astralytiq.engines.etl.batch import Rejected, normalised
from astralytiq.engines.etl.columns import cells, rows_of
from astralytiq.engines.etl.normalise import Broken, Normaliser, showable
from astralytiq.engines.etl.values import from_csv

NAMES = ("id", "title", "published_at", "url", "note", "count")
CELLS = (
    "", "0", "7", "-0", "007", "1.5", "-2.25", "1e3", " 1", "1,5", "12345678901234567890",
    "0.1234567890123456789", "nan", "true", "text", "ünï", "a\nb", "nul\x00", "\ud800",
    "2026-01-31", "2026-01-31T08:00:00Z", "2026-01-31T08:00:00+02:00", "1700000000",
    "Sat, 31 Jan 2026 08:00:00 GMT", "https://example.org/a", "HTTP://Example.org:80/a/?utm_x=1",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(CELLS),
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.sampled_from(CELLS), max_size=2),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), max_size=2),
)


def tables(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Mostly rows with the same fields, each column mostly of one kind, now and then a stranger."""

    def of(names: list[str]) -> st.SearchStrategy[list[Any]]:
        column = st.sampled_from([st.just("x"), st.integers(1, 9).map(str), values])
        columns = st.fixed_dictionaries(dict.fromkeys(names, column))
        row = columns.flatmap(lambda kinds: st.lists(st.fixed_dictionaries(kinds), max_size=9))
        strange = st.one_of(
            st.just(Broken("is broken", {})), st.dictionaries(st.just("id"), values)
        )
        return st.tuples(row, st.lists(strange, max_size=1)).map(lambda both: both[0] + both[1])

    return st.lists(st.sampled_from(NAMES), min_size=1, unique=True).flatmap(of)


def row_by_row(normaliser: Normaliser, payloads: list[Any]) -> tuple[list[Any], list[Rejected]]:
    records, rejects = {}, []
    for position, payload in enumerate(payloads):
        try:
            record = normaliser.one(payload)
            records[record["source_id"]] = record | {"raw_position": position}
        except ValueError as fault:
            rejects.append(Rejected(position, str(fault), showable(payload)))
    return list(records.values()), rejects


@settings(max_examples=300, deadline=None)
@given(
    payloads=st.one_of(tables(st.sampled_from(CELLS)), tables(VALUES)),
    keys=st.sampled_from(([], ["id"], ["id", "note"], ["note.0"])),
    mapping=st.sampled_from(({}, {"title": "note"}, {"content": "note.id"})),
    let_in=st.sampled_from((None, frozenset({"id", "count"}))),
)
def test_columns_make_what_rows_make(
    payloads: list[Any], keys: list[str], mapping: dict[str, str], let_in: frozenset[str] | None
) -> None:
    written = all(
        isinstance(value, str)
        for payload in payloads
        if isinstance(payload, dict)
        for value in payload.values()
    )
    normaliser = Normaliser("s", mapping, keys, from_csv if written else None, let_in)
    made = normalised(normaliser, payloads)
    assert (rows_of(made.records, made.size), made.rejects) == row_by_row(normaliser, payloads)


@given(
    st.lists(st.one_of(st.sampled_from(CELLS), st.from_regex(r"-?[0-9.,]{1,4}", fullmatch=True)))
)
def test_a_column_of_cells_is_what_its_cells_are(column: list[str]) -> None:
    found = list(cells(column))
    alone = [from_csv(cell) for cell in column]
    assert list(map(repr, found)) == list(map(repr, alone))  # 1 is not 1.0, nor 0.0 is -0.0


def test_of_one_key_twice_in_a_batch_the_last_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SLICE", 2)
    payloads = [{"id": at % 3, "title": str(at)} for at in range(7)]
    made = normalised(Normaliser("s", {}, ["id"]), payloads)
    assert made.records["title"] == ["6", "4", "5"]
    assert made.records["raw_position"] == [6, 4, 5]
    assert made.size == 3


def test_like_rows_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Normaliser, "one", None)
    payloads = [{"id": str(at), "title": "t", "count": "1.5", "tags": ""} for at in range(1000)]
    assert normalised(Normaliser("s", {}, ["id"], from_csv), payloads).size == 1000
