"""Entries of RSS, Atom, RDF and JSON feeds under one set of names, whatever the feed calls them.

Names of every entry: id (guid, else link, else a hash of its content), title, link, summary,
content, author, published, updated, published_at (published, else updated, as ISO 8601),
categories, enclosures; what else a feed says keeps its own name. HTML comes without what could run
in a browser. In a feed that is not well-formed each entry is read by itself: a bad one costs no
other. Entities that a feed declares are left out, so that none can swell or point anywhere.
"""

import codecs
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin
from xml.sax import SAXParseException
from xml.sax.saxutils import escape

import feedparser
import msgspec

from astralytiq.engines.etl.lines import BOMS, KEEP, MARK
from astralytiq.engines.etl.normalise import Broken

FEED_MAPPING: Mapping[Any, str] = {
    "description": "summary",
    "url": "link",
    "category": "categories.0",
}
DECLARATION = re.compile(r"^\s*<\?xml[^>]*?\?>")
ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._:-]+)""", re.IGNORECASE)
ENTITY = re.compile(r"""<!ENTITY(?:"[^"]*"|'[^']*'|[^>"'])*>""", re.IGNORECASE)
START = re.compile(r"<(?:\w+:)?(?:item|entry)(?=[\s>/])", re.IGNORECASE)
END = re.compile(r"</(?:\w+:)?(?:item|entry)\s*>", re.IGNORECASE)
ROOT = re.compile(r"<((?:\w+:)?(?:rss|feed|rdf|channel))(?=[\s>])", re.IGNORECASE)
OURS = frozenset({"author_detail", "authors", "summary_detail", "tags", "title_detail"})
SAYING = ("link", "title", "summary", "content")
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # which XML does not know
LONGEST_SHOWN = 10_000

Entry = dict[str, Any]


@dataclass(frozen=True)
class Feed:
    """What could be read; `fault` says why the feed is not well-formed, None if it is."""

    entries: list[Entry | Broken]
    fault: str | None


def feed_of(body: bytes, address: str, media: str) -> Feed:
    """The feed in an answer, or ValueError with words for the person who gave the address."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return json_feed(body)
    text, fault = text_of(body, media)
    text, declared = ENTITY.subn("", DECLARATION.sub("", text, count=1))
    found = parsed(text, address)
    entries = list(one_by_one(text, address)) if found.fault else found.entries
    if not found.version and not any(isinstance(entry, dict) for entry in entries):
        raise ValueError("is not a feed: it holds neither RSS, Atom, RDF nor a JSON Feed")
    fault = found.fault or fault
    if declared and not fault:
        fault = "it declares entities of its own, which are left out"
    return Feed(entries, fault)


def text_of(body: bytes, media: str) -> tuple[str, str | None]:
    """The text, and what is wrong with its bytes: those that do not fit are read as cp1252."""
    bom = next((BOMS[bom] for bom in BOMS if body.startswith(bom)), None)
    said, served = ENCODING.search(body), CHARSET.search(media)
    named = said[1].decode() if said else served[1] if served else "utf-8"
    encoding = known(bom or named)
    text = body.decode(encoding, KEEP).removeprefix("\ufeff")
    if not MARK.search(text):
        return text, None
    plain = MARK.sub(lambda one: bytes([ord(one[0]) & 0xFF]).decode("cp1252", "replace"), text)
    return plain, f"it holds bytes that are not {encoding}: they are read as cp1252"


def known(encoding: str) -> str:
    """Only codecs of files: others may turn bytes into what is no text."""
    try:
        codec = codecs.lookup(encoding)
        "".encode(codec.name)
    except (LookupError, ValueError):
        return "utf-8"
    return codec.name if codec.name in ("utf-8", "utf-16", "utf-32") else legacy(codec.name)


def legacy(name: str) -> str:
    return "utf-8" if name.startswith(("utf", "idna", "puny", "raw", "unicode")) else name


@dataclass(frozen=True)
class Parsed:
    version: str
    entries: list[Entry | Broken]
    fault: str | None


def parsed(text: str, address: str) -> Parsed:
    # Without the address: feedparser would take an id for part of one.
    said = {"content-type": "application/xml; charset=utf-8"}
    body = text.encode("utf-8", "replace")
    try:
        found = feedparser.parse(io.BytesIO(body), response_headers=said)
    except Exception as crash:  # It stumbles over some damage itself: that costs one entry only.
        return Parsed("", [], f"it cannot be parsed ({type(crash).__name__})")
    entries = [entry_of(dict(one), address) for one in found.get("entries", [])]
    fault = worded(found.get("bozo_exception")) if found.get("bozo") else None
    return Parsed(found.get("version", ""), entries, fault)


def worded(fault: Exception | None) -> str:
    if isinstance(fault, SAXParseException):
        line = (fault.getLineNumber() or 2) - 1  # feedparser puts a declaration above the text
        return f"line {line}: {fault.getMessage()}"
    return str(fault or "it is not XML")


def one_by_one(text: str, address: str) -> Iterator[Entry | Broken]:
    """Each entry as a feed of its own: the head, the entry, and the end of the root."""
    starts = [found.start() for found in START.finditer(text)]
    if not starts:
        return
    head = text[: starts[0]]
    roots = [found[1] for found in ROOT.finditer(head)]
    tail = "".join(f"</{name}>" for name in reversed(roots))
    for start, following in zip(starts, [*starts[1:], len(text)], strict=True):
        end = END.search(text, start, following)
        piece = text[start : end.end() if end else following]
        alone = parsed(head + piece + tail, address).entries
        if alone and not any(isinstance(entry, Broken) for entry in alone):
            yield from alone
        else:
            yield Broken("cannot be read as an entry", {"text": piece[:LONGEST_SHOWN]})


def entry_of(found: dict[str, Any], address: str) -> Entry | Broken:
    """An entry as feedparser gives it, under our names."""
    identity = found.pop("id", None)
    if not identity and not any(found.get(name) for name in SAYING):
        return Broken("holds no id, link, title, summary or content", {})
    contents = [one.get("value", "") for one in found.pop("content", None) or []]
    links = [dict(one) for one in found.pop("links", None) or []]
    link = link_of(found.pop("link", None), found.pop("guidislink", False), links)
    entry = {
        "title": found.pop("title", None),
        "link": joined(address, link),
        "summary": found.pop("summary", None),
        "content": "\n".join(one for one in contents if one) or None,
        "author": found.pop("author", None),
        "published": found.pop("published", None),
        "updated": found.pop("updated", None),
        "categories": [tag["term"] for tag in found.get("tags") or [] if tag.get("term")],
        "enclosures": [
            enclosure_of(one, address) for one in links if one.get("rel") == "enclosure"
        ],
    }
    times = (("published_parsed", "published"), ("updated_parsed", "updated"))
    moments = (moment_of(found.get(parsed), entry[said]) for parsed, said in times)
    entry["published_at"] = next((moment for moment in moments if moment), None)
    rest = {name: value for name, value in found.items() if is_its_own(name)}
    return named({**rest, **entry}, identity)


def is_its_own(name: str) -> bool:
    return name not in OURS and not name.endswith("_parsed")


def link_of(link: str | None, is_guid: bool, links: list[dict[str, Any]]) -> str | None:
    """A guid stands in for a link that is missing, if it looks like one."""
    said = next((one.get("href") for one in links if one.get("rel") == "alternate"), None)
    return said or (None if is_guid and "://" not in (link or "") else link)


def joined(address: str, link: str | None) -> str | None:
    try:
        return urljoin(address, link) if link else None
    except ValueError:
        return link


def enclosure_of(link: dict[str, Any], address: str) -> Entry:
    return {
        "url": joined(address, link.get("href")),
        "type": link.get("type"),
        "length": link.get("length"),
    }


def moment_of(known: Any, said: str | None) -> str | None:
    """ISO 8601 if the feed's date can be understood; else as it stands, to be set aside by name."""
    try:
        return datetime(*known[:6]).isoformat() + "Z" if known else said  # noqa: DTZ001
    except (TypeError, ValueError):
        return said


def named(entry: Entry, identity: Any) -> Entry:
    # Of nothing but its content two entries that say the same are one.
    content = msgspec.json.encode(entry, order="deterministic", enc_hook=str)
    name = identity or entry["link"] or hashlib.sha256(content).hexdigest()
    plain: Entry = msgspec.json.decode(content)
    return {"id": str(name), **plain}


def json_feed(body: bytes) -> Feed:
    try:
        document = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("is not a feed: it begins like JSON, but is not valid JSON") from None
    items = document.get("items")
    if not isinstance(items, list):
        raise ValueError("is not a feed: it is JSON, but has no 'items' as a JSON Feed has")
    # Some feeds leave their version out; an error in JSON may have a list of nothing, too.
    if not items and "version" not in document:
        raise ValueError("is not a feed: it is JSON without 'version', and its 'items' are none")
    return Feed([json_entry(item) for item in items], None)


def harmless(html: Any) -> str | None:
    """Without what could run in a browser, as in feeds that are XML."""
    if not isinstance(html, str) or not html:
        return None
    text = escape(CONTROLS.sub("", html))
    item = f"<item><description>{text}</description></item>"
    found = parsed(f"<rss version='2.0'><channel>{item}</channel></rss>", "")
    entries = [one for one in found.entries if isinstance(one, dict)]
    return entries[0]["summary"] if entries else None


def json_entry(item: Any) -> Entry | Broken:
    if not isinstance(item, dict):
        return Broken("is not an object with named fields", {"value": item})
    found = dict(item)
    authors = found.get("authors") or [found.get("author")]
    first = authors[0] if isinstance(authors, list) else None
    entry = {
        "title": found.pop("title", None),
        "link": found.pop("url", None) or found.get("external_url"),
        "summary": found.pop("summary", None),
        "content": harmless(found.pop("content_html", None)) or found.pop("content_text", None),
        "author": first.get("name") if isinstance(first, dict) else None,
        "published": found.pop("date_published", None),
        "updated": found.pop("date_modified", None),
        "categories": found.pop("tags", None) or [],
        "enclosures": found.pop("attachments", None) or [],
    }
    entry["published_at"] = entry["published"] or entry["updated"]
    identity = found.pop("id", None)
    return named({**{k: v for k, v in found.items() if k != "author"}, **entry}, identity)
