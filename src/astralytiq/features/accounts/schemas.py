"""What the accounts doors take in and give out."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, EmailStr, Field, StringConstraints, model_validator

from astralytiq.core.schemas import Answer, Body, Moment
from astralytiq.core.security import PASSWORD_BYTES, Role


def short_enough(password: str) -> str:
    if len(password.encode()) > PASSWORD_BYTES:
        raise ValueError(f"at most {PASSWORD_BYTES} bytes in UTF-8: bcrypt would ignore the rest")
    return password


# A secret is taken exactly as it is sent; other text loses the blanks around it.
AsSent = Annotated[str, StringConstraints(strip_whitespace=False)]
Password = Annotated[AsSent, Field(min_length=8), AfterValidator(short_enough)]
Username = Annotated[str, Field(min_length=3, max_length=50, pattern=r"^[A-Za-z0-9_.@+-]+$")]


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
    password: AsSent

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


class SelfChange(Body):
    """What people change of themselves; a role is not among it."""

    email: EmailStr | None = None
    username: Username | None = None
    full_name: Annotated[str | None, Field(max_length=200)] = None
    department: Annotated[str | None, Field(max_length=200)] = None

    @model_validator(mode="after")
    def keeps_its_names(self) -> Self:
        for name in ("email", "username"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be empty")
        return self


class UserChange(SelfChange):
    role: Role = Role.viewer
    is_active: bool = True


class PasswordChange(Body):
    old_password: AsSent
    new_password: Password


class PasswordReset(Body):
    new_password: Password


class ForgottenPassword(Body):
    email: Annotated[str, Field(min_length=1, max_length=320)]


class NewPassword(Body):
    token: Annotated[str, Field(min_length=1, max_length=200, description="of a one-time link")]
    new_password: Password


class Invitation(Body):
    email: EmailStr
    username: Annotated[Username | None, Field(description="made of the email if left out")] = None
    full_name: Annotated[str | None, Field(max_length=200)] = None
    role: Role = Role.analyst


class LinkRead(Answer):
    link: str = Field(description="good once; shown this once")
    expires_at: datetime


class Invited(LinkRead):
    user: UserRead
    mailed: bool


class Asked(Answer):
    status: Literal["asked"] = "asked"
    detail: str = "If this account exists and mail is set up, a link is on its way."


class TicketRead(Answer):
    ticket: str = Field(description="good once")
    expires_in: int = Field(description="seconds")


class RefreshRequest(Body):
    refresh_token: str | None = Field(None, description="or the cookie of the same name")


class SessionRead(Answer):
    id: str
    device: str | None
    address: str | None
    created_at: datetime
    last_seen_at: datetime
    current: bool = Field(description="the one that asks")


class KeyCreate(Body):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[list[str], Field(min_length=1, max_length=50)]
    expires_at: Moment | None = None


class KeyRead(Answer):
    id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class KeyCreated(KeyRead):
    key: str = Field(description="shown this once")


class SignInStatus(Answer):
    authenticated: bool
    user: UserRead | None = None


class CsrfToken(Answer):
    csrf_token: str


class SignedOut(Answer):
    status: Literal["signed out"] = "signed out"


class SignedIn(Answer):
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="seconds until the access token expires")
    user: UserRead
