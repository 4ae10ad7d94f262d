"""Background work of the registry room: a file that was sent becomes a version, or is refused."""

import asyncio
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Forbidden, Invalid, NotFound
from astralytiq.core.executor import Work
from astralytiq.core.jobs import job
from astralytiq.core.security import Actor
from astralytiq.core.storage import discard

from . import service
from .models import ModelVersion
from .schemas_uploads import UploadSignature
from .service import Trained
from .uploading import JOB

PROGRAM = "astralytiq.engines.models.trying"
MOST_SECONDS = 300.0
LOOK_SECONDS = 0.5
# All that a process needs which opens files of strangers: none of our secrets.
NEEDED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMPDIR", "LANG")


@job(JOB)
async def take_in(
    work: Work,
    *,
    model: str,
    key: str,
    sha256: str,
    signature: dict[str, Any],
    actor_id: int,
    actor_name: str,
    actor_role: str | None,
) -> dict[str, Any]:
    actor = Actor.of_job(actor_id, actor_name, actor_role)
    given = UploadSignature.model_validate(signature)
    async with work.resources.database.reading() as session:
        version = await service.version_of_job(session, work.claim.id)
    if version is None:
        try:
            trained = await taken(work, model, key, sha256, given)
            version = await registered(work, actor, model, trained, sha256)
        except (Forbidden, Invalid):  # Whoever sends it again sends all of it.
            await discard(work.resources.storage, key)
            raise
    await discard(work.resources.storage, key)
    return {"model": model, "version": version.number, "algorithm": version.algorithm}


async def registered(
    work: Work, actor: Actor, model: str, trained: Trained, sent: str
) -> ModelVersion:
    async def register(session: AsyncSession) -> ModelVersion:
        await service.refuse_foreign(session, actor, model)
        return await service.add_version(session, actor, model, trained, sent=sent)

    return await work.step(register, progress=0.99)


async def taken(work: Work, model: str, key: str, sha256: str, given: UploadSignature) -> Trained:
    """The file with its signature, stored; raises Invalid with the reason why it is not taken."""
    work.report(0.1, "trying", "in a process of its own")
    storage = work.resources.storage
    with tempfile.TemporaryDirectory(prefix="astralytiq-") as folder:
        file, made = Path(folder) / "sent", Path(folder) / "taken"
        try:
            await asyncio.to_thread(lambda: file.write_bytes(storage.get(key, sha256)))
        except NotFound:
            raise Invalid("The file was refused before and is not kept: send it again.") from None
        algorithm = await tried(work, file, made, given)
        content = await asyncio.to_thread(made.read_bytes)
    # The fence in the name: a worker that was only slow cannot overwrite its successor's file.
    target = f"models/{model}/{work.claim.id}-{work.claim.fence}.model"
    stored = await asyncio.to_thread(storage.put, target, content)
    return Trained(
        algorithm=algorithm,
        task=given.task,
        params={},
        metrics={},
        evaluation={},
        features=[feature.model_dump() for feature in given.features],
        target=given.target,
        classes=list(given.classes or []),
        dataset_version_id=None,
        dataset="",
        seed=None,
        storage_key=stored.key,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=stored.size,
        environment=None,
        mlflow_run_id=None,
        job_id=work.claim.id,
    )


async def tried(work: Work, file: Path, made: Path, given: UploadSignature) -> str:
    """The algorithm that serves it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", PROGRAM, str(file), str(made),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in NEEDED if name in os.environ},
    )  # fmt: skip
    told = {"features": [feature.name for feature in given.features], "classes": given.classes}
    talking = asyncio.create_task(process.communicate(json.dumps(told).encode()))
    try:
        answer = await answered(work, talking)
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(talking, return_exceptions=True)
    if process.returncode or not answer:
        raise Invalid(
            f"The file ended the process that tried it (exit code {process.returncode}), so it is "
            "not taken: export the model again, and look whether it needs too much memory or time."
        )
    found = json.loads(answer)
    if "refused" in found:
        raise Invalid(found["refused"])
    return str(found["algorithm"])


async def answered(work: Work, talking: "asyncio.Task[tuple[bytes, bytes]]") -> bytes:
    """Empty if it takes too long; whoever cancels the job ends it."""
    loop = asyncio.get_running_loop()
    end = loop.time() + MOST_SECONDS
    while not talking.done() and loop.time() < end:
        work.check()
        await asyncio.wait({talking}, timeout=LOOK_SECONDS)
    return talking.result()[0] if talking.done() else b""
