"""Keeps worker processes running beside the API: training never shares its interpreter's lock.

A `ProcessPoolExecutor` breaks for good when one child is killed; here a dead worker is replaced,
and its job goes back to the queue when its lease ends.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from astralytiq.core import jobs
from astralytiq.core.resources import Resources

log = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0
GRACE_SECONDS = 10.0
HEALTHY_SECONDS = 5.0


async def run_forever(resources: Resources, command: Sequence[str], owner: str) -> None:
    """Run `settings.workers` processes of `command` until cancelled.

    `owner` names this house in leases: those that its dead predecessor left are taken back at once.
    """
    await take_back(resources, f"{owner}:")
    count = resources.settings.workers
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(keep_one(resources, command, owner))


async def keep_one(resources: Resources, command: Sequence[str], owner: str) -> None:
    pause = 0.5
    while True:
        began = asyncio.get_running_loop().time()
        lease_owner = f"{owner}:{os.urandom(4).hex()}"
        code = await started([*command, "--owner", lease_owner])
        lived = asyncio.get_running_loop().time() - began
        level = logging.ERROR if code else logging.INFO  # 0: it was told to, by whoever told us
        log.log(level, "worker ended", extra={"exit_code": code, "seconds": round(lived, 1)})
        await take_back(resources, lease_owner)
        pause = 0.5 if lived > HEALTHY_SECONDS else min(pause * 2, LONGEST_PAUSE)
        await asyncio.sleep(pause)


async def take_back(resources: Resources, owner_prefix: str) -> None:
    """Return a dead owner's jobs at once; should the database be away, their leases run out."""
    try:
        await resources.database.write(lambda s: jobs.reap(s, owner_prefix=owner_prefix))
    except (SQLAlchemyError, OSError) as error:
        log.error("leases could not be taken back", exc_info=error)


async def started(command: Sequence[str]) -> int:
    try:
        return await run_one(command)
    except OSError as error:  # no memory, no process left: try again later
        log.error("worker could not be started", exc_info=error)
        return 1


async def run_one(command: Sequence[str]) -> int:
    """Run one worker to its end. It watches its standard input: when we die, so does it."""
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await stop(process)
        raise


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask it to finish, then insist."""
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def python_module(module: str) -> list[str]:
    return [sys.executable, "-m", module]
