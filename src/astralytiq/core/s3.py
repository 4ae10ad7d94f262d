"""Calls to a server that speaks S3: each has an end, is tried again where that helps, and says in
words what went wrong.

fsspec's s3fs finds the credentials and holds the connections, in a loop in a thread of its own. The
calls are made one by one here: its whole-file functions neither take up a body that broke off, nor
hold on to one version of an object, nor end an upload that was cancelled, nor keep memory small.
Credentials are in no message: what botocore says is never handed on, only its code.
"""

import asyncio
import base64
import hashlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from astralytiq.core.db import utc_now
from astralytiq.core.s3_faults import PASSING, S3Error, Trouble, fault_of
from astralytiq.core.settings import Settings

if TYPE_CHECKING:
    from s3fs import S3FileSystem  # type: ignore[import-untyped]

Result = TypeVar("Result")

PART = 8 << 20  # bytes of one call
AT_ONCE = 4
MOST_PARTS = 10_000  # of an object, by the protocol
CONNECT_SECONDS, READ_SECONDS = 5, 60
CHECK_SECONDS, CALL_SECONDS, PART_SECONDS = 1.5, 10, 300  # as a whole: a slow trickle ends too
PAUSES = (0.2, 1.0, 3.0)  # before the second, third and fourth attempt
REST_SECONDS = 5.0  # so long after it did not answer, it is not asked: others would wait as well
ABANDONED = timedelta(days=1)


@dataclass(frozen=True)
class Head:
    """What a server says of one version of an object."""

    size: int
    etag: str
    sha256: str  # empty if it is not one of ours


class S3:
    """One server, with the operator's credentials. To be used from threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = threading.Lock()
        self._system: S3FileSystem | None = None
        self._rests_until = 0.0
        self._closed = False

    # Calls ----------------------------------------------------------------------------------------

    def call(
        self,
        operation: str,
        *,
        seconds: float | None = None,
        pauses: Sequence[float] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        async def work(client: Any) -> dict[str, Any]:
            answer: dict[str, Any] = await getattr(client, operation)(**arguments)
            return answer

        found: dict[str, Any] = self._run(
            lambda: self._tried(work, seconds or CALL_SECONDS, pauses)
        )
        return found

    def _run(self, work: Callable[[], Awaitable[Result]]) -> Any:
        """Blocks until `work` has ended in the loop of the connections."""
        from fsspec.asyn import sync  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

        return sync(self._opened().loop, work)

    def _opened(self) -> "S3FileSystem":
        with self._opening:
            if self._system is None:
                self._system = opened(self._settings)
            return self._system

    async def _tried(
        self,
        work: Callable[[Any], Awaitable[Result]],
        seconds: float,
        pauses: Sequence[float] | None = None,
    ) -> Result:
        for pause in (*(PAUSES if pauses is None else pauses), None):
            self._refuse_early()
            try:
                async with asyncio.timeout(seconds):
                    return await work(await self._opened().set_session())
            except Exception as error:
                fault = fault_of(error)
            if fault.trouble not in PASSING or pause is None:
                break
            await asyncio.sleep(pause)
        if fault.trouble in PASSING:
            self._rests_until = time.monotonic() + REST_SECONDS
        raise fault

    def _refuse_early(self) -> None:
        if self._closed:
            raise S3Error(Trouble.away, "we are leaving")
        if time.monotonic() < self._rests_until:
            raise S3Error(Trouble.away, "a call just before failed")

    def close(self) -> None:
        """For good. Ends calls that are under way, too: their threads keep us from leaving."""
        self._closed = True
        with self._opening:
            system, self._system = self._system, None
        if system is not None and system._s3 is not None:
            from fsspec.asyn import sync  # noqa: PLC0415 - an extra

            with suppress(Exception):  # We are leaving: whatever it is, nobody needs it.
                sync(system.loop, system._s3creator.__aexit__, None, None, None, timeout=2)

    # Reading --------------------------------------------------------------------------------------

    def check(self, bucket: str) -> None:
        """Quickly: raises what keeps us from the bucket."""
        try:
            self.call("head_bucket", seconds=CHECK_SECONDS, pauses=(), Bucket=bucket)
        except S3Error as error:
            if error.trouble is Trouble.no_object:
                raise S3Error(Trouble.no_bucket, error.code) from None
            raise

    def head(self, bucket: str, key: str) -> Head | None:
        try:
            found = self.call("head_object", Bucket=bucket, Key=key)
        except S3Error as error:
            if error.trouble is Trouble.no_object:
                return None
            raise
        told = found.get("Metadata", {})
        return Head(found["ContentLength"], found.get("ETag", ""), told.get("sha256", ""))

    def read(
        self, bucket: str, key: str, head: Head, *, most: int | None = None, at_once: int = AT_ONCE
    ) -> Iterator[bytes]:
        """The version `head` speaks of, in pieces; another one is `Trouble.changed`."""
        end = head.size if most is None else min(most, head.size)
        arguments = {"Bucket": bucket, "Key": key}
        if head.etag:
            arguments["IfMatch"] = head.etag
        starts = range(0, end, PART)
        for first in range(0, len(starts), at_once):
            spans = [(at, min(at + PART, end)) for at in starts[first : first + at_once]]
            works = [reading(arguments, *span) for span in spans]
            yield from self._together(works)

    # Writing --------------------------------------------------------------------------------------

    def upload(self, bucket: str, key: str, file: BinaryIO, size: int, sha256: str) -> None:
        """The whole of `file` or nothing."""
        arguments: dict[str, Any] = {"Bucket": bucket, "Key": key}
        described = {**arguments, "Metadata": {"sha256": sha256}}
        if size <= PART:
            body = file.read()
            self._together([sending("put_object", described, body)])
            return
        upload_id = self.call("create_multipart_upload", **described)["UploadId"]
        try:
            parts = self._upload_parts({**arguments, "UploadId": upload_id}, file, size)
            self._complete({**arguments, "UploadId": upload_id}, parts, sha256)
        except BaseException:
            with suppress(S3Error):  # Then the sweep of a later start does it.
                self.call("abort_multipart_upload", **arguments, UploadId=upload_id)
            raise

    def _upload_parts(
        self, arguments: Mapping[str, Any], file: BinaryIO, size: int
    ) -> list[dict[str, Any]]:
        length = max(PART, -(-size // MOST_PARTS))
        parts: list[dict[str, Any]] = []
        while found := self._upload_some(arguments, file, length, len(parts) + 1):
            parts += found
        return parts

    def _upload_some(
        self, arguments: Mapping[str, Any], file: BinaryIO, length: int, first: int
    ) -> list[dict[str, Any]]:
        """On its own, so that what it has read is forgotten before more is read."""
        bodies = [body for _ in range(AT_ONCE) if (body := file.read(length))]
        works = [
            sending("upload_part", {**arguments, "PartNumber": number}, body)
            for number, body in enumerate(bodies, first)
        ]
        answers = self._together(works)
        return [
            {"PartNumber": number, "ETag": answer["ETag"]}
            for number, answer in enumerate(answers, first)
        ]

    def _complete(
        self, arguments: dict[str, Any], parts: list[dict[str, Any]], sha256: str
    ) -> None:
        try:
            self.call(
                "complete_multipart_upload",
                seconds=PART_SECONDS,
                **arguments,
                MultipartUpload={"Parts": parts},
            )
        except S3Error as error:
            # Its first answer may have been lost: then the upload is over, and the object is there.
            found = self.head(arguments["Bucket"], arguments["Key"])
            if error.code != "NoSuchUpload" or found is None or found.sha256 != sha256:
                raise

    def _together(self, works: Sequence[Callable[[Any], Awaitable[Result]]]) -> list[Result]:
        async def all_of_them() -> list[Result]:
            tasks = [asyncio.create_task(self._tried(work, PART_SECONDS)) for work in works]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        found: list[Result] = self._run(all_of_them)
        return found

    # Tidying --------------------------------------------------------------------------------------

    def abort_abandoned(self, bucket: str, prefix: str) -> int:
        """Uploads whose process was killed: nobody sees their parts, but everybody pays them."""
        found = self.call("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
        oldest = utc_now() - ABANDONED
        left = [one for one in found.get("Uploads", []) if begun(one) < oldest]
        for one in left:
            self.call(
                "abort_multipart_upload",
                Bucket=bucket,
                Key=one["Key"],
                UploadId=one["UploadId"],
            )
        return len(left)


def begun(upload: Mapping[str, Any]) -> datetime:
    found: datetime = upload["Initiated"]
    return found


def reading(
    arguments: Mapping[str, Any], start: int, end: int
) -> Callable[[Any], Awaitable[bytes]]:
    async def work(client: Any) -> bytes:
        answer = await client.get_object(**arguments, Range=f"bytes={start}-{end - 1}")
        async with answer["Body"] as body:
            found: bytes = await body.read()
        if len(found) != end - start:
            raise ConnectionError("the body broke off")
        return found

    return work


def sending(
    operation: str, arguments: Mapping[str, Any], body: bytes
) -> Callable[[Any], Awaitable[dict[str, Any]]]:
    """With its MD5, which every server of the kind checks: newer checksums many do not know."""
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    md5 = base64.b64encode(digest).decode()

    async def work(client: Any) -> dict[str, Any]:
        call = getattr(client, operation)
        answer: dict[str, Any] = await call(**arguments, Body=body, ContentMD5=md5)
        return answer

    return work


def opened(settings: Settings) -> "S3FileSystem":
    from s3fs import S3FileSystem  # noqa: PLC0415 - an extra, and half a second of imports

    key, secret = (
        one.get_secret_value() or None
        for one in (settings.s3_access_key_id, settings.s3_secret_access_key)
    )
    return S3FileSystem(
        key=key,
        secret=secret,
        endpoint_url=settings.s3_endpoint_url or None,
        client_kwargs={"region_name": settings.s3_region} if settings.s3_region else {},
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "max_pool_connections": 32,
            "retries": {"total_max_attempts": 1},  # We try again ourselves.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
        skip_instance_cache=True,  # It would keep the secrets for good.
        use_listings_cache=False,
    )
