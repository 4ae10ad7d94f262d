"""Plain mails to people, by the SMTP server of the settings; none is sent where none is set."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Self
from urllib.parse import unquote, urlsplit

from astralytiq.core.errors import AppError
from astralytiq.core.jobs import Transient
from astralytiq.core.settings import LOOPBACK_HOSTS, Settings

ANSWER_SECONDS = 10.0  # for each answer of the server
WHOLE_SECONDS = 25.0
PORTS = {"smtp": 587, "smtps": 465}


class MailRefused(AppError):
    """The same mail would be refused again."""

    status, title = 502, "Mail refused"


@dataclass(frozen=True)
class Server:
    """Where mails leave by. On this machine nobody listens in: there it may be plain."""

    host: str
    port: int
    user: str
    password: str
    encrypted: bool

    @classmethod
    def of(cls, url: str) -> Self:
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.hostname or "", port, user, password, parts.scheme == "smtps")

    def __repr__(self) -> str:
        return f"Server({self.host}:{self.port})"


def is_set_up(settings: Settings) -> bool:
    return bool(settings.smtp_url.get_secret_value())


async def send(settings: Settings, to: str, subject: str, text: str) -> None:
    """Hand one mail to the server.

    Raises Transient if it may work later, MailRefused if it will not.
    """
    server = Server.of(settings.smtp_url.get_secret_value())
    message = compose(settings.mail_from, to, subject, text)
    try:
        await asyncio.wait_for(asyncio.to_thread(deliver, server, message), WHOLE_SECONDS)
    except smtplib.SMTPRecipientsRefused as refusal:
        raise failure(server, max(code for code, _ in refusal.recipients.values())) from None
    except smtplib.SMTPResponseException as refusal:
        raise failure(server, refusal.smtp_code) from None
    except smtplib.SMTPNotSupportedError as error:
        raise MailRefused(f"{server.host} cannot take this mail: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise MailRefused(
            f"The certificate of the mail server {server.host} cannot be trusted "
            f"({error.verify_message}): let SMTP_URL have the name that it is for, or have "
            "SSL_CERT_FILE name the authority that signed it."
        ) from None
    except OSError as error:  # Also SMTPException, TLS and time-outs.
        reason = type(error).__name__
        raise Transient(f"The mail server {server.host} does not answer ({reason}).") from None


def failure(server: Server, code: int) -> Exception:
    """Codes of 4xx mean "later", of 5xx "never" (RFC 5321, section 4.2.1).

    The server's own words are left out: they name the recipient.
    """
    if 400 <= code < 500:
        return Transient(f"The mail server {server.host} asks to try later ({code}).")
    remedy = "check user and password in SMTP_URL" if code in (530, 534, 535) else "check MAIL_FROM"
    return MailRefused(f"The mail server {server.host} refused the mail ({code}): {remedy}.")


def compose(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """The library refuses line breaks in headers, and `Address` more than one recipient."""
    message = EmailMessage()
    local, _, domain = to.rpartition("@")
    try:
        message["From"] = sender
        message["To"] = Address(addr_spec=f"{local}@{domain.encode('idna').decode()}")
        message["Subject"] = subject
    except (ValueError, MessageError):
        raise MailRefused("No mail can be sent to this account: correct its email.") from None
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=domain_of(message))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers to it.
    message.set_content(text)
    return message


def domain_of(message: EmailMessage) -> str:
    """Of the sender: asking the network for this machine's own name can take long."""
    return str(message["From"].addresses[0].domain)


def deliver(server: Server, message: EmailMessage) -> None:
    with connected(server, domain_of(message)) as line:
        if server.user:
            line.login(server.user, server.password)
        line.send_message(message)


def connected(server: Server, name: str) -> smtplib.SMTP:
    if server.encrypted:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(
            server.host, server.port, name, timeout=ANSWER_SECONDS, context=context
        )
    line = smtplib.SMTP(server.host, server.port, name, timeout=ANSWER_SECONDS)
    try:
        secure(line, server)
    except BaseException:
        line.close()
        raise
    return line


def secure(line: smtplib.SMTP, server: Server) -> None:
    """Encrypt where the server can; a password never crosses a network in the clear."""
    line.ehlo()
    if server.host in LOOPBACK_HOSTS:
        return
    if line.has_extn("starttls"):
        line.starttls(context=ssl.create_default_context())
    elif server.user:
        raise smtplib.SMTPNotSupportedError(
            "it offers no STARTTLS, and the password would be readable; use smtps:// in SMTP_URL"
        )
