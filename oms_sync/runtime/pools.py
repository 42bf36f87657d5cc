"""The buckets of one owner: an account, or an application that several accounts belong to.

Callers wait here in their order. Processes share a pool through the store: on rows each call is
taken from, or by telling each other now and then what they took from memory.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from oms_sync.flows.budgets import BudgetClaim, BudgetRecord, WriteCost
from oms_sync.runtime.bucket import (
    CLAIM_SECONDS,
    Bucket,
    bucket_of,
    corrected,
    flowed,
    fresh_record,
    taken,
    taken_up,
)
from oms_sync.sdk import Call, Clock, Priority, RateLimit, RateLimited

log = structlog.get_logger()

EVERY_OPERATION: Final = "*"
#: the longest a caller is parked; beyond that its flow leaves the run and comes back
WAIT_SECONDS_MAX: Final = 10.0
#: the longest nap between two looks, so that a correction or a leaving waiter is soon noticed
NAP_SECONDS_MAX: Final = 0.25
#: the shortest nap: rounding must not turn waiting into spinning
NAP_SECONDS_MIN: Final = 0.001
#: the nap of one who only waits for another in front to go
NAP_SECONDS_BEHIND: Final = 0.01
#: buckets kept of operations only heard of by `learn`
LEARNT_OPERATIONS_MAX: Final = 100

#: the stored records by operation and the store's time, to the records to store
Decide = Callable[[Mapping[str, BudgetRecord], datetime], Iterable[BudgetRecord]]


class BudgetStore(Protocol):
    """Budgets and calls in the database."""

    @property
    def is_exact(self) -> bool:
        """True where processes share the rows and every call is taken from them; False where a
        process keeps its budgets in memory and meets the rows now and then.
        """

    def change(self, owner: str, operations: Sequence[str] | None, decide: Decide) -> None:
        """Lock the owner's records, None for all, decide, store: one short transaction."""

    def note(
        self,
        *,
        owners: Mapping[str, str],
        costs: Sequence[WriteCost],
        calls: Mapping[str, Sequence[Call]],
    ) -> None:
        """Remember whose budget each account takes from, what writes cost, and the last calls."""


@dataclass(slots=True, kw_only=True)
class _Ticket:
    """One caller that waits or takes."""

    priority: Priority
    number: int
    cost: float
    #: when it first asked the store, by the store's clock
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meeting:
    """What a record said when this process last met it."""

    #: of the monotonic clock, not after the record was read
    at: float
    spent: float
    learnt_at: datetime | None


class BudgetPool:
    """The buckets of one owner in this process. Callers may come from several threads."""

    def __init__(
        self,
        limits: Iterable[RateLimit],
        *,
        clock: Clock,
        store: BudgetStore | None = None,
        owner: str = "",
        node: str = "",
    ) -> None:
        self._clock, self._store = clock, store
        self._owner, self._node = owner, node
        self._limits = {limit.operation: limit for limit in limits}
        self._lock = threading.Lock()
        self._begin_lock = threading.Lock()
        self._is_begun = store is None
        now = clock.monotonic()
        self._buckets = {
            name: bucket_of(fresh_record(limit, clock.now()), now)
            for name, limit in self._limits.items()
        }
        #: waiting callers per bucket, first to go first
        self._queues: dict[str, list[_Ticket]] = {}
        self._numbers = 0
        self._met: dict[str, _Meeting] = {}
        #: taken from memory since the records were met
        self._unsettled: dict[str, float] = {}
        #: what the channel said and the records do not know yet
        self._told: dict[str, Bucket] = {}

    def spend(self, operation: str, *, cost: float, priority: Priority) -> str | None:
        """See `sdk.RateGate`; answers the bucket's name, None where nothing limits the call."""
        self._begin()
        name = self.name(operation)
        if name is None:
            return None
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
        return name

    def learn(self, operation: str, told: Bucket) -> str | None:
        """Correct the bucket by what the channel said; never raises: the call has been made."""
        with self._lock:
            name = self.name(operation) or operation
            if name not in self._buckets and len(self._buckets) >= LEARNT_OPERATIONS_MAX:
                return None
            self._buckets[name] = told
            if self._store is not None:
                self._told[name] = told
        if self._store is not None and self._store.is_exact:
            try:
                self._meet([name], lambda record, now: record)
            except Exception as error:  # noqa: BLE001 - kept, and told with the next call
                log.warning("budget.unsaved", operation=name, reason=str(error))
        return name

    def settle(self) -> None:
        """Meet the records of a store that is not exact: tell what was taken, hear of the others.

        What raises leaves everything to be told the next time.
        """
        if self._store is None or self._store.is_exact or not self._is_begun:
            return
        with self._lock:
            now = self._clock.monotonic()
            unsettled, self._unsettled = self._unsettled, {}
            told, self._told = self._told, {}
            kept = {name: bucket.refilled(now) for name, bucket in self._buckets.items()}
        found: dict[str, tuple[BudgetRecord, float]] = {}

        def decide(records: Mapping[str, BudgetRecord], at: datetime) -> Iterable[BudgetRecord]:
            found.clear()
            for name, bucket in kept.items():
                record = flowed(
                    records.get(name) or self._record(name, bucket, at),
                    at,
                    elapsed_max=self._elapsed(name),
                )
                cost = unsettled.get(name, 0.0)
                settled, others = self._settled(record, bucket, cost=cost, is_told=name in told)
                found[name] = settled, others
                if cost or name in told or name not in records:
                    yield settled

        try:
            self._store.change(self._owner, None, decide)
        except BaseException:
            with self._lock:
                for name, cost in unsettled.items():
                    self._unsettled[name] = self._unsettled.get(name, 0.0) + cost
                self._told = told | self._told
            raise
        with self._lock:
            for name, (record, others) in found.items():
                self._hear(name, record, others=others, at=now)

    def budget(self) -> list[dict[str, Any]]:
        """What is left per operation."""
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

    def name(self, operation: str) -> str | None:
        """The bucket an operation takes from."""
        if operation in self._buckets:
            return operation
        return EVERY_OPERATION if EVERY_OPERATION in self._buckets else None

    def bucket(self, operation: str) -> Bucket | None:
        """The bucket an operation takes from; None where nothing limits it."""
        name = self.name(operation)
        return None if name is None else self._buckets[name]

    def available(self, name: str) -> float:
        """What was left in a bucket when somebody last touched it."""
        return self._buckets[name].available

    def _begin(self) -> None:
        """Take up what was left when this or another process last told, before the first call."""
        if self._is_begun:
            return
        with self._begin_lock:
            if not self._has_begun():
                self._take_up()

    def _has_begun(self) -> bool:
        return self._is_begun

    def _take_up(self) -> None:
        if self._store is None:
            return
        began = self._clock.monotonic()
        found: dict[str, BudgetRecord] = {}

        def decide(records: Mapping[str, BudgetRecord], at: datetime) -> Iterable[BudgetRecord]:
            found.clear()
            found.update(taken_up(records, self._limits, at))
            return list(found.values())

        self._store.change(self._owner, None, decide)
        with self._lock:
            for name, record in found.items():
                if name not in self._told:
                    self._remember(name, record, began)
            self._is_begun = True

    def _wait_turn(self, name: str, ticket: _Ticket) -> None:
        deadline = self._clock.monotonic() + WAIT_SECONDS_MAX
        while (wait := self._try_take(name, ticket, deadline)) > 0:
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

    def _try_take(self, name: str, ticket: _Ticket, deadline: float) -> float:
        """Take the cost and answer 0, or answer how long to wait at the least."""
        with self._lock:
            bucket = self._buckets[name].refilled(self._clock.monotonic())
            self._buckets[name] = bucket
            ahead = 0.0
            for other in self._queues[name]:
                if other is ticket:
                    break
                ahead += min(other.cost, bucket.capacity)
            wait = bucket.wait_seconds(ahead + bucket.needed(ticket.cost, ticket.priority))
            if ahead > 0:  # those ahead go first, even where the bucket would hold both
                return max(wait, NAP_SECONDS_BEHIND)
            if self._store is None or not self._store.is_exact:
                if wait == 0:
                    self._buckets[name] = bucket.spent(ticket.cost)
                    cost = min(ticket.cost, bucket.capacity)
                    self._unsettled[name] = self._unsettled.get(name, 0.0) + cost
                return wait
        return self._take_shared(name, ticket, deadline)

    def _take_shared(self, name: str, ticket: _Ticket, deadline: float) -> float:
        waits: list[float] = []

        def decide(record: BudgetRecord, now: datetime) -> BudgetRecord:
            ticket.asked_at = ticket.asked_at or now
            claim = BudgetClaim(
                node=self._node,
                priority=ticket.priority,
                since=ticket.asked_at,
                cost=ticket.cost,
                until=now + timedelta(seconds=CLAIM_SECONDS),
            )
            patience = deadline - self._clock.monotonic()
            record, wait = taken(record, claim, patience_seconds=patience)
            waits.append(wait)
            return record

        self._meet([name], decide)
        return waits[-1]

    def _meet(
        self, names: Sequence[str], change: Callable[[BudgetRecord, datetime], BudgetRecord]
    ) -> None:
        """Change shared records as they are now, with what the channel said before."""
        if self._store is None:
            return
        with self._lock:
            now = self._clock.monotonic()
            told = {name: self._told[name] for name in names if name in self._told}
            kept = {name: self._buckets[name] for name in names}
        met: dict[str, BudgetRecord] = {}

        def decide(records: Mapping[str, BudgetRecord], at: datetime) -> Iterable[BudgetRecord]:
            for name in names:
                record = records.get(name) or self._record(name, kept[name], at)
                record = flowed(record, at, elapsed_max=self._elapsed(name))
                if name in told:
                    record = corrected(record, told[name].refilled(self._clock.monotonic()))
                met[name] = change(record, at)
            return list(met.values())

        self._store.change(self._owner, names, decide)
        with self._lock:
            for name, record in met.items():
                if self._told.get(name) is told.get(name):
                    self._told.pop(name, None)
                    self._remember(name, record, now)

    def _settled(
        self, record: BudgetRecord, bucket: Bucket, *, cost: float, is_told: bool
    ) -> tuple[BudgetRecord, float]:
        """The record as this process leaves it, and what others took since it was last met."""
        met = self._met.get(record.operation)
        spent = record.spent + cost
        if is_told:
            return replace(corrected(record, bucket), spent=spent), 0.0
        if met is not None and record.learnt_at == met.learnt_at:
            others = max(0.0, record.spent - met.spent)
            return replace(record, available=bucket.available - others, spent=spent), others
        # another process was told by the channel: that counts, less what was taken here
        return replace(record, available=record.available - cost, spent=spent), 0.0

    def _hear(self, name: str, record: BudgetRecord, *, others: float, at: float) -> None:
        """Take up a record that was just settled; the lock is held."""
        met, bucket = self._met.get(name), self._buckets[name]
        is_news = met is None or record.learnt_at != met.learnt_at
        self._met[name] = _Meeting(at=at, spent=record.spent, learnt_at=record.learnt_at)
        if name in self._told:
            return  # the channel spoke meanwhile, and knows best
        if is_news:
            left = record.available - self._unsettled.get(name, 0.0)
            self._buckets[name] = replace(bucket_of(record, at), available=left)
        elif others:
            self._buckets[name] = replace(bucket, available=bucket.available - others)

    def _remember(self, name: str, record: BudgetRecord, at: float) -> None:
        self._buckets[name] = bucket_of(record, self._clock.monotonic())
        self._met[name] = _Meeting(at=at, spent=record.spent, learnt_at=record.learnt_at)

    def _elapsed(self, name: str) -> float:
        """The most that can have passed since the record was stored: it was last met before that.

        Asked when the record is locked: waiting for the lock is time that passed, too.
        """
        met = self._met.get(name)
        return float("inf") if met is None else self._clock.monotonic() - met.at

    def _record(self, name: str, bucket: Bucket, at: datetime) -> BudgetRecord:
        """A record of a bucket the store does not know."""
        limit = self._limits.get(name)
        return BudgetRecord(
            operation=name,
            capacity=bucket.capacity,
            refill_per_second=bucket.refill_per_second,
            available=bucket.available,
            at=at,
            published_capacity=limit.capacity if limit else None,
            published_refill=limit.refill_per_second if limit else None,
        )
