"""Pictures: what they show, what is refused before any work, and that nothing global changes."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest

# Builds its cache where there is none yet: a command that did so in a test would say it on stderr.
from matplotlib import font_manager  # noqa: F401
from matplotlib.colors import to_hex

from ml_core import kmeans, random_forest
from ml_core.plotting import (
    COLOURS,
    MOST_BARS,
    MOST_POINTS,
    plot_clusters,
    plot_importances,
    principal_plane,
    write_plot,
)
from tests.ml_core.data import clouds

SAMPLE = Path(__file__).parents[2] / "data" / "sample_data.csv"
COMMANDS = {
    "ml_core.kmeans": [],
    "ml_core.decision_tree": ["--target", "class"],
    "ml_core.random_forest": ["--target", "class", "--n-estimators", "3"],
}


def run(code: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_writes_a_picture_without_pyplot(module: str, tmp_path: Path) -> None:
    plot = tmp_path / "out.png"
    argv = ["--data", str(SAMPLE), *COMMANDS[module], "--plot", str(plot)]
    code = (
        f"import sys; from {module} import main; code = main({argv!r});"
        "sys.exit(code or 'matplotlib.pyplot' in sys.modules)"
    )
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"\nWritten: {plot}\n")
    head = plot.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert struct.unpack(">I", head[16:20])[0] == 1050  # 7 inches at 150 dots each


@pytest.mark.parametrize("module", COMMANDS)
def test_without_matplotlib_one_line_names_the_extra_before_any_work(
    module: str, tmp_path: Path
) -> None:
    def tried(*options: str) -> "subprocess.CompletedProcess[str]":
        argv = ["--data", str(tmp_path / "missing.csv"), *COMMANDS[module], *options]
        hidden = "import sys; sys.modules['matplotlib'] = None;"
        return run(f"{hidden} from {module} import main; sys.exit(main({argv!r}))")

    with_plot, without = tried("--plot", "out.png"), tried()
    assert with_plot.returncode == 2
    assert with_plot.stderr.startswith(f"{module}: a plot needs matplotlib, which the extra [plot]")
    assert with_plot.stderr.count("\n") == 1
    assert "missing.csv" in without.stderr


@pytest.mark.parametrize("main", [kmeans.main, random_forest.main])
def test_a_file_of_no_known_format_or_place_is_one_clear_line(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = ["--target", "class", "--n-estimators", "2"] if main is random_forest.main else []
    for plot, words in (
        ("out.txt", "must end in one of .pdf, .png, .svg"),
        ("no/out.png", "No such"),
    ):
        argv = ["--data", str(SAMPLE), *target, "--plot", str(tmp_path / plot)]
        assert main(argv) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1


def test_two_columns_are_drawn_as_they_are_each_row_in_its_clusters_colour() -> None:
    rows = np.array([[0.0, 5.0], [1.0, 5.0], [9.0, 2.0]])
    figure = plot_clusters(rows, [0, 0, 1], [[0.5, 5.0], [9.0, 2.0]], names=["$a", "b_c"])
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$a", "b_c")
    first, second = axes.collections
    assert np.array_equal(first.get_offsets(), rows[:2])
    assert np.array_equal(second.get_offsets(), rows[2:])
    faces = [np.asarray(one.get_facecolor())[0].tolist() for one in (first, second)]
    colours = [to_hex(face).upper() for face in faces]
    assert colours == list(COLOURS[:2])
    assert [(text.get_text(), text.get_position()) for text in axes.texts] == [
        ("0", (0.5, 5.0)),
        ("1", (9.0, 2.0)),
    ]


def test_more_columns_are_drawn_in_their_principal_plane() -> None:
    x, y = clouds(80, 5)
    centres = np.array([x[y == label].mean(axis=0) for label in range(3)])
    (axes,) = plot_clusters(x, y, centres).axes
    covariance = np.cov(x.T)
    values, vectors = np.linalg.eigh(covariance)
    assert f"({values[-1] / values.sum():.0%} of the variance)" in axes.get_xlabel()
    assert f"({values[-2] / values.sum():.0%} of the variance)" in axes.get_ylabel()
    across = np.concatenate([np.asarray(one.get_offsets())[:, 0] for one in axes.collections])
    expected = np.concatenate([(x - x.mean(axis=0))[y == k] @ vectors[:, -1] for k in range(3)])
    assert np.allclose(np.abs(across), np.abs(expected))
    marked = [text.get_position()[0] for text in axes.texts]
    parts = np.split(across, np.bincount(y).cumsum()[:-1])
    assert np.allclose(marked, [part.mean() for part in parts])


def test_the_principal_plane_does_not_turn_over_and_takes_constant_rows() -> None:
    x, _ = clouds(50, 4)
    axes, shares = principal_plane(x)
    turned, same = principal_plane(-x)
    assert np.allclose(axes, turned)
    assert np.allclose(shares, same)
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()
    assert principal_plane(np.ones((5, 3)))[1].tolist() == [0.0, 0.0]
    assert principal_plane(np.ones((1, 3)))[1].tolist() == [0.0, 0.0]


def test_one_column_and_very_many_rows_are_drawn() -> None:
    rows = np.arange(MOST_POINTS * 3.0)[:, None]
    (axes,) = plot_clusters(rows, np.zeros(len(rows), dtype=int), [[5.0]]).axes
    assert axes.get_ylabel() == "row"
    assert axes.get_xlabel() == "feature_0\n20,000 of 60,000 rows drawn"
    assert len(np.asarray(axes.collections[0].get_offsets())) == MOST_POINTS


def test_bars_are_sorted_and_only_the_most_important_ones_stand() -> None:
    shares = np.random.default_rng(0).permutation(np.arange(30.0))
    (axes,) = plot_importances(shares, names=[f"the {at}" for at in range(30)]).axes
    widths = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert widths == sorted(shares, reverse=True)[:MOST_BARS]
    assert axes.get_yticklabels()[0].get_text() == f"the {shares.argmax()}"
    assert axes.get_xlabel() == "importance (20 of 30 features)"


def test_long_names_keep_both_ends() -> None:
    names = [f"the temperature of the outer wall, degrees, {side}" for side in ("north", "south")]
    figure = plot_importances([0.7, 0.3], names=names, title="importance " * 20)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["the temperatu…egrees, north", "the temperatu…egrees, south"]
    assert len(figure.get_suptitle()) <= 64


def test_names_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="names must contain 2 elements, got 1"):
        plot_importances([0.5, 0.5], names=["a"])


@pytest.mark.parametrize(
    ("suffix", "magic"), [("svg", b"<?xml"), ("PDF", b"%PDF"), ("png", b"\x89")]
)
def test_the_name_says_the_format_and_nothing_global_changes(
    suffix: str, magic: bytes, tmp_path: Path
) -> None:
    before = dict(matplotlib.rcParams)
    path = tmp_path / f"plot.{suffix}"
    write_plot(plot_importances([0.7, 0.3]), path)
    assert path.read_bytes().startswith(magic)
    assert dict(matplotlib.rcParams) == before
