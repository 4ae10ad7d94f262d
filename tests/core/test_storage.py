"""Storage: whole files or none, and no key leaves the folder."""

from pathlib import Path

import pytest

from astralytiq.core.errors import NotFound
from astralytiq.core.storage import Storage


def test_what_is_put_is_found_with_its_hash(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    stored = storage.put("models/a/1.bin", b"content")
    assert storage.get("models/a/1.bin") == b"content"
    assert storage.describe("models/a/1.bin") == stored
    assert stored.size == 7
    storage.delete("models/a/1.bin")
    assert not storage.exists("models/a/1.bin")
    with pytest.raises(NotFound):
        storage.get("models/a/1.bin")


@pytest.mark.parametrize(
    "key", ["../secret", "/etc/passwd", "a/../../b", "a//b", "", ".hidden", "a\x00b", "a/", "C:\\x"]
)
def test_21_no_key_leaves_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a storage key"):
        Storage(tmp_path).put(key, b"x")


def test_a_broken_write_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.put("a.bin", b"first")

    def write_half() -> None:
        with storage.writing("a.bin") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert storage.get("a.bin") == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
