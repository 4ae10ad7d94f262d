"""The commands: train on a CSV, print accuracy; one line and exit code 2 for bad input."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ml_core import decision_tree, kmeans, random_forest
from ml_core.arguments import answer
from tests.ml_core.data import clouds

Main = Callable[[list[str]], int]
COMMANDS = [decision_tree.main, random_forest.main]


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    x, y = clouds(90, 2)
    species = np.array(["iris", "lily", "rose"])[y]
    lines = [
        f"{a},{b},bed {i % 4},{s}" for i, ((a, b), s) in enumerate(zip(x, species, strict=True))
    ]
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join(["length,width,place,species", *lines]) + "\n", encoding="utf-8-sig")
    return path


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("main", COMMANDS)
def test_a_command_prints_train_and_test_accuracy(
    main: Main, flowers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(flowers), "--target", "species"]) == 0
    out, err = capsys.readouterr()
    summary, left_out, train, test = out.splitlines()
    assert summary.endswith(": 90 rows, 2 features, 3 classes")
    assert left_out == "Left out: place (not numeric)"
    assert train == "Train accuracy: 1.0000 (72 rows)"
    assert test.startswith("Test accuracy: 0.")
    assert test.endswith("(18 rows)")
    assert err == ""


def test_every_option_is_taken(flowers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = (
        "--n-estimators 5 --max-depth 3 --min-samples-split 4 --min-samples-leaf 2 "
        "--max-features log2 --test-size 0.5 --random-state 1 --criterion entropy"
    )
    argv = ["--data", str(flowers), "--target", "species", *options.split()]
    assert random_forest.main(argv) == 0
    first = capsys.readouterr().out
    assert "(45 rows)" in first
    assert random_forest.main(argv) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("value", ["all", "none", "sqrt", "1", "0.5"])
def test_max_features_takes_words_and_numbers(value: str, flowers: Path) -> None:
    argv = ["--data", str(flowers), "--target", "species", "--max-features", value]
    assert decision_tree.main(argv) == 0


def test_the_reason_a_column_is_left_out_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "a,gap,void,word,odd,code,class\n1,,,x,nan,1_0,0\n2,5,,y,1,1_1,1\n3,6,,z,2,1_2,1\n"
    assert decision_tree.main(["--data", write(tmp_path, table), "--target", "class"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "Left out: gap (empty in 1 rows), void (empty), word (not numeric), odd (not numeric), "
        "code (not numeric)"
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "is empty"),
        ("a,class\n", "has no rows"),
        ("a,b\n1,2\n", "has no column 'class'; it has: a, b"),
        ("a,class\nx,0\ny,1\n", "has no numeric column beside 'class'"),
        ("class\n0\n1\n", "has no numeric column beside 'class'"),
        ("a,class\n1,0\n2\n", "line 3: 1 cells, but 2 column names"),
        ("a,a,class\n1,2,0\n", "two columns named 'a'"),
        ("a,class\n1,x\n2,\n", "target column 'class' is empty in 1 rows"),
        ("a,class\n1,0\n", "at least 2 rows"),
        (
            "a,class\n1,0.5\n2,1.5\n3,2.5\n",
            "must hold classes, as text or whole numbers, but it has 0.5",
        ),
        ('a,class\n1,"0\n', "is not a CSV file"),
        ("a;class\n1;0\n2;1\n", "has semicolons between its columns: save it with commas instead"),
        ("a\tclass\n1,5\t0\n", "has tabs between its columns: save it with commas instead"),
    ],
)
@pytest.mark.parametrize("main", COMMANDS)
def test_a_bad_table_is_one_clear_line(
    main: Main, table: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", write(tmp_path, table), "--target", "class"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--max-depth 0", "max_depth must be"),
        ("--max-depth two", "argument --max-depth: invalid int value: 'two'"),
        ("--max-features some", "argument --max-features: invalid"),
        ("--test-size 1.5", "--test-size must lie between 0 and 1"),
        ("--test-size nan", "--test-size must lie between 0 and 1"),
        ("--random-state -1", "random_state must be"),
        ("--criterion mse", "criterion must be one of"),
        ("--n-estimators 99999999999999999999", "n_estimators must be at most 2147483647"),
        ("--clusters 3", "unrecognized arguments: --clusters 3"),
    ],
)
def test_a_bad_option_is_one_clear_line(
    options: str, words: str, flowers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--data", str(flowers), "--target", "species", *options.split()]
    assert random_forest.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_read_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"a,class\n\xff\xfe,1\n")
    for path, words in ((tmp_path, "cannot read"), (binary, "is not UTF-8 text")):
        assert decision_tree.main(["--data", str(path), "--target", "class"]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("main", [kmeans.main, *COMMANDS])
def test_help_ends_with_examples_that_run(
    main: Main,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    examples = capsys.readouterr().out.split("examples:\n")[1].splitlines()
    assert len(examples) == 2
    cells = "".join(f"{at},{at * at % 7},{'xy'[at % 2]}\n" for at in range(20))
    (tmp_path / "data.csv").write_text(f"a,b,class\n{cells}")
    monkeypatch.chdir(tmp_path)
    for example in examples:
        assert example.startswith("  python -m ml_core.")
        assert main(example.split()[3:]) == 0


@pytest.mark.parametrize("main", COMMANDS)
def test_a_report_for_programs_says_the_same(
    main: Main, flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--data", str(flowers), "--target", "species"]
    assert main(argv) == 0
    for_people = capsys.readouterr().out
    plot = str(tmp_path / "plot.png")
    assert main([*argv, "--json", "--plot", plot]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["data"], told["rows"], told["written"]) == (str(flowers), 90, [plot])
    assert len(told["classes"]) == 3
    assert told["left_out"] == {"place": "not numeric"}
    assert sum(told["importances"].values()) == pytest.approx(1.0)
    for part in ("train", "test"):
        accuracy, rows = told[part]["accuracy"], told[part]["rows"]
        assert f"{part.capitalize()} accuracy: {accuracy:.4f} ({rows} rows)" in for_people


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (MemoryError("no room"), 2, "command: there is not enough memory for it: no room\n"),
        (KeyboardInterrupt(), 130, "command: stopped\n"),
        (ValueError("two\nlines"), 2, "command: two lines\n"),
    ],
)
def test_what_ends_a_command_is_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def report() -> str:
        raise error

    assert answer("command", report) == code
    assert capsys.readouterr() == ("", line)


def test_a_missing_option_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert decision_tree.main(["--data", "x.csv"]) == 2
    line = "ml_core.decision_tree: the following arguments are required: --target (see --help)\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("module", ["ml_core.decision_tree", "ml_core.random_forest"])
def test_a_module_runs_as_a_program(module: str, flowers: Path) -> None:
    def run(path: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-W", "error", "-m", module, "--data", path, "--target", "species"]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    done = run(str(flowers))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Test accuracy: " in done.stdout
    failed = run("missing.csv")
    assert failed.returncode == 2
    assert failed.stderr == f"{module}: cannot read missing.csv: No such file or directory\n"
