"""Cross-site request forgery: cookies come along by themselves, so they need a second proof.

The token is a signed double submit, bound to the session (OWASP CSRF cheat sheet): a random part
and its HMAC over the session. Another site can neither read nor make one.
"""

import hmac
import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import Request

from astralytiq.core.errors import Forbidden
from astralytiq.core.web import app_resources

HEADER = "x-csrf-token"
OWN_SITES = frozenset({"same-origin", "none"})


def make(key: str, session_id: str) -> str:
    nonce = secrets.token_hex(16)
    return f"{nonce}.{signature(key, session_id, nonce)}"


def signature(key: str, session_id: str, nonce: str) -> str:
    content = f"csrf\x00{session_id}\x00{nonce}"
    return hmac.digest(key.encode(), content.encode(), "sha256").hex()


def is_valid(keys: Sequence[str], session_id: str, token: str) -> bool:
    nonce, _, signed = token.partition(".")
    return any(
        hmac.compare_digest(signed.encode(), signature(key, session_id, nonce).encode())
        for key in keys
    )


def is_ours(request: Request) -> bool:
    """Whether the request comes from one of our own pages, or from no page at all."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if origin in app_resources(request).settings.cors_origins:
        return True
    if site is not None and site not in OWN_SITES:  # Also our own name over plain HTTP.
        return False
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def refuse_forged(request: Request, session_id: str | None) -> None:
    """A cookie alone changes nothing: it needs our own origin and the session's token."""
    if not is_ours(request):
        raise Forbidden("This request comes from another site: its cookie counts for nothing here.")
    keys = app_resources(request).settings.signing_keys
    token = request.headers.get(HEADER, "")
    if session_id is None or not is_valid(keys, session_id, token):
        raise Forbidden(
            "Send the header X-CSRF-Token with a token of GET /api/v1/auth/csrf-token: "
            "a cookie alone may not change anything."
        )
