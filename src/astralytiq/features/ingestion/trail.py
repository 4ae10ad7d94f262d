"""The pages that an attempt has been to: a server that leads in a circle would be read for ever."""

import hashlib

import msgspec

from astralytiq.core.addresses import parsed, shown
from astralytiq.core.errors import Invalid
from astralytiq.core.jobs import Transient
from astralytiq.engines.etl.paging import Page

from .schemas import ApiSource

SAME_AT_MOST = 10  # pages one after another with the same records; logs may well have two


class Trail:
    def __init__(self, source: ApiSource, page: Page | None) -> None:
        self._address = shown(parsed(source.url))
        self._been = {named(page)}
        self._likeness = b""
        self._alike = 0

    def follow(self, page: Page | None, records: list[object]) -> None:
        """On to `page` after one that held `records`."""
        self._refuse_the_same(records)
        if page is None:
            return
        if (name := named(page)) in self._been:
            raise Invalid(
                f"{self._address} leads back to a page that has been read already, so it has no "
                "end: check pagination (cursor_path, param), or ask its makers."
            )
        self._been.add(name)

    def _refuse_the_same(self, records: list[object]) -> None:
        """A server that ignores the page's number, and writes the time into each answer."""
        if not records:
            return
        try:
            likeness = digest([len(records), *records[:1], *records[-1:]])
        except RecursionError:  # Too deep for our writer: such a record becomes a reject.
            likeness = b""
        self._alike = self._alike + 1 if likeness and likeness == self._likeness else 1
        self._likeness = likeness
        if self._alike >= SAME_AT_MOST:
            raise Transient(
                f"{self._address} answers the same records again and again: check pagination.param."
            )


def named(page: Page | None) -> bytes:
    return digest(page)


def digest(value: object) -> bytes:
    """Short, for there may be millions of them."""
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=16).digest()
