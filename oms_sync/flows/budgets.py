"""Call budgets as they are stored: what the runtime and the database agree on. No flow."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: calls of one account that are kept, in memory and in the database
CALLS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetClaim:
    """A process that waits for a budget: whoever comes after it leaves it what it asked for."""

    node: str
    #: as `sdk.Priority`: the lower number goes first
    priority: int
    since: datetime
    cost: float
    #: believed no longer than this, because its process may be gone
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRecord:
    """What is left of one operation's call budget, for every process that takes from it."""

    operation: str
    capacity: float
    refill_per_second: float
    #: what there was `at`; below zero where processes took more than there was
    available: float
    at: datetime
    #: taken by all processes since the beginning
    spent: float = 0.0
    #: what the manifest said when the record was made; None for an operation only learnt of
    published_capacity: float | None = None
    published_refill: float | None = None
    #: when the channel itself last said what is left
    learnt_at: datetime | None = None
    claims: tuple[BudgetClaim, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCost:
    """What writes of one account took from one operation's budget since the last count."""

    account: str
    operation: str
    cost: float
