"""Storage: keys that stay inside, files that appear whole, and the same in both forms."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from astralytiq.core import s3 as calls
from astralytiq.core.errors import AppError, Conflict, NotFound, StorageFull, Unavailable
from astralytiq.core.object_storage import CACHE, ObjectStorage
from astralytiq.core.resources import storage_of
from astralytiq.core.settings import Settings
from astralytiq.core.storage import Damaged, FolderStorage, Storage, discard, writing_aside
from tests.patience import PATIENCE
from tests.s3 import Answer, Environ, S3Server, refusal

PART = 64 << 10
LONG = os.urandom(5 * PART // 2)  # three parts
HUSH = "to be seen nowhere"
NAME = "platform/a.bin"  # of the object behind the key a.bin


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def objects(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStorage]:
    monkeypatch.setattr(calls, "PART", PART)
    storage = ObjectStorage(s3.settings(tmp_path, bucket))
    yield storage
    storage.close()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(calls, "REST_SECONDS", 0.0)


# Whatever the form --------------------------------------------------------------------------------


class TestEitherForm:
    @pytest.fixture(params=["folder", "objects"])
    def storage(self, request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
        if request.param == "folder":
            return FolderStorage(tmp_path / "storage")
        found: Storage = request.getfixturevalue("objects")
        return found

    def test_what_is_stored_comes_back(self, storage: Storage) -> None:
        stored = storage.put("models/a/1.bin", b"content")
        assert (stored.size, stored.sha256) == (7, hashlib.sha256(b"content").hexdigest())
        assert storage.get("models/a/1.bin") == b"content"
        assert storage.get("models/a/1.bin", stored.sha256) == b"content"
        assert storage.describe("models/a/1.bin") == stored
        assert b"".join(storage.chunks("models/a/1.bin")) == b"content"
        with storage.open("models/a/1.bin") as file:
            assert file.read() == b"content"
        assert storage.exists("models/a/1.bin")
        assert storage.is_near("models/a/1.bin")

    def test_what_is_deleted_is_gone(self, storage: Storage) -> None:
        storage.put("a.bin", b"content")
        for _ in range(2):
            storage.delete("a.bin")
        assert not storage.exists("a.bin")
        for ask in (storage.get, storage.open, storage.describe):
            with pytest.raises(NotFound, match=r"'a\.bin'"):
                ask("a.bin")
        with pytest.raises(NotFound):
            next(storage.chunks("a.bin"))

    @pytest.mark.parametrize(
        "key", ["../a", "/etc/passwd", "a/../b", "", ".hidden", "a//b", "a\0b", "a/b/", "a\n"]
    )
    def test_21_a_key_never_leaves_the_storage(self, storage: Storage, key: str) -> None:
        for ask in (storage.get, storage.delete, storage.exists, storage.is_near):
            with pytest.raises(ValueError, match="not a storage key"):
                ask(key)
        with pytest.raises(ValueError, match="not a storage key"):
            storage.put(key, b"")

    def test_a_fault_while_writing_leaves_nothing(self, storage: Storage, tmp_path: Path) -> None:
        def fail() -> None:
            with storage.writing("a.bin") as file:
                file.write(b"half of it")
                raise OSError("the disk is full")

        with pytest.raises(OSError, match="disk is full"):
            fail()
        assert not storage.exists("a.bin")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_what_is_stored_never_changes(self, storage: Storage) -> None:
        storage.put("a.bin", b"first")
        storage.put("a.bin", b"first")  # The same once more: an attempt whose answer was lost.
        with pytest.raises(Conflict, match="never changes"):
            storage.put("a.bin", b"second")
        assert storage.get("a.bin") == b"first"

    def test_an_empty_file_is_one(self, storage: Storage) -> None:
        stored = storage.put("empty", b"")
        assert (stored.size, storage.get("empty"), storage.exists("empty")) == (0, b"", True)

    def test_other_bytes_than_were_stored_are_damaged(self, storage: Storage) -> None:
        storage.put("a.bin", b"content")
        wrong = hashlib.sha256(b"other").hexdigest()
        with pytest.raises(Damaged, match="restore it"), storage.local("a.bin", wrong):
            pass
        with pytest.raises(Damaged):
            storage.get("a.bin", wrong)

    def test_a_file_stays_for_its_reader_whoever_deletes_it(self, storage: Storage) -> None:
        storage.put("a.bin", b"content")
        with storage.open("a.bin") as file:
            storage.delete("a.bin")
            assert file.read() == b"content"

    @pytest.mark.anyio
    async def test_coroutines_write_too_and_discard(self, storage: Storage) -> None:
        async with writing_aside(storage, "a.bin") as file:
            file.write(b"content")
        assert storage.get("a.bin") == b"content"
        with pytest.raises(ZeroDivisionError):
            async with writing_aside(storage, "b.bin"):
                raise ZeroDivisionError
        assert not storage.exists("b.bin")
        await discard(storage, "a.bin", "never.bin")
        assert not storage.exists("a.bin")

    def test_it_says_that_it_can_be_written(self, storage: Storage) -> None:
        storage.prepare()
        assert (storage.fault(), storage.is_writable()) == ("", True)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "STORAGE_URL" in FolderStorage(tmp_path / "file" / "in").fault()


# Settings -----------------------------------------------------------------------------------------


def test_the_url_chooses_the_form(tmp_path: Path, s3: S3Server) -> None:
    for url in ("", str(tmp_path / "x"), f"file://{tmp_path}/x"):
        settings = Settings(_env_file=None, astralytiq_home=tmp_path, storage_url=url)
        assert isinstance(storage_of(settings), FolderStorage)
    assert isinstance(storage_of(s3.settings(tmp_path, "some-bucket")), ObjectStorage)


# The operator's mistakes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"s3_access_key_id": "stranger", "s3_secret_access_key": HUSH}, "S3_ACCESS_KEY_ID"),
        ({"storage_url": "s3://never-made"}, "create the bucket"),
    ],
)
def test_what_a_person_must_mend_is_told_at_the_start(
    s3: S3Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    given: dict[str, str],
    words: str,
) -> None:
    storage = ObjectStorage(s3.settings(tmp_path, "some-bucket", **given))
    with pytest.raises(AppError, match=words) as refusal:
        storage.prepare()
    assert words in storage.fault()
    with pytest.raises(Unavailable, match=words):
        storage.put("a.bin", b"content")
    with pytest.raises(Unavailable, match=words):
        storage.get("a.bin")
    assert HUSH not in f"{refusal.value}{caplog.text}"


def test_a_server_that_is_away_does_not_keep_us_from_starting(
    s3: S3Server, tmp_path: Path, unhurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    away = s3.settings(tmp_path, "some-bucket", s3_endpoint_url="http://127.0.0.1:9")
    storage = ObjectStorage(away)
    storage.prepare()
    assert "does not answer" in caplog.text
    assert "S3_ENDPOINT_URL" in storage.fault()


# Faults on the way --------------------------------------------------------------------------------


class Times:
    """A fault of the first `count` requests of a kind."""

    def __init__(self, count: int, method: str, answer: Answer) -> None:
        self.count, self.method, self.answer = count, method, answer

    def __call__(self, environ: Environ) -> Answer:
        if environ["REQUEST_METHOD"] != self.method or self.count <= 0:
            return None
        self.count -= 1
        return self.answer


@contextmanager
def silent(s3: S3Server) -> Iterator[Event]:
    """It answers nobody meanwhile; the event says that somebody has asked."""
    asked, go_on = Event(), Event()

    def wait(_: Environ) -> Answer:
        asked.set()
        go_on.wait(PATIENCE)
        return None

    with s3.failing(wait):
        try:
            yield asked
        finally:
            go_on.set()


BUSY = refusal("503 Service Unavailable", "SlowDown")
SHORT = ("206 Partial Content", b"short")


@pytest.mark.parametrize("fault", [BUSY, refusal("500 Internal", "InternalError"), SHORT])
def test_passing_faults_are_passed_over(
    s3: S3Server, objects: ObjectStorage, unhurried: None, fault: Answer
) -> None:
    with s3.failing(Times(1, "PUT", BUSY)):
        objects.put("a.bin", LONG)
    objects._cache.forget(NAME)
    with s3.failing(Times(3, "GET", fault)):
        assert objects.get("a.bin") == LONG


def test_an_outage_is_told_and_then_the_server_is_left_alone_for_a_while(
    s3: S3Server, objects: ObjectStorage, unhurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3.failing(Times(99, "PUT", BUSY)):
        with pytest.raises(Unavailable, match="S3_ENDPOINT_URL"):
            objects.put("a.bin", b"content")
        monkeypatch.setattr(calls, "REST_SECONDS", 60.0)
        with pytest.raises(Unavailable):
            objects.put("b.bin", b"content")
    s3.asked.clear()
    with pytest.raises(Unavailable):
        objects.exists("a.bin")
    assert s3.asked == []


def test_a_call_has_an_end(
    s3: S3Server, objects: ObjectStorage, unhurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.exists("a.bin")
    monkeypatch.setattr(calls, "PAUSES", ())
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.05)
    monkeypatch.setattr(calls, "CHECK_SECONDS", 0.05)
    with silent(s3):
        with pytest.raises(Unavailable):
            objects.exists("a.bin")
        assert "does not answer" in objects.fault()


def test_whoever_waits_is_let_go_when_the_house_closes(
    s3: S3Server, objects: ObjectStorage
) -> None:
    objects.put("a.bin", b"content")
    with silent(s3) as asked, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(objects.exists, "a.bin")
        assert asked.wait(PATIENCE)
        objects.close()
        with pytest.raises(Unavailable):
            waiting.result(PATIENCE)
    with pytest.raises(Unavailable):
        objects.exists("a.bin")


def test_a_full_bucket_says_so(s3: S3Server, objects: ObjectStorage, unhurried: None) -> None:
    full = refusal("507 Insufficient Storage", "XMinioStorageFull")
    with s3.failing(Times(1, "PUT", full)), pytest.raises(StorageFull, match="no room"):
        objects.put("a.bin", b"content")
    assert not objects.is_near("a.bin")


def test_what_vanishes_between_two_calls_is_missing(s3: S3Server, objects: ObjectStorage) -> None:
    objects.put("a.bin", b"content")
    objects._cache.forget(NAME)
    vanished = refusal("404 Not Found", "NoSuchKey")
    with s3.failing(Times(1, "GET", vanished)), pytest.raises(NotFound):
        objects.get("a.bin")
    assert objects.get("a.bin") == b"content"


def test_what_is_not_near_is_streamed_and_not_kept(objects: ObjectStorage) -> None:
    objects.put("a.bin", LONG)
    objects._cache.forget(NAME)
    assert b"".join(objects.chunks("a.bin")) == LONG
    assert not objects.is_near("a.bin")


# Whole or not at all ------------------------------------------------------------------------------


def test_an_upload_that_fails_half_way_is_taken_back(
    s3: S3Server, bucket: str, objects: ObjectStorage, unhurried: None
) -> None:
    def third(environ: Environ) -> Answer:
        return BUSY if "partNumber=3" in environ["QUERY_STRING"] else None

    with s3.failing(third), pytest.raises(Unavailable):
        objects.put("a.bin", LONG)
    assert (s3.keys(bucket), s3.uploads(bucket)) == ([], [])
    assert not objects.is_near("a.bin")


def test_an_answer_that_was_lost_is_made_out_from_what_is_there(
    objects: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = objects._s3._complete

    def twice(*arguments: Any) -> None:
        upload(*arguments)
        upload(*arguments)

    monkeypatch.setattr(objects._s3, "_complete", twice)
    objects.put("a.bin", LONG)
    objects._cache.forget(NAME)
    assert objects.get("a.bin") == LONG


KILLED = """
import os, signal, sys
from pathlib import Path
from astralytiq.core import s3
from astralytiq.core.object_storage import ObjectStorage
from astralytiq.core.s3 import S3
from astralytiq.core.settings import Settings, UnsafeSettings

def die(self, *arguments):
    os.kill(os.getpid(), signal.SIGKILL)

S3._complete = die
s3.PART = 1 << 10
ObjectStorage(Settings(_env_file=None)).put("a.bin", bytes(3 << 10))
"""


def test_a_process_that_is_killed_leaves_nothing_that_anybody_sees(
    s3: S3Server,
    bucket: str,
    objects: ObjectStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {name.upper(): value for name, value in s3.environment(bucket).items()}
    home = {"ASTRALYTIQ_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, **given, **home})
    assert done.returncode == -signal.SIGKILL
    assert not objects.exists("a.bin")
    assert (s3.keys(bucket), s3.uploads(bucket)) == ([], [NAME])
    with monkeypatch.context() as patch:
        patch.setattr(calls, "ABANDONED", timedelta(days=50_000))
        objects.prepare()
    assert s3.uploads(bucket) == [NAME]  # A young one may be another process's, at work.
    objects.prepare()  # The server says of all that they were begun years ago.
    assert s3.uploads(bucket) == []


def test_the_hash_of_what_was_stored_is_kept_with_it(
    s3: S3Server, bucket: str, objects: ObjectStorage
) -> None:
    for key, content in (("a.bin", b"content"), ("long.bin", LONG)):
        objects.put(key, content)
        found = s3.client.head_object(Bucket=bucket, Key=f"platform/{key}")
        assert found["Metadata"] == {"sha256": hashlib.sha256(content).hexdigest()}


# Copies -------------------------------------------------------------------------------------------


def test_a_byte_that_was_flipped_in_the_bucket_is_refused_until_it_is_mended(
    s3: S3Server, bucket: str, objects: ObjectStorage
) -> None:
    stored = objects.put("a.bin", b"content")
    objects._cache.forget(NAME)
    s3.flip_a_byte(bucket, NAME)
    with pytest.raises(Damaged):
        objects.get("a.bin", stored.sha256)
    s3.client.put_object(Bucket=bucket, Key=NAME, Body=b"content")
    assert objects.get("a.bin", stored.sha256) == b"content"


def test_a_copy_that_was_damaged_here_is_fetched_again(
    objects: ObjectStorage, tmp_path: Path
) -> None:
    stored = objects.put("a.bin", b"content")
    (copy,) = (tmp_path / CACHE).iterdir()
    copy.write_bytes(b"c0ntent")
    assert objects.get("a.bin", stored.sha256) == b"content"
