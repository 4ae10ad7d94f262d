"""Mails: what arrives, what never leaves, and which failures are worth another try."""

import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from astralytiq.core import mail
from astralytiq.core.jobs import Transient
from astralytiq.core.mail import MailRefused, Server
from astralytiq.core.settings import Settings, UnsafeSettings
from tests.core.certificates import certificate
from tests.core.smtp import Mailbox, receiving

pytestmark = pytest.mark.anyio

SENDER = "AstralytiQ <no-reply@example.org>"
PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "secret_key": "x" * 40,
    "allowed_hosts": ("data.example.org",),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def settings_for(url: str, **values: Any) -> Settings:
    return Settings(_env_file=None, smtp_url=url, mail_from=SENDER, **values)


async def send(url: str, to: str = "ada@example.com") -> None:
    await mail.send(settings_for(url), to, "Grüße", "Zeile 1\n.\nZeile 3: ü\n")


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with receiving() as box:
        await send(box.url)
    (arrived,) = box.mails
    assert arrived["to"] == "ada@example.com"
    assert arrived["from"] == SENDER
    assert arrived["subject"] == "Grüße"
    assert arrived["message-id"].endswith("@example.org>")
    assert arrived.get_content().splitlines() == ["Zeile 1", ".", "Zeile 3: ü"]
    assert "AUTH" not in box.commands


async def test_user_and_password_of_the_address_sign_in() -> None:
    async with receiving() as box:
        await send(f"smtp://ann%40example.org:p%2Fw@127.0.0.1:{box.port}")
    assert box.signed_in_as == "ann@example.org p/w"


@pytest.mark.parametrize(
    "to", ["a@b.example\r\nBcc: all@example.com", "a@b.example, c@d.example", "erased-7", ""]
)
async def test_an_address_never_becomes_a_header_or_two(to: str) -> None:
    async with receiving() as box:
        with pytest.raises(MailRefused, match="correct its email"):
            await send(box.url, to)
    assert box.said == []


async def test_a_subject_never_becomes_a_header() -> None:
    with pytest.raises(MailRefused):
        mail.compose(SENDER, "ada@example.com", "a\r\nBcc: all@example.com", "")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"RCPT": "550 nobody here"}, MailRefused),
        ({"RCPT": "450 later"}, Transient),
        ({"AUTH": "535 no"}, MailRefused),
        ({"DATA": "451 later"}, Transient),
        ({"MAIL": "553 not you"}, MailRefused),
    ],
)
async def test_only_a_no_for_now_is_worth_another_try(
    answers: dict[str, str], expected: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving(Mailbox(answers)) as box:
        with pytest.raises(expected) as refusal:
            await send(f"smtp://ann:hush-hush@127.0.0.1:{box.port}")
    told = str(refusal.value) + caplog.text
    assert "hush-hush" not in told
    assert "ada@" not in told


async def test_a_server_that_is_away_is_worth_another_try() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(Transient, match="does not answer"):
            await send(f"smtp://127.0.0.1:{closed.getsockname()[1]}")


async def test_a_password_crosses_no_network_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "LOOPBACK_HOSTS", frozenset())
    async with receiving() as box:
        with pytest.raises(MailRefused, match="STARTTLS"):
            await send(f"smtp://ann:pw@127.0.0.1:{box.port}")
    assert "AUTH" not in box.commands
    offering = Mailbox({"STARTTLS": "454 not now"}, ("AUTH PLAIN", "STARTTLS"))
    async with receiving(offering) as box:
        with pytest.raises(Transient):
            await send(box.url)
    assert "STARTTLS" in box.commands
    assert "MAIL" not in box.commands


@pytest.mark.parametrize("smtps", [True, False], ids=["smtps", "starttls"])
async def test_a_mail_and_its_password_travel_encrypted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smtps: bool
) -> None:
    monkeypatch.setattr(mail, "LOOPBACK_HOSTS", frozenset())
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    offers = ("AUTH PLAIN", *(() if smtps else ("STARTTLS",)))
    async with receiving(Mailbox(offers=offers, tls=context, smtps=smtps)) as box:
        await send(f"smtp{'s' if smtps else ''}://ann:pw@127.0.0.1:{box.port}")
    assert [arrived["to"] for arrived in box.mails] == ["ada@example.com"]
    assert box.signed_in_as == "ann pw"
    assert box.said_openly == ([] if smtps else ["ehlo example.org", "STARTTLS"])


@pytest.mark.parametrize("smtps", [True, False], ids=["smtps", "starttls"])
@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({}, "self-signed"),  # by somebody whom this machine does not trust
        ({"days": -1}, "has expired"),
        ({"host": "127.0.0.2"}, "not valid for"),
    ],
)
async def test_nothing_is_said_to_a_server_that_cannot_prove_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shown: Any, words: str, smtps: bool
) -> None:
    monkeypatch.setattr(mail, "LOOPBACK_HOSTS", frozenset())
    context, trusted = certificate(tmp_path, **shown)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted if shown else tmp_path / "none.pem"))
    box = Mailbox(offers=("AUTH PLAIN", "STARTTLS"), tls=context, smtps=smtps)
    async with receiving(box):
        with pytest.raises(MailRefused, match=f"{words}.*SSL_CERT_FILE"):
            await send(f"smtp{'s' if smtps else ''}://ann:pw@127.0.0.1:{box.port}")
    assert (box.said, box.mails) == ([], [])


def test_the_password_shows_in_no_text_of_the_server() -> None:
    server = Server.of("smtps://ann:hush-hush@mail.example.org")
    assert (server.port, server.encrypted, server.password) == (465, True, "hush-hush")
    assert "hush-hush" not in repr(server)
    assert "hush-hush" not in repr(settings_for("smtp://ann:hush-hush@mail.example.org"))
    assert Server.of("smtp://mail.example.org").port == 587


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"smtp_url": "mail.example.org"}, "SMTP_URL"),
        ({"smtp_url": "smtp://host:port"}, "SMTP_URL"),
        ({"smtp_url": "smtp://host", "mail_from": ""}, "MAIL_FROM"),
        ({"smtp_url": "smtp://host", "mail_from": "a@b.c\nBcc: d@e.f"}, "MAIL_FROM"),
        ({"public_url": "data.example.org"}, "PUBLIC_URL"),
        ({"smtp_url": "smtp://host", **PRODUCTION}, "PUBLIC_URL"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(values: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsafeSettings, match=named):
        Settings(_env_file=None, **{"mail_from": SENDER, **values}).checked()


def test_links_begin_with_our_own_address() -> None:
    made = [
        Settings(_env_file=None, **values).base_url
        for values in (
            {"astralytiq_port": 9000},
            {"astralytiq_host": "0.0.0.0"},
            {"astralytiq_host": "::1"},
            {"public_url": "https://data.example.org/"},
        )
    ]
    assert made == [
        "http://127.0.0.1:9000",
        "http://localhost:8000",
        "http://[::1]:8000",
        "https://data.example.org",
    ]
    assert settings_for("smtp://host", public_url="https://a.example", **PRODUCTION).checked()
