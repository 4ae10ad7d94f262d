"""Doors to one's own API keys."""

from collections.abc import Sequence

from fastapi import Depends, Request, Response

from astralytiq.core.schemas import Id
from astralytiq.core.web import House, PageAsked, Session, paged, room
from astralytiq.features.accounts import keys
from astralytiq.features.accounts.deps import Person
from astralytiq.features.accounts.models import ApiKey
from astralytiq.features.accounts.schemas import KeyCreate, KeyCreated, KeyRead

from .auth import no_store

api_keys = room("/api-keys", "accounts")


@api_keys.get("", response_model=list[KeyRead])
async def list_keys(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Person
) -> Sequence[ApiKey]:
    return paged(request, response, page, await keys.list_own(session, actor))


@api_keys.post("", status_code=201, dependencies=[Depends(no_store)])
async def create_key(house: House, actor: Person, body: KeyCreate) -> KeyCreated:
    """It takes no `Session`: an answer with a secret is not kept for an Idempotency-Key."""
    key, secret = await house.database.write(
        lambda session: keys.create(
            session, actor, name=body.name, scopes=body.scopes, expires_at=body.expires_at
        )
    )
    return KeyCreated(**KeyRead.model_validate(key).model_dump(), key=secret)


@api_keys.delete("/{key_id}", status_code=204)
async def remove_key(session: Session, actor: Person, key_id: Id) -> None:
    await keys.remove(session, actor, key_id)
