"""What the alert doors take in and give out."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, EmailStr, Field

from astralytiq.core.schemas import Answer, Body
from astralytiq.features.ingestion.checks import SECRET_NAME
from astralytiq.features.projects.schemas import NO_NUL, ONE_LINE, absent

from .models import AlertStatus, ChannelKind, Severity, State

Operator = Literal[">", ">=", "<", "<=", "==", "!="]
Name = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .\-]*$")
]
Metric = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
Text = Annotated[str, Field(max_length=1000, pattern=NO_NUL)]
Threshold = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
For = Annotated[int, Field(ge=0, le=86_400, description="seconds that it must last")]
Channels = Annotated[list[Name], Field(max_length=20)]
Group = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE)]

# Rules ------------------------------------------------------------------------------------------


class ByName(Body):
    model_config = ConfigDict(populate_by_name=True)


class RuleCreate(ByName):
    name: Name
    metric: Annotated[Metric, Field(description="one of GET /api/v1/metrics/figures")]
    operator: Operator
    threshold: Threshold
    for_seconds: For = Field(0, alias="for")
    severity: Severity = Severity.warning
    description: Text | None = None
    group: Annotated[
        Group | None, Field(description="what fires at one time is told in one message")
    ] = None
    channels: Annotated[Channels, Field(default_factory=list, description="their names")]
    enabled: bool = True


class RuleChange(ByName):
    """Only what is sent is changed."""

    name: Name = Field(default_factory=absent)
    metric: Metric = Field(default_factory=absent)
    operator: Operator = Field(default_factory=absent)
    threshold: Threshold = Field(default_factory=absent)
    for_seconds: For = Field(default_factory=absent, alias="for")
    severity: Severity = Field(default_factory=absent)
    description: Text | None = None
    group: Group | None = None
    channels: Channels = Field(default_factory=absent)
    enabled: bool = Field(default_factory=absent)


class RuleRead(Answer):
    model_config = ConfigDict(populate_by_name=True, from_attributes=True)

    id: int
    name: str
    description: str | None
    metric: str
    operator: str
    threshold: float
    for_seconds: int = Field(serialization_alias="for")
    severity: Severity
    group: str | None
    channels: list[str]
    enabled: bool
    silenced_until: datetime | None
    state: State
    since: Annotated[datetime | None, Field(description="when the threshold was first crossed")]
    owner_id: int
    created_at: datetime
    updated_at: datetime


class Silence(Body):
    minutes: Annotated[int, Field(ge=1, le=60 * 24 * 30)]


# Alerts -----------------------------------------------------------------------------------------


class AlertRead(Answer):
    id: int
    rule_id: int | None
    rule: str
    severity: Severity
    metric: str
    operator: str
    threshold: float
    value: Annotated[float, Field(description="when it fired")]
    status: AlertStatus
    started_at: datetime = Field(validation_alias="created_at")
    resolved_at: datetime | None
    resolved_value: float | None
    told: Annotated[
        list[str] | None, Field(description="channels; null while the rule is silenced")
    ]
    acknowledged_at: datetime | None
    acknowledged_by: int | None
    note: str | None


class Acknowledgement(Body):
    note: Text | None = None


# Channels ---------------------------------------------------------------------------------------

SecretName = Annotated[
    str,
    Field(pattern=f"^secret:{SECRET_NAME.pattern}$", description="of one kept at /api/v1/secrets"),
]


class WebhookChannel(Body):
    """Each message is signed with the secret; without one, one is made and told once."""

    name: Name
    kind: Literal["webhook"]
    url: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^https?://\S+$")]
    secret: SecretName | None = None


class EmailChannel(Body):
    name: Name
    kind: Literal["email"]
    to: Annotated[list[EmailStr], Field(min_length=1, max_length=20)]


class ChatChannel(Body):
    """A room of a chat service; its address holds the key to it, so it is a kept secret."""

    name: Name
    kind: Literal["chat"]
    url: SecretName


ChannelCreate = Annotated[WebhookChannel | EmailChannel | ChatChannel, Field(discriminator="kind")]


class ChannelRead(Answer):
    id: int
    name: str
    kind: ChannelKind
    owner_id: int
    config: dict[str, Any]
    created_at: datetime


class ChannelMade(ChannelRead):
    signing_secret: Annotated[
        str | None, Field(description="shown this once, where one was made")
    ] = None


# Who is told what -------------------------------------------------------------------------------


class Rehearsal(Body):
    send: Annotated[bool, Field(description="send a message that says it is a test")] = False


class WouldTell(Answer):
    """What one channel would be told."""

    channel: str
    kind: ChannelKind
    to: Annotated[str, Field(description="without secrets")]
    subject: str
    text: str
    fault: Annotated[str | None, Field(description="why it cannot be told now")] = None
    job_id: Annotated[str | None, Field(description="of the test message")] = None


class RehearsalRead(Answer):
    metric: str
    value: float | None
    would_fire: bool
    tells: list[WouldTell]
