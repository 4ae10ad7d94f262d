"""What single fields of a source must be. A message never repeats what may be a secret."""

import codecs
import re
from typing import Any
from urllib.parse import urlsplit

from astralytiq.core import schedules
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Invalid
from astralytiq.core.settings import Settings
from astralytiq.engines.etl import faults
from astralytiq.engines.etl.cursor_values import FARTHEST, Written, point_of, seconds_of
from astralytiq.engines.etl.lines import AUTO
from astralytiq.engines.etl.paths import fault_in

# Secrets belong in `auth`, by reference; the rest would break the request or its address check.
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
OUR_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "te"})
OUR_HEADERS |= {"if-none-match", "if-modified-since"}
SECRET_PARAMS = re.compile(r"pass(word|wd)|secret|token$|api_?key|^key$", re.IGNORECASE)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OURS = ("astralytiq_", "aws_")  # The second are what object storage signs its calls with.
KEPT = "secret:"  # what the platform keeps itself
SECRET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
CURSOR = "{cursor}"  # in a request of an API: the bookmark
# Codecs of text, but of no file: what they read may be no text at all.
NO_FILES = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"})


def plain_name(name: str) -> str:
    if not SOURCE_NAME.fullmatch(name):
        raise ValueError("use a-z, 0-9, - and _, with a letter or digit first, as in shop-orders")
    return name


def known_encoding(name: str) -> str:
    if name == AUTO:
        return name
    try:
        "".encode(name)
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        known = ""
    if not known or known in NO_FILES:
        raise ValueError("not a text encoding: try auto, utf-8, cp1252 or latin-1")
    return known


def one_delimiter(delimiter: str) -> str:
    if delimiter in '\r\n"\x00':
        raise ValueError("a delimiter cannot be a quote or a line break")
    if len(delimiter) > 1 and delimiter != AUTO:
        raise ValueError("give one character, or auto")
    return delimiter


def distinct_names(header: bool | str | list[str]) -> bool | str | list[str]:
    if isinstance(header, list) and len(set(header)) < len(header):
        raise ValueError("names a column more than once")
    return header


def secret_reference(reference: str) -> str:
    """`env:NAME` or `secret:NAME`. A message never repeats what was sent: it may be a secret."""
    if reference.startswith(KEPT) and SECRET_NAME.fullmatch(reference.removeprefix(KEPT)):
        return reference
    found = re.fullmatch(r"env:([A-Za-z_][A-Za-z0-9_]*)", reference)
    if found is None:
        raise ValueError("give a reference, 'env:NAME' or 'secret:NAME', never the secret itself")
    name = found[1].lower()
    if name.startswith(OURS) or name in Settings.model_fields:
        raise ValueError("this variable is a setting of the platform: use one of its own")
    return reference


def expression(text: str) -> str:
    if fault := fault_in(text):
        raise ValueError(f"not a JMESPath expression: {fault}")
    return text


def web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("not a web address") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("give a whole address that begins with http:// or https://")
    if parts.username or parts.password:
        raise ValueError("leave user and password out: use auth with a secret reference")
    for name in re.findall(r"(?:^|&)([^=&]+)", parts.query):
        refuse_secret_param(name)
    return url


def plain_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in SECRET_HEADERS:
            raise ValueError(f"{name} holds a secret: use auth with a secret reference")
        if name.lower() in OUR_HEADERS or not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be set")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name} must be printable ASCII")
    return headers


def plain_params(params: dict[str, Any]) -> dict[str, Any]:
    for name in params:
        refuse_secret_param(name)
    return params


def plain_body(body: dict[str, Any]) -> dict[str, Any]:
    level: list[Any] = [body]
    while level:
        objects = [one for one in level if isinstance(one, dict)]
        for name in (name for one in objects for name in one):
            refuse_secret_param(name)
        lists = [inner for one in level if isinstance(one, list) for inner in one]
        level = lists + [inner for one in objects for inner in one.values()]
    return body


def known_fault(fault: str) -> str:
    return str(faults.parsed(fault))


def known_rule(rule: str) -> str:
    try:
        schedules.next_time(rule, utc_now())
    except Invalid as refusal:
        raise ValueError(refusal.detail) from None
    return rule


def comparable(value: Written) -> Written:
    if point_of(value) is None:
        raise ValueError("give a time, a number or a short text")
    return value


def known_lag(lag: str | float) -> str | float:
    if isinstance(lag, str):
        seconds_of(lag)
    elif not 0 <= lag <= FARTHEST:
        raise ValueError(f"give a number from 0 to {FARTHEST}")
    return lag


def asks_by_cursor(*parts: Any) -> bool:
    """Whether a text in them says where the bookmark belongs."""
    level = list(parts)
    while level:
        if any(isinstance(one, str) and CURSOR in one for one in level):
            return True
        lists = [inner for one in level if isinstance(one, list) for inner in one]
        level = lists + [inner for one in level if isinstance(one, dict) for inner in one.values()]
    return False


def refuse_secret_param(name: str) -> None:
    if SECRET_PARAMS.search(name):
        raise ValueError(f"{name} looks like a secret: use auth of type query with a reference")
