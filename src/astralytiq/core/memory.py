"""How Python looks after our memory."""

import gc

# Objects made and not freed before the collector looks for cycles (Python's own figure: 700).
OF_SERVERS = 10_000
OF_WORKERS = 2_000  # tasks that have ended hold on to their batches: 100 MB of them with 50,000


def settle(garbage: int) -> None:
    """What was loaded by now stays: the garbage collector need not walk through it again and again.

    A request makes some hundred short-lived objects, most freed by their counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(garbage)


def sweep() -> None:
    """Free what is in cycles and was made of late: large things, that the collector counts as few.

    A batch's rows for PostgreSQL are texts, which it does not count at all: 130 MB waited for it.
    """
    gc.collect(1)
