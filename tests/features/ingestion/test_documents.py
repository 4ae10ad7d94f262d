"""What an answer's bytes are: its encoding, JSON or JSON lines, packed or not."""

import gzip
from typing import Any

import httpx2
import pytest

from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetched
from astralytiq.core.jobs import Transient
from astralytiq.engines.etl.paths import records_in
from astralytiq.features.ingestion.documents import document_of, refuse_error

URL = "https://example.org/items"
PLAIN = "application/json"
TITLE = "caf\u00e9 \u20ac"
BODY = '[{"id": 1, "title": "' + TITLE + '"}]'


def answered(body: bytes, kind: str = PLAIN, status: int = 200) -> Fetched:
    return Fetched(URL, httpx2.Headers({"Content-Type": kind}), body, status)


def read(body: bytes, kind: str = PLAIN) -> Any:
    return document_of(URL, answered(body, kind))[0]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (BODY.encode("utf-16"), PLAIN),
        (BODY.encode("utf-32"), PLAIN),
        (b"\xfe\xff" + BODY.encode("utf-16-be"), PLAIN),
        (BODY.encode("utf-16-le"), "application/json; charset=utf-16"),
        (BODY.encode("utf-16-be"), PLAIN),
        (BODY.encode("utf-32-le"), PLAIN),
        (BODY.encode("utf-32-be"), PLAIN),
        (BODY.encode("cp1252"), "application/json; charset=windows-1252"),
        (BODY.encode("iso8859-15"), 'text/plain; charset="ISO-8859-15"'),
        # What is UTF-8 is that, whatever a server writes over all it has.
        (BODY.encode(), "text/html; charset=iso-8859-1"),
        (BODY.encode(), "application/json; charset=nonsense"),
        # Of a server that sends a file as it lies there.
        (gzip.compress(BODY.encode()), "application/gzip"),
    ],
)
def test_an_answer_is_read_in_the_encoding_that_it_has(body: bytes, kind: str) -> None:
    assert read(body, kind) == [{"id": 1, "title": TITLE}]


@pytest.mark.parametrize(
    ("body", "kind", "refusal", "words"),
    [
        (BODY.encode("cp1252"), PLAIN, Invalid, "names no other charset: ask its makers"),
        (BODY.encode("cp1252"), f"{PLAIN}; charset=us-ascii", Invalid, "text that is not ascii"),
        (BODY.encode("utf-16")[:-9], PLAIN, Transient, "in utf-16, breaks off after"),
        (BODY.encode("utf-32")[:-9], PLAIN, Transient, "in utf-32, breaks off after"),
        (gzip.compress(BODY.encode())[:-9], PLAIN, Invalid, "a packed file: it is cut off"),
        (b'{"id": 1}\n{"id": 2, "ti', "application/x-ndjson", Transient, "off after 23 bytes"),
        (b'{"id": 1}\n[2]', PLAIN, Invalid, "trailing characters"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(
    body: bytes, kind: str, refusal: type[Exception], words: str
) -> None:
    with pytest.raises(refusal, match=words):
        read(body, kind)


@pytest.mark.parametrize(
    ("body", "kind", "found"),
    [
        (b'{"id": 1}\n{"id": 2}\n', "application/x-ndjson", 2),
        (b'{"id": 1}\r\n\r\n{"id": 2}', PLAIN, 2),
        (b'{"id": 1}\n', "application/jsonl; charset=utf-8", 1),
        (b'{"id": 1}\n{"id": 2, "title": "\\ud83d"}', "application/ndjson", 2),
        (b"", "application/x-ndjson", 0),
    ],
)
def test_json_lines_are_read(body: bytes, kind: str, found: int) -> None:
    assert [one["id"] for one in read(body, kind)] == [1, 2][:found]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"id": 1}, r"set records_path \(its fields: id\), to '@' if it is one record"),
        (5, "the answer is a number, not a list"),
        ("closed", "the answer is text, not a list"),
        (None, "the answer is null, not a list: check url"),
    ],
)
def test_an_answer_that_is_no_list_is_told(document: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        records_in(document, None)


@pytest.mark.parametrize(
    ("document", "is_error"),
    [
        ({"data": [], "errors": [{"message": "x"}]}, True),
        ({"error": "too many"}, True),
        ({"data": None, "fault": {"code": 1}}, True),
        ({"data": [], "errors": [], "error": None}, False),
        ({"data": []}, False),
        ([], False),
        (None, False),
    ],
)
def test_an_error_in_place_of_records_is_known(document: Any, is_error: bool) -> None:
    if not is_error:
        refuse_error(URL, answered(b""), document, 2)
        return
    with pytest.raises(Transient, match="answered page 2 without records, but with an error"):
        refuse_error(URL, answered(b""), document, 2)
