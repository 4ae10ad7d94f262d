"""Requests that come again with their Idempotency-Key: answered by the prediction that is kept.

Predictions are stored in groups, past any transaction of a request. So the key makes the
prediction's id: of two requests with one key the database takes only one.
"""

from hashlib import sha256
from uuid import UUID

from astralytiq.core import idempotency
from astralytiq.core.errors import Invalid
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.features.registry.serving import serving

from .inputs import rows_of
from .models import Prediction
from .schemas import PredictAnswer, PredictRequest


def id_of(actor: Actor, name: str, number: int | None, key: str) -> str:
    """The prediction of this key. Another actor's key, or one of another door, is another."""
    idempotency.refuse_unfit(key)
    told = "\0".join((actor.identity, name, str(number), key))
    return str(UUID(bytes=sha256(told.encode()).digest()[:16], version=5))


async def answered(
    resources: Resources, prediction_id: str, body: PredictRequest
) -> PredictAnswer | None:
    """What was answered under this id, by the version that did: another may serve by now."""
    async with resources.database.reading() as session:
        known = await session.get(Prediction, prediction_id)
    if known is None:
        return None
    version = await serving(resources).version(known.model, known.version)
    if rows_of(body, version.features) != known.inputs["data"]:
        raise Invalid(idempotency.OTHER_BODY)
    return PredictAnswer(
        **known.outputs,
        model=known.model,
        version=known.version,
        latency_ms=known.latency_ms,
        prediction_id=known.id,
    )
