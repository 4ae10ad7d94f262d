"""Storage: keys that stay inside, files that appear whole, and the same in both forms."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from astralytiq.core.errors import Conflict, NotFound
from astralytiq.core.object_storage import ObjectStorage
from astralytiq.core.resources import storage_of
from astralytiq.core.settings import Settings
from astralytiq.core.storage import Damaged, FolderStorage, Storage, discard, writing_aside
from tests.s3 import S3Server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def objects(s3: S3Server, bucket: str, tmp_path: Path) -> Iterator[ObjectStorage]:
    storage = ObjectStorage(s3.settings(tmp_path, bucket))
    yield storage
    storage.close()


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
