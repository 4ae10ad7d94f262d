"""Prepares the batches of a long run in a process of its own, beside the one that stores them.

In threads both would wait for the interpreter's lock. The process gets JSON, answers MessagePack,
each with its length before it, and ends with its standard input. It is a help and no more: what it
cannot do, or should it die, is done in a thread here.
"""

import asyncio
import logging
import os
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import msgspec

from astralytiq.core import memory
from astralytiq.engines.etl import packing
from astralytiq.engines.etl.batch import slices
from astralytiq.engines.etl.faults import Bent

from .preparing import Prepared, Question, Way, preparer

log = logging.getLogger(__name__)

LONG = 20_000  # payloads of a run, before it is worth the start of a process
PIPE = 1 << 20  # bytes, the most that Linux grants everybody
LENGTH = struct.Struct("<Q")
CANNOT = b""
encode = msgspec.msgpack.Encoder().encode

# No secret is needed there.
HANDED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")
COMMAND = (sys.executable, "-m", "astralytiq.features.ingestion.aside")


# On our side ------------------------------------------------------------------------------------


class Preparer:
    """Prepares batches in their order: in a thread, and once there are many, in a process."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._prepare = preparer(way)
        self._seen = 0
        self._process: asyncio.subprocess.Process | None = None
        self._alone = cores() < 2

    async def prepare(self, payloads: Sequence[Any], *, lean: bool = False) -> Prepared:
        self._seen += len(payloads)
        if self._seen > LONG and not self._alone:
            try:
                if found := await self._aside(payloads, lean):
                    return found
            except (OSError, asyncio.IncompleteReadError) as trouble:
                log.warning("batches are prepared in a thread", extra={"reason": str(trouble)})
                await self.aclose()
                self._alone = True
        return await self.prepare_here(payloads, lean=lean)

    async def prepare_here(self, payloads: Sequence[Any], *, lean: bool = False) -> Prepared:
        def prepared() -> Prepared:
            parts = [part for _, part in slices(payloads)]
            return self._prepare(parts, question(parts, lean))

        return await asyncio.to_thread(prepared)

    async def _aside(self, payloads: Sequence[Any], lean: bool) -> Prepared | None:
        if Bent in set(map(type, payloads)):  # whose JSON does not show it
            return None
        if self._process is None:
            self._process = await started(self._way)
        parts = [part for _, part in slices(payloads)]
        frame = await asyncio.to_thread(lambda: framed(encode(question(parts, lean))))
        return await asked(self._process, frame)

    async def aclose(self) -> None:
        if process := self._process:
            self._process = None
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def started(way: Way) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in HANDED_ON if name in os.environ},
        start_new_session=True,  # Who interrupts us by the keyboard lets us end it.
    )
    assert process.stdin
    process.stdin.write(framed(encode(way)))
    return process


async def asked(process: asyncio.subprocess.Process, frame: bytes) -> Prepared | None:
    assert process.stdin
    assert process.stdout
    process.stdin.write(frame)
    await process.stdin.drain()
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    answer = await process.stdout.readexactly(length)
    return None if answer == CANNOT else msgspec.msgpack.decode(answer, type=Prepared)


def question(parts: Sequence[Sequence[Any]], lean: bool) -> Question:
    return Question(sum(map(len, parts)), list(map(packing.written, parts)), lean)


def framed(content: bytes) -> bytes:
    return LENGTH.pack(len(content)) + content


# On its own side --------------------------------------------------------------------------------


def main() -> None:
    memory.settle(memory.OF_HELPERS)
    widen_pipes()
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    prepare = preparer(msgspec.msgpack.decode(next_frame(incoming), type=Way))
    while frame := next_frame(incoming):
        asked_for = msgspec.msgpack.decode(frame, type=Question)
        try:
            parts = map(packing.read, asked_for.texts)
            answer = encode(prepare(parts, asked_for))
        except Exception:  # Here nobody could be told: done in a thread it fails with its words.
            answer = CANNOT
        outgoing.write(framed(answer))
        outgoing.flush()


def widen_pipes() -> None:
    """Where the system can: half of the time a batch is under way, it waits for room in a pipe."""
    for pipe in (sys.stdin, sys.stdout):
        with suppress(ImportError, AttributeError, OSError):
            import fcntl  # noqa: PLC0415 - not there on every system

            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE)


def next_frame(incoming: IO[bytes]) -> bytes:
    head = incoming.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return b""
    return incoming.read(LENGTH.unpack(head)[0])


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
