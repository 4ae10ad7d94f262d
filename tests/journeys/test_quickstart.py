"""The quickstart runs as it stands against a real server, twice, and fails loudly on surprises."""

import subprocess
import sys
from pathlib import Path

from tests.journeys.servers import free_port, served

ROOT = Path(__file__).parents[2]


def quickstart(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "quickstart.py"), "--url", url, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_the_quickstart_reaches_a_prediction_that_names_its_sources(
    tmp_path: Path, database_url: str
) -> None:
    with served(tmp_path / "home", cwd=ROOT, DATABASE_URL=database_url) as server:
        assert server.url in server.line
        for number in (1, 2):
            done = quickstart(server.url)
            assert done.returncode == 0, done.stderr
            assert f"version {number} (sha256" in done.stdout
            assert "<- source quickstart_iris, run " in done.stdout
        with server.signed_in() as client:  # The demo's content was left out.
            assert [one["name"] for one in client.get("/datasets")] == ["quickstart_iris"]
        wrong = quickstart(server.url, "--password", "wrong")
        assert wrong.returncode == 1
        assert "401" in wrong.stderr


def test_the_quickstart_says_when_no_server_is_there() -> None:
    done = quickstart(f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "make demo" in done.stderr
