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


ALGORITHMS: dict[str, Algorithm] = {
    "random_forest": Algorithm(
        "random_forest",
        "Breiman's random forest: many trees, each on its own bootstrap sample of the rows.",
        "python -m ml_core.random_forest --data data.csv --target class",
        (
            Parameter("n_estimators", 100, "trees", ("integer",), minimum=1, maximum=10_000),
            CRITERION,
            *LIMITS,
            max_features("sqrt"),
            Parameter("bootstrap", True, "draw rows anew for each tree", ("boolean",)),
        ),
    ),
    "decision_tree": Algorithm(
        "decision_tree",
        "A classification tree grown by CART.",
        "python -m ml_core.decision_tree --data data.csv --target class",
        (CRITERION, *LIMITS, max_features(None)),
    ),
}


def adapter_of(name: str) -> Adapter:
    from .trees import TreeAdapter  # noqa: PLC0415 - NumPy and ml_core, only where they are used

    return TreeAdapter(ALGORITHMS[name])
