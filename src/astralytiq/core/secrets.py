"""Secrets that the platform keeps for its users: encrypted at rest, opened where they are used.

AES-256-GCM under a key derived from the signing key; the name is bound in, so that a row's
ciphertext opens under no other name. A key that has been replaced still opens what it sealed.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, LargeBinary, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Versioned
from astralytiq.core.errors import Invalid
from astralytiq.core.security import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PURPOSE = b"astralytiq kept secrets"
NONCE_BYTES = 12


class Secret(Versioned):
    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(unique=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    # Names the signing key behind it without telling it.
    key_id: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    updated_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


async def find(session: AsyncSession, name: str) -> Secret | None:
    return await session.scalar(select(Secret).where(Secret.name == name))


def missing(name: str) -> Invalid:
    return Invalid(
        f"There is no secret {name!r}: keep it first (astralytiq secret set {name}), or correct "
        "the reference."
    )


async def reveal(session: AsyncSession, keys: Sequence[str], name: str) -> str:
    """The value of a secret; `keys` are `Settings.signing_keys`."""
    found = await find(session, name)
    if found is None:
        raise missing(name)
    return opened(found, keys)


def seal(secret: Secret, key: str, value: str) -> None:
    nonce = os.urandom(NONCE_BYTES)
    sealed = cipher(key).encrypt(nonce, value.encode(), secret.name.encode())
    secret.sealed, secret.key_id = nonce + sealed, key_id(key)


def opened(secret: Secret, keys: Sequence[str]) -> str:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - not on the start path

    known = {key_id(key): key for key in keys}
    nonce, sealed = secret.sealed[:NONCE_BYTES], secret.sealed[NONCE_BYTES:]
    try:
        value = cipher(known[secret.key_id]).decrypt(nonce, sealed, secret.name.encode())
    except (KeyError, InvalidTag):
        raise Invalid(
            f"The secret {secret.name!r} cannot be opened with the keys there are: put it again, "
            "or add the key it was kept under to PREVIOUS_SECRET_KEYS."
        ) from None
    return value.decode()


async def any_stale(session: AsyncSession, keys: Sequence[str]) -> bool:
    return await session.scalar(stale(keys).limit(1)) is not None


def stale(keys: Sequence[str]) -> Select[Secret]:
    """Those that an earlier key has sealed."""
    return select(Secret).where(Secret.key_id.in_([key_id(key) for key in keys[1:]]))


async def renew(session: AsyncSession, keys: Sequence[str]) -> int:
    """Seal anew what an earlier key has sealed, so that it can be let go; answers how many."""
    found = (await session.scalars(stale(keys).with_for_update())).all()
    for secret in found:
        seal(secret, keys[0], opened(secret, keys))
    return len(found)


def cipher(key: str) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 0.15 s
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return AESGCM(HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode()))
