"""Copies of objects: bounded, shared between threads and processes, never taken from a reader."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from astralytiq.core.errors import Unavailable
from astralytiq.core.object_cache import LEFT_SECONDS, ObjectCache


def writes(content: bytes) -> Callable[[Path], None]:
    def fetch(path: Path) -> None:
        path.write_bytes(content)

    return fetch


def test_the_longest_unused_copies_go_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit=250)
    for age, name in enumerate("abc"):
        with cache.held(name, writes(bytes(100))) as path:
            os.utime(path, (1000 + age, 1000 + age))
        if name == "b":
            with cache.held("a", writes(b"unused")) as path:
                assert path.read_bytes() == bytes(100)
    assert [name for name in "abc" if cache.has(name)] == ["a", "c"]


def test_a_copy_in_use_stays_whoever_needs_room(tmp_path: Path) -> None:
    cache, other = ObjectCache(tmp_path, limit=150), ObjectCache(tmp_path, limit=150)
    with cache.held("a", writes(bytes(100))) as path:
        for name in "bcd":
            with other.held(name, writes(bytes(100))):
                pass
        assert path.read_bytes() == bytes(100)
    with other.held("e", writes(bytes(100))):
        pass
    assert [name for name in "abcde" if cache.has(name)] == ["e"]


def test_one_object_larger_than_all_room_is_held_for_its_reader(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit=10)
    with cache.held("a", writes(bytes(100))) as path:
        assert path.read_bytes() == bytes(100)


def test_threads_fetch_a_copy_once(tmp_path: Path) -> None:
    cache, fetched, ready = ObjectCache(tmp_path, limit=1000), [], threading.Barrier(4)

    def fetch(path: Path) -> None:
        fetched.append(path)
        time.sleep(0.05)
        path.write_bytes(b"content")

    def read(_: int) -> bytes:
        ready.wait()
        with cache.held("a", fetch) as path:
            return path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read, range(4))) == {b"content"}
    assert len(fetched) == 1


def test_processes_may_fetch_a_copy_at_once(tmp_path: Path) -> None:
    """Two caches of one folder are as two processes: the second keeps what the first has."""
    cache, other = ObjectCache(tmp_path, limit=1000), ObjectCache(tmp_path, limit=1000)

    def slowly(path: Path) -> None:
        path.write_bytes(b"content")
        with other.held("a", writes(b"content")) as found:
            assert found.read_bytes() == b"content"

    with cache.held("a", slowly) as path:
        assert path.read_bytes() == b"content"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit=1000)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise Unavailable("The storage does not answer.")

    with pytest.raises(Unavailable), cache.held("a", fail):
        pass
    assert list(tmp_path.iterdir()) == []


def test_drafts_of_killed_processes_are_removed(tmp_path: Path) -> None:
    for name, age in (("old.part", 2 * LEFT_SECONDS), ("new.part", 0.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with ObjectCache(tmp_path, limit=1).held("a", writes(b"content")):
        pass
    assert sorted(path.name for path in tmp_path.glob("*.part")) == ["new.part"]
