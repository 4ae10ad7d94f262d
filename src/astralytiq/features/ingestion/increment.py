"""What one run of a source with a `cursor_field` has to read, and how far it got.

The state of a source: closed intervals of cursor values of which everything was read. A run adds
its own when it has succeeded, never before; until then what it has seen goes with each batch's
position. Rows on the edge of an interval may tie with rows that came later: they are read again,
and those that were stored are known by their hashes. The hashes only spare work: whatever is read
twice, the upsert stores once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from operator import attrgetter
from typing import Any

import msgspec

from astralytiq.core.errors import Invalid
from astralytiq.engines.etl.cursor_values import Point, Written, before, point_of, signpost
from astralytiq.engines.etl.intervals import merged, reached
from astralytiq.engines.etl.paths import pick

from .batches import Batch
from .checks import asks_by_cursor
from .service import Spec

STATE = "cursor"
MOST_REMEMBERED = 500  # rows on the edge; what is more is read again
# Read in another way than by these, a source may have other records at the same cursor values.
WAY = (
    "kind", "url", "path", "method", "headers", "params", "body", "records_path", "primary_key",
    "cursor_field",
)  # fmt: skip

Interval = tuple[Point | None, Point]
State = dict[str, Any]
encoded = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True)
class Remembered:
    """A row on the edge, by the hash of its content."""

    digest: str
    point: Point


class Increment:
    """`intervals`: what earlier runs have read; `known`: their rows on the edge, by identity."""

    def __init__(self, spec: Spec, state: State, began: datetime) -> None:
        assert spec.cursor_field
        self.field = spec.cursor_field
        keys = spec.primary_key
        self.keys = [keys] if isinstance(keys, str) else keys or []
        self.lag = spec.cursor_lag or 0
        self.began = began
        self.way = way_of(spec)
        self.start = None if spec.cursor_start is None else point_of(spec.cursor_start)
        self.intervals = intervals_in(state) if state.get("way") == self.way else []
        self.known = remembered_in(state) if self.intervals else {}
        self.kind = kind_of(self.start, self.intervals)
        if any(high.kind != self.kind for _, high in self.intervals):
            self.intervals, self.known = [], {}
        self.edges = [(low, self.back(high)) for low, high in self.intervals]
        self.asks = asks_by_cursor(*(getattr(spec, name, None) for name in WAY))
        self.bookmark = self.reading_from() if self.asks else None
        self.high: Point | None = None
        self.remembered: dict[str, Remembered] = {}
        self.skipped = self.unordered = 0

    def back(self, point: Point) -> Point:
        return before(point, self.lag) if self.lag and point.kind != "text" else point

    def reading_from(self) -> Point | None:
        found = reached(self.intervals, self.start)
        if found is None:
            return None
        back = self.back(found)
        return back if self.start is None else max(self.start, back)

    # Batches --------------------------------------------------------------------------------------

    def sift(self, batch: Batch) -> Batch:
        """Only what is new of the batch, in the order in which batches are read."""
        payloads = list(batch.payloads)  # They may have to be read from JSON: once is enough.
        points = [self.point(payload) for payload in payloads]
        self.kind = self.kind or commonest(points)
        if self.kind == "text" and self.lag:
            raise Invalid(
                f"{self.field!r} holds text, which cursor_lag cannot go back in: drop it."
            )
        pairs = [
            (payload, point if point and point.kind == self.kind else None)
            for payload, point in zip(payloads, points, strict=True)
        ]
        fresh = [
            payload
            for payload, point in pairs
            if point is None or not self.was_read(payload, point)
        ]
        self.skipped += len(pairs) - len(fresh)
        self.unordered += sum(point is None for _, point in pairs)
        self.note(pairs)
        kept = fresh if len(fresh) < len(payloads) else batch.payloads
        return replace(batch, payloads=kept, position=batch.position | {STATE: self.progress()})

    def point(self, payload: Any) -> Point | None:
        if not isinstance(payload, dict):
            return None
        found = payload.get(self.field)
        return point_of(pick(payload, self.field) if found is None else found)

    def was_read(self, payload: Any, point: Point) -> bool:
        if self.start and point < self.start:
            return True
        for low, edge in self.edges:
            if point.key < edge.key and (low is None or low <= point):
                return True
        if not self.known:
            return False
        found = self.known.get(self.identity(payload))
        return found is not None and found.digest == digest_of(payload)

    def note(self, pairs: Sequence[tuple[Any, Point | None]]) -> None:
        first = self.start.key if self.start else None
        own = [
            (payload, point)
            for payload, point in pairs
            if point is not None and (first is None or first <= point.key)
        ]
        if not own:
            return
        high = max((point for _, point in own), key=attrgetter("key"))
        self.high = high if self.high is None else max(self.high, high)
        edge = self.back(signpost(self.high, self.began))
        self.remembered = {
            identity: row for identity, row in self.remembered.items() if edge <= row.point
        }
        for payload, point in own:
            if edge.key <= point.key:
                self.remember(payload, point)

    def remember(self, payload: Any, point: Point) -> None:
        identity = self.identity(payload)
        if identity in self.remembered or len(self.remembered) < MOST_REMEMBERED:
            self.remembered[identity] = Remembered(digest_of(payload), point)

    def identity(self, payload: Any) -> str:
        keys = [pick(payload, key) for key in self.keys]
        return digest_of(keys if keys else payload)[:16]

    # What is kept ---------------------------------------------------------------------------------

    @property
    def asked(self) -> Written | None:
        """What stands for `{cursor}` in the requests."""
        return written(self.bookmark)

    def progress(self) -> State:
        """For an attempt that goes on after this batch."""
        return {
            "kind": self.kind,
            "bookmark": written(self.bookmark),
            "high": written(self.high),
            "remembered": rows_of(self.remembered),
            "skipped": self.skipped,
            "unordered": self.unordered,
        }

    def go_on(self, progress: State) -> None:
        """With the bookmark of the first attempt: by another one its pages would be others."""
        self.kind = progress["kind"]
        self.bookmark, self.high = read(progress["bookmark"]), read(progress["high"])
        self.remembered = remembered_in(progress)
        self.skipped, self.unordered = progress["skipped"], progress["unordered"]

    def state(self) -> State:
        """After a run that has read all that the source has from its bookmark on."""
        intervals, remembered = self.intervals, self.remembered
        if self.high:
            end = signpost(self.high, self.began)
            intervals = merged([*intervals, (self.bookmark or self.start, end)])
        elif not self.unordered:
            remembered = self.known
        return {
            "way": self.way,
            "intervals": [[written(low), written(high)] for low, high in intervals],
            "remembered": rows_of(remembered),
        }


def way_of(spec: Spec) -> str:
    return digest_of(spec.model_dump(mode="json", include=set(WAY)))


def digest_of(content: Any) -> str:
    return sha256(encoded(content)).hexdigest()[:32]


def kind_of(start: Point | None, intervals: Sequence[Interval]) -> str | None:
    if start:
        return start.kind
    return intervals[0][1].kind if intervals else None


def commonest(points: Sequence[Point | None]) -> str | None:
    kinds = Counter(point.kind for point in points if point)
    return kinds.most_common(1)[0][0] if kinds else None


def written(point: Point | None) -> Written | None:
    return point.written if point else None


def read(value: Written | None) -> Point | None:
    return None if value is None else point_of(value)


def intervals_in(state: State) -> list[Interval]:
    found = [(read(low), read(high)) for low, high in state["intervals"]]
    return [(low, high) for low, high in found if high]


def rows_of(remembered: Mapping[str, Remembered]) -> dict[str, list[Any]]:
    return {name: [row.digest, row.point.written] for name, row in remembered.items()}


def remembered_in(state: State) -> dict[str, Remembered]:
    found = {name: (digest, point_of(at)) for name, (digest, at) in state["remembered"].items()}
    return {name: Remembered(digest, at) for name, (digest, at) in found.items() if at}
