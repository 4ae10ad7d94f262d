"""Which page comes first, and which next: decisions only, the fetching is elsewhere.

A page is a JSON object, so that a checkpoint can hold it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urljoin

from astralytiq.engines.etl.paths import search

Style = Literal["none", "page", "offset", "cursor", "link"]
Page = dict[str, Any]

DEFAULT_PARAMS = {"page": "page", "offset": "offset", "cursor": "cursor"}
# What servers answer for a page behind the last, besides an empty one.
ENDS = frozenset({400, 404, 410, 416, 422})
LINK = re.compile(r"<(?P<url>[^>]*)>(?P<params>[^<]*)")
NEXT = re.compile(r";\s*rel\s*=\s*(\"[^\"]*\bnext\b[^\"]*\"|next\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Paging:
    """How a source hands out pages; `cursor_path` is JMESPath.

    `end_statuses`: what it answers in place of a page behind the last.
    """

    style: Style = "none"
    param: str | None = None
    start: int | None = None
    size_param: str | None = None
    size: int | None = None
    cursor_path: str | None = None
    end_statuses: Sequence[int] = ()

    @property
    def counts(self) -> bool:
        """Whether we make up the next page's number, and the source may not have it."""
        return self.style in ("page", "offset")

    def ends_by(self, status: int) -> bool:
        return self.counts and status in self.end_statuses

    def first(self) -> Page:
        starts = {"page": 1, "offset": 0}
        if self.style not in starts:
            return {}
        return {"at": starts[self.style] if self.start is None else self.start}

    def params(self, page: Page) -> dict[str, Any]:
        """The query parameters that ask for `page`."""
        asked: dict[str, Any] = {}
        if self.size_param and self.size:
            asked[self.size_param] = self.size
        if "at" in page:
            asked[self.param or DEFAULT_PARAMS[self.style]] = page["at"]
        return asked

    def following(
        self, page: Page, *, url: str, document: Any, link: str | None, count: int
    ) -> Page | None:
        """The page after this one, which held `count` records; None at the end.

        Numbered pages and offsets end at an empty page: a short one may only mean that the
        server gives fewer than were asked for.
        """
        if self.style == "none":
            return None
        if self.style == "cursor":
            return self._after_cursor(page, document)
        if self.style == "link":
            return self._after_link(url, document, link)
        if count == 0:
            return None
        return {"at": page["at"] + (1 if self.style == "page" else count)}

    def _after_cursor(self, page: Page, document: Any) -> Page | None:
        cursor = search(self.cursor_path or "", document)
        if cursor is None or cursor is False or cursor == "":
            return None
        if isinstance(cursor, (dict, list)):
            raise ValueError(f"cursor_path {self.cursor_path!r} finds no text or number")
        if cursor == page.get("at"):
            raise ValueError(f"the cursor {str(cursor)[:40]!r} leads to itself")
        return {"at": cursor}

    def _after_link(self, url: str, document: Any, link: str | None) -> Page | None:
        found = search(self.cursor_path, document) if self.cursor_path else next_link(link or "")
        if not found:
            return None
        if not isinstance(found, str):
            raise ValueError(f"cursor_path {self.cursor_path!r} finds no address")
        following = urljoin(url, found)
        if following == url:
            raise ValueError("the next link leads to itself")
        return {"url": following}


def next_link(header: str) -> str | None:
    """The target of rel=next in a Link header (RFC 8288)."""
    for found in LINK.finditer(header):
        if NEXT.search(found["params"]):
            return found["url"]
    return None
