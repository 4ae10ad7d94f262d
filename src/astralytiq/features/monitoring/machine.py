"""What the machine and this process use: figures alone, no names, paths or settings."""

import os
import platform
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.5


class Processor:
    """The share of the processors that was busy since somebody asked last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times, self._at = psutil.cpu_times(), time.monotonic()
        self._percent: float | None = None

    def percent(self) -> float:
        with self._lock:
            if self._percent is None or time.monotonic() - self._at >= SAMPLE_SECONDS:
                self._sample()
            return self._percent or 0.0

    def _sample(self) -> None:
        now = psutil.cpu_times()
        passed = sum(now) - sum(self._times)
        idle = waited(now) - waited(self._times)
        if passed > 0:
            self._percent = round(100 * (1 - min(1.0, idle / passed)), 1)
        self._times, self._at = now, time.monotonic()


def waited(times: Any) -> float:
    return float(times.idle + getattr(times, "iowait", 0.0))


PROCESSOR = Processor()


@dataclass(frozen=True)
class Usage:
    """In percent."""

    cpu: float
    memory: float
    disk: float


def usage(folder: Path) -> Usage:
    return Usage(PROCESSOR.percent(), psutil.virtual_memory().percent, disk(folder).percent)


def disk(folder: Path) -> Any:
    """Of the disk that holds `folder`, or will."""
    there = next((one for one in (folder, *folder.resolve().parents) if one.exists()), Path("/"))
    return psutil.disk_usage(str(there))


def described(folder: Path) -> dict[str, Any]:
    """For /monitoring/system/info."""
    memory, space, own = psutil.virtual_memory(), disk(folder), psutil.Process()
    with own.oneshot():
        process = {
            "memory_bytes": own.memory_info().rss,
            "threads": own.num_threads(),
            "cpu_seconds": round(sum(own.cpu_times()[:2]), 2),
        }
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": {
            "count": os.cpu_count() or 1,
            "percent": PROCESSOR.percent(),
            "load": [round(one, 2) for one in psutil.getloadavg()],
        },
        "memory": {
            "total_bytes": memory.total,
            "available_bytes": memory.available,
            "percent": memory.percent,
        },
        "disk": {"total_bytes": space.total, "free_bytes": space.free, "percent": space.percent},
        "process": process,
    }
