"""Pictures of clusters and of importances, with matplotlib (``pip install 'astralytiq[plot]'``).

Figures are made without pyplot: nothing global is touched, and no window or screen is needed. The
colours are those of Okabe and Ito (2008), which people with every kind of colour vision can tell
apart; numbers at the centres say the same without colour.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
# After eight clusters the colours come again, with another shape.
SHAPES = ("o", "^", "s", "D", "v", "P", "X", "p")
FORMATS = (".pdf", ".png", ".svg")
INK, PALE = "#333333", "#d9d9d9"
MOST_POINTS, MOST_BARS = 20_000, 20
MOST_LETTERS, MOST_LETTERS_OF_TITLE = 28, 64
_SMALL, _MEDIUM, _LARGE = 9.0, 10.5, 13.0
_DPI = 150


def check_plot(path: str | PathLike[str]) -> None:
    """Refuse what cannot be drawn or written, before any work is done for it.

    Raises
    ------
    ValueError
        If matplotlib is not installed or the file's name ends in no known format.
    """
    try:
        import matplotlib.figure  # noqa: F401, PLC0415 - an optional extra, and slow to load
    except ImportError as error:
        raise ValueError(
            f"a plot needs matplotlib, which the extra [plot] brings: "
            f"pip install 'astralytiq[plot]' ({error})"
        ) from error
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"the plot's file must end in one of {', '.join(FORMATS)}, got {path}")


def plot_clusters(
    X: ArrayLike,
    labels: ArrayLike,
    centres: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
) -> "Figure":
    """Rows as points in the colour of their cluster, centres as numbered discs.

    Two columns are drawn as they are, more in their first two principal components, one against the
    number of the row. Of more than `MOST_POINTS` rows that many are drawn, evenly spaced.

    Parameters
    ----------
    X : (n_rows, n_features) array of finite numbers
    labels : (n_rows,) array of whole numbers from 0, the cluster of each row
    centres : (n_clusters, n_features) array
    names : sequence of str, or None
        What to call the columns; None calls them feature_0, feature_1 and so on.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        To be shown, changed or saved.

    Notes
    -----
    Costs O(n_rows x n_features^2) for the components.
    """
    rows, middles = np.asarray(X, dtype=np.float64), np.asarray(centres, dtype=np.float64)
    of_row = np.asarray(labels)
    named = _names(names, rows.shape[1])
    points, discs, (across, up) = _in_the_plane(rows, middles, named)
    drawn = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_POINTS)).astype(np.intp))
    figure, axes = _empty_figure(7.0, 5.2)
    for label in range(len(middles)):
        ours = drawn[of_row[drawn] == label]
        colour, shape = _look(label)
        x, y = points[ours].T
        axes.scatter(x, y, s=_point_size(drawn.size), c=colour, marker=shape, linewidths=0)
    for label, place in enumerate(discs):
        _mark_centre(axes, label, place)
    if drawn.size < len(rows):
        across += f"\n{drawn.size:,} of {len(rows):,} rows drawn"
    axes.set_xlabel(across, parse_math=False, fontsize=_MEDIUM, color=INK)
    axes.set_ylabel(up, parse_math=False, fontsize=_MEDIUM, color=INK)
    _set_title(figure, title)
    return figure


def plot_importances(
    importances: ArrayLike, *, names: Sequence[str] | None = None, title: str = ""
) -> "Figure":
    """One bar for each feature, the most important first; at most `MOST_BARS`.

    Parameters
    ----------
    importances : (n_features,) array
        Shares of the impurity decrease (``feature_importances_``) or lost accuracies.
    names : sequence of str, or None
        As in `plot_clusters`.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    shares = np.asarray(importances, dtype=np.float64)
    named = _names(names, shares.size)
    first = np.argsort(-shares, kind="stable")[:MOST_BARS]
    figure, axes = _empty_figure(7.0, 1.3 + 0.3 * first.size)
    bars = axes.barh(np.arange(first.size), shares[first], height=0.72, color=COLOURS[0])
    texts = [f"{share:.3f}" for share in shares[first]]
    axes.bar_label(bars, texts, padding=4, fontsize=_SMALL, color=INK)
    shown = [_shortened(named[at], MOST_LETTERS) for at in first]
    axes.set_yticks(np.arange(first.size), shown, parse_math=False, fontsize=_MEDIUM)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.02)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    part = f" ({first.size} of {shares.size} features)" if first.size < shares.size else ""
    axes.set_xlabel(f"importance{part}", fontsize=_MEDIUM, color=INK)
    _set_title(figure, title)
    return figure


def write_plot(figure: "Figure", path: str | PathLike[str]) -> None:
    """Write the figure to a file whose name says the format: .pdf, .png or .svg.

    Raises
    ------
    ValueError
        If the file cannot be written, or its name ends otherwise.
    """
    check_plot(path)
    try:
        figure.savefig(path, dpi=_DPI)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error


def principal_plane(X: ArrayLike) -> tuple[Floats, Floats]:
    """The first two principal axes, (n_features, 2), and the share of the variance along each.

    Of each axis the largest component is positive, so that a picture is not mirrored at random.
    """
    rows = np.asarray(X, dtype=np.float64)
    # The triangular factor has the singular values and axes of the rows, and is small.
    _, values, axes = np.linalg.svd(np.linalg.qr(rows - rows.mean(axis=0), mode="r"))
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.where(axes[np.arange(len(axes)), largest] < 0.0, -1.0, 1.0)[:, None]
    variance = np.zeros(2)
    variance[: values.size] = np.square(values)[:2]
    whole = np.square(values).sum()
    return axes[:2].T, variance / whole if whole > 0.0 else variance


def _in_the_plane(
    rows: Floats, centres: Floats, names: Sequence[str]
) -> tuple[Floats, Floats, tuple[str, str]]:
    """Where rows and centres lie in the picture, and what its axes are called."""
    if rows.shape[1] == 1:
        number = np.arange(len(rows), dtype=np.float64)
        middle = np.full(len(centres), (len(rows) - 1) / 2)
        points, discs = (np.column_stack(pair) for pair in ((rows, number), (centres, middle)))
        return points, discs, (names[0], "row")
    if rows.shape[1] == 2:
        return rows, centres, (names[0], names[1])
    plane, shares = principal_plane(rows)
    across, up = (
        f"{nth} principal component ({share:.0%} of the variance)"
        for nth, share in zip(("first", "second"), shares, strict=True)
    )
    middle = rows.mean(axis=0)
    return (rows - middle) @ plane, (centres - middle) @ plane, (across, up)


def _names(names: Sequence[str] | None, n_features: int) -> Sequence[str]:
    if names is None:
        return [f"feature_{column}" for column in range(n_features)]
    if len(names) != n_features:
        raise ValueError(f"names must contain {n_features} elements, got {len(names)}")
    return names


def _shortened(text: str, most: int) -> str:
    """The text, or its beginning and its end: names of columns often differ only there."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def _look(label: int) -> tuple[str, str]:
    turn, place = divmod(label, len(COLOURS))
    return COLOURS[place], SHAPES[turn % len(SHAPES)]


def _point_size(n_points: int) -> float:
    """In square points: large where there are few, so that they are seen, small where many."""
    return float(np.clip(12_000 / n_points, 4.0, 40.0))


def _mark_centre(axes: "Axes", label: int, place: Floats) -> None:
    disc: Any = {"boxstyle": "circle,pad=0.28", "facecolor": "white", "edgecolor": INK}
    words: Any = {"ha": "center", "va": "center", "fontsize": _SMALL, "fontweight": "bold"}
    axes.text(place[0], place[1], str(label), bbox=disc, color=INK, zorder=3, **words)


def _empty_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - optional, slow
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional, slow

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=_SMALL, color=PALE)
    axes.grid(visible=True, color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _set_title(figure: "Figure", title: str) -> None:
    """Over the whole width, and no longer than that."""
    words: Any = {"x": 0.01, "ha": "left", "fontsize": _LARGE, "color": INK, "parse_math": False}
    if title:
        figure.suptitle(_shortened(title, MOST_LETTERS_OF_TITLE), **words)
