"""Asks an API for one page after the other; and what a refusal means: the end, or a fault."""

from dataclasses import dataclass
from typing import Any

from astralytiq.core.addresses import origin, parsed, shown
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetched, Fetcher, Refused, Request
from astralytiq.core.jobs import Transient
from astralytiq.engines.etl.paging import ENDS, Page, Paging

from .calls import Calls
from .schemas import ApiSource

SIGN_IN = frozenset({401, 403})


@dataclass(frozen=True)
class Asker:
    """`headers` and `params` are sent with each page: the secret is in them."""

    fetcher: Fetcher
    source: ApiSource
    paging: Paging
    headers: dict[str, str]
    params: dict[str, Any]
    calls: Calls

    async def ask(self, page: Page) -> Fetched | None:
        """The page; None if there are no more."""
        is_first = page == self.paging.first()
        try:
            return await self._fetch(page)
        except Transient as trouble:
            raise trouble if is_first else Transient(f"Page {self.calls.page}: {trouble}") from None
        except Refused as refusal:
            if is_first:
                raise
            if not self.paging.ends_by(refusal.answered):
                raise Invalid(self._worded(refusal.answered)) from None
            return await self._make_sure(page, refusal.answered)

    async def _make_sure(self, page: Page, status: int) -> Fetched | None:
        """A server that has lost its way for a while says so of each page: believe only one that
        still has its first page, and says it twice. Else what follows would be lost."""
        try:
            await self._fetch(self.paging.first())
        except Refused as refusal:
            raise Transient(
                f"{self._address} answered {status} for page {self.calls.page}, and now "
                f"{refusal.answered} for its first page, too: that is no end of its pages."
            ) from None
        try:
            return await self._fetch(page)
        except Refused as refusal:
            if not self.paging.ends_by(refusal.answered):
                raise Invalid(self._worded(refusal.answered)) from None
        words = f"Page {self.calls.page}: {status} means that there are no more pages."
        self.calls.note("end", words, {"page": self.calls.page, "status": status})
        return None

    async def _fetch(self, page: Page) -> Fetched:
        source, asked = self.source, self.paging.params(page)
        if "url" not in page and source.body is not None:
            request = Request("POST", self.headers, source.body | asked)
            return await self.fetcher.fetch(source.url, request, self.params)
        request = Request(source.method, self.headers, source.body)
        if "url" not in page:
            return await self.fetcher.fetch(source.url, request, {**self.params, **asked})
        refuse_elsewhere(source, page["url"])
        auth = source.auth if source.auth and source.auth.type == "query" else None
        secret = {auth.name: self.params[auth.name]} if auth and auth.name else None
        return await self.fetcher.fetch(page["url"], request, secret)

    @property
    def _address(self) -> str:
        return shown(parsed(self.source.url))

    def _worded(self, status: int) -> str:
        """Why a page after the first was refused, most likely."""
        words = f"{self._address} answered {status} for page {self.calls.page}, after pages that "
        if status in SIGN_IN:
            return (
                f"{words}it gave: the sign-in may have expired meanwhile. Renew it, and have the "
                "job tried again: it goes on at this page."
            )
        if status in ENDS and self.paging.counts:
            return (
                f"{words}it gave. If that is how it says that there are no more, set "
                f"pagination.end_statuses to [{status}]; else ask its makers."
            )
        if status in ENDS:
            return (
                f"{words}it gave, although it had named this page itself: it may have forgotten "
                "its place. Run it again: a new run begins at the first page."
            )
        return f"{words}it gave: check url, params and headers."


def refuse_elsewhere(source: ApiSource, url: str) -> None:
    if origin(parsed(url)) != origin(parsed(source.url)):
        raise Invalid(
            f"{shown(parsed(source.url))} names its next page on another server "
            f"({shown(parsed(url))}), where the sign-in must not be sent: make that the "
            "url, or set pagination.style to page, offset or cursor."
        )
