"""Draws the pictures of docs/ml_core.md into docs/images; run it again where they change.

python docs/pictures.py
"""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml_core import (
    DecisionTreeClassifier,
    KMeans,
    RandomForestClassifier,
    kmeans,
    random_forest,
)
from ml_core.kmeans_shared import seeding_draws
from ml_core.plotting import COLOURS, INK, PALE
from ml_core.seeding import seed_rows

IMAGES = Path(__file__).parent / "images"
Floats = NDArray[np.float64]
BLUE, ORANGE = COLOURS[:2]
# From one class to the other through white, pale enough to see the points on it.
SHADES = LinearSegmentedColormap.from_list("shares", ["#9cc7e4", "#ffffff", "#f6d48f"])


def panels(n: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(10.5, height), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, n, at + 1) for at in range(n)]
    for one in axes:
        one.spines[:].set_color(PALE)
        one.tick_params(colors=INK, labelsize=8, color=PALE)
    return figure, axes


def without_ticks(axes: Axes, title: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)


def save(figure: Figure, name: str) -> None:
    figure.savefig(IMAGES / name, metadata={"Software": ""})


# Trees and forests --------------------------------------------------------------------------------


def moons(n_rows: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Two interleaved half circles with noise."""
    y = np.arange(n_rows) % 2
    angle = np.pi * rng.random(n_rows)
    x = np.column_stack([np.cos(angle), np.sin(angle)])
    x[y == 1] = np.array([1.0, 0.5]) - x[y == 1]
    return x + rng.normal(scale=0.25, size=x.shape), y


def draw_boundaries() -> None:
    x, y = moons(300, np.random.default_rng(4))
    models: dict[str, Any] = {
        "A tree of depth 3: seven cuts": DecisionTreeClassifier(max_depth=3),
        "A tree without limits: every row is right": DecisionTreeClassifier(),
        "A forest of 300 trees": RandomForestClassifier(300, min_samples_leaf=3, random_state=0),
    }
    figure, axes = panels(len(models), 3.5)
    for one, (title, model) in zip(axes, models.items(), strict=True):
        draw_shares(one, model.fit(x, y), x)
        for label, colour, shape in ((0, BLUE, "o"), (1, ORANGE, "^")):
            points = x[y == label]
            look: Any = {"s": 16, "c": colour, "marker": shape, "edgecolors": "white"}
            one.scatter(points[:, 0], points[:, 1], linewidths=0.4, **look)
        without_ticks(one, title)
    save(figure, "trees.png")


def draw_shares(axes: Axes, model: Any, x: Floats) -> None:
    low, high = x.min(axis=0) - 0.2, x.max(axis=0) + 0.2
    across, up = (np.linspace(low[at], high[at], 400) for at in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    shares = model.predict_proba(grid)[:, 1].reshape(400, 400)
    extent = (low[0], high[0], low[1], high[1])
    look: Any = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    axes.imshow(shares, extent=extent, cmap=SHADES, vmin=0, vmax=1, **look)
    axes.contour(across, up, shares, levels=[0.5], colors=INK, linewidths=1.1)


# Bins ---------------------------------------------------------------------------------------------


def gain(ones: Floats, n_left: NDArray[np.int64], n_rows: int) -> Floats:
    """Decrease of Gini's impurity where the first ``n_left`` rows go left."""
    left = ones[n_left - 1]
    right, n_right = ones[-1] - left, n_rows - n_left

    def impurity(share: Floats) -> Floats:
        return 2 * share * (1 - share)

    whole = impurity(ones[-1:] / n_rows)
    parts = n_left * impurity(left / n_left) + n_right * impurity(right / n_right)
    decrease: Floats = whole - parts / n_rows
    return decrease


def draw_bins() -> None:
    rng = np.random.default_rng(3)
    values = np.sort(rng.gamma(2.0, size=600))
    ones = (rng.random(600) < 1 / (1 + np.exp(2.5 - 1.5 * values))).cumsum().astype(np.float64)
    every = np.arange(1, 600)
    some = np.arange(1, 16) * 600 // 16
    figure, (axes,) = panels(1, 3.1)
    middles = (values[1:] + values[:-1]) / 2
    look: Any = {"color": BLUE, "linewidth": 1.2}
    axes.plot(middles, gain(ones, every, 600), label="exact: all 599 midpoints", **look)
    axes.plot(
        middles[some - 1], gain(ones, some, 600), "o", color=COLOURS[5], label="16 bins: 15 cuts"
    )
    axes.plot(values, np.full(600, -0.004), "|", color=INK, alpha=0.35, label="the rows")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("threshold", fontsize=9.5, color=INK)
    axes.set_ylabel("decrease of impurity", fontsize=9.5, color=INK)
    axes.legend(frameon=False, fontsize=9.5, labelcolor=INK)
    save(figure, "bins.png")


# K-Means ------------------------------------------------------------------------------------------


def clouds(rng: np.random.Generator) -> Floats:
    middles = np.array([[0, 0], [4, 1], [2, 4], [7, 4], [6, 7.5]], dtype=np.float64)
    return middles[np.arange(400) % 5] + rng.normal(scale=1.15, size=(400, 2))


def draw_lloyd() -> None:
    x = clouds(np.random.default_rng(1))
    begun = x[seed_rows(x, np.ones(len(x)), np.array(seeding_draws(Random(6), 5)))]
    last = KMeans(5, init=begun, tol=0).fit(x)
    steps = {"k-means++ has drawn five rows": begun}
    for n_iter in (1, 3, last.n_iter_):
        name = f"after {n_iter} iterations" if n_iter > 1 else "after one iteration"
        steps[name] = KMeans(5, init=begun, tol=0, max_iter=n_iter).fit(x).cluster_centers_
    figure, axes = panels(len(steps), 2.9)
    trail = [begun]
    for one, (title, centres) in zip(axes, steps.items(), strict=True):
        trail.append(centres)
        draw_cells(one, x, centres)
        for cluster in range(5):
            path = np.array([places[cluster] for places in trail])
            one.plot(path[:, 0], path[:, 1], color=INK, linewidth=1.3)
        one.plot(centres[:, 0], centres[:, 1], "o", ms=9, mfc="white", mec=INK, mew=1.5)
        without_ticks(one, title)
    axes[-1].set_title(f"at rest, {title}", loc="left", fontsize=10.5, color=INK)
    save(figure, "lloyd.png")


def draw_cells(axes: Axes, x: Floats, centres: Floats) -> None:
    """The rows in the colour of their nearest centre, and the borders between the centres."""
    low, high = x.min(axis=0) - 0.3, x.max(axis=0) + 0.3
    across, up = (np.linspace(low[at], high[at], 500) for at in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    cell = np.square(grid[:, :, None] - centres).sum(axis=-1).argmin(axis=-1)
    for cluster in range(len(centres)):
        axes.contour(across, up, cell == cluster, levels=[0.5], colors=PALE, linewidths=1.0)
    nearest = np.square(x[:, None] - centres).sum(axis=-1).argmin(axis=-1)
    axes.scatter(x[:, 0], x[:, 1], s=9, c=[COLOURS[label] for label in nearest], linewidths=0)


def draw_what_the_commands_draw() -> None:
    sample = str(IMAGES.parents[1] / "data" / "sample_data.csv")
    kmeans.main(["--data", sample, "--plot", str(IMAGES / "clusters.png")])
    plot = ["--plot", str(IMAGES / "importances.png")]
    random_forest.main(["--data", sample, "--target", "class", *plot])


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    draw_what_the_commands_draw()
    draw_boundaries()
    draw_bins()
    draw_lloyd()


if __name__ == "__main__":
    main()
