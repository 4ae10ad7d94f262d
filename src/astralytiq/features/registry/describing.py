"""What people say of a model; its figures are measured, and nobody's to write."""

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.security import Actor

from .models import Model
from .promoting import refuse_strangers
from .schemas import ModelChange


async def change(session: AsyncSession, actor: Actor, model: Model, body: ModelChange) -> None:
    refuse_strangers(actor, model)
    given = body.model_dump(exclude_unset=True)
    fresh = {name: value for name, value in given.items() if getattr(model, name) != value}
    for name, value in fresh.items():
        setattr(model, name, value)
    if fresh:
        audit.record(session, actor, "model.changed", f"model/{model.name}", fields=sorted(fresh))
        await session.flush()
