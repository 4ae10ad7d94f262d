"""Doors to accounts: one's own, and all of them for admins."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request, Response

from astralytiq.core import security
from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    describe_page,
    mark,
    needs,
    refuse_stale,
    room,
)
from astralytiq.features.accounts import personal, service, signing_in
from astralytiq.features.accounts.deps import Person, Throttled, session_id_of
from astralytiq.features.accounts.models import User
from astralytiq.features.accounts.schemas import (
    PasswordChange,
    PasswordReset,
    SelfChange,
    UserChange,
    UserCreate,
    UserRead,
)

from .auth import read_me

users = room("/users", "accounts")

UserReader = Annotated[Actor, needs("users:read")]
UserWriter = Annotated[Actor, needs("users:write")]

# Oneself ----------------------------------------------------------------------------------------


users.add_api_route("/me", read_me, response_model=UserRead)
users.add_api_route("/profile", read_me, response_model=UserRead)


@users.put("/me", response_model=UserRead)
@users.patch("/me", response_model=UserRead)
async def change_me(
    request: Request, response: Response, session: Session, actor: Person, body: SelfChange
) -> User:
    refuse_stale(request, await session.get_one(User, actor.account_id))
    user = await service.change_self(session, actor, body.model_dump(exclude_unset=True))
    mark(response, user)
    return user


@users.post("/me/password", status_code=204)
async def change_password(
    request: Request, house: House, throttle: Throttled, actor: Person, body: PasswordChange
) -> None:
    current = session_id_of(request)
    await signing_in.change_password(
        house, throttle, actor, current, body.old_password, body.new_password
    )


# Accounts, for admins ---------------------------------------------------------------------------


@users.get("", response_model=list[UserRead])
async def list_users(
    request: Request, response: Response, session: Session, page: PageAsked, actor: UserReader
) -> Sequence[User]:
    found, total = await service.list_all(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@users.post("", response_model=UserRead, status_code=201)
async def create_user(
    house: House, response: Response, actor: UserWriter, body: UserCreate
) -> User:
    service.refuse_common(house.settings, body.password)
    hashed = await security.hash_password(body.password)
    user = await house.database.write(
        lambda session: service.create(
            session,
            actor,
            email=body.email,
            username=body.username,
            password_hash=hashed,
            role=body.role,
            full_name=body.full_name,
        )
    )
    response.headers["Location"] = f"/api/v1/users/{user.id}"
    mark(response, user)
    return user


@users.get("/{user_id}", response_model=UserRead)
async def read_user(response: Response, session: Session, actor: UserReader, user_id: Id) -> User:
    user = await service.get(session, user_id, lock=False)
    mark(response, user)
    return user


@users.put("/{user_id}", response_model=UserRead)
@users.patch("/{user_id}", response_model=UserRead)
async def change_user(
    request: Request,
    response: Response,
    session: Session,
    actor: UserWriter,
    user_id: Id,
    body: UserChange,
) -> User:
    user = await service.get(session, user_id)
    refuse_stale(request, user)
    await service.change(session, actor, user, body.model_dump(exclude_unset=True))
    mark(response, user)
    return user


@users.put("/{user_id}/password", status_code=204)
async def reset_password(house: House, actor: UserWriter, user_id: Id, body: PasswordReset) -> None:
    """An admin sets a new password; all sessions of the account end."""
    await service.set_password(house, actor, user_id, body.new_password)


@users.delete("/{user_id}", status_code=204)
async def delete_user(request: Request, session: Session, actor: UserWriter, user_id: Id) -> None:
    user = await service.get(session, user_id)
    refuse_stale(request, user)
    await personal.erase(session, actor, user)
