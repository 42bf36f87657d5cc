"""Stand-ins for what the hub hands a connector: a clock one sets, seeded ids, no limits."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from oms_sync.sdk.ports import Priority
from oms_sync.sdk.seeding import SeededChance

FAKE_START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_UUID_PARTS: Final = (8, 4, 4, 4, 12)


class FakeClock:
    """A clock that stands until somebody moves it; sleeping moves it. A `sdk.Clock`.

    Example: `clock = FakeClock(); clock.advance(60)`.
    """

    def __init__(self, start: datetime = FAKE_START) -> None:
        self._start = start
        self._now = start

    def now(self) -> datetime:
        """The instant the clock was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Move the clock instead of waiting."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now += timedelta(seconds=seconds)


class SeededIds:
    """Ids and chance that follow from a seed. A `sdk.Ids`.

    Example: `SeededIds(7).new() == "id-000000001"`.
    """

    def __init__(self, seed: int, stream: str = "ids") -> None:
        self._chance = SeededChance(seed, stream)
        self._made = 0

    def new(self) -> str:
        """The next id; sortable by time of making."""
        self._made += 1
        return f"id-{self._made:09d}"

    def uuid(self) -> str:
        """The next text in the shape of a UUID."""
        digits = "".join(f"{int(self._chance.random() * 16):x}" for _ in range(sum(_UUID_PARTS)))
        parts, begin = [], 0
        for length in _UUID_PARTS:
            parts.append(digits[begin : begin + length])
            begin += length
        return "-".join(parts)

    def random(self) -> float:
        """The next number from [0, 1)."""
        return self._chance.random()


class OpenGate:
    """A rate gate that lets everything through and counts it. A `sdk.RateGate`."""

    def __init__(self) -> None:
        #: calls by operation
        self.spent: Counter[str] = Counter()
        #: what the connector reported, by operation: available, capacity, refill per second
        self.learnt: dict[str, tuple[float, float, float]] = {}
        #: the priorities asked for, by operation
        self.priorities: dict[str, set[Priority]] = {}

    def spend(self, operation: str, *, cost: float = 1, priority: Priority) -> None:
        """Count the call; never waits."""
        self.spent[operation] += 1
        self.priorities.setdefault(operation, set()).add(priority)

    def learn(
        self,
        operation: str,
        *,
        available: float,
        capacity: float | None = None,
        refill_per_second: float | None = None,
    ) -> None:
        """Remember what the channel said of its limit."""
        known = self.learnt.get(operation, (0.0, available, 0.0))
        self.learnt[operation] = (
            available,
            known[1] if capacity is None else capacity,
            known[2] if refill_per_second is None else refill_per_second,
        )


class MemoryTokens:
    """Tokens kept in memory. A `sdk.TokenStore`."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        self._fields = dict(fields or {})

    def load(self) -> Mapping[str, str]:
        """The stored fields."""
        return dict(self._fields)

    def save(self, fields: Mapping[str, str]) -> None:
        """Replace the stored fields."""
        self._fields = dict(fields)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process, one thread: nothing to wait for."""
        yield
