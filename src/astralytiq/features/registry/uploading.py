"""Versions from files that were made elsewhere: kept as they come, and taken in by a job."""

import asyncio
import shutil
from typing import BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, idempotency, jobs
from astralytiq.core.db import new_id
from astralytiq.core.errors import Unavailable, UnsupportedMedia
from astralytiq.core.idempotency import KeptAnswer
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.storage import Storage, Stored, discard
from astralytiq.engines.models import foreign
from astralytiq.engines.models.catalogue import ONNX
from astralytiq.engines.models.contract import AVAILABLE, status_of

from .schemas_uploads import UploadAsked, UploadSignature
from .service import refuse_foreign

JOB = "registry.take_in"
CHUNK = 1 << 20


async def receive(
    resources: Resources,
    actor: Actor,
    name: str,
    file: BinaryIO,
    signature: UploadSignature,
    again: str | None = None,
) -> UploadAsked:
    """What is surely none of ours is refused at once; the rest is looked at by a job.

    `again`: the Idempotency-Key; of a request that came before the answer is the first one.
    """
    async with resources.database.reading() as session:
        await refuse_foreign(session, actor, name)
    await asyncio.to_thread(refuse_others, file)
    storage, key = resources.storage, f"models/{name}/{new_id()}.sent"
    sent = await asyncio.to_thread(keep, storage, file, key)

    async def store(session: AsyncSession) -> tuple[UploadAsked, bool]:
        return await asked_once(session, actor, name, sent, signature, again)

    try:
        answer, is_new = await resources.database.write(store)
    except BaseException:
        await discard(storage, key)
        raise
    if not is_new:
        await discard(storage, key)
    return answer


async def asked_once(
    session: AsyncSession,
    actor: Actor,
    name: str,
    sent: Stored,
    signature: UploadSignature,
    again: str | None,
) -> tuple[UploadAsked, bool]:
    """The answer, and whether it is new."""
    if again is None:
        return told(await ask(session, actor, name, sent, signature), name, sent), True
    route, who = f"POST models/{name}/versions", actor.identity
    body = f"{sent.sha256} {signature.model_dump_json()}".encode()
    row, known = await idempotency.recall(session, who, route, again, body)
    if known:
        return UploadAsked.model_validate_json(known.body), False
    answer = told(await ask(session, actor, name, sent, signature), name, sent)
    kept = KeptAnswer(202, {}, answer.model_dump_json().encode())
    await idempotency.remember(session, row, kept)
    return answer, True


def told(job: Job, name: str, sent: Stored) -> UploadAsked:
    return UploadAsked(
        job_id=job.id,
        status=job.status,
        model=name,
        sha256=sent.sha256,
        size_bytes=sent.size,
        message=f"Received: GET /api/v1/jobs/{job.id} says whether it is taken, and as which "
        "version.",
    )


def refuse_others(file: BinaryIO) -> None:
    file.seek(0)
    try:
        is_ubj = foreign.is_ubj(file.read(foreign.HEAD))
    except foreign.Refused as error:
        raise UnsupportedMedia(str(error)) from None
    if not is_ubj and (status := status_of(ONNX)) != AVAILABLE:
        raise Unavailable(f"Serving ONNX files {status}.")


def keep(storage: Storage, file: BinaryIO, key: str) -> Stored:
    """Blocks: call from a thread."""
    file.seek(0)
    with storage.writing(key) as target:
        shutil.copyfileobj(file, target, CHUNK)
    return storage.describe(key)


async def ask(
    session: AsyncSession, actor: Actor, name: str, sent: Stored, signature: UploadSignature
) -> Job:
    job = await jobs.enqueue(
        session,
        JOB,
        owner_id=actor.account_id,
        model=name,
        key=sent.key,
        sha256=sent.sha256,
        signature=signature.model_dump(mode="json"),
        **actor.for_job(),
    )
    assert job  # Only an idempotency key can keep a job out.
    audit.record(
        session, actor, "model.file_received", f"model/{name}", job_id=job.id, sha256=sent.sha256
    )
    return job
