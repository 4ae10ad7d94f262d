"""The algorithms there are, and how to get at the adapter of each."""

from .contract import Adapter, Algorithm, Parameter

CRITERION = Parameter(
    "criterion", "gini", "impurity that a split decreases", ("string",), choices=("gini", "entropy")
)
LIMITS = (
    Parameter(
        "max_depth", None, "splits from root to leaf at most; null sets no limit",
        ("integer", "null"), minimum=1, maximum=10_000,
    ),
    Parameter(
        "min_samples_split", 2, "a node of fewer rows stays a leaf", ("integer",), minimum=2
    ),
    Parameter(
        "min_samples_leaf", 1, "rows that a split leaves on each side at least", ("integer",),
        minimum=1,
    ),
    Parameter(
        "ccp_alpha", 0.0, "branches that decrease impurity by no more are cut off afterwards",
        ("number", "integer"), minimum=0,
    ),
)  # fmt: skip


def max_features(default: str | None) -> Parameter:
    return Parameter(
        "max_features",
        default,
        "features drawn at each node; null draws all",
        ("string", "integer", "null"),
        minimum=1,
        choices=("sqrt", "log2"),
    )


def max_bins(default: int | None) -> Parameter:
    return Parameter(
        "max_bins",
        default,
        "bins of a column between which splits are looked for; null looks between all values",
        ("integer", "null"),
        minimum=2,
        maximum=65_535,
    )


def class_weight(*choices: str) -> Parameter:
    return Parameter(
        "class_weight",
        None,
        "'balanced' lets every class weigh the same; null counts rows",
        ("string", "null"),
        choices=choices,
    )


TREES = (
    Algorithm(
        "random_forest",
        "Breiman's random forest: many trees, each on its own bootstrap sample of the rows.",
        "python -m ml_core.random_forest --data data.csv --target class",
        (
            Parameter("n_estimators", 100, "trees", ("integer",), minimum=1, maximum=10_000),
            CRITERION,
            *LIMITS,
            max_features("sqrt"),
            max_bins(255),
            class_weight("balanced", "balanced_subsample"),
            Parameter("bootstrap", True, "draw rows anew for each tree", ("boolean",)),
        ),
        unit="trees",
    ),
    Algorithm(
        "decision_tree",
        "A classification tree grown by CART.",
        "python -m ml_core.decision_tree --data data.csv --target class",
        (CRITERION, *LIMITS, max_features(None), max_bins(None), class_weight("balanced")),
        unit="trees",
    ),
)
KMEANS = Algorithm(
    "kmeans",
    "Clusters of rows around their means; it needs no target.",
    "python -m ml_core.kmeans --data data.csv --clusters 3",
    (
        Parameter("n_clusters", 8, "clusters to form", ("integer",), minimum=1, maximum=10_000),
        Parameter(
            "init", "k-means++", "how to begin: with rows far apart, or with any rows",
            ("string",), choices=("k-means++", "random"),
        ),
        Parameter(
            "n_init", "auto", "beginnings to try; the best result is kept. 'auto' is 10 for "
            "'random', otherwise 1", ("string", "integer"), minimum=1, maximum=1_000,
            choices=("auto",),
        ),
        Parameter(
            "max_iter", 300, "iterations at most for one beginning", ("integer",), minimum=1,
            maximum=100_000,
        ),
        Parameter(
            "tol", 1e-4, "stop when the centres move by no more than this share of the variance",
            ("number", "integer"), minimum=0, maximum=1,
        ),
    ),
    task="clustering",
    unit="clusterings",
)  # fmt: skip

ALGORITHMS: dict[str, Algorithm] = {algorithm.name: algorithm for algorithm in (*TREES, KMEANS)}


def adapter_of(name: str) -> Adapter:
    # NumPy, ml_core and whatever is behind an adapter are loaded only where they are used.
    if name == KMEANS.name:
        from .clusters import KMeansAdapter  # noqa: PLC0415

        return KMeansAdapter(KMEANS)
    from .trees import TreeAdapter  # noqa: PLC0415

    return TreeAdapter(ALGORITHMS[name])
