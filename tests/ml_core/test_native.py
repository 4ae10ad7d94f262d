"""Compiled kernels: the best one that the processor runs is loaded; all works without any."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml_core import builds, native

SOURCES = Path(native.__file__).parents[1]
FIT = """
import numpy as np
from ml_core import DecisionTreeClassifier, KMeans, RandomForestClassifier, dumps, native
X = np.random.default_rng(0).normal(size=(300, 4))
y = (X[:, 0] + X[:, 1] > 0).astype(int)
for model in (
    KMeans(3, random_state=0).fit(X),
    DecisionTreeClassifier(max_features=2, random_state=0).fit(X, y),
    RandomForestClassifier(5, random_state=0).fit(X, y),
):
    print(dumps(model).hex())
"""


def fitted(package: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": str(package.parent), **environment}
    return subprocess.run(
        [sys.executable, "-c", FIT], env=settings, capture_output=True, text=True, check=False
    )


def runnable() -> list[str]:
    library = native.library()
    assert library is not None
    return [name for name, level in native.BUILDS.items() if level <= library.processor_level()]


def test_the_best_build_that_the_processor_runs_is_in_use() -> None:
    assert native.build_in_use() == runnable()[-1]


def test_every_build_and_the_reference_fit_the_same_models_bit_for_bit() -> None:
    models = {
        name: fitted(SOURCES, ML_CORE_KERNELS=name) for name in [*runnable(), native.REFERENCE]
    }
    for name, run in models.items():
        assert (name, run.returncode, run.stderr) == (name, 0, "")
    assert len({run.stdout for run in models.values()}) == 1


def test_without_any_build_everything_works_after_one_warning(tmp_path: Path) -> None:
    bare = tmp_path / "ml_core"
    shutil.copytree(SOURCES, bare, ignore=shutil.ignore_patterns("kernels_*", "__pycache__"))
    run = fitted(bare)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("RuntimeWarning") == 1
    assert "compiled kernels cannot be loaded" in run.stderr
    assert run.stdout == fitted(SOURCES).stdout


def test_kernels_of_other_sources_are_not_used(tmp_path: Path) -> None:
    stale = tmp_path / "ml_core"
    shutil.copytree(SOURCES, stale, ignore=shutil.ignore_patterns("__pycache__"))
    with (stale / "native/forest.c").open("a") as source:
        source.write("/* as of tomorrow */\n")
    run = fitted(stale)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("RuntimeWarning") == 1
    assert "was built from other sources than those beside it" in run.stderr


def test_a_build_that_does_not_exist_is_refused_by_name() -> None:
    run = fitted(SOURCES, ML_CORE_KERNELS="x86_64_v9")
    assert run.returncode != 0
    assert "ML_CORE_KERNELS must be one of" in run.stderr


@pytest.mark.skipif(len(native.BUILDS) == 1, reason="one build for all processors of this kind")
def test_a_build_beyond_the_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "BUILDS", dict.fromkeys(native.BUILDS, 99))
    with pytest.raises(ValueError, match="this processor cannot run it"):
        native.KERNELS.asked_for(next(iter(native.BUILDS)))
