"""What the documents show runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

from tests.journeys.guides import ROOT, blocks, run
from tests.journeys.servers import served


def first_words(text: str) -> list[str]:
    """The step that each line of the quickstart's output begins with."""
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def test_the_commands_by_hand_reach_a_prediction(tmp_path: Path) -> None:
    (block,) = (block for block in blocks("README.md", "bash") if "predict run" in block)
    assert "virginica" in run(block, ASTRALYTIQ_HOME=str(tmp_path / "home")).text


def test_the_quickstart_prints_what_the_readme_shows(tmp_path: Path) -> None:
    shown = next(block for block in blocks("README.md", "text") if block.startswith("sign in"))
    with served(tmp_path / "home", cwd=ROOT) as server:
        done = subprocess.run(
            [sys.executable, "examples/quickstart.py", "--url", server.url],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert first_words(done.stdout) == first_words(shown)


def test_every_make_target_that_the_documents_name_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(document.read_text() for document in documents)
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert named <= targets
    assert {"up", "test", "demo"} <= named


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} -> {target}"
