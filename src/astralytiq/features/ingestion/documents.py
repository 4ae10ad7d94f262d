"""An answer's JSON; and of one that is none, why: what broke off may be whole the next time."""

import codecs
import re
from typing import Any

import msgspec

from astralytiq.core.addresses import parsed, shown
from astralytiq.core.errors import Invalid
from astralytiq.core.http import MOST_BYTES, Fetched
from astralytiq.core.jobs import Transient
from astralytiq.engines.etl import compressed
from astralytiq.engines.etl.feeds import CHARSET
from astralytiq.engines.etl.lines import AUTO
from astralytiq.engines.etl.paths import named_in

from .checks import known_encoding

DECODER = msgspec.json.Decoder()
ACCEPTED = 202
ERRORS = ("error", "errors", "fault", "exception", "errorMessage", "error_message")
FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MORE_THAN_ONE = "trailing characters"  # behind the document, says the decoder
LINES = frozenset(
    {
        "application/x-ndjson", "application/ndjson", "application/jsonl",
        "application/x-jsonlines", "application/jsonlines", "application/json-lines",
    }
)  # fmt: skip
# By a byte order mark, or by where the zeros stand, as JSON begins with two characters of ASCII
# (or is one digit, which is no page); the longer encodings first.
SIGNS = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"\xff\xfe\0\0|\0\0\xfe\xff", "utf-32"),
        (rb"\0\0\0[^\0]", "utf-32-be"),
        (rb"[^\0]\0\0\0", "utf-32-le"),
        (rb"\xff\xfe|\xfe\xff", "utf-16"),
        (rb"\0[^\0]", "utf-16-be"),
        (rb"[^\0]\0", "utf-16-le"),
    )
)
PLACE = re.compile(r"\(byte (\d+)\)")
NO_NUMBER = re.compile(rb"NaN|Infinity")
HALF = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
# Whole pairs and other escapes first, so that what is left of the halves stands alone.
ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(" + HALF + rb")|\\."
)
REPLACEMENT = rb"\ufffd"


def document_of(url: str, answer: Fetched) -> tuple[Any, int]:
    """The document, and how many halves of letters were replaced in it.

    Programs that cut texts by their length leave halves of emoji, which are no letters: one of
    them must not cost the page.
    """
    body = in_utf8(url, answer)
    read = lines if kind_of(answer) in LINES else msgspec.json.decode
    try:
        return read(body), 0
    except FAULTS as fault:
        if MORE_THAN_ONE in str(fault) and (found := objects_in(body)):
            return found, 0
        mended, count = whole_letters(body)
        if not count:
            raise refusal(url, answer, body, fault) from None
    try:
        return read(mended), count
    except FAULTS as fault:
        raise refusal(url, answer, mended, fault) from None


def kind_of(answer: Fetched) -> str:
    return answer.headers.get("content-type", "nothing").split(";")[0].strip().lower()


def lines(body: bytes) -> list[Any]:
    found: list[Any] = DECODER.decode_lines(body)
    return found


def objects_in(body: bytes) -> list[Any]:
    """Those of JSON lines, which many servers call plain JSON; none if it is anything else."""
    try:
        found = lines(body)
    except FAULTS:
        return []
    return found if {dict}.issuperset(map(type, found)) else []


# Encodings --------------------------------------------------------------------------------------


def in_utf8(url: str, answer: Fetched) -> bytes:
    """JSON is UTF-8 (RFC 8259), whatever its charset says; what cannot be is read as it says."""
    body = plain(url, answer.body).removeprefix(codecs.BOM_UTF8)
    if encoding := next((name for sign, name in SIGNS if sign.match(body)), None):
        return recoded(url, body, encoding)
    charset = charset_of(answer)
    return body if charset is None or is_utf8(body) else recoded(url, body, charset)


def plain(url: str, body: bytes) -> bytes:
    """Of a file that its server sends as it lies there, packed, and does not say so."""
    if not body.startswith((compressed.GZIP, compressed.ZSTD)):
        return body
    try:
        return compressed.whole(body, MOST_BYTES)
    except ValueError as fault:
        raise Invalid(f"{shown(parsed(url))} answered a packed file: {fault}.") from None


def charset_of(answer: Fetched) -> str | None:
    """The encoding that the answer names; None if that is UTF-8, or no encoding."""
    found = CHARSET.search(answer.headers.get("content-type", ""))
    try:
        known = known_encoding(found[1]) if found else "utf-8"
    except ValueError:
        return None
    return None if known in ("utf-8", AUTO) else known


def is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def recoded(url: str, body: bytes, encoding: str) -> bytes:
    try:
        return body.decode(encoding).encode()
    except UnicodeDecodeError as fault:
        words = f"{shown(parsed(url))} answered text that is not {encoding}, as it says it is"
        if "truncated" in fault.reason or fault.reason == "unexpected end of data":
            words = f"{shown(parsed(url))}: its answer, in {encoding}, breaks off"
            raise Transient(f"{words} after {len(body):,} bytes.") from None
        raise Invalid(f"{words} (byte {fault.start:,}): ask its makers for UTF-8.") from None


# Faults -----------------------------------------------------------------------------------------


def whole_letters(body: bytes) -> tuple[bytes, int]:
    count = 0

    def letter(found: re.Match[bytes]) -> bytes:
        nonlocal count
        if found[1] is None:
            return found[0]
        count += 1
        return REPLACEMENT

    return ESCAPES.sub(letter, body), count


def refuse_error(url: str, answer: Fetched, document: Any, page: int) -> None:
    """Of an answer without records: many servers tell an error with status 200, and as an empty
    page it would be the end. It may pass, as most of these do: too many requests, no time."""
    words = f"{shown(parsed(url))} answered page {page} without records, but"
    if answer.status == ACCEPTED:
        raise Transient(f"{words} with status 202: it may not be ready yet.")
    named = document if isinstance(document, dict) else {}
    if any(named.get(name) for name in ERRORS):
        raise Transient(f"{words} with an error {named_in(named)}: open it to see what it says.")


def refusal(url: str, answer: Fetched, body: bytes, fault: Exception) -> Exception:
    words = f"{shown(parsed(url))} did not answer valid JSON (it says {kind_of(answer)!r})"
    if not body.strip():
        return Transient(f"{words}: its answer is empty.")
    if "truncated" in str(fault):
        return Transient(f"{words}: its answer breaks off after {len(body):,} bytes.")
    return Invalid(f"{words}: {reason(body, fault)}.")


def reason(body: bytes, fault: Exception) -> str:
    """In words that show nothing of what was answered, and what to do."""
    if isinstance(fault, RecursionError):
        return "it is nested too deeply: check the url"
    if isinstance(fault, UnicodeDecodeError):
        return (
            f"byte {fault.start:,} of a text is not UTF-8, and its Content-Type names no other "
            "charset: ask its makers to do one or the other"
        )
    if body.lstrip()[:1] == b"<":
        return "it is a web page, or XML: check the url and auth (a feed is of the kind rss)"
    words = str(fault).removeprefix("JSON is malformed: ")
    place = PLACE.search(words)
    found = NO_NUMBER.match(body, int(place[1])) if place else None
    told = f"{found[0].decode()} is no number {place[0]}" if found and place else words
    return f"{told}: check the url"
