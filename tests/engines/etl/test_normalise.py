"""From payloads to records."""

import pytest

from astralytiq.engines.etl.batch import normalised
from astralytiq.engines.etl.normalise import Broken, Normaliser, normal_url
from astralytiq.engines.etl.values import from_csv


def test_fields_of_the_same_name_are_taken_and_the_rest_is_metadata() -> None:
    record = Normaliser("s", {}, ["id"]).one({"id": 7, "title": "A", "price": 2.5, "tags": ["x"]})
    assert (record["source_id"], record["title"], record["author"]) == ("7", "A", None)
    assert record["metadata"] == {"id": 7, "price": 2.5, "tags": ["x"]}


def test_a_mapping_reaches_into_objects_and_takes_only_what_it_names() -> None:
    payload = {
        "id": 1, "user": {"login": "ann", "id": 5}, "name": "N", "title": "kept", "urls": ["u0"],
        "only": {"text": "c"},
    }  # fmt: skip
    mapping = {"author": "user.login", "title": "name", "url": "urls.0", "content": "only.text"}
    record = Normaliser("s", mapping, ["id"]).one(payload)
    assert (record["author"], record["title"], record["url"]) == ("ann", "N", "u0")
    assert record["metadata"] == {"id": 1, "user": {"id": 5}, "title": "kept", "urls": ["u0"]}


def test_what_a_mapping_leaves_of_an_object_stays_where_it_was() -> None:
    payload = {"z": 1, "a": {"d": 1, "b": {"c": "x", "e": 2}}, "b": {"c": 1}, "y": {}, "x": 5}
    mapping = {"title": "a.b.c", "author": "b.c", "content": "y.z", "category": "x.z"}
    metadata = Normaliser("s", mapping, []).one(payload)["metadata"]
    assert list(metadata.items()) == [("z", 1), ("a", {"d": 1, "b": {"e": 2}}), ("x", 5)]


def test_a_field_that_is_named_like_a_path_leaves_the_path_alone() -> None:
    """Even if only the path's first field is let in."""
    normaliser = Normaliser("s", {"title": "a.b"}, [], let_in=frozenset({"a"}))
    record = normaliser.one({"a.b": "x", "a": {"b": "y"}})
    assert (record["title"], record["metadata"]) == ("x", {"a": {"b": "y"}})


@pytest.mark.parametrize("step", ["²", "٣", "-1", "", "7", "9" * 5000])
def test_a_step_that_names_no_item_finds_nothing(step: str) -> None:
    record = Normaliser("s", {"title": f"a.{step}"}, []).one({"a": ["x"] * 5})
    assert (record["title"], record["metadata"]) == (None, {"a": ["x"] * 5})


def test_a_column_whose_name_has_a_dot_is_found_by_its_name() -> None:
    record = Normaliser("s", {"title": "Item (no.)"}, []).one({"Item (no.)": "x"})
    assert (record["title"], record["metadata"]) == ("x", {})


def test_numbers_in_metadata_only_are_converted() -> None:
    normaliser = Normaliser("s", {"title": "code"}, ["id"], from_csv)
    record = normaliser.one({"id": "007", "code": "1.50", "price": "1.50", "note": ""})
    assert (record["source_id"], record["title"]) == ("007", "1.50")
    assert record["metadata"] == {"id": "007", "price": 1.5, "note": None}


def test_keys_of_several_fields_cannot_run_into_each_other() -> None:
    normaliser = Normaliser("s", {}, ["a", "b"])
    first, second = normaliser.one({"a": "1,2", "b": 3}), normaliser.one({"a": "1", "b": "2,3"})
    assert first["source_id"] == '["1,2","3"]'
    assert first["source_id"] != second["source_id"]


def test_without_a_primary_key_the_content_names_the_record() -> None:
    normaliser = Normaliser("s", {}, [])
    one, same, other = (normaliser.one(p) for p in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}))
    assert one["source_id"] == one["content_hash"] == same["content_hash"]
    assert one["source_id"] != other["source_id"]
    assert len(one["content_hash"]) == 64


def test_the_hash_covers_every_field() -> None:
    base = {"id": 1, "title": "t", "published_at": "2026-01-01", "extra": {"deep": [1]}}
    changes = ({"title": "u"}, {"published_at": "2026-01-02"}, {"extra": {"deep": [2]}})
    normaliser = Normaliser("s", {}, ["id"])
    hashes = {normaliser.one(base | change)["content_hash"] for change in ({}, *changes)}
    assert len(hashes) == 4


def test_one_address_is_one_entity_in_every_source() -> None:
    spellings = [
        "https://Example.com/a/", "http://example.com:80/a", "https://example.com/a?utm_source=x#top"
    ]  # fmt: skip
    found = {
        Normaliser(source, {}, ["id"]).one({"id": at, "url": url})["entity_id"]
        for at, (source, url) in enumerate(zip("abc", spellings, strict=True))
    }
    assert len(found) == 1
    without = [Normaliser(s, {}, ["id"]).one({"id": 1})["entity_id"] for s in ("a", "b", "a")]
    assert without[0] == without[2] != without[1]


def test_addresses_are_told_apart_by_what_matters() -> None:
    assert normal_url("https://a.example/x?b=2&a=1") == "https://a.example/x?a=1&b=2"
    assert normal_url("https://a.example:8443/x") == "https://a.example:8443/x"
    assert normal_url("HTTPS://user:pass@A.example/x") == "https://a.example/x"
    for no_address in ("mailto:a@b.c", "/relative", "https://", "http://a:port/", "http://[::1/"):
        assert normal_url(no_address) is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"id": None}, "primary key 'id' is missing"),
        ({"title": "x"}, "primary key 'id' is missing"),
        ({"id": ""}, "primary key 'id' is missing"),
        ({"id": {"a": 1}}, "primary key 'id': is an object"),
        ({"id": "x" * 501}, "more than 500"),
        ({"id": 1, "published_at": "soon"}, "published_at (from 'published_at'): 'soon' is not a"),
        ({"id": 1, "title": {"en": "x"}}, "title (from 'title'): is an object"),
        ({"id": 1, "note": "a\x00b"}, "contains a NUL character"),
        (["no", "object"], "is not an object"),
        (Broken("has 2 cells", {"cells": ["a"]}), "has 2 cells"),
    ],
)
def test_what_cannot_be_a_record_is_set_aside_with_its_reason(payload: object, reason: str) -> None:
    done = normalised(Normaliser("s", {}, ["id"]), [{"id": 1}, payload])
    assert done.records["source_id"] == ["1"]
    (reject,) = done.rejects
    assert reason in reject.reason
    assert reject.position == 1
    assert "\x00" not in str(reject.payload)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert not normalised(Normaliser("s", {}, ["id"]), [{"id": 1, "note": "\\u0000"}]).rejects
