"""The cookies of browsers: never readable by scripts, never sent from other sites' forms."""

from fastapi import Request, Response

from .sessions import Access

REFRESH_PATH = "/api/v1/auth"


def is_browser(request: Request) -> bool:
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def give(request: Request, response: Response, access: Access, seconds: int) -> None:
    """Only browsers get cookies: a program keeps the tokens of the answer itself."""
    if not is_browser(request):
        return
    secure = request.url.scheme == "https"
    # A __Host- cookie cannot be planted by a sibling domain; it wants Path=/ and HTTPS.
    prefix = "__Host-" if secure else ""
    for name, value, path, age in (
        ("auth_token", access.access_token, "/", access.expires_in),
        ("refresh_token", access.refresh_token, "/" if secure else REFRESH_PATH, seconds),
    ):
        response.set_cookie(
            f"{prefix}{name}",
            value,
            max_age=age,
            path=path,
            secure=secure,
            httponly=True,
            samesite="lax",
        )


def take_away(response: Response) -> None:
    for name in ("auth_token", "access_token", "refresh_token"):
        response.delete_cookie(name, path="/")
        response.delete_cookie(f"__Host-{name}", path="/", secure=True)
    response.delete_cookie("refresh_token", path=REFRESH_PATH)
