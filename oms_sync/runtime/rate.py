"""The rate gate of an account: a token bucket per operation, with priorities.

A write never waits behind a read, a read never behind bulk work, and bulk work leaves a fifth of
each bucket to the others. Who would have to wait too long is told so instead of being parked.
"""

import threading
from collections.abc import Iterable
from math import isfinite
from typing import Any

from oms_sync.flows.budgets import WriteCost
from oms_sync.runtime.bucket import ROUNDING, Bucket
from oms_sync.runtime.pools import BudgetPool
from oms_sync.sdk import Clock, Metrics, Priority, RateLimit


class RateBuckets:
    """The rate gate of one account; see `sdk.RateGate`. Callers may come from several threads."""

    def __init__(
        self,
        limits: Iterable[RateLimit],
        *,
        clock: Clock,
        metrics: Metrics,
        account: str,
        pool: BudgetPool | None = None,
    ) -> None:
        self._clock, self._metrics, self._account = clock, metrics, account
        self._pool = BudgetPool(limits, clock=clock) if pool is None else pool
        self._lock = threading.Lock()
        self._costs: dict[str, float] = {}
        #: calls asked for so far: the runner sees by it whether a run spoke to the channel at all
        self.calls = 0

    def spend(self, operation: str, *, cost: float = 1, priority: Priority) -> None:
        """Wait until `cost` fits the operation's bucket; RateLimited when that is far."""
        self.calls += 1
        name = self._pool.spend(operation, cost=cost, priority=priority)
        if name is None:
            return
        if priority is Priority.WRITE:
            with self._lock:
                self._costs[name] = self._costs.get(name, 0.0) + cost
        self._show(name)

    def learn(
        self,
        operation: str,
        *,
        available: float,
        capacity: float | None = None,
        refill_per_second: float | None = None,
    ) -> None:
        """Correct the bucket by what the channel's answer said; what is no number says nothing."""
        if capacity is None or refill_per_second is None:
            known = self._pool.bucket(operation)
            if known is None:
                return
            capacity = known.capacity if capacity is None else capacity
            if refill_per_second is None:
                refill_per_second = known.refill_per_second
        if not all(map(isfinite, (available, capacity, refill_per_second))):
            return
        told = Bucket(
            capacity=max(capacity, ROUNDING),
            refill_per_second=max(refill_per_second, 0.0),
            available=min(available, capacity),
            at=self._clock.monotonic(),
        )
        name = self._pool.learn(operation, told)
        if name is not None:
            self._show(name)

    def budget(self) -> list[dict[str, Any]]:
        """What is left per operation, as `accounts show` prints it."""
        return self._pool.budget()

    def drain_costs(self) -> list[WriteCost]:
        """What writes took since this was last asked."""
        with self._lock:
            costs, self._costs = self._costs, {}
        return [
            WriteCost(account=self._account, operation=name, cost=cost)
            for name, cost in sorted(costs.items())
        ]

    def return_costs(self, costs: Iterable[WriteCost]) -> None:
        """Take back what could not be stored."""
        with self._lock:
            for one in costs:
                self._costs[one.operation] = self._costs.get(one.operation, 0.0) + one.cost

    def _show(self, name: str) -> None:
        available = self._pool.available(name)
        self._metrics.gauge("rate_budget", available, account=self._account, operation=name)
