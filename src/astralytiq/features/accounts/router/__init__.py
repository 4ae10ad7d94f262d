"""HTTP doors of the accounts room."""

from . import recovery  # noqa: F401 - it adds doors to those of `auth` and `users`
from .auth import auth
from .keys import api_keys
from .personal import personal
from .users import users

__all__ = ["api_keys", "auth", "personal", "users"]
