"""The socket: sign-in, what stands, then what happens as it is committed."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from astralytiq.core.broadcast import Broadcast, Message
from astralytiq.core.errors import AppError, Invalid, TooMany, Unauthenticated
from astralytiq.core.problems import problem
from astralytiq.core.resources import Resources
from astralytiq.features.accounts import credentials, sockets
from astralytiq.features.accounts.tickets import Admitted
from astralytiq.features.dashboards import snapshot, watching
from astralytiq.features.dashboards.pulse import Pulse, pulse_of
from astralytiq.features.dashboards.watching import Viewer

live = APIRouter(tags=["dashboards"])

PATIENCE_SECONDS = 10.0  # to sign in by the first message
RECHECK_SECONDS = 300.0  # A sign-in may have become too old meanwhile.
MESSAGES_A_SECOND = 20
POLICY, TRY_LATER = 1008, 1013  # RFC 6455, section 7.4.1, and its registry
FIRST = (
    'Sign in first: send {"type": "auth", "token": …} with an access token, an API key or a ticket.'
)
ASK = (
    'Send JSON objects with a "type": auth, subscribe (with "topics"), unsubscribe or ping; '
    "at most 20 a second."
)


@live.websocket("/ws/dashboard")
async def watch(socket: WebSocket) -> None:
    resources: Resources = socket.app.state.resources
    try:
        refuse_crowd(pulse_of(resources))
        known = await sockets.admitted_by_handshake(socket, resources)
    except AppError as refusal:
        answer = problem(refusal.status, refusal.title, refusal.detail)
        await socket.send_denial_response(answer)
        return
    await socket.accept()
    try:
        await Watch(socket, resources).run(known)
    except AppError as refusal:
        await say_goodbye(socket, refusal)
    except (WebSocketDisconnect, RuntimeError):
        return  # It has gone; what is sent afterwards is a RuntimeError to Starlette.


def refuse_crowd(pulse: Pulse) -> None:
    if len(pulse.listening) >= pulse.MOST:
        raise TooMany(f"{pulse.MOST} watch already: try again later, or start another API process.")


async def say_goodbye(socket: WebSocket, refusal: AppError) -> None:
    code = TRY_LATER if isinstance(refusal, TooMany) else POLICY
    await socket.send_text(watching.note("error", detail=refusal.detail).text)
    await socket.close(code, refusal.title)


class Watch:
    """One socket, from its first message to its end."""

    def __init__(self, socket: WebSocket, resources: Resources) -> None:
        self.socket = socket
        self.resources = resources
        self.broadcast: Broadcast = socket.app.state.broadcast

    async def run(self, known: Admitted | None) -> None:
        asked: dict[str, Any] = dict(self.socket.query_params)
        if known is None:
            known, first = await self.sign_in()
            asked |= first
        self.known, self.viewer = known, Viewer(known.actor)
        if topics := asked.get("topics"):
            self.viewer.choose(topics.split(",") if isinstance(topics, str) else topics)
        revoked = f"{credentials.TOPIC}{known.actor.id}"
        topics = (*watching.BEGINNINGS, revoked)
        async with self.broadcast.listen(*topics, watched=True) as self.backlog:
            with pulse_of(self.resources).felt_by(self.backlog, self.socket.app.state.performance):
                await self.greet(asked.get("last_sequence"))
                await first_end([self.listen(), self.tell(), self.recheck()])

    async def sign_in(self) -> tuple[Admitted, dict[str, Any]]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                first = parsed(await self.socket.receive_text())
        except (TimeoutError, Invalid):
            raise Unauthenticated(FIRST) from None
        if first.get("type") != "auth" or not isinstance(first.get("token"), str):
            raise Unauthenticated(FIRST)
        return await sockets.admitted(self.resources, first["token"]), first

    async def greet(self, last: Any) -> None:
        """What was missed since the message `last`, if that is still known; else what stands."""
        missed = None
        if last is not None:
            missed = await snapshot.missed(self.resources, self.viewer, number(last))
        shown = {} if missed is not None else await snapshot.standing(self.resources, self.viewer)
        metrics = pulse_of(self.resources).figures(self.socket.app.state.performance)
        greeting = watching.note(
            "snapshot",
            sequence=self.broadcast.last,
            resumed=missed is not None,
            topics=sorted(self.viewer.wanted),
            metrics=metrics,
            **shown,
        )
        await self.socket.send_text(greeting.text)
        for message in missed or ():
            await self.socket.send_text(watching.frame(message))
        self.told = max((message.sequence for message in missed or ()), default=0)

    # Three things at once: what comes in, what goes out, whether they may still listen ----------

    async def listen(self) -> None:
        while True:
            began = time.monotonic()
            for _ in range(MESSAGES_A_SECOND):
                self.backlog.take_in(self.answer(await self.socket.receive_text()))
            await asyncio.sleep(began + 1 - time.monotonic())  # Whoever sends more, waits.

    def answer(self, text: str) -> Message:
        try:
            asked = parsed(text)
            match asked.get("type"):
                case "ping":
                    return watching.note("pong")
                case "auth":
                    return watching.note("error", detail="You are signed in: open another socket.")
                case "subscribe" | "unsubscribe":
                    return self.choose(asked)
            raise Invalid(ASK)
        except Invalid as refusal:
            return watching.note("error", detail=refusal.detail)

    def choose(self, asked: dict[str, Any]) -> Message:
        """`subscribe` names all topics that are wanted; `unsubscribe` those that no longer are."""
        topics = asked.get("topics")
        if not isinstance(topics, list):
            raise Invalid('"topics" is a list, such as ["jobs", "runs"].')
        if asked["type"] == "unsubscribe":
            topics = [topic for topic in self.viewer.wanted if topic not in topics]
        self.viewer.choose(topics)
        return watching.note("subscribed", topics=sorted(self.viewer.wanted))

    async def tell(self) -> None:
        while True:
            message = await self.backlog.get()
            if message.topic.startswith(credentials.TOPIC):
                await self.refuse_revoked(message)
            elif message.sequence == 0 or self.is_news(message):
                await self.socket.send_text(watching.frame(message))

    def is_news(self, message: Message) -> bool:
        return message.sequence > self.told and self.viewer.hears(message)

    async def refuse_revoked(self, message: Message) -> None:
        if message.payload["user_id"] == self.known.actor.id:
            self.known = await sockets.still_admitted(self.resources, self.known)

    async def recheck(self) -> None:
        while True:
            left = self.known.expires - time.time()
            await asyncio.sleep(max(0.0, min(left, RECHECK_SECONDS)))
            self.known = await sockets.still_admitted(self.resources, self.known)


def parsed(text: str) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise Invalid(f"This is not JSON. {ASK}") from None
    if not isinstance(asked, dict):
        raise Invalid(ASK)
    return asked


def number(given: Any) -> int:
    try:
        return int(given)
    except (TypeError, ValueError):
        raise Invalid("last_sequence is the number of the last message that you heard.") from None


async def first_end(works: Iterable[Any]) -> None:
    """Run them until one ends, and then none of them; raises what ended it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
