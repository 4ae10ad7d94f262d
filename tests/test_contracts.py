"""Every import contract is seen to break on a planted fault: none of them is decoration."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FEATURES = "astralytiq/features"

# contract -> (file, a line that breaks it)
FAULTS = {
    "1 House": ("astralytiq/core/db.py", "from astralytiq import client"),
    "2 Features": (f"{FEATURES}/accounts/service.py", "from astralytiq.features import ingestion"),
    "3 Room": (f"{FEATURES}/jobs/schemas.py", "from . import service"),
    "4 Only wiring opens a room's doors": (
        f"{FEATURES}/monitoring/service.py",
        "from astralytiq.features.ingestion import router",
    ),
    "5 Only doors know the web": (f"{FEATURES}/accounts/service.py", "import fastapi"),
    "6 Engines only compute": ("astralytiq/engines/tabular/__init__.py", "import sqlalchemy"),
    "7 Console and client are guests": (
        "astralytiq/client.py",
        "from astralytiq.core import settings",
    ),
    "8 No cycles": ("astralytiq/core/errors.py", "from astralytiq.core import jobs"),
    "9 ml_core stands alone": ("ml_core/trees.py", "import sklearn"),
    "10 A room's command speaks the client, never the database": (
        f"{FEATURES}/accounts/cli.py",
        "import sqlalchemy",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def contracts(folder: Path) -> dict[str, str]:
    """Each contract's name, and KEPT or BROKEN."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.strip().rsplit(" ", 1) for line in done.stdout.splitlines()]
    found = {name: state for name, state in (e for e in lines if len(e) == 2) if state.isupper()}
    assert found, done.stdout + done.stderr
    return found


def test_the_house_keeps_every_contract_and_each_has_a_planted_fault(copy: Path) -> None:
    assert contracts(copy) == dict.fromkeys(FAULTS, "KEPT")


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_breaks_its_contract(copy: Path, name: str) -> None:
    file, line = FAULTS[name]
    path = copy / "src" / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert contracts(copy)[name] == "BROKEN"
