"""What the hub hands to a connector: time, ids, metrics, rate budget, tokens, a log of calls."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol


class Clock(Protocol):
    """Wall clock, monotonic clock and sleep; the only source of all three."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`; ends early when the hub is stopping."""


class Ids(Protocol):
    """Fresh identifiers and chance, seeded in tests."""

    def new(self) -> str:
        """A fresh identifier, unique and sortable by time of making."""

    def uuid(self) -> str:
        """A fresh random UUID as text, for channels that want one."""

    def random(self) -> float:
        """A number from [0, 1)."""


class Metrics(Protocol):
    """Counters and gauges by stable name; labels are glossary words."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add `amount` to the counter `name`."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set the gauge `name`."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one observation, in seconds, to the histogram `name`."""


class Priority(IntEnum):
    """Who goes first when calls are scarce: the lower number."""

    #: tracking and stock pushes
    WRITE = 0
    #: re-reads, looks, polls for new orders
    READ = 1
    #: back-fill, discovery, reconciliation sweeps
    BULK = 2


class RateGate(Protocol):
    """The account's call budget. A connector asks before each call and reports what it learnt."""

    def spend(self, operation: str, *, cost: float = 1, priority: Priority) -> None:
        """Wait until `cost` fits the bucket of `operation`; raises RateLimited when that is far.

        `cost` is in the bucket's unit: calls, or points where the channel counts points.
        """

    def learn(
        self,
        operation: str,
        *,
        available: float,
        capacity: float | None = None,
        refill_per_second: float | None = None,
    ) -> None:
        """Correct the bucket by what the channel's answer said; None keeps what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to a channel, as an operator may see it: no secret, no personal data."""

    #: as the rate limits name it
    operation: str
    at: datetime
    duration_seconds: float
    #: in the unit of the operation's budget: calls or points
    cost: float = 1
    #: the HTTP status, or one word where there was no answer: "timeout"
    status: str
    #: the channel's own id of the request, to quote to its support; empty where it gave none
    request_id: str = ""


class CallLog(Protocol):
    """Where every call to the channel is noted; the last ones are kept and shown."""

    def note(self, call: Call) -> None:
        """Keep it; never raises."""


class NoCallLog:
    """A CallLog that keeps nothing."""

    def note(self, call: Call) -> None:
        """Forget it."""


class TokenStore(Protocol):
    """Where tokens issued after set-up live: encrypted in the database, shared by processes."""

    def load(self) -> Mapping[str, str]:
        """The stored token fields; empty when none were stored."""

    def save(self, fields: Mapping[str, str]) -> None:
        """Store the fields durably; call before a rotated token is used."""

    def locked(self) -> AbstractContextManager[None]:
        """Hold the account's refresh lock: one refresher at a time, across processes."""
