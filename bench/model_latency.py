"""What a model itself takes for one row and for 1,000, beside the library that trained it.

No HTTP and no database: an adapter's `predict`, which the doors call, on rows as lists. Goal: the
median of one row below 0.2 ms for every algorithm.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from sklearn import datasets

from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of

GOAL_MS = 0.2
MANY = 1_000
DATA = {"regression": datasets.load_diabetes}  # any other task: wine
Call = Callable[[], object]


def median_ms(call: Call, times: int) -> float:
    call()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def theirs(model: Any, rows: list[list[float]]) -> Call | None:
    """The library's own answer; None where the model is our own."""
    source = getattr(model, "source", None)
    if isinstance(source, bytes):
        import numpy as np  # noqa: PLC0415 - beside XGBoost, where it is compared with
        import xgboost  # noqa: PLC0415

        booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(source))
        array = np.array(rows)
        return lambda: booster.inplace_predict(array)
    if source is None:
        return None
    answer = getattr(source, "predict_proba", source.predict)
    return lambda: answer(rows)


def line(name: str, times: int) -> str:
    task = ALGORITHMS[name].task
    features, target = DATA.get(task, datasets.load_wine)(return_X_y=True)
    adapter = adapter_of(name)
    model = adapter.train(features, target, {}, 0, lambda done, total: None)
    one = features[:1].tolist()
    many = [features[place % len(features)].tolist() for place in range(MANY)]
    ours = median_ms(lambda: adapter.predict(model, one), times)
    library = theirs(model, one)
    beside = f"{median_ms(library, times):.3f}" if library else "-"
    together = median_ms(lambda: adapter.predict(model, many), max(3, times // 20))
    verdict = "reached" if ours < GOAL_MS else "missed"
    return f"| {name} | {ours:.4f} | {beside} | {together:.2f} | {verdict} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=400, help="calls of each (400)")
    options = parser.parse_args()
    print(f"| algorithm | one row, ms | its library, ms | {MANY} rows, ms | goal |")  # noqa: T201
    print("|---|---|---|---|---|")  # noqa: T201
    for name in ALGORITHMS:
        print(line(name, options.times), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
