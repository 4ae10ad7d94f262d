"""Payloads become by the compiled kernel what Python makes of them, or are left to it."""

import datetime
import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.core import bulk
from astralytiq.engines.etl import compiled, packing
from astralytiq.engines.etl.compiled import kernel_of
from astralytiq.engines.etl.native import KERNELS
from astralytiq.engines.etl.normalise import Broken
from astralytiq.engines.etl.payloads import Payloads
from astralytiq.features.ingestion import preparing
from astralytiq.features.ingestion.models import DataRecord
from astralytiq.features.ingestion.preparing import Prepared, Preparer, Way
from ml_core.builds import BUILDS

FORMS = bulk.forms_of(DataRecord.__table__)  # type: ignore[arg-type]
WORDS = (
    "", "a", "Grün", "😀", "\\N", "a\tb", "a\nb\r", '"', "\\", "/", "\x00", "\x01", "\x1f", "\x7f",
    "\u2028", "x" * 600, "ÿ" * 500, "null", "true", " 1", "1 ", "+1", "nan", "Infinity",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "00", "007", "1", "-1", "1.", ".5", "1.0", "1.50", "-0.0", "0.0", "0.1", "1e5",
    "1E5", "1e-5", "1e400", "123456789012345", "1234567890123456", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999",
    "0.30000000000000004", "0.8474337369372327", "1.7976931348623157e308", "5e-324", "0.0001",
    "0.00001", "1e16", "12345678901234567.5", "9007199254740993", "5.684341886080801e-14",
    "5.6843418860808015e-14", "1,5", "1_000", "٣", "0x10", "1e", "1e+", "--1",
)  # fmt: skip
TIMES = (
    "2026-01-31", "2026-01-31T08:00:00Z", "2026-01-31 08:00", "2026-01-31T08:00:00.5+02:00",
    "2026-01-31T08:00:00.123456789Z", "20260131", "2026-W05-1", "2026-02-30", "0001-01-01",
    "0001-01-01T00:00+14:00", "9999-12-31T23:59:59-12:00", "1700000000", "1700000000000",
    "Sat, 31 Jan 2026 08:00:00 GMT", "2026-01-31T24:00", "2026-01-31T08:00:00z", "soon",
    "2026-01-31T08", "2026-01-31T080000", " 2026-01-31 ", "2026-01-31T08:00:00-00:00",
    "2026-01-31T08:00:00+00:00:01", "2024-02-29T23:59:60Z", "1969-12-31T23:59:59.999999Z",
)  # fmt: skip
URLS = (
    "https://example.org/a", "http://example.org/a/", "https://EXAMPLE.org/", "https://example.org",
    "https://example.org/?b=2&a=1", "https://example.org/a#b", "ftp://example.org", "example.org",
    "https://example.org:443/a", "https://example.org//", "https:///a", "http://ü.example/a b",
    "https://example.org/a%20b", "https://-.-/x", "https://example.org/ü",
)  # fmt: skip
drawn = st.text(st.characters(codec="utf-8"), max_size=20)
decimals = st.floats(allow_nan=False, allow_infinity=False).map(repr)
cell = st.one_of(
    st.sampled_from(WORDS + NUMBERS + TIMES + URLS),
    drawn,
    decimals,
    st.integers().map(str),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC])).map(str),
)
scalar = st.one_of(
    cell,
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
value = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(drawn, inner, max_size=3),
    max_leaves=6,
)
NAMES = ("id", "title", "published_at", "url", "category", "b", "a", "é", 'q"\\', "metadata", "")
name = st.sampled_from(NAMES) | drawn
broken = st.builds(Broken, st.just("is bent"), st.just({"line": 3}))
rows = st.lists(st.dictionaries(name, value, max_size=8) | broken, min_size=1, max_size=6)
table = st.lists(st.dictionaries(name, cell, max_size=8) | broken, min_size=1, max_size=6)
keys = st.sampled_from([[], ["id"], ["id"], ["id", "b"], ["é"]])
mappings = st.sampled_from([{}, {}, {"title": "b", "published_at": "a"}, {"content": "é"}])
let_in = st.sampled_from([None, None, [], ["a", "b", "é"]])
# Fields of nearly every table, so that most of the payloads are records.
usual = st.fixed_dictionaries({"id": st.integers(1, 9).map(str)}, optional={"b": st.just("k")})
mixed = st.lists(
    st.builds(lambda one, also: one | also, st.dictionaries(name, cell, max_size=4), usual),
    min_size=1,
    max_size=8,
)
batches = st.lists(st.tuples(st.booleans(), mixed | rows), min_size=2, max_size=5)


def none(*asked: Any, **also: Any) -> None:
    """No kernel."""


def seen(found: Prepared) -> Any:
    return (found.ids, found.hashes, found.tuples, found.lines, found.rejects, found.raw)


def same(way: Way, payloads: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """By every build that runs here, with and without the processor's own SHA-256."""
    monkeypatch.setattr(preparing, "MOST_LEFT", 1)
    for lean in (False, True):
        expected = Preparer(way, none).prepare(payloads, lean=lean)
        for build in builds():
            for plainly in (False, True):
                kernel = partial(kernel_of, library=KERNELS.asked_for(build), plainly=plainly)
                by_kernel = Preparer(way, kernel)
                for held in (payloads, Payloads.of(payloads)):
                    found = by_kernel.prepare(held, lean=lean)
                    assert seen(found) == seen(expected)
                    assert (found.seen, found.profile) == (expected.seen, expected.profile)


def builds() -> list[str]:
    found = []
    for build in BUILDS:
        try:
            KERNELS.asked_for(build)
        except ValueError:
            continue
        found.append(build)
    return found


def way_of(for_sqlite: bool = True, cells: bool = True, **other: Any) -> Way:
    wanted: dict[str, Any] = {"mapping": {}, "primary_key": ["id"], "let_in": None} | other
    return Way("shop", cells=cells, every=False, for_sqlite=for_sqlite, forms=FORMS, **wanted)


def test_there_is_a_kernel_where_there_is_a_compiler() -> None:
    """Without one the tests below would compare Python with itself."""
    assert KERNELS.library() is not None


@settings(max_examples=120, deadline=None)
@given(
    st.tuples(st.just(True), table) | st.tuples(st.just(False), rows),
    keys,
    mappings,
    let_in,
    st.booleans(),
)
def test_drawn_payloads(
    drawn_ones: tuple[bool, list[Any]],
    key: list[str],
    mapping: dict[str, str],
    allowed: list[str] | None,
    for_sqlite: bool,
) -> None:
    cells, payloads = drawn_ones
    with pytest.MonkeyPatch.context() as patch:
        way = way_of(for_sqlite, cells, primary_key=key, mapping=mapping, let_in=allowed)
        same(way, payloads, patch)


def near(number: float, digit: int) -> str:
    """A number with another last digit, which may be no float's shortest spelling."""
    text = repr(number)
    return text if "e" in text else text[:-1] + str(digit)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1e9, 1e9) | st.floats(0, 1), min_size=1, max_size=50),
    st.integers(0, 9),
    st.integers(10**14, 10**18),
    st.integers(1, 18),
)
def test_floats_of_many_digits(numbers: list[float], digit: int, digits: int, places: int) -> None:
    cells = [repr(one) for one in numbers] + [near(one, digit) for one in numbers]
    cells.append(f"{digits // 10**places}.{digits % 10**places:0{places}}")
    with pytest.MonkeyPatch.context() as patch:
        same(way_of(), [{"id": str(at), "x": one} for at, one in enumerate(cells)], patch)
        same(way_of(cells=False), [{"id": at, "x": one} for at, one in enumerate(numbers)], patch)


@pytest.mark.parametrize("for_sqlite", [True, False])
@pytest.mark.parametrize("cells", [True, False])
def test_all_hard_values(monkeypatch: pytest.MonkeyPatch, cells: bool, for_sqlite: bool) -> None:
    payloads = [
        {"id": f"{field} {place}", field: hard}
        for field in ("published_at", "url", "title", "price")
        for place, hard in enumerate(WORDS + NUMBERS + TIMES + URLS)
    ]
    payloads += [{"id": hard, "title": "k"} for hard in WORDS + NUMBERS]
    same(way_of(for_sqlite, cells), payloads, monkeypatch)


@pytest.mark.parametrize("cells", [True, False])
def test_a_usual_table_is_left_to_nobody(cells: bool) -> None:
    payloads: list[Any] = [
        {
            "id": str(at) if cells else at,
            "title": f"Grün {at}",
            "published_at": "2026-01-31T08:00:00Z",
            "url": f"https://example.org/{at}",
            "price": str(at / 7) if cells else at / 7,
            "left": "",
        }
        for at in range(1000)
    ]
    if not cells:
        payloads = [one | {"owner": {"login": "x", "ids": [1, None]}} for one in payloads]
    kernel = kernel_of(way_of(cells=cells).normaliser(), for_sqlite=True)
    assert kernel
    made = kernel.made(Payloads.of(payloads))
    assert made
    assert (len(made.ids), made.left) == (1000, [])


def test_names_let_in_are_found_whatever_their_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand in JSON they have another order."""
    allowed = ["a", "a\n", "a.b", 'a"', "a#", "é", "c"]
    payloads: list[Any] = [{"id": "1", "a.b": "x", "c": "y", "a": "z", "é": "é", "b": "no"}]
    same(way_of(let_in=allowed), payloads, monkeypatch)
    assert '"a.b":"x"' in Preparer(way_of(let_in=allowed)).prepare(payloads).tuples[0][7]


def test_what_it_leaves_is_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    payloads: list[Any] = [{"id": str(at), "title": f"T{at}"} for at in range(300)]
    payloads[7] = Broken("has 1 cells", {"line": 9})
    payloads[100] = {"id": "100", 'q"': "names with escapes are left"}
    payloads[299] = {"id": "100", "title": "the last of two"}
    way = way_of()
    found = Preparer(way).prepare(payloads)
    assert [one.position for one in found.rejects] == [7]
    assert found.ids == [str(at) for at in range(299) if at != 7]
    assert found.tuples[99][0] == "the last of two"
    same(way, payloads, monkeypatch)


def test_of_much_that_is_left_python_makes_all() -> None:
    payloads = [{"id": str(at), 'q"': "x"} for at in range(20)]
    way = way_of()
    preparer = Preparer(way)
    assert preparer._made(payloads, Payloads.of(payloads), lean=False) is None
    assert seen(preparer.prepare(payloads)) == seen(Preparer(way, none).prepare(payloads))


def test_texts_that_are_no_json_end_nobody() -> None:
    """What is handed over is JSON; should it not be, nothing outside of it is read or written."""
    text = packing.written([{"id": "1", "title": "ä\n", "a": "1.5"}, {"b": "x"}] * 3)
    one = {"url": "https://a.b/?q=%C3&a=1", "a": {"b": {"c": [1, {}], "d": "x"}}, "published_at": 7}
    text = text[:-1] + b"," + packing.written([one] * 3)[1:]
    mapping = {"title": "a.b.d", "content": "a.b.c.1", "author": "a.x"}
    kernels = [
        kernel_of(way_of(cells=cells, mapping=mapped).normaliser(), for_sqlite=True)
        for cells, mapped in ((True, {}), (False, {}), (False, mapping))
    ]
    chance = random.Random(3)
    for at in range(4500):
        kernel = kernels[at % 3]
        assert kernel
        bent = bytearray(text[: chance.randint(2, len(text))])
        for _ in range(chance.randint(0, 3)):
            bent[chance.randrange(len(bent))] = chance.randrange(256)
        held = Payloads([bytes(bent)], [9])
        try:
            made = kernel.made(held)
        except ValueError:  # It is not UTF-8: nothing that was made is used.
            continue
        assert made is None or len(made.ids) + len(made.left) == 9


def test_a_batch_that_failed_keeps_no_more_memory_than_another() -> None:
    whole = packing.written([{"id": str(at), "content": "x" * 500_000} for at in range(40)])
    kernel = kernel_of(way_of().normaliser(), for_sqlite=True)
    assert kernel
    for bent in (whole[:-1], whole[:-4] + b'\xff"}]'):
        with suppress(ValueError):  # The second is not UTF-8.
            assert kernel.made(Payloads([bent], [40])) is None
        assert compiled.Work.from_address(kernel._work.value or 0).rows.room <= 1 << 24


@settings(max_examples=40, deadline=None)
@given(batches, keys, mappings, let_in, st.booleans(), st.booleans())
def test_no_batch_shows_in_the_next(
    drawn_batches: list[tuple[bool, list[Any]]],
    key: list[str],
    mapping: dict[str, str],
    allowed: list[str] | None,
    cells: bool,
    for_sqlite: bool,
) -> None:
    """Neither one that went well nor one that ended midway, whatever the kernel still holds."""
    way = way_of(for_sqlite, cells, primary_key=key, mapping=mapping, let_in=allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "MOST_LEFT", 1)
        by_kernel, plainly = Preparer(way, kernel_of), Preparer(way, none)
        assert by_kernel._kernel
        for lean, payloads in drawn_batches:
            if cells:
                payloads = [one for one in payloads if holds_text(one)] or [{"id": "1"}]
            expected = plainly.prepare(payloads, lean=lean)
            assert seen(by_kernel.prepare(payloads, lean=lean)) == seen(expected)
            whole = packing.written(payloads)
            assert by_kernel._kernel.made(Payloads([whole[:-1]], [len(payloads)])) is None


def holds_text(payload: Any) -> bool:
    return isinstance(payload, Broken) or all(type(cell) is str for cell in payload.values())
