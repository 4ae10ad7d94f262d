"""Payloads that stand as JSON texts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astralytiq.engines.etl import packing, payloads
from astralytiq.engines.etl.normalise import Broken
from astralytiq.engines.etl.payloads import SLICE, Payloads

SOME = st.lists(
    st.dictionaries(st.text(max_size=3), st.one_of(st.text(max_size=3), st.integers(-9, 9)))
    | st.builds(Broken, st.text(max_size=3), st.just({"line": 1})),
    max_size=12,
)


def numbered(size: int) -> list[Any]:
    return [{"id": at, "name": f"Ü{at}"} for at in range(size)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "SLICE", 3)


@pytest.mark.usefixtures("small")
@given(SOME, SOME, st.data())
def test_they_are_read_as_a_list_is(first: list[Any], second: list[Any], data: Any) -> None:
    whole = first + second
    found = Payloads.of(first) + Payloads.of(second)
    assert (list(found), len(found)) == (whole, len(whole))
    assert found == whole
    assert bool(found) == bool(whole)
    places = data.draw(st.lists(st.integers(0, len(whole) - 1)) if whole else st.just([]))
    assert found.at(places) == [whole[place] for place in places]
    for place in places:
        assert found[place] == whole[place]
        assert found[place - len(whole)] == whole[place - len(whole)]
    cut = data.draw(st.slices(len(whole)))
    assert found[cut] == whole[cut]


@pytest.mark.usefixtures("small")
@given(SOME, SOME)
def test_their_texts_are_as_they_are_kept(first: list[Any], second: list[Any]) -> None:
    found = Payloads.joined(map(Payloads.of, (first, second)))
    assert all(0 < size <= 3 for size in found.sizes)
    assert [len(packing.read(text)) for text in found.texts] == found.sizes
    assert packing.joined(found.texts) == packing.written(first + second)


def test_what_is_one_already_stays_it() -> None:
    found = Payloads.of(numbered(2 * SLICE + 1))
    assert Payloads.of(found) is found
    assert found.sizes == [SLICE, SLICE, 1]


def test_there_is_nothing_behind_the_last() -> None:
    found = Payloads.of(numbered(3))
    with pytest.raises(IndexError):
        found[3]
    with pytest.raises(IndexError):
        Payloads.of([])[0]


def test_others_are_not_the_same() -> None:
    assert Payloads.of(numbered(3)) != numbered(4)
    assert Payloads.of(numbered(3)) == Payloads.of(numbered(3))
    assert Payloads.of([]) != ()


def test_few_are_read_without_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = numbered(2 * SLICE)
    found = Payloads.of(whole)
    read: list[int] = []

    def counted(text: bytes) -> list[Any]:
        read.append(len(text))
        return unwatched(text)

    unwatched = packing.read
    monkeypatch.setattr(packing, "read", counted)
    assert found.at([3, 7, SLICE + 1]) == [whole[3], whole[7], whole[SLICE + 1]]
    assert sum(read) < 150
