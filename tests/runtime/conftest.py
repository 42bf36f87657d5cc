"""Stand-ins for the runtime's neighbours: database, leases, metrics, a clock that is stepped."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from oms_sync.domain.events import Event
from oms_sync.flows.records import AccountProfile, AccountRecord
from oms_sync.flows.upkeep import Identity, Subscription
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.sessions import AccountWiring
from oms_sync.sdk import Capability, Manifest
from oms_sync.sdk.fake_ports import FakeClock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERYTHING = frozenset(Capability)


class SteppedClock:
    """A clock for several threads: who sleeps wakes when the test has moved it far enough."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._moved = threading.Condition()
        self._until: list[float] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        with self._moved:
            until = self._seconds + seconds
            self._until.append(until)
            self._moved.notify_all()
            assert self._moved.wait_for(lambda: self._seconds >= until, 10)
            self._until.remove(until)
            self._moved.notify_all()

    def step(self, seconds: float, *, sleepers: Callable[[], int]) -> None:
        """Move on once so many threads sleep; return when those whose time came have left."""
        with self._moved:
            for _ in range(5000):
                if len(self._until) >= sleepers():
                    break
                self._moved.wait(0.001)
            assert len(self._until) >= sleepers(), "nobody went to sleep"
            self._seconds += seconds
            self._moved.notify_all()
            assert self._moved.wait_for(lambda: not any(u <= self._seconds for u in self._until), 5)


@dataclass
class CountingMetrics:
    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    gauges: dict[tuple[str, ...], float] = field(default_factory=dict)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counted[(name, *(labels[key] for key in sorted(labels)))] += int(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[(name, *(labels[key] for key in sorted(labels)))] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        pass


class DatabaseAway(Exception):
    pass


class MemoryAccounts:
    """A unit of work that knows only account records."""

    def __init__(self) -> None:
        self.stored: dict[str, AccountRecord] = {}
        self.is_down = False
        self.commits = 0
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self.identities: dict[str, Identity] = {}
        self.hastened: list[str] = []
        self.events: list[str] = []

    @contextmanager
    def open_work(self, fence: object = None) -> Iterator["_Work"]:
        if self.is_down:
            raise DatabaseAway("the database is away")
        yield _Work(self)


class _Work:
    def __init__(self, database: MemoryAccounts) -> None:
        self._database, self._changed = database, dict(database.stored)
        self.accounts = self.upkeep = self.feeds = self.timeline = self

    def subscription(self, account: str, kind: str) -> Subscription | None:
        return self._database.subscriptions.get((account, kind))

    def put_subscription(self, one: Subscription) -> None:
        self._database.subscriptions[one.account, one.kind] = one

    def identity(self, account: str) -> Identity | None:
        return self._database.identities.get(account)

    def put_identity(self, one: Identity) -> None:
        self._database.identities[one.account] = one

    def hasten(self, account: str, feed: str, *, at: datetime) -> None:
        self._database.hastened.append(str(feed))

    def add(self, events: list[Event]) -> None:
        self._database.events += [one.name for one in events]

    def wake(self, flow: str, account: str) -> None:
        pass

    def get(self, name: str) -> AccountRecord | None:
        return self._changed.get(name)

    def put(self, record: AccountRecord) -> None:
        self._changed[record.name] = record

    def commit(self) -> None:
        self._database.stored = self._changed
        self._database.commits += 1


class MemoryLeases:
    """Leases on a clock of their own, as the database would keep them."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.rows: dict[str, tuple[str, int, float]] = {}

    def acquire(self, name: str, owner: str, seconds: float) -> tuple[str, str, int] | None:
        holder, token, until = self.rows.get(name, ("", 0, 0.0))
        if holder not in ("", owner) and until > self._clock.monotonic():
            return None
        self.rows[name] = (owner, token + 1, self._clock.monotonic() + seconds)
        return (name, owner, token + 1)

    def renew(self, fence: tuple[str, str, int], seconds: float) -> bool:
        name, owner, token = fence
        if self.rows[name][:2] != (owner, token):
            return False
        self.rows[name] = (owner, token, self._clock.monotonic() + seconds)
        return True

    def release(self, fence: tuple[str, str, int]) -> None:
        name, owner, token = fence
        if self.rows[name][:2] == (owner, token):
            self.rows[name] = ("", token, 0.0)

    def holder(self, name: str) -> str:
        return self.rows.get(name, ("", 0, 0.0))[0]


class PlainSession:
    """A session that does nothing but remember that it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _logs_as_at_first() -> Iterator[None]:
    """Whatever a test set up for the whole process is taken back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.propagate, logger.disabled = True, False
    logging.captureWarnings(capture=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def stepped_clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def metrics() -> CountingMetrics:
    return CountingMetrics()


@pytest.fixture
def database() -> MemoryAccounts:
    return MemoryAccounts()


@pytest.fixture
def leases(clock: FakeClock) -> MemoryLeases:
    return MemoryLeases(clock)


@pytest.fixture
def make_wiring(clock: FakeClock, metrics: CountingMetrics) -> Callable[..., AccountWiring]:
    def make(name: str = "shop-a", *, opener=PlainSession, **changes) -> AccountWiring:
        mode = changes.pop("mode", "live")
        manifest = Manifest(
            id="fake",
            label="Fake",
            capabilities=changes.pop("capabilities", EVERYTHING),
            exclusive_flows=changes.pop("exclusive_flows", ()),
        )
        return AccountWiring(
            profile=AccountProfile(name=name, connector="fake", mode=mode),
            manifest=manifest,
            open=opener,
            gate=RateBuckets((), clock=clock, metrics=metrics, account=name),
            **changes,
        )

    return make


@pytest.fixture
def events() -> Iterator[list]:
    """The log lines of the test, as dictionaries."""
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        yield lines


@pytest.fixture
def as_imported():
    """The libraries' loggers as nobody has touched them: a connector pins some when it opens."""
    loggers = [
        one
        for one in logging.getLogger().manager.loggerDict.values()
        if isinstance(one, logging.Logger)
    ]
    before = [(one, one.level, list(one.filters)) for one in loggers]
    for one in loggers:
        one.setLevel(logging.NOTSET)
        one.filters.clear()
    yield
    for one, level, filters in before:
        one.setLevel(level)
        one.filters[:] = filters
