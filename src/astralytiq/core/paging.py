"""Pages of lists: what is asked for, and what an answer says of the others (RFC 8288)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response

MOST = 1000
Item = TypeVar("Item")


@dataclass(frozen=True)
class Page:
    limit: int
    offset: int

    def links(self, url: Any, total: int) -> str:
        last = max(0, (total - 1) // self.limit * self.limit)
        offsets = {"first": 0, "last": last}
        if self.offset + self.limit < total:
            offsets["next"] = self.offset + self.limit
        if self.offset > 0:
            # From beyond the end one page back would be as empty.
            offsets["prev"] = max(0, min(self.offset - self.limit, last))
        bare = url.remove_query_params("skip")
        return ", ".join(
            f'<{relative(bare.include_query_params(limit=self.limit, offset=at))}>; rel="{rel}"'
            for rel, at in offsets.items()
        )


def relative(url: Any) -> str:
    return f"{url.path}?{url.query}"


async def page_asked(
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    offset: Annotated[int, Query(ge=0, lt=1 << 53)] = 0,
    skip: Annotated[
        int | None, Query(ge=0, lt=1 << 53, description="another name of offset")
    ] = None,
) -> Page:
    return Page(limit, offset if skip is None else skip)


PageAsked = Annotated[Page, Depends(page_asked)]


def paged(
    request: Request, response: Response, page: Page, every: Sequence[Item]
) -> Sequence[Item]:
    """The page of a list that is short enough to be read whole."""
    describe_page(request, response, page, len(every))
    return every[page.offset : page.offset + page.limit]


def describe_page(request: Request, response: Response, page: Page, total: int) -> None:
    response.headers["X-Total-Count"] = str(total)
    response.headers["Link"] = page.links(request.url, total)
