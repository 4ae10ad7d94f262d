"""The bench beside scikit-learn runs; its figures are looked at by people."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, str(BENCH / "ml_speed.py"), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def loaded(name: str) -> Any:
    spec = spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_forest_is_measured_in_a_process_of_its_own() -> None:
    done = run("--quick", "--json", "--only", "7 classes")
    assert (done.returncode, done.stderr) == (0, "")
    lines = json.loads(done.stdout)["lines"]
    measures = {"fit", "fit, max_bins=None", "predict", "one row", "size", "accuracy"}
    assert measures <= {line["measure"] for line in lines}
    assert {line["reached"] for line in lines} <= {True, False, None}
    assert any(line["reached"] is not None for line in lines)
    assert all(line["ratio"] is None or line["ratio"] > 0 for line in lines)


def test_clusterings_and_memory_are_measured() -> None:
    speed, measure = loaded("ml_speed"), loaded("ml_measure")
    blobs = {"rows": 300, "clusters": 3, "deviation": 1.0, "dtype": "float32"}
    found = measure.kmeans(blobs, ["ours", "scikit-learn"], 1)
    case = next(case for case in speed.CASES if "k=8" in case.name)
    measures = [line.measure for line in speed.lines_of(case, "scikit-learn", found)]
    assert measures == ["fit", "same centres", "predict", "inertia"]
    case = next(case for case in speed.CASES if "memory" in case.name)
    held = measure.memory({**case.shape, "rows": 300, "trees": 2}, ["ours"], 1)
    (line,) = speed.lines_of(case, "", held)
    assert (line.goal, line.reached) == ("≤ 350 MB", True)


def test_accuracies_pass_within_an_error_and_say_how_often_they_do_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = loaded("ml_accuracy")
    shares = {"near": 0.851, "far": 0.84, bench.THEIRS: 0.85}
    row = bench.Row("made", "2 x 2", shares, 100_000, {"near": 0.0, "far": 0.001})
    assert (row.passes("near"), row.passes("far")) == (True, False)
    assert row.cells()[-2:] == ["+0.10 (±0.00) of ±0.20", "-1.00 (±0.10) of ±0.20 no"]
    few = bench.Row("made", "2 x 2", shares, 1000, {"far": 0.001})
    assert few.cells()[-1] == "-1.00 (±0.10) of ±1.62"
    bench.write_table("tree", bench.models(2)["tree"], ["iris"], 2)
    assert "of 1 data sets: binned 0, exact 0, other seeds 0.\n" in capsys.readouterr().out


def test_a_case_that_is_not_there_is_said() -> None:
    assert run("--only", "nothing").stderr == "No case is named like 'nothing'\n"
