"""Refusals a caller may meet. Services raise them; `web.py` words them as problem+json."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with the input, and where it stands."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class AppError(Exception):
    """An expected refusal. `detail` is safe to show and says what to do next.

    `keep` commits what the transaction wrote before the refusal: the trace of a failed sign-in
    must outlive the request that it refuses.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(
        self,
        detail: str,
        *,
        keep: bool = False,
        headers: dict[str, str] | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.keep = keep
        self.headers = headers or {}
        self.faults = faults


class BadRequest(AppError):
    status, title = 400, "Bad request"


class Unauthenticated(AppError):
    status, title = 401, "Not signed in"

    def __init__(self, detail: str, *, keep: bool = False) -> None:
        super().__init__(detail, keep=keep, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(AppError):
    status, title = 403, "Not allowed"


class NotFound(AppError):
    status, title = 404, "Not found"


class Conflict(AppError):
    status, title = 409, "Conflict"


class PreconditionFailed(AppError):
    status, title = 412, "The resource has changed"


class TooLarge(AppError):
    status, title = 413, "Too large"


class UnsupportedMedia(AppError):
    status, title = 415, "Unsupported media type"


class Invalid(AppError):
    status, title = 422, "Invalid input"


class TooMany(AppError):
    status, title = 429, "Too many requests"


class Unavailable(AppError):
    """Something we depend on is away; the same request may work later."""

    status, title = 503, "Unavailable"

    def __init__(self, detail: str, *, retry_after: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class StorageFull(AppError):
    status, title = 507, "Insufficient storage"
