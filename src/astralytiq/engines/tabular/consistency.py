"""Whether a table says one thing in one way: spellings of one category, and ends before starts."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .checks import MOST_EXAMPLES, Example, Fault, Mask, fault, shown
from .profile import LONGEST_TOP, ColumnProfile, TableProfile
from .reading import TIMES, Part, Table

MOST_SPELLINGS = 1000
# A name with the first word and its twin with the second hold a start and an end.
TIME_PAIRS = {
    "start": "end",
    "started": "ended",
    "begin": "end",
    "from": "to",
    "opened": "closed",
    "created": "updated",
    "first": "last",
    "departure": "arrival",
    "min": "max",
}
NUMBER_PAIRS = {"min": "max", "low": "high", "lower": "upper", "minimum": "maximum"}


def folded(text: str) -> str:
    """What spellings have in common: neither case, width, nor how words are joined tell apart."""
    plain = unicodedata.normalize("NFKC", text).strip().casefold()
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", plain)


def has_spellings(column: ColumnProfile) -> bool:
    """A text column of a closed set of words: each comes twice or more on average."""
    texts = column.texts
    return (
        texts is not None
        and texts.looks_like in (None, "bool")
        and 2 <= (column.distinct or 0) <= MOST_SPELLINGS
        and 0 < 2 * len(column.top) <= sum(value.count for value in column.top)
    )


def rare_spellings(table: Table, column: ColumnProfile) -> list[str]:
    """Words that are a rarer way to write another one; of equally common ones, the later."""
    groups: dict[str, Counter[str]] = {}
    for word, count in words_of(table, column).items():
        groups.setdefault(folded(word), Counter())[word] += count
    rare = []
    for group in groups.values():
        trimmed: Counter[str] = Counter()
        for word, count in group.items():
            trimmed[word.strip()] += count
        usual = min(trimmed, key=lambda word: (-trimmed[word], word))
        rare += [word for word in group if word.strip() != usual]
    return sorted(rare)


def words_of(table: Table, column: ColumnProfile) -> Counter[str]:
    counts: Counter[str] = Counter({value.value: value.count for value in column.top})
    if len(counts) == column.distinct and column.texts and column.texts.longest <= LONGEST_TOP:
        return counts
    counts.clear()
    field = table.field(column.name)
    assert field is not None
    for (part,) in table.parts([field]):
        words = part.encoded[0].to_pylist()
        for word, count in zip(words, part.counts.tolist(), strict=True):
            counts[word] += count
        if len(counts) > MOST_SPELLINGS:  # Of a sample, fewer were known.
            return Counter()
    return counts


# Starts and ends --------------------------------------------------------------------------------


def pairs(profile: TableProfile) -> Iterator[tuple[str, str]]:
    """Columns whose names and types say that one must not be greater than the other."""
    kinds = {column.name: column.kind for column in profile.columns}
    for name, kind in kinds.items():
        known = TIME_PAIRS if kind in TIMES else NUMBER_PAIRS if kind in ("int", "float") else {}
        for other in twins(name, known):
            if kinds.get(other) == kind:
                yield name, other


def twins(name: str, known: dict[str, str]) -> Iterator[str]:
    words = re.split(r"([^A-Za-z]+|(?<=[a-z])(?=[A-Z]))", name)
    for place, word in enumerate(words):
        if twin := known.get(word.lower()):
            yield "".join([*words[:place], as_written(twin, word), *words[place + 1 :]])


def as_written(word: str, model: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


def order(table: Table, start: str, end: str) -> Fault:
    """Rows in which the start is greater than the end."""
    fields = [field for field in (table.field(start), table.field(end)) if field is not None]
    checked = failed = 0
    examples: list[Example] = []
    for first, second in table.parts(fields):
        both = first.valid & second.valid
        checked += int(both.sum())
        failing = both & (filled(first) > filled(second))
        failed += int(failing.sum())
        examples += seen(first, second, failing, MOST_EXAMPLES - len(examples))
    detail = f"{start} must not be after {end}."
    if fields[0].kind not in TIMES:
        detail = f"{start} must not be greater than {end}."
    return fault(f"{start}, {end}", "order", detail, failed, checked, examples)


def filled(part: Part) -> Any:
    """One number for each row; where it is null, any."""
    values = np.zeros(len(part), dtype=part.numbers.dtype)
    values[part.valid] = part.numbers
    return values


def seen(first: Part, second: Part, failing: Mask, most: int) -> list[Example]:
    return [
        Example(first.start + at + 1, [shown(part.cells[at].as_py()) for part in (first, second)])
        for at in np.flatnonzero(failing)[:most].tolist()
    ]
