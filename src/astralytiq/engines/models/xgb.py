"""XGBoost, from the extra `xgboost`: trained there, kept as its UBJ, and served as arrays.

A file of ours is a plain one of XGBoost, with the labels as JSON among its attributes and the hash
of all of it beside them. It is read here, never by XGBoost: serving does not need the extra, and no
file can end the process.
"""

import hashlib
import json
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.validation import check_labels

from . import ubjson
from .classifying import Classifying
from .compiled import Boosted, Compiled, Tree, boosted
from .contract import AVAILABLE, Algorithm, BadTraining, Progress, completed, status_of
from .regressing import Regressing

OURS = "astralytiq"  # the attribute that holds {algorithm, classes, sha256}
BLANK = "0" * 64  # in place of the hash while it is computed
# More threads may add in another order: one gives the same bytes on every machine.
FIXED: dict[str, Any] = {"tree_method": "hist", "nthread": 1, "verbosity": 0}
TWO, MORE, NUMBERS = "binary:logistic", "multi:softprob", "reg:squarederror"
OBJECTIVES = frozenset({TWO, MORE, NUMBERS, "multi:softmax"})
LIMIT = 1 << 32  # seeds are of 32 bits


class XGBoostAdapter:
    """What a classifier and a regression share. Models are `Compiled`."""

    algorithm: Algorithm

    def targeted(
        self, target: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any] | None, dict[str, Any]]:
        """Numbers to learn, the labels they stand for, and the objective."""
        raise NotImplementedError

    def train(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Compiled:
        if (status := status_of(self.algorithm)) != AVAILABLE:
            raise BadTraining(f"{self.algorithm.name} {status}")
        progress(0, 1)
        try:
            numbers, classes, objective = self.targeted(target)
            values = completed(self.algorithm, params)
            rounds = values.pop("n_estimators")
            given = {**values, **objective, **FIXED, "seed": mixed(seed)}
            content = fitted(features, numbers, given, rounds, progress)
            return self.load(labelled(content, self.algorithm.name, classes))
        except ValueError as error:  # XGBoost's first line; behind it follows a trace of calls
            raise BadTraining(str(error).partition("\n")[0]) from None

    def save(self, model: Compiled) -> bytes:
        content: bytes = model.source
        return content

    def load(self, content: bytes) -> Compiled:
        try:
            learner = ubjson.read(content)["learner"]
            told = json.loads(learner["attributes"][OURS])
            refuse_damaged(content, told["sha256"])
            if told["algorithm"] != self.algorithm.name:
                raise ValueError(f"the file holds no {self.algorithm.name}")
            scores, importances = read(learner)
            is_regression = learner["objective"]["name"] == NUMBERS
            classes = labels_of(told["classes"], scores, is_regression)
        except (LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"The file is no model of XGBoost that was trained here ({type(error).__name__})."
            ) from None
        return Compiled(content, scores, classes, importances)

    def to_onnx(self, model: Compiled) -> bytes:
        return model.to_onnx()


class XGBoostClassifier(Classifying, XGBoostAdapter):
    def targeted(self, target: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
        classes, codes = check_labels(target, len(target))
        if len(classes) < 2:
            raise ValueError("the target has a single class: there is nothing to tell apart")
        if len(classes) == 2:
            return codes, classes, {"objective": TWO}
        return codes, classes, {"objective": MORE, "num_class": len(classes)}


class XGBoostRegressor(Regressing, XGBoostAdapter):
    def targeted(self, target: NDArray[Any]) -> tuple[NDArray[Any], None, dict[str, Any]]:
        return target, None, {"objective": NUMBERS}


ADAPTERS: dict[str, Any] = {"xgboost": XGBoostClassifier, "xgboost_regressor": XGBoostRegressor}


# Training ---------------------------------------------------------------------------------------


def mixed(seed: int) -> int:
    return seed if seed < LIMIT else int(np.random.SeedSequence(seed).generate_state(1)[0])


def fitted(
    features: NDArray[Any],
    numbers: NDArray[Any],
    params: dict[str, Any],
    rounds: int,
    progress: Progress,
) -> Any:
    """A booster, told of round by round."""
    import xgboost  # noqa: PLC0415 - 0.5 s and 60 MB: only where something is trained

    class Tell(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            progress(epoch + 1, rounds)
            return False

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = xgboost.DMatrix(features, label=numbers, nthread=FIXED["nthread"])
        return xgboost.train(params, rows, rounds, callbacks=[Tell()], verbose_eval=False)


def labelled(booster: Any, algorithm: str, classes: NDArray[Any] | None) -> bytes:
    labels = None if classes is None else classes.tolist()
    told = {"algorithm": algorithm, "classes": labels, "sha256": BLANK}
    booster.set_attr(**{OURS: json.dumps(told, separators=(",", ":"))})
    return hashed(bytes(booster.save_raw("ubj")))


def hashed(blank: bytes) -> bytes:
    before, _, after = blank.rpartition(BLANK.encode())
    return before + hashlib.sha256(blank).hexdigest().encode() + after


def refuse_damaged(content: bytes, sha256: str) -> None:
    before, _, after = content.rpartition(sha256.encode())
    blank = before + BLANK.encode() + after
    if len(sha256) != len(BLANK) or hashlib.sha256(blank).hexdigest() != sha256:
        raise ValueError("The file is damaged: it is not what its SHA-256 says.")


def adopted(content: bytes, names: list[str], classes: list[Any] | None) -> tuple[str, bytes]:
    """The algorithm, and a file from elsewhere with the labels in it as if it were trained here."""
    try:
        learner = ubjson.read(content)["learner"]
        found = [str(name) for name in learner["feature_names"]]
        told = json.loads(dict(learner["attributes"]).get(OURS, "{}"))
        theirs = told and (told["algorithm"], told["classes"])
    except (LookupError, TypeError) as error:
        raise ValueError(f"it is no model of XGBoost ({type(error).__name__})") from None
    if found and found != names:
        raise ValueError(f"its features are {found}, and those of the signature {names}")
    algorithm = "xgboost_regressor" if classes is None else "xgboost"
    if theirs:  # It was trained here, or in another house like this one.
        if theirs != (algorithm, classes):
            raise ValueError("it names another task or other classes than the signature does")
        return algorithm, content
    told_here = {"algorithm": algorithm, "classes": classes, "sha256": BLANK}
    entry = sized(OURS) + b"S" + sized(json.dumps(told_here, separators=(",", ":")))
    before, mark, after = content.partition(sized("attributes") + b"{")
    return algorithm, hashed(before + mark + entry + after)


def sized(value: str) -> bytes:
    held = value.encode()
    return b"L" + len(held).to_bytes(8, "big") + held


# Reading ----------------------------------------------------------------------------------------


def read(learner: dict[str, Any]) -> tuple[Boosted, NDArray[np.float64]]:
    """The trees, and each feature's share of what their splits gained.

    Raises ValueError, or LookupError and the like where something is missing.
    """
    objective, booster = learner["objective"]["name"], learner["gradient_booster"]
    if objective not in OBJECTIVES:
        raise ValueError(f"its objective {objective!r} is none of {sorted(OBJECTIVES)}")
    if booster["name"] != "gbtree":
        raise ValueError(f"its booster {booster['name']!r} is not gbtree")
    told, model = learner["learner_model_param"], booster["model"]
    n_features = int(told["num_feature"])
    if not 0 < n_features <= 1_000_000:
        raise ValueError(f"it has {n_features} features")
    outputs = max(1, int(told["num_class"]))
    base = base_of(told["base_score"], outputs, objective)
    trees: list[list[Tree]] = [[] for _ in range(outputs)]
    for output, tree in zip(model["tree_info"], model["trees"], strict=True):
        trees[range(outputs)[int(output)]].append(tree_of(tree))
    return boosted(trees, base, n_features), gains(model["trees"], n_features)


def base_of(text: str, outputs: int, objective: str) -> NDArray[np.float64]:
    """What sums begin with: one number for all outputs, or one for each; before the link."""
    given = np.array([float(part) for part in text.strip("[]").split(",")])
    if objective == TWO:
        if not ((given > 0) & (given < 1)).all():
            raise ValueError(f"its base_score {text} is no probability")
        given = np.log(given) - np.log1p(-given)
    return np.broadcast_to(given, (outputs,)).copy()


def tree_of(tree: dict[str, Any]) -> Tree:
    left, feature = whole(tree["left_children"]), whole(tree["split_indices"])
    if whole(tree["split_type"]).any() or int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise ValueError("its trees split by categories, or have vectors as leaves")
    given = np.asarray(tree["split_conditions"], dtype=np.float32)
    # Rows below a condition go left here, at most a threshold in ours.
    below = np.nextafter(given, np.float32(-np.inf))
    number = np.where(left < 0, given, below).astype(np.float64)
    return Tree(left, whole(tree["right_children"]), feature, number)


def whole(values: Any) -> NDArray[np.int64]:
    found = np.asarray(values)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError("its trees hold something else than whole numbers")
    return found.astype(np.int64)


def gains(trees: list[dict[str, Any]], n_features: int) -> NDArray[np.float64]:
    total = np.zeros(n_features)
    for tree in trees:
        inner = whole(tree["left_children"]) >= 0
        gained = np.asarray(tree["loss_changes"], dtype=np.float64)
        np.add.at(total, whole(tree["split_indices"])[inner], gained[inner])
    return total / total.sum() if total.any() else total


def labels_of(
    labels: list[Any] | None, scores: Boosted, is_regression: bool
) -> NDArray[Any] | None:
    outputs = scores.base.size
    if is_regression != (labels is None) or (is_regression and outputs != 1):
        raise ValueError("it has labels and is a regression, or it has none and is no regression")
    if labels is None:
        return None
    if len(labels) != (outputs if outputs > 1 else 2):
        raise ValueError(f"it has {outputs} outputs and {len(labels)} labels")
    classes = np.array(labels)
    if classes.ndim != 1 or classes.dtype.kind not in "biufU":
        raise ValueError("its labels are neither texts nor numbers")
    return classes
