"""Passwords and tokens: hashes of another cost, and keys that follow one another."""

import base64
import json
from typing import Any

import pytest
from pwdlib.hashers.bcrypt import BcryptHasher

from astralytiq.core import security
from astralytiq.core.errors import Unauthenticated
from astralytiq.core.settings import Settings, UnsafeSettings

PASSWORD = "correct horse"
OLD, NEW = "an older key that is long enough to sign", "a newer key that is long enough to sign"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that passwords are compared with, in their order."""
    seen: list[str] = []
    verify = BcryptHasher.verify

    def noted(self: BcryptHasher, password: str | bytes, hash: str | bytes) -> bool:
        seen.append(str(hash))
        return verify(self, password, hash)

    monkeypatch.setattr(BcryptHasher, "verify", noted)
    return seen


def test_02_a_right_password_renews_a_hash_of_another_cost() -> None:
    for rounds in (5, 6):
        matches, renewed = security._compare_and_renew(
            PASSWORD, BcryptHasher(rounds).hash(PASSWORD)
        )
        assert matches
        assert renewed is not None
        assert not security.is_outdated(renewed)
        assert security._compare(PASSWORD, renewed)


def test_02_a_hash_of_our_cost_stays() -> None:
    stored = security._hasher.hash(PASSWORD)
    assert security._compare_and_renew(PASSWORD, stored) == (True, None)
    assert security._compare_and_renew("wrong", stored) == (False, None)


def test_02_a_wrong_password_takes_a_comparison_of_our_cost_whatever_hash_is_stored(
    hashes: list[str],
) -> None:
    ours = security.dummy_hash()
    foreign = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"  # pragma: allowlist secret
    for stored in (None, "", foreign, BcryptHasher(5).hash(PASSWORD)):
        hashes.clear()
        assert security._compare_and_renew("wrong", stored) == (False, None)
        assert ours in hashes


def changed(token: str, **header: Any) -> str:
    """The token with other words in its header; its signature no longer fits, as the forger's."""
    _, payload, signature = token.split(".")
    words = {"alg": "HS256", "typ": "JWT", "kid": security.key_id(OLD)} | header
    head = base64.urlsafe_b64encode(json.dumps(words).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


def test_08_a_token_of_the_key_before_still_counts_and_of_no_other() -> None:
    token = security.issue_token(OLD, 7, 5)
    assert security.read_token((NEW, OLD), token)["sub"] == "7"
    assert security.read_token((OLD,), security.issue_token(OLD, 8, 5))["sub"] == "8"
    with pytest.raises(Unauthenticated):
        security.read_token((NEW,), token)


def test_08_a_token_that_names_another_key_than_signed_it_is_refused() -> None:
    token = security.issue_token(OLD, 7, 5)
    with pytest.raises(Unauthenticated):
        security.read_token((NEW, OLD), changed(token, kid=security.key_id(NEW)))
    with pytest.raises(Unauthenticated):
        security.read_token((NEW, OLD), changed(token, kid=None))


def test_08_the_name_of_a_key_does_not_tell_it() -> None:
    assert OLD not in security.key_id(OLD)
    assert security.key_id(OLD) != security.key_id(NEW)


def test_08_the_newest_key_signs_and_each_older_one_must_be_strong_too() -> None:
    given: dict[str, Any] = {"environment": "production", "allowed_hosts": ("example.org",)}
    both = Settings(_env_file=None, secret_key=NEW, previous_secret_keys=OLD, **given)
    assert both.checked().signing_keys == (NEW, OLD)
    with pytest.raises(UnsafeSettings, match="PREVIOUS_SECRET_KEYS"):
        Settings(_env_file=None, secret_key=NEW, previous_secret_keys="short", **given).checked()
