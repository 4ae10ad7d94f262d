"""HTTP doors of the accounts room."""

from .auth import auth
from .keys import api_keys
from .users import users

__all__ = ["api_keys", "auth", "users"]
