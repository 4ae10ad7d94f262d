"""What somebody who watches may hear, and in which words."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from astralytiq.core.broadcast import Message
from astralytiq.core.errors import Invalid
from astralytiq.core.security import Actor


class Topic(StrEnum):
    """What can be chosen."""

    metrics = "metrics"
    events = "events"
    jobs = "jobs"
    runs = "runs"
    alerts = "alerts"


@dataclass(frozen=True)
class Kind:
    """Broadcasts of one beginning: what they are to whom watches, and the scope they need."""

    topic: Topic
    type: str
    scope: str


KINDS = {
    "telemetry": Kind(Topic.events, "event", "telemetry:read"),
    "job": Kind(Topic.jobs, "job", "jobs:read"),
    "run": Kind(Topic.runs, "run", "runs:read"),
    "alert": Kind(Topic.alerts, "alert", "data:read"),
}
# Of telemetry there is one topic: what came in within a moment is told together.
BEGINNINGS = ("telemetry", "job/", "run/", "alert/")
SCOPES = {kind.topic: kind.scope for kind in KINDS.values()}


@dataclass
class Viewer:
    """One who watches. `wanted` are the topics that they chose, of those that they may hear."""

    actor: Actor
    wanted: set[Topic] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.wanted = self.wanted or self.allowed()

    def allowed(self) -> set[Topic]:
        return {topic for topic in Topic if SCOPES.get(topic, "data:read") in self.actor.scopes}

    def choose(self, topics: Iterable[Any]) -> None:
        """Hear these from now on; raises Invalid for what there is not, or not for them."""
        known = {topic.value: topic for topic in self.allowed()}
        unknown = sorted({str(topic) for topic in topics} - known.keys())
        if unknown:
            raise Invalid(f"No topic {unknown[0]!r} for you: you may hear {', '.join(known)}.")
        self.wanted = {known[topic] for topic in topics}

    def hears(self, message: Message) -> bool:
        kind = kind_of(message)
        if kind is None or kind.topic not in self.wanted:
            return False
        return kind.topic is not Topic.jobs or self.owns(message)

    def owns(self, message: Message) -> bool:
        """Somebody else's job stays private."""
        return self.actor.is_admin or message.payload.get("owner_id") == self.actor.id


def kind_of(message: Message) -> Kind | None:
    return KINDS.get(message.topic.partition("/")[0])


def frame(message: Message) -> str:
    """As it is sent; what a broadcast holds is written as JSON once for all who hear it."""
    kind = kind_of(message)
    if kind is None:
        return message.text
    return f'{{"type":"{kind.type}","sequence":{message.sequence},"data":{message.text}}}'


def note(name: str, **fields: Any) -> Message:
    """What no broadcast is: a pong, an error, metrics. Of each the newest is enough."""
    return Message(0, name, {"type": name, **fields})
