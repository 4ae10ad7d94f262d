"""Tables of the accounts room."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Versioned
from astralytiq.core.security import Role


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
    def is_superuser(self) -> bool:
        return self.role is Role.admin
