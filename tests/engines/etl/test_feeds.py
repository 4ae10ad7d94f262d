"""Feeds of every kind, and what only calls itself one."""

import json
from html import unescape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.engines.etl.feeds import Feed, feed_of
from astralytiq.engines.etl.normalise import Broken

AT = "https://example.org/feeds/all"
RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>Shop</title>{}</channel></rss>"""
ITEM = """<item><guid isPermaLink="false">a1</guid><title>One &amp; two</title><link>/one</link>
<description>Short</description><content:encoded>&lt;p&gt;Long&lt;/p&gt;</content:encoded>
<dc:creator>Ann</dc:creator><pubDate>Sat, 31 Jan 2026 14:00:00 +0200</pubDate>
<category>News</category><category>Other</category>
<enclosure url="/a.mp3" length="12" type="audio/mpeg"/></item>"""
LAUGHS = """<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY file SYSTEM "file:///etc/hostname">]>"""
FEEDS: dict[str, str] = {
    "rss-0.91": '<rss version="0.91"><channel><item><title>T</title><link>http://e.org/1</link>'
    "<description>D</description></item></channel></rss>",
    "rss-0.92": '<rss version="0.92"><channel><item><title>T</title><link>http://e.org/1</link>'
    "<description>D</description></item></channel></rss>",
    "rss-1.0": '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns="http://purl.org/rss/1.0/"><channel rdf:about="c"/><item rdf:about="http://e.org/1">'
    "<title>T</title><link>http://e.org/1</link><description>D</description></item></rdf:RDF>",
    "rss-2.0": RSS.format(
        "<item><title>T</title><guid>http://e.org/1</guid><description>D</description></item>"
    ),
    "atom-1.0": '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>http://e.org/1</id>'
    '<title>T</title><link href="http://e.org/1"/><summary>D</summary></entry></feed>',
    "json-1.1": json.dumps(
        {
            "version": "https://jsonfeed.org/version/1.1",
            "items": [{"url": "http://e.org/1", "title": "T", "summary": "D"}],
        }
    ),
}


def read(text: str | bytes, media: str = "") -> Feed:
    return feed_of(text.encode() if isinstance(text, str) else text, AT, media)


def only(feed: Feed) -> dict[str, Any]:
    (entry,) = feed.entries
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize("kind", FEEDS)
def test_every_kind_of_feed_has_the_same_names(kind: str) -> None:
    feed = read(FEEDS[kind])
    entry = only(feed)
    assert feed.fault is None
    said = {name: entry[name] for name in ("id", "title", "link", "summary")}
    assert said == {
        "id": "http://e.org/1", "title": "T", "link": "http://e.org/1", "summary": "D"
    }  # fmt: skip


def test_an_entry_keeps_all_that_it_says() -> None:
    assert only(read(RSS.format(ITEM))) == {
        "id": "a1",
        "title": "One & two",
        "link": "https://example.org/one",
        "summary": "Short",
        "content": "<p>Long</p>",
        "author": "Ann",
        "published": "Sat, 31 Jan 2026 14:00:00 +0200",
        "updated": None,
        "published_at": "2026-01-31T12:00:00Z",
        "categories": ["News", "Other"],
        "enclosures": [
            {"url": "https://example.org/a.mp3", "type": "audio/mpeg", "length": "12"}
        ],
    }  # fmt: skip


def test_a_json_entry_keeps_all_that_it_says() -> None:
    item = {
        "id": 7, "external_url": "http://e.org/x", "content_text": "Long", "tags": ["News"],
        "authors": [{"name": "Ann"}], "date_modified": "2026-01-31T12:00:00Z", "_extra": {"a": 1},
    }  # fmt: skip
    feed = read(json.dumps({"items": [item, 7]}))
    entry, broken = feed.entries
    assert isinstance(entry, dict)
    assert (entry["id"], entry["link"], entry["content"]) == ("7", "http://e.org/x", "Long")
    assert (entry["author"], entry["categories"]) == ("Ann", ["News"])
    assert (entry["published_at"], entry["_extra"]) == ("2026-01-31T12:00:00Z", {"a": 1})
    assert broken == Broken("is not an object with named fields", {"value": 7})


def test_without_an_id_the_link_names_an_entry_and_without_both_its_content() -> None:
    linked = only(read(RSS.format("<item><title>T</title><link>/x</link></item>")))
    assert linked["id"] == "https://example.org/x"
    plain = [only(read(RSS.format(f"<item><title>{t}</title></item>"))) for t in ("a", "a", "b")]
    assert plain[0]["id"] == plain[1]["id"] != plain[2]["id"]
    assert len(plain[0]["id"]) == 64


def test_in_a_feed_that_is_not_well_formed_a_bad_entry_costs_no_other() -> None:
    items = ITEM + "<item><title>Fish & chips</title><guid>2</guid></item>"
    items += "<item><guid>3</guid><title>three</title></item><item><gui"
    feed = read(RSS.format(items)[: -len("</channel></rss>")])
    assert feed.fault
    assert "line" in feed.fault
    first, second, third, cut = feed.entries
    assert first == only(read(RSS.format(ITEM)))
    assert isinstance(second, dict)
    assert (second["id"], second["title"]) == ("2", "Fish & chips")
    assert isinstance(third, dict)
    assert third["id"] == "3"
    assert cut == Broken("cannot be read as an entry", {"text": "<item><gui"})


def test_an_entry_that_says_nothing_is_set_aside() -> None:
    assert read(RSS.format("<item/>")).entries == [
        Broken("holds no id, link, title, summary or content", {})
    ]


def test_a_feed_without_entries_is_a_feed() -> None:
    assert read(RSS.format("")) == Feed([], None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_22_entities_neither_swell_nor_lead_anywhere(encoding: str) -> None:
    text = RSS.format("<item><guid>1</guid><title>&c;&file;</title></item>")
    feed = read(text.replace("<rss", LAUGHS + "<rss", 1).encode(encoding))
    assert feed.fault
    assert len(only(feed)["title"]) < 20


def test_22_markup_that_could_run_is_taken_out() -> None:
    bad = "&lt;b onclick='x()'&gt;B&lt;script&gt;x()"
    item = f"<item><guid>1</guid><description>{bad}</description></item>"
    in_json = {"items": [{"id": 1, "content_html": "\x01" + unescape(bad)}]}
    summary = only(read(RSS.format(item)))["summary"]
    content = only(read(json.dumps(in_json)))["content"]
    assert summary == content
    assert summary.startswith("<b>B")
    assert "x()" not in summary


@pytest.mark.parametrize(
    ("declared", "media", "encoding"),
    [
        ("windows-1252", "", "cp1252"),
        ("", "application/xml; charset=iso-8859-1", "latin-1"),
        ("", "", "cp1252"),
        ("utf-7", "", "utf-8"),
        ("no-such", "", "utf-8"),
    ],
)
def test_encodings_are_declared_served_or_repaired(
    declared: str, media: str, encoding: str
) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    text = head + '<rss version="2.0"><channel><item><title>Grün</title></item></channel></rss>'
    feed = read(text.encode(encoding), media)
    assert only(feed)["title"] == "Grün"
    assert (feed.fault is None) == bool(declared or media)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body><p>Not found</p></body></html>", "neither RSS, Atom, RDF nor"),
        (b"", "neither RSS"),
        (b"hello", "neither RSS"),
        (b'{"items": NaN}', "not valid JSON"),
        (b'{"error": "sign in first", "items": []}', "without 'version'"),
        (b'{"a": 1}', "no 'items'"),
        (b'{"items": ' + b"[" * 10_000, "not valid JSON"),
        (b"{\xff}", "not valid JSON"),
    ],
)
def test_what_is_no_feed_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(body)


def test_dates_that_cannot_be_understood_stay_as_they_stand() -> None:
    entry = only(read(RSS.format("<item><guid>1</guid><pubDate>soon</pubDate></item>")))
    assert (entry["published"], entry["published_at"]) == ("soon", "soon")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, len(RSS) + len(ITEM)), st.binary(max_size=4))
def test_no_damage_does_more_than_a_refusal(at: int, put: bytes) -> None:
    whole = RSS.format(ITEM).encode()
    try:
        feed = read(whole[:at] + put + whole[at + 1 :])
    except ValueError:
        return
    for entry in feed.entries:
        json.dumps(entry.payload if isinstance(entry, Broken) else entry)
