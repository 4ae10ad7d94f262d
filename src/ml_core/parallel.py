"""The same task for many items, on threads or wherever joblib has been told to run it."""

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    task: Callable[..., Result],
    items: Sequence[Item],
    n_jobs: int | None,
    shared: Sequence[Any] = (),
) -> Generator[Result]:
    """What ``task(*shared, item)`` gives, in order, as it comes; close it to give up on the rest.

    Where joblib is loaded it decides by its own configuration (``joblib.parallel_config``), so that
    items can go to other processes or machines: only who has loaded it can have told it so. If it
    says threads they are our own, as it looks for results only a hundred times a second. Large
    arrays belong in ``shared`` themselves, not inside something else: so joblib can hand them over
    once for all items.
    """
    joblib: Any = sys.modules.get("joblib")
    # Before 1.3, which brought the configuration, it gave results only all at once.
    if hasattr(joblib, "parallel_config"):
        backend, of_config = joblib.parallel.get_active_backend(prefer="threads")
        n_jobs = of_config if n_jobs is None else n_jobs
        on_threads = type(backend) is joblib.parallel.ThreadingBackend
    else:
        on_threads = True
    if not on_threads:
        run = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
        results: Generator[Result] = run(joblib.delayed(task)(*shared, item) for item in items)
        return results
    workers = min(n_workers(n_jobs), len(items))
    run_one = partial(task, *shared)
    if workers == 1:
        return (run_one(item) for item in items)
    return _on_threads(run_one, items, workers)


def n_workers(n_jobs: int | None) -> int:
    """Threads for ``n_jobs``: None is 1, -1 as many as processors, -2 one less and so on."""
    if n_jobs is None:
        return 1
    return int(n_jobs) if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + int(n_jobs))


def _on_threads(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[Result]:
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(task, item) for item in items)
        try:
            # A future holds on to its result, so none is kept longer than needed.
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
