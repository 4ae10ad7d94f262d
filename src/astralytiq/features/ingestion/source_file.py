"""A file of sources, YAML or JSON, as plain data that knows the line of each of its parts.

Only what JSON can say is taken: no tags, no aliases (a few of them unfold to gigabytes), and no
key twice, of which one would be lost without a word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1 << 20
TAG = "tag:yaml.org,2002:"
CRON = " (put a cron rule into quotes: schedule: '*/5 * * * *')"
HINTS = {"scanning an alias": CRON, "\\t": " (indent with spaces, never with tabs)"}


@dataclass(frozen=True)
class Mistake:
    line: int
    words: str


class Unreadable(Exception):
    """All that is wrong with the file as a file."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(f"line {one.line}: {one.words}" for one in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Listing:
    """What such a file says, and where."""

    content: dict[str, Any]
    root: yaml.Node

    def line(self, place: Sequence[str | int]) -> int:
        """Where `place` stands, or the nearest thing around it."""
        node = self.root
        for part in place:
            node = inner(node, part) or node
        return int(node.start_mark.line) + 1


def inner(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None


def read(path: Path) -> Listing:
    """The file; `Unreadable` with every reason, OSError if it cannot be opened."""
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Unreadable(Mistake(1, "more than 1 MB: split the file"))
    try:
        return parsed(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable(Mistake(1, "not UTF-8 text")) from None
    except RecursionError:
        raise Unreadable(Mistake(1, "nested too deeply")) from None
    except yaml.YAMLError as error:
        raise Unreadable(worded(error)) from None


def parsed(text: str) -> Listing:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    mistakes = list(anchors(text))
    content = None if mistakes or root is None else plain(root, mistakes)
    if not mistakes and not isinstance(content, dict):
        mistakes.append(Mistake(1, "begin with 'sources:' and a list"))
    if mistakes or root is None or not isinstance(content, dict):
        raise Unreadable(*mistakes)
    return Listing(content, root)


def anchors(text: str) -> Iterator[Mistake]:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            yield Mistake(event.start_mark.line + 1, f"write out what *{event.anchor} stands for")


def plain(node: yaml.Node, mistakes: list[Mistake]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return mapping(node, mistakes)
    if isinstance(node, yaml.SequenceNode):
        return [plain(item, mistakes) for item in node.value]
    return scalar(node, mistakes)


def mapping(node: yaml.MappingNode, mistakes: list[Mistake]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == f"{TAG}merge":
            mistakes.append(Mistake(key.start_mark.line + 1, "a key must be plain text"))
            continue
        if key.value in found:
            mistakes.append(Mistake(key.start_mark.line + 1, f"{key.value!r} stands here twice"))
        found[key.value] = plain(value, mistakes)
    return found


def scalar(node: yaml.Node, mistakes: list[Mistake]) -> Any:
    kind = node.tag.removeprefix(TAG)
    if kind in ("str", "timestamp"):
        return node.value
    if kind in ("null", "bool", "int", "float"):
        value = yaml.SafeLoader("").construct_object(node)
        if value in (None, True, False) or abs(value) < float("inf"):
            return value
    mistakes.append(Mistake(node.start_mark.line + 1, f"{node.value!r} is no plain value"))
    return None


def worded(error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    words = str(getattr(error, "problem", None) or "no YAML: a character that text cannot hold")
    about = f"{getattr(error, 'context', '')} {words}"
    hint = next((hint for sign, hint in HINTS.items() if sign in about), "")
    return Mistake(mark.line + 1 if mark else 1, f"{words}{hint}")
