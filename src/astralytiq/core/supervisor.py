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
    await resources.database.write(lambda session: jobs.reap(session, owner_prefix=f"{owner}:"))
    count = resources.settings.workers
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(keep_one(resources, command, owner))


async def keep_one(resources: Resources, command: Sequence[str], owner: str) -> None:
    pause = 0.5
    while True:
        began = asyncio.get_running_loop().time()
        lease_owner = f"{owner}:{os.urandom(4).hex()}"
        code = await run_one([*command, "--owner", lease_owner])
        lived = asyncio.get_running_loop().time() - began
        log.error("worker ended", extra={"exit_code": code, "seconds": round(lived, 1)})
        await resources.database.write(lambda s, who=lease_owner: jobs.reap(s, owner_prefix=who))  # type: ignore[misc]
        pause = 0.5 if lived > HEALTHY_SECONDS else min(pause * 2, LONGEST_PAUSE)
        await asyncio.sleep(pause)


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
