"""What a run and its source's server say to each other: attempts, waits, and what is unchanged.

An address, never its query, which may hold a key; a page by its number in the run.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec

from astralytiq.core.http import Attempt, Watcher, direct_transport

from .models import Checkpoint

MOST_NOTED = 1000  # of one attempt at a run: a million pages are not a million events
MOST_ADDRESSES = 100
STATE = "validators"
LONGEST = 1000  # characters of what a server says to name a version of an answer
CONDITIONS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}

Happening = dict[str, Any]
Validators = dict[str, dict[str, str]]


def nothing() -> None: ...


@dataclass
class Calls(Watcher):
    """`known`: what the server said of its answers in the run before, by address."""

    known: Validators = field(default_factory=dict)
    checked: Callable[[], None] = nothing
    transport: Callable[[], httpx2.AsyncBaseTransport] = direct_transport
    secret: str = field(default="", repr=False)  # that we keep and the source refers to
    page: int = 1
    unchanged: bool = False
    _learned: Validators = field(default_factory=dict)
    _noted: list[Happening] = field(default_factory=list)
    _count: int = 0

    def attempted(self, attempt: Attempt) -> None:
        said = f"answered {attempt.status}" if attempt.status else attempt.trouble
        again = f", to be asked again in {attempt.wait:.1f} s" if attempt.wait else ""
        details = {
            "page": self.page,
            "address": attempt.address,
            "attempt": attempt.number,
            "status": attempt.status,
            "wait_seconds": round(attempt.wait, 3),
        }
        self.note("attempt", f"Page {self.page}: {attempt.address} {said}{again}.", details)

    def held(self, address: str, seconds: float) -> None:
        details = {"page": self.page, "address": address, "wait_seconds": round(seconds, 3)}
        self.note("wait", f"Waits {seconds:.1f} s: the limit of {address} is reached.", details)

    def check(self) -> None:
        self.checked()

    def note(self, kind: str, message: str, details: Happening, *, always: bool = False) -> None:
        self._count += 1
        if always or self._count <= MOST_NOTED:
            self._noted.append({"kind": kind, "message": message, "details": details})

    @property
    def noted(self) -> list[Happening]:
        """What happened, until it is stored for good and forgotten here."""
        return list(self._noted)

    def forget(self, count: int) -> None:
        del self._noted[:count]

    def conditions(self, address: str) -> dict[str, str]:
        """The headers that ask for `address` only if it has changed."""
        known = self.known.get(name_of(address), {})
        return {CONDITIONS[name]: value for name, value in known.items()}

    def learn(self, address: str, headers: Mapping[str, str]) -> None:
        found = {name: headers.get(name, "") for name in CONDITIONS}
        said = {name: value for name, value in found.items() if 0 < len(value) <= LONGEST}
        if said and len(self._learned) < MOST_ADDRESSES:
            self._learned[name_of(address)] = said

    @property
    def learned(self) -> Validators:
        """What the next run may ask with, once this one has stored all it read."""
        return self.known if self.unchanged else self._learned


def name_of(address: str) -> str:
    """Addresses may hold what is nobody's business."""
    return hashlib.sha256(address.encode()).hexdigest()


def take_known(checkpoint: Checkpoint | None, spec: Mapping[str, Any]) -> Validators:
    """What the last run was told of its answers, if it read in the same way and succeeded.

    It is gone from the checkpoint until this run has succeeded, too: a run that fails half-way may
    have stored a state of the source that is no longer there.
    """
    if checkpoint is None:
        return {}
    state = dict(checkpoint.state)
    kept = state.pop(STATE, {})
    checkpoint.state = state
    known: Validators = kept["answers"] if kept.get("reading") == reading(spec) else {}
    return known


def keep_learned(checkpoint: Checkpoint, spec: Mapping[str, Any], learned: Validators) -> None:
    checkpoint.state = checkpoint.state | {STATE: {"reading": reading(spec), "answers": learned}}


def reading(spec: Mapping[str, Any]) -> str:
    """Names a way to read: in another way, the same answer may become other records."""
    return hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()
