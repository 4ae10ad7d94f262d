"""A server that speaks S3, in a thread of the tests, and the faults that it is told to show."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from astralytiq.core.settings import Settings

KEY_ID = "tester"
SECRET = "as secret as a test can be"  # pragma: allowlist secret

Environ = dict[str, Any]
Start = Callable[..., Any]
Answer = tuple[str, bytes] | None
Fault = Callable[[Environ], Answer]


class S3Server:
    """`faults` see each request first: what one of them answers is the answer."""

    def __init__(self, url: str, client: Any) -> None:
        self.url = url
        self.client = client
        self.faults: list[Fault] = []
        self.asked: list[str] = []

    def bucket(self) -> str:
        name = f"bucket-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    def environment(self, bucket: str = "") -> dict[str, str]:
        """The settings of a platform that keeps its files here."""
        return {
            "storage_url": f"s3://{bucket}/platform" if bucket else "",
            "s3_endpoint_url": self.url,
            "s3_region": "us-east-1",
            "s3_access_key_id": KEY_ID,
            "s3_secret_access_key": SECRET,
        }

    def settings(self, home: Path, bucket: str, **more: Any) -> Settings:
        given = {**self.environment(bucket), **more}
        return Settings(_env_file=None, astralytiq_home=home, **given)

    def keys(self, bucket: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return [one["Key"] for one in found]

    def uploads(self, bucket: str) -> list[str]:
        found = self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [one["Key"] for one in found]

    def flip_a_byte(self, bucket: str, key: str) -> None:
        content = bytearray(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())
        content[len(content) // 2] ^= 1
        self.client.put_object(Bucket=bucket, Key=key, Body=bytes(content))

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        self.faults.append(fault)
        try:
            yield
        finally:
            self.faults.remove(fault)


class Guarded:
    """Asks for the one credential that is known, and shows faults, before the server answers."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner = inner
        self.server: S3Server | None = None

    def __call__(self, environ: Environ, start: Start) -> Any:
        found = self.fault(environ)
        if found is None:
            return self.inner(environ, start)
        status, body = found
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def fault(self, environ: Environ) -> Answer:
        if f"Credential={KEY_ID}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return refusal("403 Forbidden", "InvalidAccessKeyId")
        if self.server is None:
            return None
        self.server.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        answers = (fault(environ) for fault in list(self.server.faults))
        return next((one for one in answers if one), None)


def refusal(status: str, code: str) -> tuple[str, bytes]:
    words = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>So it is.</Message></Error>"
    return status, words.encode()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    import boto3  # type: ignore[import-untyped] # noqa: PLC0415 - slow, and few tests need it
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from moto.s3 import models  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    models.S3_UPLOAD_PART_MIN_SIZE = 1  # type: ignore[attr-defined]

    logging.getLogger("werkzeug").setLevel("ERROR")
    guarded = Guarded(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, guarded, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )
    try:
        guarded.server = S3Server(url, client)
        yield guarded.server
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()
