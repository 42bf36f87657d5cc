"""The arithmetic of a call budget; pure. One process keeps a Bucket by the monotonic clock, several
share a BudgetRecord by the database's.

Nothing here trusts a wall clock: a record never gains more than the time this process knows to have
passed, and a clock that was put back costs at most what would have flowed in meanwhile.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from oms_sync.flows.budgets import BudgetClaim, BudgetRecord
from oms_sync.sdk import Priority, RateLimit

#: the share of every bucket that bulk work must leave
BULK_RESERVE: Final = 0.2
ROUNDING: Final = 1e-9
#: a record this far ahead of the clock tells of a clock that was put back
BACK_SECONDS_MAX: Final = 5.0
#: how long a claim holds without being renewed
CLAIM_SECONDS: Final = 1.0
#: processes that may wait for one budget at a time
CLAIMS_MAX: Final = 100
#: "nothing flows in", as a channel may say of a day's quota, is believed so long after a restart
STANDSTILL_MAX: Final = timedelta(days=1)


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

    def needed(self, cost: float, priority: int) -> float:
        """What must be there before a call may go out."""
        floor = self.capacity * BULK_RESERVE if priority == Priority.BULK else 0.0
        return min(cost + floor, self.capacity)

    def wait_seconds(self, needed: float) -> float:
        """How long until `needed` is there; infinite when nothing flows in."""
        missing = needed - self.available
        if missing <= ROUNDING:
            return 0.0
        return missing / self.refill_per_second if self.refill_per_second > 0 else float("inf")


def bucket_of(record: BudgetRecord, at: float) -> Bucket:
    """The record as a bucket of this process, true at `at` of its monotonic clock."""
    return Bucket(
        capacity=record.capacity,
        refill_per_second=record.refill_per_second,
        available=record.available,
        at=at,
    )


def fresh_record(limit: RateLimit, now: datetime) -> BudgetRecord:
    """A budget nobody has taken from: full."""
    return BudgetRecord(
        operation=limit.operation,
        capacity=limit.capacity,
        refill_per_second=limit.refill_per_second,
        available=limit.capacity,
        at=now,
        published_capacity=limit.capacity,
        published_refill=limit.refill_per_second,
    )


def flowed(
    record: BudgetRecord, now: datetime, *, elapsed_max: float = float("inf")
) -> BudgetRecord:
    """The record at `now`; `elapsed_max` is what this process knows to have passed since then."""
    elapsed = (now - record.at).total_seconds()
    if -BACK_SECONDS_MAX <= elapsed <= 0:
        return record  # another process was a moment ahead: its time counts
    gained = max(0.0, min(elapsed, elapsed_max)) * record.refill_per_second
    return replace(record, available=min(record.capacity, record.available + gained), at=now)


def revived(record: BudgetRecord, limit: RateLimit | None, now: datetime) -> BudgetRecord:
    """A stored record as a starting process takes it up.

    Another manifest changes size and rate, never what is left for the better. A standstill told of
    long ago is over: else a channel that does not answer for its quota would be locked for good.
    """
    if limit is None:
        return flowed(record, now)
    published = (limit.capacity, limit.refill_per_second)
    if (record.published_capacity, record.published_refill) != published:
        left = min(flowed(record, now).available, limit.capacity)
        return replace(fresh_record(limit, now), available=left, spent=record.spent)
    told_at = record.learnt_at or record.at
    if record.refill_per_second <= 0 < limit.refill_per_second and now - told_at > STANDSTILL_MAX:
        return replace(fresh_record(limit, now), spent=record.spent)
    return flowed(record, now)


def taken_up(
    records: Mapping[str, BudgetRecord], limits: Mapping[str, RateLimit], now: datetime
) -> dict[str, BudgetRecord]:
    """Every budget a starting process works with: stored ones as they were left, others full."""
    fresh = {name: fresh_record(limit, now) for name, limit in limits.items()}
    kept = {name: revived(record, limits.get(name), now) for name, record in records.items()}
    return fresh | kept


def taken(
    record: BudgetRecord, claim: BudgetClaim, *, patience_seconds: float
) -> tuple[BudgetRecord, float]:
    """Take the claim's cost and answer 0, or answer how long to wait at the least.

    Who waits leaves its claim, so that nobody after it takes what it waits for; who would have to
    wait longer than its patience goes, and leaves none.
    """
    others = [one for one in record.claims if one.node != claim.node and one.until > record.at]
    bucket = bucket_of(record, 0.0)
    ahead = sum(min(one.cost, record.capacity) for one in others if _turn(one) < _turn(claim))
    wait = bucket.wait_seconds(ahead + bucket.needed(claim.cost, claim.priority))
    if wait == 0:
        cost = min(claim.cost, record.capacity)
        left = replace(record, available=record.available - cost, spent=record.spent + cost)
        return replace(left, claims=_bounded(others)), 0.0
    mine = [claim] if wait <= patience_seconds else []
    return replace(record, claims=_bounded([*others, *mine])), wait


def corrected(record: BudgetRecord, told: Bucket) -> BudgetRecord:
    """The record after the channel said what is left."""
    return replace(
        record,
        capacity=told.capacity,
        refill_per_second=told.refill_per_second,
        available=told.available,
        learnt_at=record.at,
    )


def _turn(claim: BudgetClaim) -> tuple[int, datetime, str]:
    return claim.priority, claim.since, claim.node


def _bounded(claims: Iterable[BudgetClaim]) -> tuple[BudgetClaim, ...]:
    return tuple(sorted(claims, key=_turn)[:CLAIMS_MAX])
