"""An answer's JSON; and of one that is none, why: what broke off may be whole the next time."""

import re
from typing import Any

import msgspec

from astralytiq.core.addresses import parsed, shown
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetched
from astralytiq.core.jobs import Transient

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
    body = answer.body.removeprefix(BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(body), 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        mended, count = whole_letters(body)
        if not count:
            raise refusal(url, answer, body, fault) from None
    try:
        return msgspec.json.decode(mended), count
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise refusal(url, answer, mended, fault) from None


def whole_letters(body: bytes) -> tuple[bytes, int]:
    count = 0

    def letter(found: re.Match[bytes]) -> bytes:
        nonlocal count
        if found[1] is None:
            return found[0]
        count += 1
        return REPLACEMENT

    return ESCAPES.sub(letter, body), count


def refusal(url: str, answer: Fetched, body: bytes, fault: Exception) -> Exception:
    kind = answer.headers.get("content-type", "nothing").split(";")[0]
    words = f"{shown(parsed(url))} did not answer valid JSON (it says {kind!r})"
    if not body.strip():
        return Transient(f"{words}: its answer is empty.")
    if "truncated" in str(fault):
        return Transient(f"{words}: its answer breaks off after {len(body):,} bytes.")
    return Invalid(f"{words}: {reason(body, fault)}: check the url.")


def reason(body: bytes, fault: Exception) -> str:
    """In words that show nothing of what was answered."""
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, UnicodeDecodeError):
        return f"byte {fault.start:,} of a text is not UTF-8"
    words = str(fault).removeprefix("JSON is malformed: ")
    place = PLACE.search(words)
    found = NO_NUMBER.match(body, int(place[1])) if place else None
    return f"{found[0].decode()} is no number {place[0]}" if found and place else words
