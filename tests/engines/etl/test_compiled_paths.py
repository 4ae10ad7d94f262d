"""Fields within fields, addresses and times of all kinds: the kernel makes what Python makes."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astralytiq.engines.etl.compiled import kernel_of
from astralytiq.engines.etl.payloads import Payloads
from astralytiq.features.ingestion import preparing
from astralytiq.features.ingestion.preparing import Preparer, Way
from tests.engines.etl.test_compiled_rows import broken, drawn, none, same, scalar, seen, way_of

PATHS = (
    "a.b", "a.b.c", "a.b.b", "a", "a.c", "a.0", "a.1.b", "a.01", "a.²", "a..b", ".", "a.", ".a",
    "é.a", 'q".b', "b.a", "id", "a.b.c.d", "0.0", "b\\.a",
)  # fmt: skip
STEPS = st.sampled_from(("a", "b", "c", "", "0", "é", 'q"', "a.b", "b.a", "id", "d", "a\n"))
inner = st.recursive(
    scalar,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(STEPS, below, max_size=4),
    max_leaves=12,
)
nested = st.dictionaries(STEPS | st.sampled_from(("url", "published_at", "title")), inner)
paths = st.sampled_from(PATHS)
fields = st.sampled_from(("title", "author", "url", "published_at", "content"))
mappings = st.dictionaries(fields, paths, max_size=4)
keys = st.lists(paths, max_size=3, unique=True)
let_in = st.none() | st.lists(STEPS, max_size=4, unique=True)

PARTS = (
    "http:", "https:", "HTTPS:", "ftp:", "//", "/", "?", "#", "&", "=", "+", "%", "%20", "%c3%bc",
    "%C3", "%ed%a0%80", "%2B", "%26", "%00", "utm_source=x", "UTM_a", "utm", "%75tm_b=1", "a=1",
    "b=2", "a=0", "a", "b", "ü", "\u00a0", "\u2009", "\u3000", "日", " ", "\t", '"', "\\", ":80",
    ":443", ":8443", ":", ":x", ":99999", ":007", "@", "u:p@", "[", "]", "[::1]", "example.org",
    "EXAMPLE.org", "ex_ample", "K", ";", "~", "*", "..", "\x7f",
)  # fmt: skip
QUERIES = (
    "", "utm_source=rss&utm_medium=rss", "b=2&a=1", "a=1&a=0", "a&b=", "=", "&&", "a=b=c",
    "a+b=c d", "q=%C3%BC", "q=ü", "q=%zz%4", "x=%E2%82%AC&x=€", "id=7#top", "UTM_Source=1&z",
    "a=1;b=2", "%", "utm=1&utmost=2&%55tm_=3", "q=%ed%a0%80", "q=%f4%90%80%80", "q=%f0%8f%bf%bf",
    "q=%c1%81", "q=%e0%9f%bf", "q=%c3x%bc", "q=%f0%9f%98%80",
)  # fmt: skip
addresses = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
usual = st.builds(
    "{}{}{}/{}?{}".format,
    st.sampled_from(("http://", "https://", "HTTP://", " https://")),
    st.sampled_from(("", "user@", "u:p@")),
    st.sampled_from(("example.org", "Example.org:443", "a:80", "ü.org", "a", "", ":80")),
    st.sampled_from(("", "a", "a/", "a//", "ü", "a b", "%7E")),
    st.sampled_from(QUERIES) | st.lists(st.sampled_from(PARTS), max_size=8).map("".join),
)

DATES = (
    "Sat, 31 Jan 2026 08:00:00 GMT", "Sat, 31 Jan 2026 08:00:00 +0100", "31 Jan 2026 08:00 UTC",
    "1 Feb 2024 23:59:59 -0500", "Xat, 31 Jan 2026 08:00:00 GMT", "Sat,31 Jan 2026 08:00:00 GMT",
    "Sat, 31 Jan 26 08:00:00 GMT", "Sat, 31 Jan 2026 08:00:00 EST", "Sat, 31 Jan 2026 08:00:00 PDT",
    "Sat, 31 Jan 2026 08:00:00", "Sat, 31 Jan 2026 08:00:00 -0000", "Sat, 30 Feb 2026 08:00:00 GMT",
    "Sat, 31 Jan 2026 08:00:00.5 GMT", "Sat, 31 Jan 2026 08:00:00.0 GMT", "Sat 31 Jan 2026 08:00",
    "Sat, 31 Jan 2026 08:00:00 Z", "Sat, 31 Jan 2026 08:00:00 +01:00", "31 jan 2026 08:00:00 GMT",
    "Sat, 31 Jan 0999 08:00:00 GMT", "Sat, 31 Jan 2026 08:00:00 +0160",
    "Sat, 31 Jan 2026 24:00 GMT", "Sat, 31 Jan 2026 08:00:00 GMTX",
    "Fri, 31 Dec 9999 23:00:00 -0800", "Sat, 7 Mar 2026 8:00 GMT",
    "Wed Oct 10 20:19:24 +0000 2018", "2026-01-31T08:00:00+0000", "2026-01-31T08:00:00.123-0530",
    "2026-01-31 08:00:00+00", "2026-01-31T08:00-07", "2026-01-31T08:00:00+2400", "2026-01-31T08+02",
    "20260131T080000Z", "20260131", "20260131T0800+01", "20260131 080000.5-0100", "20260231",
    "2026-01-31T0800:00", "2026-01-31T08:0000", "20260131T08", "202601-31", "2026-0131",
    "Sat, 31 Jan 2026 0800 GMT", "Sat, 31 Jan 2026 080000 GMT", "2026-01-31T080000,5", "20260131T",
    "2026-01-31T08:00:00+02:", "2026-01-31T08:00:00+020", "2026-01-31T08:00:00+02:0000",
    1700000000, 1700000000.0, 1700000000.25, 1700000000.1234565, 1700000000000, 1700000000123,
    1700000000123.4567, 0, -1, 0.5, 1e11, 99999999999, 99999999999.5, 253402300799,
    253402300799999, 253402300800000, 2**53, 2**63, 1e300, 1e-7, 4.9e-7, 5e-7, 1.5e-6, 2.5e-6,
    1234567890.9999995, True, False,
)  # fmt: skip
numbers = st.floats(0, 3e11) | st.integers(-(10**12), 3 * 10**14) | st.floats(0, 4e14)
moments = st.builds(
    "{:02}{}{} {} {:02}:{:02}{} {}".format,
    st.integers(0, 32),
    st.sampled_from(" -"),
    st.sampled_from(("Jan", "Feb", "Jun", "Dec", "Mai")),
    st.integers(1, 9999),
    st.integers(0, 24),
    st.integers(0, 60),
    st.sampled_from(("", ":00", ":59", ":60")),
    st.sampled_from(("GMT", "UTC", "EST", "+0230", "-1200", "-0000", "UT", "+2400", "")),
)


def api(for_sqlite: bool = True, **other: Any) -> Way:
    return way_of(for_sqlite, cells=False, **other)


@settings(max_examples=80, deadline=None)
@given(st.lists(nested | broken, min_size=1, max_size=5), mappings, keys, let_in, st.booleans())
@example([{"a": {"b": {}}}, {"a": {}}, {"a": {"b": 1}}], {"title": "a.b.c"}, [], None, True)
@example([{"a": [1, 2]}], {"title": "a.0000000001", "author": "a.01"}, ["a.1"], None, True)
@example([{"a.b": 2, "a": {"b": 1}}], {"title": "a.b"}, ["a.b"], None, True)
@example([{"a": {"b": 1}, "a.b": 2}], {"title": "a.b"}, ["a.b"], ["a"], False)
@example(
    [{"a": {"b": {"c": "x", "b": "y"}}}], {"title": "a.b.c", "author": "a.b.b"}, [], None, True
)
@example([{"a": {"b": "x", "c": 1.5}}], {"title": "a", "author": "a.b"}, [], None, True)
def test_drawn_objects_within_objects(
    payloads: list[Any],
    mapping: dict[str, str],
    key: list[str],
    allowed: list[str] | None,
    for_sqlite: bool,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        same(api(for_sqlite, mapping=mapping, primary_key=key, let_in=allowed), payloads, patch)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.dictionaries(paths | drawn, st.sampled_from(("x", "7", "", "2026"))), min_size=1),
    mappings,
    keys,
)
def test_columns_with_a_dot_in_their_names(
    payloads: list[Any], mapping: dict[str, str], key: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        same(way_of(mapping=mapping, primary_key=key), payloads, patch)


@settings(max_examples=50, deadline=None)
@given(st.lists(addresses | usual, min_size=1, max_size=20))
@example([f"https://a.example/?{query}" for query in QUERIES])
@example(["https://a.example/?" + "&".join(f"a{n}={-n}" for n in range(size)) for size in (64, 65)])
def test_drawn_addresses(found: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        same(api(), [{"id": at, "url": one} for at, one in enumerate(found)], patch)


@settings(max_examples=30, deadline=None)
@given(st.lists(moments | numbers, min_size=1, max_size=20))
@example(list(DATES))
def test_drawn_times(found: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        same(api(), [{"id": at, "published_at": one} for at, one in enumerate(found)], patch)


@pytest.mark.parametrize("for_sqlite", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        '{"id":1,"x":{"n":1.50,"m":[1E2,-0]},"y":2}',
        '{"id":1,"a":{"b":"x","c":1,"b":"y"}}',
        '{"id":1,"a":{"b":"x","c":1,"c":2}}',
        '{"id":1,"a":{"b":"x"},"a":{"b":"y"}}',
        '{"id":1,"a":{"b":"x","c":[ 1]}}',
        '{"id":1,"a":{"b":"x","\\u0063":1}}',
        '{"id":1,"a":{"b":"\\u0041"}}',
    ],
)
def test_json_that_our_encoder_would_not_write(text: str, for_sqlite: bool) -> None:
    for allowed in (None, ["y"]):
        way = api(for_sqlite, mapping={"title": "a.b"}, let_in=allowed)
        held = Payloads([f"[{text}]".encode()], [1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preparing, "MOST_LEFT", 1)
            assert seen(Preparer(way).prepare(held)) == seen(Preparer(way, none).prepare(held))


USUAL: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"user": {"login": "ann", "id": 1, "plan": None}, "tags": ["x"]}, {"author": "user.login"}),
    ({"a": {"b": {"c": "x"}}, "urls": [{"u": "y"}]}, {"title": "a.b.c", "content": "urls.0.u"}),
    ({"user": None}, {"author": "user.login"}),
    ({"url": "https://example.org/a?utm_source=rss&id=7&b=x+y%C3%BC#top"}, {}),
    ({"url": "HTTP://Example.org:80/grün/"}, {}),
    ({"url": "/relative"}, {}),
    ({"published_at": "Sat, 31 Jan 2026 08:00:00 +0100"}, {}),
    ({"published_at": "2026-01-31T08:00:00.000+0000"}, {}),
    ({"published_at": "20260131T080000Z"}, {}),
    ({"published_at": 1700000000}, {}),
    ({"published_at": 1700000000.5}, {}),
    ({"published_at": 1700000000123}, {}),
]


@pytest.mark.parametrize(("payload", "mapping"), USUAL)
def test_what_is_usual_is_left_to_nobody(payload: dict[str, Any], mapping: dict[str, str]) -> None:
    kernel = kernel_of(api(mapping=mapping).normaliser(), for_sqlite=True)
    assert kernel
    made = kernel.made(Payloads.of([{"id": 1} | payload]))
    assert made
    assert (len(made.ids), made.left) == (1, [])
