"""Line 30: what we are made of, and what must not be among it."""

import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def scan(path: Path) -> subprocess.CompletedProcess[str]:
    """As `make secrets` does, of one file."""
    known = path.with_name("known")
    shutil.copy(ROOT / ".secrets.baseline", known)
    hook = Path(sys.executable).with_name("detect-secrets-hook")
    command = [str(hook), "--no-verify", "--baseline", str(known), str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "line",
    [
        'SECRET_KEY = "{}"',
        'url = "postgresql://astralytiq:{}@db.example.com/main"',
        'aws = "AKIA' + "IOSFODNN7EXAMPLQ" + '"',
        "-----BEGIN RSA " + "PRIVATE KEY-----",
    ],
    ids=["keyword", "url", "aws", "private-key"],
)
def test_30_a_planted_secret_fails_the_scan(tmp_path: Path, line: str) -> None:
    path = tmp_path / "planted.py"
    path.write_text(line.format(secrets.token_urlsafe(24)) + "\n")
    found = scan(path)
    assert (found.returncode, "planted.py" in found.stdout) == (1, True), found.stderr


def test_30_code_without_a_secret_passes_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    shutil.copy(ROOT / "src" / "astralytiq" / "core" / "audit.py", path)
    assert scan(path).returncode == 0


def test_30_the_scan_is_part_of_every_check_and_the_audit_is_strict() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^check:.*\bsecrets\b", makefile, re.MULTILINE)
    assert "make check" in (ROOT / ".ci" / "run").read_text()
    # Not strict, it passes when it could ask about nothing.
    audit = makefile.partition("\naudit:")[2].partition("\n\n")[0]
    assert {"requirements.lock", "--require-hashes", "--strict"} <= set(audit.split())


def test_30_every_package_is_pinned_by_hash() -> None:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    packages = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert len(packages) > 100
    assert [line.split()[0] for line in packages if "==" not in line] == []
    assert [line.split()[0] for line in packages if "--hash=sha256:" not in line] == []
