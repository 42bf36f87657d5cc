"""The call budget of one account: a token bucket per operation, with priorities.

A write never waits behind a read, a read never behind bulk work, and bulk work leaves a fifth of
each bucket to the others. Who would have to wait too long is told so instead of being parked.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from oms_sync.sdk import Clock, Metrics, Priority, RateLimit, RateLimited

EVERY_OPERATION: Final = "*"
#: the longest a caller is parked; beyond that its flow leaves the run and comes back
WAIT_SECONDS_MAX: Final = 10.0
#: the share of every bucket that bulk work must leave
BULK_RESERVE: Final = 0.2
#: the longest nap between two looks, so that a correction or a leaving waiter is soon noticed
NAP_SECONDS_MAX: Final = 0.25
#: the shortest nap: rounding must not turn waiting into spinning
NAP_SECONDS_MIN: Final = 0.001
#: the nap of one who only waits for another in front to go
NAP_SECONDS_BEHIND: Final = 0.01
#: buckets kept of operations only heard of by `learn`
LEARNT_OPERATIONS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What is left of a budget at one instant of the monotonic clock; pure."""

    capacity: float
    refill_per_second: float
    available: float
    at: float

    def refilled(self, now: float) -> "Bucket":
        """The same bucket at `now`."""
        gained = max(0.0, now - self.at) * self.refill_per_second
        return replace(self, available=min(self.capacity, self.available + gained), at=now)

    def spent(self, cost: float) -> "Bucket":
        """After a call; what costs more than the whole bucket empties it."""
        return replace(self, available=self.available - min(cost, self.capacity))

    def needed(self, cost: float, priority: Priority) -> float:
        """What must be there before a call may go out."""
        floor = self.capacity * BULK_RESERVE if priority is Priority.BULK else 0.0
        return min(cost + floor, self.capacity)

    def wait_seconds(self, needed: float) -> float:
        """How long until `needed` is there; infinite when nothing flows in."""
        missing = needed - self.available
        if missing <= _ROUNDING:
            return 0.0
        return missing / self.refill_per_second if self.refill_per_second > 0 else float("inf")


_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    priority: Priority
    number: int
    cost: float


class RateBuckets:
    """The rate gate of one account; see `sdk.RateGate`. Callers may come from several threads."""

    def __init__(
        self, limits: Iterable[RateLimit], *, clock: Clock, metrics: Metrics, account: str
    ) -> None:
        self._clock, self._metrics, self._account = clock, metrics, account
        self._lock = threading.Lock()
        self._buckets = {
            limit.operation: Bucket(
                capacity=limit.capacity,
                refill_per_second=limit.refill_per_second,
                available=limit.capacity,
                at=clock.monotonic(),
            )
            for limit in limits
        }
        #: waiting callers per bucket, first to go first
        self._queues: dict[str, list[_Ticket]] = {}
        self._numbers = 0
        #: calls asked for so far: the runner sees by it whether a run spoke to the channel at all
        self.calls = 0

    def spend(self, operation: str, *, cost: float = 1, priority: Priority) -> None:
        """Wait until `cost` fits the operation's bucket; RateLimited when that is far."""
        self.calls += 1
        name = self._name(operation)
        if name is None:
            return
        with self._lock:
            self._numbers += 1
            ticket = _Ticket(priority=priority, number=self._numbers, cost=cost)
            queue = self._queues.setdefault(name, [])
            queue.append(ticket)
            queue.sort(key=lambda each: (each.priority, each.number))
        try:
            self._wait_turn(name, ticket)
        finally:
            with self._lock:
                queue.remove(ticket)

    def learn(
        self, operation: str, *, available: float, capacity: float, refill_per_second: float
    ) -> None:
        """Correct the bucket by what the channel's answer said."""
        with self._lock:
            name = self._name(operation)
            if name is None and len(self._buckets) >= LEARNT_OPERATIONS_MAX:
                return
            self._buckets[name or operation] = Bucket(
                capacity=max(capacity, _ROUNDING),
                refill_per_second=max(refill_per_second, 0.0),
                available=min(available, capacity),
                at=self._clock.monotonic(),
            )
        self._show(name or operation)

    def budget(self) -> list[dict[str, Any]]:
        """What is left per operation, as `accounts show` prints it."""
        with self._lock:
            now = self._clock.monotonic()
            buckets = {name: bucket.refilled(now) for name, bucket in self._buckets.items()}
        return [
            {
                "operation": name,
                "available": round(bucket.available, 1),
                "capacity": bucket.capacity,
                "refill_per_second": bucket.refill_per_second,
            }
            for name, bucket in sorted(buckets.items())
        ]

    def _name(self, operation: str) -> str | None:
        if operation in self._buckets:
            return operation
        return EVERY_OPERATION if EVERY_OPERATION in self._buckets else None

    def _wait_turn(self, name: str, ticket: _Ticket) -> None:
        deadline = self._clock.monotonic() + WAIT_SECONDS_MAX
        while (wait := self._try_take(name, ticket)) > 0:
            asked_at = self._clock.monotonic()
            if asked_at + wait > deadline:
                raise RateLimited(
                    f"the budget of {name} is used up for {wait:.0f} s",
                    retry_after_seconds=wait if wait != float("inf") else None,
                )
            nap = max(NAP_SECONDS_MIN, min(wait, NAP_SECONDS_MAX))
            self._clock.sleep(nap)
            # the clock's sleep ends early only when the hub stops: do not wait it out
            if self._clock.monotonic() - asked_at < nap / 2:
                raise RateLimited("the hub is stopping", retry_after_seconds=None)
        self._show(name)

    def _try_take(self, name: str, ticket: _Ticket) -> float:
        """Take the cost and answer 0, or answer how long to wait at the least."""
        with self._lock:
            bucket = self._buckets[name].refilled(self._clock.monotonic())
            ahead = 0.0
            for other in self._queues[name]:
                if other is ticket:
                    break
                ahead += min(other.cost, bucket.capacity)
            wait = bucket.wait_seconds(ahead + bucket.needed(ticket.cost, ticket.priority))
            if ahead > 0:  # those ahead go first, even where the bucket would hold both
                self._buckets[name] = bucket
                return max(wait, NAP_SECONDS_BEHIND)
            self._buckets[name] = bucket.spent(ticket.cost) if wait == 0 else bucket
            return wait

    def _show(self, name: str) -> None:
        available = self._buckets[name].available
        self._metrics.gauge("rate_budget", available, account=self._account, operation=name)
