"""A mail server on this machine that keeps what it is given."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

ANSWERS = {"QUIT": "221 bye", "DATA": "354 go on", "AUTH": "235 welcome", "STARTTLS": "220 go"}


@dataclass
class Mailbox:
    """`answers` replaces the server's answer to a command, such as {"RCPT": "550 no"}.

    With `tls` it encrypts: from the first byte (`smtps`), or when it is asked to by STARTTLS.
    """

    answers: dict[str, str] = field(default_factory=dict)
    offers: tuple[str, ...] = ("AUTH PLAIN",)
    tls: ssl.SSLContext | None = None
    smtps: bool = False
    port: int = 0
    said_openly: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def commands(self) -> list[str]:
        return [line.split()[0].upper() for line in self.said]

    @property
    def signed_in_as(self) -> str:
        line = next(line for line in self.said if line.startswith("AUTH PLAIN"))
        return base64.b64decode(line.split()[2]).decode().replace("\0", " ").strip()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := (await reader.readline()).decode().strip():
            self.said.append(line)
            command = line.split()[0].upper()
            answer = self.answers.get(command) or self.usual(command)
            writer.write(f"{answer}\r\n".encode())
            if command == "STARTTLS" and self.tls and answer.startswith("220"):
                self.said_openly, self.said = self.said, []
                try:
                    await writer.start_tls(self.tls)
                except (ssl.SSLError, ConnectionError):
                    return  # The other side does not trust us.
            if answer.startswith("354"):
                raw = await reader.readuntil(b"\r\n.\r\n")
                content = raw.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
                self.mails.append(message_from_bytes(content, policy=policy.default))
                writer.write(b"250 kept\r\n")
        writer.close()

    def usual(self, command: str) -> str:
        if command == "EHLO":
            return "\r\n".join(
                ["250-hello", *(f"250-{one}" for one in self.offers), "250 8BITMIME"]
            )
        return ANSWERS.get(command, "250 fine")


@asynccontextmanager
async def receiving(box: Mailbox | None = None) -> AsyncIterator[Mailbox]:
    box = box or Mailbox()
    context = box.tls if box.smtps else None
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0, ssl=context)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
