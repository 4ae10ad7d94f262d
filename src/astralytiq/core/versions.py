"""The version of a thing that an answer shows (ETag), and the one a caller knows (If-Match)."""

from typing import Protocol

from fastapi import Request, Response

from astralytiq.core.errors import PreconditionFailed

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class HasVersion(Protocol):
    @property
    def version(self) -> int: ...


def etag(entity: HasVersion) -> str:
    return f'"{entity.version}"'


def mark(response: Response, entity: HasVersion, beside: object = None) -> None:
    """Name the version that this answer shows; `beside`: what else stands in it, and may change
    while the version does not. A change asks for the version alone."""
    tag = etag(entity)
    response.headers["ETag"] = tag if beside is None else f'{tag[:-1]}-{beside}"'


def refuse_stale(request: Request, entity: HasVersion) -> None:
    """Refuse a change of a version other than the one the caller saw (If-Match)."""
    wanted = request.headers.get("if-match")
    if wanted and wanted != "*" and etag(entity) not in map(version_in, tags_in(wanted)):
        raise PreconditionFailed("It has changed since you read it: read it again, then change it.")


def unless_known(request: Request, response: Response) -> Response:
    """304 when the caller has this version already (If-None-Match)."""
    wanted = request.headers.get("if-none-match")
    if not wanted or request.method not in SAFE_METHODS:
        return response
    tag = response.headers.get("etag")
    if not tag:
        return response
    if wanted != "*" and tag not in tags_in(wanted):
        return response
    return Response(status_code=304, headers={"ETag": tag})


def version_in(tag: str) -> str:
    """The tag without what stands beside the version."""
    return tag.split("-")[0].removesuffix('"') + '"'


def tags_in(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
