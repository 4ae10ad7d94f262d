"""The algorithms there are, and how to get at the adapter of each."""

from typing import Any

from .contract import AVAILABLE, Adapter, Algorithm, MissingExtra, Parameter, status_of

# No table is larger. All numbers are bounded, so that none is too large to compute with.
MOST_ROWS, MOST_COLUMNS = 1_000_000_000, 1_000_000

CRITERION = Parameter(
    "criterion", "gini", "impurity that a split decreases", ("string",), choices=("gini", "entropy")
)
LIMITS = (
    Parameter(
        "max_depth", None, "splits from root to leaf at most; null sets no limit",
        ("integer", "null"), minimum=1, maximum=10_000,
    ),
    Parameter(
        "min_samples_split", 2, "a node of fewer rows stays a leaf", ("integer",), minimum=2,
        maximum=MOST_ROWS,
    ),
    Parameter(
        "min_samples_leaf", 1, "rows that a split leaves on each side at least", ("integer",),
        minimum=1, maximum=MOST_ROWS,
    ),
    Parameter(
        "ccp_alpha", 0.0, "branches that decrease impurity by no more are cut off afterwards",
        ("number", "integer"), minimum=0, maximum=100,
    ),
)  # fmt: skip


def max_features(default: str | None) -> Parameter:
    return Parameter(
        "max_features",
        default,
        "features drawn at each node; null draws all",
        ("string", "integer", "null"),
        minimum=1,
        maximum=MOST_COLUMNS,
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

SKLEARN: dict[str, Any] = {"extra": "sklearn", "needs": ("sklearn", "skops")}


def command_of(name: str, target: str) -> str:
    return f"astralytiq train run MODEL --dataset 7@2 --target {target} --algorithm {name}"


def rounds(default: int) -> Parameter:
    words = "rounds, each with a tree (of more than two classes, one for each)"
    return Parameter("n_estimators", default, words, ("integer",), minimum=1, maximum=10_000)


def share(name: str, default: float, words: str, least: float = 0.01) -> Parameter:
    return Parameter(name, default, words, ("number", "integer"), minimum=least, maximum=1)


def amount(name: str, default: float, words: str) -> Parameter:
    return Parameter(name, default, words, ("number", "integer"), minimum=0, maximum=1e12)


BOOSTING = (
    rounds(100),
    Parameter(
        "learning_rate", 0.1, "by what each tree is multiplied", ("number", "integer"),
        minimum=1e-6, maximum=10,
    ),
    Parameter(
        "max_depth", 3, "splits from root to leaf at most; null sets no limit",
        ("integer", "null"), minimum=1, maximum=10_000,
    ),
    *LIMITS[1:3],
    share("subsample", 1.0, "the share of rows drawn for each tree"),
    max_features(None),
)  # fmt: skip
OF_SCIKIT = (
    Algorithm(
        "logistic_regression",
        "Logistic regression of scikit-learn on scaled features, with a penalty on their squares.",
        command_of("logistic_regression", "class"),
        (
            Parameter(
                "C", 1.0, "the inverse of the penalty: less holds coefficients smaller",
                ("number", "integer"), minimum=1e-12, maximum=1e12,
            ),
            class_weight("balanced"),
            Parameter(
                "max_iter", 1_000, "iterations at most", ("integer",), minimum=1, maximum=1_000_000
            ),
            Parameter(
                "tol", 1e-4, "stop when nothing improves by more", ("number", "integer"),
                minimum=1e-15, maximum=1,
            ),
        ),
        **SKLEARN,
    ),
    Algorithm(
        "linear_regression",
        "Least squares of scikit-learn on scaled features, for a target of numbers.",
        command_of("linear_regression", "price"),
        (
            Parameter("fit_intercept", True, "also learn a constant", ("boolean",)),
            Parameter("positive", False, "let no coefficient be below 0", ("boolean",)),
        ),
        task="regression",
        **SKLEARN,
    ),
    Algorithm(
        "ridge_regression",
        "Least squares of scikit-learn on scaled features, with a penalty on the coefficients' "
        "squares.",
        command_of("ridge_regression", "price"),
        (
            Parameter(
                "alpha", 1.0, "the penalty: more holds coefficients smaller",
                ("number", "integer"), minimum=0, maximum=1e12,
            ),
            Parameter("fit_intercept", True, "also learn a constant", ("boolean",)),
        ),
        task="regression",
        **SKLEARN,
    ),
    Algorithm(
        "gradient_boosting",
        "Gradient boosting of scikit-learn: small trees, each learning what those before it miss.",
        command_of("gradient_boosting", "class"),
        BOOSTING,
        unit="rounds",
        **SKLEARN,
    ),
    Algorithm(
        "gradient_boosting_regressor",
        "Gradient boosting of scikit-learn for a target of numbers, by squared errors.",
        command_of("gradient_boosting_regressor", "price"),
        BOOSTING,
        task="regression",
        unit="rounds",
        **SKLEARN,
    ),
)  # fmt: skip

XGBOOST: dict[str, Any] = {"extra": "xgboost", "needs": ("xgboost",), "unit": "rounds"}
XGBOOST_PARAMETERS = (
    rounds(100),
    share("learning_rate", 0.3, "by what each tree is multiplied", least=1e-6),
    Parameter(
        "max_depth", 6, "splits from root to leaf at most", ("integer",), minimum=1, maximum=32
    ),
    amount("min_child_weight", 1.0, "weight (rows, where errors are squared) in a leaf at least"),
    amount("gamma", 0.0, "a split must lower the loss by more than this"),
    share("subsample", 1.0, "the share of rows drawn for each tree"),
    share("colsample_bytree", 1.0, "the share of features drawn for each tree"),
    amount("reg_lambda", 1.0, "the penalty on squares of the leaves' values"),
    amount("reg_alpha", 0.0, "the penalty on the leaves' absolute values"),
    Parameter(
        "max_bin", 256, "bins of a feature between which splits are looked for", ("integer",),
        minimum=2, maximum=65_535,
    ),
)  # fmt: skip
OF_XGBOOST = (
    Algorithm(
        "xgboost",
        "XGBoost: boosted trees with penalties, grown on histograms.",
        command_of("xgboost", "class"),
        XGBOOST_PARAMETERS,
        **XGBOOST,
    ),
    Algorithm(
        "xgboost_regressor",
        "XGBoost for a target of numbers, by squared errors.",
        command_of("xgboost_regressor", "price"),
        XGBOOST_PARAMETERS,
        task="regression",
        **XGBOOST,
    ),
)

# Not among those that can be trained: files that were made elsewhere.
ONNX = Algorithm(
    "onnx",
    "A model that was made elsewhere, as ONNX.",
    "astralytiq model upload MODEL model.onnx --signature signature.json",
    (),
    extra="onnx",
    needs=("onnxruntime",),
)

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm for algorithm in (*TREES, KMEANS, *OF_SCIKIT, *OF_XGBOOST)
}


def adapter_of(name: str) -> Adapter:
    """The adapter of an algorithm; raises MissingExtra where its library is not installed.

    NumPy, ml_core and whatever is behind an adapter are loaded only where they are used.
    """
    if name == ONNX.name:
        return of_onnx()
    algorithm = ALGORITHMS[name]
    if algorithm in OF_SCIKIT:
        return of_scikit(algorithm)
    if algorithm in OF_XGBOOST:
        return of_xgboost(algorithm)
    if algorithm is KMEANS:
        from .clusters import KMeansAdapter  # noqa: PLC0415

        return KMeansAdapter(algorithm)
    from .trees import TreeAdapter  # noqa: PLC0415

    return TreeAdapter(algorithm)


def refuse_missing(algorithm: Algorithm) -> None:
    if (status := status_of(algorithm)) != AVAILABLE:
        raise MissingExtra(f"{algorithm.name} {status}")


def of_onnx() -> Adapter:
    refuse_missing(ONNX)
    from .onnxmodel import OnnxAdapter  # noqa: PLC0415

    return OnnxAdapter(ONNX)


def of_scikit(algorithm: Algorithm) -> Adapter:
    refuse_missing(algorithm)
    from .scikit import ADAPTERS  # noqa: PLC0415

    adapter: Adapter = ADAPTERS[algorithm.name](algorithm)
    return adapter


def of_xgboost(algorithm: Algorithm) -> Adapter:
    """Without the extra it still serves: only `train` needs XGBoost, and says so."""
    from .xgb import ADAPTERS  # noqa: PLC0415

    adapter: Adapter = ADAPTERS[algorithm.name](algorithm)
    return adapter
