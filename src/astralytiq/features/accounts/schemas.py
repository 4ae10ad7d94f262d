"""What the accounts doors take in and give out."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, EmailStr, Field, model_validator

from astralytiq.core.schemas import Answer, Body
from astralytiq.core.security import PASSWORD_BYTES, Role


def short_enough(password: str) -> str:
    if len(password.encode()) > PASSWORD_BYTES:
        raise ValueError(f"at most {PASSWORD_BYTES} bytes in UTF-8: bcrypt would ignore the rest")
    return password


Password = Annotated[str, Field(min_length=8), AfterValidator(short_enough)]
Username = Annotated[str, Field(min_length=3, max_length=50, pattern=r"^[\w.@+-]+$")]


class Registration(Body):
    email: EmailStr
    username: Username
    password: Password
    full_name: Annotated[str | None, Field(max_length=200)] = None


class UserCreate(Registration):
    role: Role = Role.analyst


class Credentials(Body):
    """An account by email or username. No password rule applies at sign-in."""

    email: str | None = None
    username: str | None = None
    password: str

    @model_validator(mode="after")
    def names_somebody(self) -> Self:
        if not (self.email or self.username):
            raise ValueError("give 'email' or 'username'")
        return self

    @property
    def account(self) -> str:
        return self.email or self.username or ""


class UserRead(Answer):
    id: int
    email: str
    username: str
    name: str
    full_name: str | None
    role: Role
    department: str | None
    is_active: bool
    is_superuser: bool
    created_at: datetime
    updated_at: datetime
    last_login: datetime | None


class SignedIn(Answer):
    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="seconds until the access token expires")
    user: UserRead
