"""Which fields are new, gone, or of another type."""

from typing import Any

import pytest

from astralytiq.engines.etl.drift import (
    EACH,
    FIRST,
    MOST_FIELDS,
    Known,
    Seen,
    changes,
    known_after,
    look,
    removals,
)
from astralytiq.engines.etl.values import from_csv


def learned(*payloads: Any, run: str = "1", before: Known | None = None) -> Known:
    return known_after(before or {}, look(payloads), run)


def found(known: Known, *payloads: Any, run: str = "2") -> list[tuple[Any, ...]]:
    return [
        (one.field, one.change, one.before, one.after, one.examples, one.confidence)
        for one in changes(known, look(payloads), run)
    ]


def test_what_the_first_run_shows_is_no_change() -> None:
    known = learned({"a": 1})
    assert found({}, {"a": 1}, run="1") == []
    assert found(known, {"a": "x", "b": 2}, run="1") == []


def test_a_new_field_is_told_with_its_types_and_examples() -> None:
    known = learned({"a": 1})
    assert found(known, {"a": 1}, {"a": 2, "b": "x"}, {"a": 3, "b": "y"}, {"a": 4, "b": None}) == [
        ("b", "added", None, "text", ["x", "y"], 0.75)
    ]
    assert found(known, {"a": 1, "b": None}) == [("b", "added", None, "null", [], 1.0)]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (1, "x", ("integer", "text")),
        (1, 1.5, ("integer", "number")),
        ("x", True, ("text", "boolean")),
        ({}, [1], ("object", "list")),
        (1.5, 1, None),
        (1, None, None),
        (None, 1, None),
    ],
)
def test_another_type_is_told_unless_it_was_covered(
    before: Any, after: Any, change: tuple[str, str] | None
) -> None:
    told = found(learned({"a": before}), {"a": after})
    assert [one[1:4] for one in told] == ([("type_changed", *change)] if change else [])


def test_a_change_is_told_once() -> None:
    known = learned({"a": 1})
    known = learned({"a": "x", "b": 1}, run="2", before=known)
    assert found(known, {"a": "x", "b": 1}, {"a": 1}, run="2") == []
    assert found(known, {"a": "x", "b": 1}, run="3") == []


def test_a_field_that_a_run_does_not_show_is_gone_if_that_is_no_chance() -> None:
    known = learned(*({"a": 1, "b": 1, **({"c": 1} if at % 20 == 0 else {})} for at in range(100)))
    assert [one.field for one in removals(known, "1")] == []
    known = learned(*[{"a": 1}] * 10, run="2", before=known)
    assert [(one.field, one.confidence) for one in removals(known, "2")] == [("b", 1.0)]
    known = learned(*[{"a": 1}] * 90, run="3", before=known)
    (_, rare) = removals(known, "3")
    assert (rare.field, rare.change, rare.before, rare.after) == ("c", "removed", "integer", None)
    assert 0.99 <= rare.confidence < 1


def test_a_run_that_read_nothing_shows_no_removal() -> None:
    assert removals(learned({"a": 1}), "2") == []


def test_a_field_that_went_and_comes_back_is_new_again() -> None:
    known = learned({"a": 1, "b": 1})
    known["b"]["gone"] = True
    assert removals(learned({"a": 1}, run="2", before=known), "2") == []
    assert [one[:2] for one in found(known, {"a": 1, "b": 1})] == [("b", "added")]
    assert not learned({"b": 1}, run="2", before=known)["b"]["gone"]


def test_new_fields_may_be_left_out_until_the_policy_lets_them_in() -> None:
    known = learned({"a": 1})
    left = known_after(known, look([{"a": 1, "b": 2}]), "2", leave_out=True)
    assert {name: entry["left_out"] for name, entry in left.items()} == {"a": False, "b": True}
    assert found(left, {"b": 3}, run="3") == []
    assert not known_after(left, look([{"a": 1}]), "3")["b"]["left_out"]


def test_a_batch_is_sampled_unless_all_of_it_is_asked_for() -> None:
    payloads = [{"a": 1}] * (FIRST + 4 * EACH)
    assert look(payloads).records == FIRST + 4
    assert look(payloads, all_of=True).records == len(payloads)


def test_cells_count_as_what_they_become() -> None:
    seen = look([{"a": "1", "b": "x", "c": ""}], from_csv)
    assert seen.types == {"a": {"integer": 1}, "b": {"text": 1}, "c": {}}


def test_strange_payloads_are_kept_within_bounds() -> None:
    seen = look([5, {"n\x00l": "a\x00" + "x" * 500, "deep": {"a": [1]}}, None])
    assert seen.records == 1
    assert len(seen.examples["n\ufffdl", "text"][0]) == 100
    assert seen.examples["deep", "object"] == ["{'a': [1]}"]
    wide = look([{str(at): at for at in range(MOST_FIELDS + 5)}])
    assert len(wide.fields) == MOST_FIELDS
    assert len(known_after(learned({"x": 1}), wide, "2")) == MOST_FIELDS


def test_nothing_seen_is_nothing_changed() -> None:
    assert changes(learned({"a": 1}), Seen(), "2") == []
