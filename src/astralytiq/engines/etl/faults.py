"""Faults that a drill may inject into a run: how they are written, and where they make sense."""

import re
from dataclasses import dataclass

from .normalise import Broken

UNITS = {
    "crash": "batch",
    "timeout": "page",
    "http429": "page",
    "http500": "page",
    "truncate": "page",
    "duplicate": "page",
    "reorder": "page",
    "corrupt": "record",
}
ANSWERS = frozenset({"timeout", "http429", "http500", "truncate"})
FORMS = tuple(f"{kind}@{unit}:N" for kind, unit in UNITS.items())
NUMBER = "[1-9][0-9]{0,8}"
PATTERN = f"^({'|'.join(form[:-2] for form in FORMS)}):{NUMBER}$"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, once: at the batch, page or record of this number, from 1."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}@{UNITS[self.kind]}:{self.number}"


@dataclass(frozen=True)
class Bent(Broken):
    """A whole record that a drill makes a reject of: what is kept of it is as it came."""


def parsed(text: str) -> Fault:
    """ValueError says what can be written."""
    kind, _, rest = text.partition("@")
    unit, _, number = rest.partition(":")
    if UNITS.get(kind) != unit or not re.fullmatch(NUMBER, number):
        raise ValueError(f"{text!r} is no fault: write {', '.join(FORMS)}, with N from 1")
    return Fault(kind, int(number))


def refusal(fault: Fault, source_kind: str, served: bool) -> str | None:
    """Why a source of this kind, `served` by a web server or not, cannot meet `fault`."""
    if fault.kind in ANSWERS and not served:
        possible = ", ".join(form for form in FORMS if form.split("@")[0] not in ANSWERS)
        return f"{fault} needs a server that answers, and files have none: they take {possible}"
    whole = source_kind == "rss" or (source_kind == "csv" and fault.kind in ANSWERS)
    if whole and UNITS[fault.kind] == "page" and fault.number > 1:
        return f"{fault} cannot happen: there is one answer, write {fault.kind}@page:1"
    return None
