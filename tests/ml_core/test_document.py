"""What docs/ml_core.md shows runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "ml_core.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return found[0]


def test_the_commands_run_and_write_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", block("bash")],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Test accuracy: ") == 2
    written = {path.name for path in tmp_path.iterdir()}
    assert {"clusters.csv", "clusters.png", "importances.png"} <= written


def test_the_example_runs() -> None:
    exec(block("python"), {})
