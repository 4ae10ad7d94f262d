"""From a payload, whatever its source, to the fields of one record.

`source_id` is the text of the primary key; of several fields, a JSON list of their texts; without
a primary key, the content hash. `content_hash` is the SHA-256 of all fields as canonical JSON.
`entity_id` names the same real-world thing across sources: the SHA-256 of its normalised address
(`normal_url`) if it has one, else of source and source_id.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from astralytiq.engines.etl.paths import pick, tree_of, without
from astralytiq.engines.etl.values import as_moment, as_text

MOMENT = "published_at"
FIELDS = ("title", "description", "content", "author", "published_at", "url", "category")
LONGEST_ID = 500
DEEPEST = 100
DEFAULT_PORTS = {"http": 80, "https": 443}
PLAIN_URL = re.compile(r"https?://([a-z0-9.-]+(?:/[^?#\s]*)?)")  # nearly all: spare the parser
NUL = b"\\u0000"
FLAT = frozenset({str, int, float, bool, type(None)})

Fields = dict[str, Any]
canonical = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True)
class Broken:
    """Something in a record's place that is no record: a ragged row, a number in a list."""

    reason: str
    payload: dict[str, Any]


class Normaliser:
    """Turns payloads of one source into records.

    A field of a record that `mapping` does not name takes the payload's field of its own name.
    Every payload field that is not mapped goes to `metadata`, through `convert`; with `let_in` only
    those named there.
    """

    def __init__(
        self,
        source: str,
        mapping: Mapping[str, str],
        primary_key: Iterable[str] = (),
        convert: Callable[[Any], Any] | None = None,
        let_in: frozenset[str] | None = None,
    ) -> None:
        self.source = source
        self.paths = {field: mapping.get(field, field) for field in FIELDS}
        self.primary_key = tuple(primary_key)
        self.convert = convert
        self.let_in = let_in
        self.nested = any("." in path for path in self.paths.values())
        self._mapped_from = frozenset(self.paths.values())
        self._texts = [(f, path) for f, path in self.paths.items() if f != MOMENT]
        self._moment = self.paths[MOMENT]
        # Nearly all sources have one plain field as their key.
        plain = len(self.primary_key) == 1 and "." not in self.primary_key[0]
        self.one_key = self.primary_key[0] if plain else None
        self._named_by_key = f"{source}\n"

    def one(self, payload: Any) -> Fields:
        """The record of a payload, or ValueError with the reason."""
        if isinstance(payload, Broken):
            raise ValueError(payload.reason)
        if not isinstance(payload, dict):
            raise ValueError("is not an object with named fields")
        refuse_deep(payload)
        record = self._mapped(payload)
        record["metadata"] = self._metadata(payload)
        content = canonical(record)
        if NUL in content:
            refuse_nul(content)
        record["content_hash"] = digest = sha256(content).hexdigest()
        record["source"] = self.source
        record["source_id"] = key = self.key_of(payload) if self.primary_key else digest
        record["entity_id"] = self.entity_of(key, record["url"])
        return record

    def keeps(self, name: str) -> bool:
        """Whether the field goes to `metadata`."""
        return name not in self._mapped_from and (self.let_in is None or name in self.let_in)

    def entity_of(self, key: str, url: str | None) -> str:
        name = (normal_url(url) if url else None) or self._named_by_key + key
        return sha256(name.encode()).hexdigest()

    def key(self, payload: dict[str, Any]) -> str | None:
        """The primary key of a payload that may be no record otherwise."""
        try:
            return self.key_of(payload) if self.primary_key else None
        except ValueError:
            return None

    def _mapped(self, payload: dict[str, Any]) -> Fields:
        record: Fields = {}
        find = (lambda path: found(payload, path)) if self.nested else payload.get
        for field, path in self._texts:
            value = find(path)
            if value and type(value) is str:
                record[field] = value
            elif value is None or value == "":
                record[field] = None
            else:
                record[field] = mapped(field, path, value)
        moment = find(self._moment)
        absent = moment is None or moment == ""
        record[MOMENT] = None if absent else mapped(MOMENT, self._moment, moment)
        return record

    def _metadata(self, payload: dict[str, Any]) -> dict[str, Any]:
        kept, taken = payload, self._mapped_from
        if self.let_in is not None:
            kept = {name: payload[name] for name in payload if name in self.let_in}
        if self.nested:
            kept, taken = without(kept, tree_of(payload, taken)), frozenset[str]()
        convert = self.convert
        if convert is None:
            return {name: value for name, value in kept.items() if name not in taken}
        return {name: convert(value) for name, value in kept.items() if name not in taken}

    def key_of(self, payload: dict[str, Any]) -> str:
        if self.one_key:
            value = payload.get(self.one_key)
            if type(value) is str and 0 < len(value) <= LONGEST_ID:
                return value
        parts = [key_part(path, pick(payload, path)) for path in self.primary_key]
        key = parts[0] if len(parts) == 1 else canonical(parts).decode()
        if len(key) > LONGEST_ID:
            raise ValueError(f"the primary key has more than {LONGEST_ID} characters")
        return key


def found(payload: dict[str, Any], path: str) -> Any:
    return pick(payload, path) if "." in path else payload.get(path)


def mapped(field: str, path: str, value: Any) -> Any:
    try:
        return as_moment(value) if field == MOMENT else as_text(value)
    except ValueError as fault:
        raise ValueError(f"{field} (from {path!r}): {fault}") from None


def key_part(path: str, value: Any) -> str:
    try:
        text = as_text(value)
    except ValueError as fault:
        raise ValueError(f"primary key {path!r}: {fault}") from None
    if text is None:
        raise ValueError(f"primary key {path!r} is missing or empty")
    return text


def refuse_deep(payload: dict[str, Any]) -> None:
    """What is nested deeper than anything people write would break those who read it back."""
    if FLAT.issuperset(map(type, payload.values())):
        return
    level: list[Any] = [value for value in payload.values() if isinstance(value, (dict, list))]
    for _ in range(DEEPEST):
        if not level:
            return
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    raise ValueError(f"is nested more than {DEEPEST} levels deep")


def refuse_nul(content: bytes) -> None:
    """PostgreSQL's text holds no NUL character, so that no database of ours takes one."""
    if NUL in content and NUL in content.replace(b"\\\\", b""):
        raise ValueError("contains a NUL character")


def as_object(payload: Any) -> dict[str, Any]:
    if isinstance(payload, Broken):
        return payload.payload
    return payload if isinstance(payload, dict) else {"value": payload}


def showable(payload: Any) -> dict[str, Any]:
    """What a reject shows of its payload: all of it, unless no JSON writer could."""
    whole = as_object(payload)
    try:
        refuse_deep(whole)
    except ValueError as fault:
        return {"not_shown": f"{fault}: the raw payload has it"}
    shown: dict[str, Any] = storable(whole)
    return shown


def storable(value: Any) -> Any:
    """The payload of a reject with NUL shown as U+FFFD; the raw payload keeps it."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def normal_url(url: str) -> str | None:
    """One spelling of a web address; None if it is none.

    http and https are the same; host in lower case without default port or sign-in; no fragment,
    no final slash, no `utm_` parameters, the others sorted.
    """
    if plain := PLAIN_URL.fullmatch(url):
        return "https://" + plain[1].rstrip("/")
    try:
        parts = urlsplit(url.strip())
        scheme, port = parts.scheme.lower(), parts.port
    except ValueError:
        return None
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    host = parts.hostname if port in (None, DEFAULT_PORTS[scheme]) else f"{parts.hostname}:{port}"
    asked = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode(sorted(pair for pair in asked if not pair[0].lower().startswith("utm_")))
    return f"https://{host}{parts.path.rstrip('/')}" + (f"?{query}" if query else "")
