"""Tables of the accounts room. Secrets are stored as hashes: bcrypt, or SHA-256 of random ones."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, Entity, Versioned, new_id, utc_now
from astralytiq.core.security import Role

# Begins an erased account's pseudonym. The colon keeps it free: no name or address can have one so.
ERASED = "erased:"


class User(Versioned):
    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    username: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str | None]
    department: Mapped[str | None]
    role: Mapped[Role]
    password_hash: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    last_login: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return self.full_name or self.username

    @property
    def is_erased(self) -> bool:
        return self.email.startswith(ERASED)

    @property
    def is_superuser(self) -> bool:
        return self.role is Role.admin


class UserSession(Base):
    """One sign-in: the family of refresh tokens that began with it."""

    __tablename__ = "user_sessions"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    device: Mapped[str | None]
    address: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    ended_at: Mapped[datetime | None]


class RefreshToken(Entity):
    """A link of the family's chain. Used once; its child can be derived, so a lost answer can be
    given again."""

    __tablename__ = "refresh_tokens"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("user_sessions.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[str] = mapped_column(unique=True)
    used_at: Mapped[datetime | None]


class Purpose(StrEnum):
    """What a one-time secret is good for; it is good for nothing else."""

    password_reset = "password_reset"
    invite = "invite"
    ws_ticket = "ws_ticket"


class OneTimeToken(Entity):
    """A secret that is used once, soon, and for one purpose: behind a link, or a ticket."""

    __tablename__ = "one_time_tokens"

    purpose: Mapped[Purpose]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    details: Mapped[dict[str, Any]]


class ApiKey(Entity):
    """A key of a device or a service, with some of its owner's scopes."""

    __tablename__ = "api_keys"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[str]
    scopes: Mapped[list[Any]]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
