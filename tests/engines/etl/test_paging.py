"""Which page comes next."""

from typing import Any

import pytest

from astralytiq.engines.etl.paging import Page, Paging, next_link
from astralytiq.engines.etl.paths import fault_in, records_in

URL = "https://api.example/items?page=1"


def after(
    paging: Paging, page: Page, *, document: Any = None, link: str | None = None, count: int = 1
) -> Page | None:
    return paging.following(page, url=URL, document=document, link=link, count=count)


def test_without_paging_there_is_one_page() -> None:
    assert Paging().first() == {}
    assert Paging().params({}) == {}
    assert after(Paging(), {}) is None


def test_pages_count_up_to_an_empty_one() -> None:
    paging = Paging("page", param="p", start=0, size_param="per_page", size=50)
    assert paging.params(paging.first()) == {"p": 0, "per_page": 50}
    assert after(paging, {"at": 0}, count=3) == {"at": 1}
    assert after(paging, {"at": 1}, count=0) is None
    assert Paging("page").params(Paging("page").first()) == {"page": 1}


def test_offsets_grow_by_what_came_not_by_what_was_asked() -> None:
    paging = Paging("offset", size_param="limit", size=100)
    assert paging.params(paging.first()) == {"offset": 0, "limit": 100}
    assert after(paging, {"at": 0}, count=25) == {"at": 25}
    assert after(paging, {"at": 25}, count=0) is None


def test_cursors_lead_on_until_there_is_none() -> None:
    paging = Paging("cursor", param="after", cursor_path="meta.next")
    assert paging.params(paging.first()) == {}
    assert after(paging, {}, document={"meta": {"next": "abc"}}) == {"at": "abc"}
    assert paging.params({"at": "abc"}) == {"after": "abc"}
    ends: list[Any] = [{"meta": {"next": None}}, {"meta": {"next": ""}}, {"meta": {}}, {}]
    for end in ends:
        assert after(paging, {"at": "abc"}, document=end) is None
    assert after(paging, {}, document={"meta": {"next": 0}}) == {"at": 0}


def test_links_come_from_the_header_or_the_body() -> None:
    header = '<https://api.example/items?page=9>; rel="last", <?page=2>; rel="prefetch next"'
    assert after(Paging("link"), {}, link=header) == {"url": "https://api.example/items?page=2"}
    assert after(Paging("link"), {}, link='</items>; rel="prev"') is None
    assert after(Paging("link"), {}) is None
    body = Paging("link", cursor_path="next")
    assert after(body, {}, document={"next": "/b"}) == {"url": "https://api.example/b"}
    assert after(body, {}, document={"next": None}) is None


def test_only_a_whole_next_is_next() -> None:
    assert next_link("<a>; rel=nextcloud") is None
    assert next_link("<a>; title=next; rel=prev") is None
    assert next_link("<a>; REL=next") == "a"


def test_paths_that_lead_in_circles_are_told() -> None:
    with pytest.raises(ValueError, match="leads to itself"):
        after(Paging("cursor", cursor_path="next"), {"at": "x"}, document={"next": "x"})
    with pytest.raises(ValueError, match="leads to itself"):
        after(Paging("link"), {}, link=f'<{URL}>; rel="next"')
    with pytest.raises(ValueError, match="finds no text or number"):
        after(Paging("cursor", cursor_path="@"), {}, document={"a": 1})


def test_records_are_found_in_the_answer() -> None:
    assert records_in([{"a": 1}], None) == [{"a": 1}]
    assert records_in({"data": {"items": [1]}}, "data.items") == [1]
    assert records_in({"a": 1}, "@") == [{"a": 1}]
    assert records_in({"data": None}, "data", first_page=False) == []
    with pytest.raises(ValueError, match="finds nothing"):
        records_in({"data": []}, "items")
    with pytest.raises(ValueError, match=r"set records_path \(its fields: data, meta\)"):
        records_in({"data": [], "meta": {}}, None)
    with pytest.raises(
        ValueError, match=r"'items' finds nothing, as .* null: check url and params"
    ):
        records_in(None, "items")
    with pytest.raises(ValueError, match=r"'items' finds nothing.* a list: leave records_path out"):
        records_in([{"id": 1}], "items")
    with pytest.raises(ValueError, match=r"'data' .* or null: .* \(its fields: data, meta\)"):
        records_in({"data": None, "meta": 1}, "data")
    with pytest.raises(ValueError, match=r"\(its fields: f0, .*, f19, …\)"):
        records_in({f"f{at}": 1 for at in range(21)}, "data")
    with pytest.raises(ValueError, match="does not fit"):
        records_in({"a": 1}, "length(a)")
    assert fault_in("a[") is not None
    assert fault_in("a[0].b") is None
