"""The command ``python -m ml_core.kmeans``: a table in, clusters out, one line for bad input."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml_core import KMeans, kmeans
from tests.ml_core.data import clouds

SAMPLE = Path(__file__).parents[2] / "data" / "sample_data.csv"


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def cells(path: Path | str, column: str) -> list[str]:
    with open(path, newline="", encoding="utf-8") as file:
        return [row[column] for row in csv.DictReader(file)]


def test_the_table_comes_back_with_a_cluster_for_each_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results.csv"
    argv = ["--data", str(SAMPLE), "--clusters", "3", "--output", str(output)]
    assert kmeans.main(argv) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"K-Means on {SAMPLE}: 150 rows, 4 features, 3 clusters"
    assert lines[1] == "Left out: class (not numeric)"
    assert lines[2].startswith("Inertia: 78.8")
    assert [line.split(":")[0] for line in lines[3:6]] == ["Cluster 0", "Cluster 1", "Cluster 2"]
    assert lines[6] == f"Written: {output}"
    assert err == ""
    before, after = SAMPLE.read_text().splitlines(), output.read_text().splitlines()
    assert after[0] == before[0] + ",cluster"
    assert [line.rsplit(",", 1)[0] for line in after] == before
    x = np.loadtxt(SAMPLE, delimiter=",", skiprows=1, usecols=range(4))
    labels = KMeans(3, random_state=42).fit(x).labels_
    assert cells(output, "cluster") == [str(label) for label in labels]


def test_a_large_table_is_clustered_alike(tmp_path: Path) -> None:
    x, _ = clouds(700, 3)
    lines = [",".join(map(repr, row)) for row in x.tolist()]
    path = write(tmp_path, "\n".join(["a,b,c", *lines]))
    output = tmp_path / "results.csv"
    argv = ["--data", path, "--clusters", "4", "--max-iters", "3", "--random-state", "7"]
    assert kmeans.main([*argv, "--output", str(output)]) == 0
    labels = KMeans(4, max_iter=3, random_state=7).fit(x).labels_
    assert cells(output, "cluster") == [str(label) for label in labels]


@pytest.mark.parametrize("limit", [0, 500])
def test_both_forms_report_the_same(
    limit: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kmeans.main(["--data", str(SAMPLE)]) == 0
    expected = capsys.readouterr().out
    monkeypatch.setattr("ml_core.kmeans_plain.MOST_ROWS", limit)
    assert kmeans.main(["--data", str(SAMPLE)]) == 0
    assert capsys.readouterr().out == expected


def test_a_column_named_cluster_is_replaced_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "cluster,a\n900,1\n-5,2\n70,8\n3,9\n")
    assert kmeans.main(["--data", path, "--clusters", "2", "--output", path]) == 0
    assert "1 features" in capsys.readouterr().out
    assert Path(path).read_text().startswith("cluster,a\n")
    labels = cells(path, "cluster")
    assert set(labels) == {"0", "1"}
    assert (labels[0], labels[2]) == (labels[1], labels[3])


def test_cells_keep_their_text_and_their_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,note\n1.50,"x, ""y"""\n02,\n')
    output = tmp_path / "out.csv"
    assert kmeans.main(["--data", path, "--clusters", "1", "--output", str(output)]) == 0
    assert output.read_text() == 'a,note,cluster\n1.50,"x, ""y""",0\n02,,0\n'


def test_clusters_without_rows_are_shown_and_not_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "a\n1\n1\n5\n")
    for limit in (500, 0):
        monkeypatch.setattr("ml_core.kmeans_plain.MOST_ROWS", limit)
        assert kmeans.main(["--data", path, "--clusters", "3"]) == 0
        assert ": 0 rows around a=" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "is empty"),
        ("a\n", "has no rows"),
        ("a,b\nx,\ny,2\n", "has no numeric column to cluster by"),
        ("cluster\n1\n2\n", "has no numeric column to cluster by"),
        ("a\n1\n2\n", "has 2 rows, too few for 3 clusters"),
        ("a,a\n1,2\n", "two columns named 'a'"),
        ("a,b\n1\n", "line 2: 1 cells, but 2 column names"),
        ("a\n1e200\n-1e200\n3\n", "too far apart to square their distances"),
        # The sum of the column is infinite, but none of its cells is.
        ("a\n1e308\n1e308\n0\n", "too far apart to square their distances"),
        ("a;b\n1;2\n3;4\n5;6\n", "has semicolons between its columns: save it with commas"),
        ("a\tb\n1\t2\n", "has tabs between its columns: save it with commas instead"),
        ("a\n1e309\n1\n0\n", "has no numeric column to cluster by"),
        ("a\n1\nnan\n0\n", "has no numeric column to cluster by"),
        ("a\n1\n1_0\n0\n", "has no numeric column to cluster by"),
    ],
)
def test_a_bad_table_is_one_clear_line(
    table: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kmeans.main(["--data", write(tmp_path, table)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--clusters 0", "--clusters must be at least 1, got 0"),
        ("--clusters many", "argument --clusters: invalid int value: 'many'"),
        ("--max-iters 0", "--max-iters must be at least 1"),
        ("--random-state -1", "--random-state must be at least 0"),
        ("--output /", "cannot write /: "),
        ("--target class", "unrecognized arguments: --target class"),
    ],
)
def test_a_bad_option_is_one_clear_line(
    options: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kmeans.main(["--data", str(SAMPLE), *options.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_the_module_runs_as_a_program_and_offers_the_class() -> None:
    def run(path: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-W", "error", "-m", "ml_core.kmeans", "--data", path]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    done = run(str(SAMPLE))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Cluster 2: " in done.stdout
    failed = run("missing.csv")
    assert failed.returncode == 2
    assert failed.stderr == ("ml_core.kmeans: cannot read missing.csv: No such file or directory\n")
    assert kmeans.KMeans is KMeans


def test_a_report_for_programs_says_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.csv")
    argv = ["--data", str(SAMPLE), "--output", output]
    assert kmeans.main(argv) == 0
    for_people = capsys.readouterr().out
    assert kmeans.main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["data"], told["rows"], told["written"]) == (str(SAMPLE), 150, [output])
    assert f"Inertia: {told['inertia']:.6g} after {told['iterations']} iter" in for_people
    for cluster in told["clusters"]:
        place = ", ".join(f"{name}={value:.6g}" for name, value in cluster["centre"].items())
        assert f"Cluster {cluster['cluster']}: {cluster['rows']} rows around {place}" in for_people


def test_a_small_table_is_clustered_without_numpy() -> None:
    code = (
        "import sys; from ml_core import kmeans;"
        f"code = kmeans.main(['--data', {str(SAMPLE)!r}]); sys.exit(code or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
