"""How often somebody may ask: budgets by name, counted in this process's memory.

Several API processes count each for itself, so that together they let through as many times more.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING

from astralytiq.core.errors import TooMany

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.storage import MemoryStorage
    from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

NOTED = "1/minute"


@dataclass(frozen=True)
class Standing:
    """Where somebody stands in a budget: `resets` and `window` in seconds."""

    limit: int
    remaining: int
    resets: int
    window: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.resets),
            "RateLimit-Policy": f"{self.limit};w={self.window}",
        }


class Limits:
    """Counts by rule ("5/minute", or several: "5/minute;20/hour") and identity."""

    def __init__(self, budgets: Mapping[str, str] | None = None) -> None:
        self._budgets = dict(budgets or {})
        self._rules: dict[str, list[RateLimitItem]] = {}

    # The library takes 0.1 s to import: not on the start path.

    @cached_property
    def _storage(self) -> "MemoryStorage":
        from limits.storage import MemoryStorage  # noqa: PLC0415

        return MemoryStorage()

    @cached_property
    def _fixed(self) -> "FixedWindowRateLimiter":
        from limits.strategies import FixedWindowRateLimiter  # noqa: PLC0415

        return FixedWindowRateLimiter(self._storage)

    @cached_property
    def _moving(self) -> "MovingWindowRateLimiter":
        from limits.strategies import MovingWindowRateLimiter  # noqa: PLC0415

        return MovingWindowRateLimiter(self._storage)

    def _parsed(self, rule: str) -> "list[RateLimitItem]":
        from limits import parse_many  # noqa: PLC0415

        if rule not in self._rules:
            self._rules[rule] = parse_many(rule)
        return self._rules[rule]

    def charge(self, budget: str, identity: str) -> Standing | None:
        """Take one from a budget of fixed windows; None where it has no bound."""
        rule = self._budgets.get(budget)
        if rule is None:
            return None
        item = self._parsed(rule)[0]
        within = self._fixed.hit(item, budget, identity)
        state = self._fixed.get_window_stats(item, budget, identity)
        resets = max(1, ceil(state.reset_time - time.time()))
        standing = Standing(item.amount, state.remaining, resets, item.get_expiry())
        if not within:
            raise Spent(budget, standing)
        return standing

    def wait(self, rule: str, *identity: str) -> int:
        """Seconds until `identity` may count once more under `rule`; 0 if it may now."""
        now, longest = time.time(), 0.0
        for item in self._parsed(rule):
            if not self._moving.test(item, *identity):
                longest = max(longest, self._moving.get_window_stats(item, *identity)[0] - now)
        return ceil(longest)

    def count(self, rule: str, *identity: str) -> None:
        for item in self._parsed(rule):
            self._moving.hit(item, *identity)

    def first(self, *what: str) -> bool:
        """Whether this is the first in a minute: what is refused in floods is noted once."""
        return self._fixed.hit(self._parsed(NOTED)[0], "noted", *what)


class Spent(TooMany):
    """A budget has nothing left."""

    def __init__(self, budget: str, standing: Standing) -> None:
        what = "requests" if budget == "general" else f"requests of the kind {budget!r}"
        words = f"{standing.limit} {what} in {standing.window} s are all that is allowed"
        super().__init__(
            f"{words}: wait {standing.resets} s.", headers={"Retry-After": str(standing.resets)}
        )
        self.standing = standing
