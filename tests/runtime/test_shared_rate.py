"""Gates of several accounts and several processes on one budget, over a store in memory."""

import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.runtime.bucket import Bucket
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.pools import BudgetPool
from oms_sync.runtime.rate import RateBuckets
from oms_sync.sdk import Priority, RateLimit, RateLimited
from oms_sync.sdk.fake_ports import FakeClock

WRITE, READ, BULK = Priority.WRITE, Priority.READ, Priority.BULK
LIMIT = RateLimit(operation="orders", capacity=10, refill_per_second=1)


class AwayError(Exception):
    pass


class MemoryStore:
    """Rows of budgets in this process, changed one at a time. A `BudgetStore`."""

    def __init__(self, clock, *, is_exact: bool) -> None:
        self.is_exact, self.is_away, self.notes = is_exact, False, []
        self._clock, self._lock = clock, threading.Lock()
        self.rows: dict[str, dict] = {}

    def change(self, owner, operations, decide) -> None:
        if self.is_away:
            raise AwayError("the database is away")
        with self._lock:
            rows = self.rows.setdefault(owner, {})
            names = rows if operations is None else set(operations) & rows.keys()
            changed = list(decide({name: rows[name] for name in names}, self._clock.now()))
            rows.update({record.operation: record for record in changed})

    def note(self, **parts) -> None:
        if self.is_away:
            raise AwayError("the database is away")
        self.notes.append(SimpleNamespace(**parts))


@pytest.fixture(params=[True, False], ids=["rows", "memory"])
def store(request, clock):
    return MemoryStore(clock, is_exact=request.param)


@pytest.fixture
def start(store, clock):
    """A process of its own: a pool on the store, and a gate to it."""

    def make(process="one", *, limits=(LIMIT,), accounts=1):
        pool = BudgetPool(limits, clock=clock, store=store, owner="app", node=process)
        gates = [
            RateBuckets((), clock=clock, metrics=NullMetrics(), account=f"shop-{n}", pool=pool)
            for n in range(accounts)
        ]
        return SimpleNamespace(pool=pool, gates=gates, gate=gates[0])

    return make


def _spend(gate, times, *, cost=1, priority=READ):
    for _ in range(times):
        gate.spend("orders", cost=cost, priority=priority)


def _left(process) -> float:
    return process.gate.budget()[0]["available"]


@pytest.mark.proves("I-26")
def test_three_accounts_of_one_application_take_from_one_budget(start, clock):
    gates = start(accounts=3).gates
    for gate in gates * 4:
        _spend(gate, 1)
    assert clock.monotonic() == pytest.approx(2.0, abs=0.05), "twelve calls, ten at once"
    assert [gate.calls for gate in gates] == [4, 4, 4]


@pytest.mark.proves("I-26", "I-31")
def test_a_restart_does_not_begin_with_a_full_bucket(start, clock):
    before = start()
    _spend(before.gate, 9)
    before.pool.settle()
    clock.advance(3)
    after = start("two")
    _spend(after.gate, 4)
    assert clock.monotonic() == 3
    _spend(after.gate, 1)
    assert clock.monotonic() == pytest.approx(4.0, abs=0.05)


@pytest.mark.proves("I-26")
def test_two_processes_hear_of_each_other(start, clock):
    daemon, command = start("daemon"), start("command")
    _spend(daemon.gate, 2)
    daemon.pool.settle()
    _spend(command.gate, 5)
    command.pool.settle()
    daemon.pool.settle()
    assert _left(daemon) == (8 if daemon.pool._store.is_exact else 3)
    _spend(daemon.gate, 3)
    assert clock.monotonic() == 0
    _spend(daemon.gate, 1)
    assert clock.monotonic() == pytest.approx(1.0, abs=0.05)


def test_a_correction_by_the_channel_reaches_the_other_process(start, clock):
    daemon, command = start("daemon"), start("command")
    _spend(daemon.gate, 1)
    daemon.pool.settle()
    _spend(command.gate, 1)
    command.pool.settle()
    daemon.gate.learn("orders", available=2, capacity=20, refill_per_second=4)
    daemon.pool.settle()
    command.pool.settle()
    _spend(command.gate, 2)
    assert clock.monotonic() == 0
    _spend(command.gate, 1)
    assert clock.monotonic() == pytest.approx(0.25, abs=0.05)
    assert command.gate.budget()[0]["capacity"] == 20


@pytest.mark.proves("I-34")
def test_a_correction_that_cannot_be_stored_is_kept_and_hides_no_answer(start, store):
    process = start()
    _spend(process.gate, 1)
    store.is_away = True
    process.gate.learn("orders", available=4, capacity=10, refill_per_second=1)
    assert _left(process) == 4
    store.is_away = False
    _spend(process.gate, 1)
    process.pool.settle()
    assert store.rows["app"]["orders"].available == 3


@pytest.mark.proves("I-34")
def test_what_could_not_be_told_is_told_the_next_time(start, store):
    if store.is_exact:
        return
    process = start()
    _spend(process.gate, 3)
    process.gate.learn("stock", available=1, capacity=5, refill_per_second=1)
    store.is_away = True
    with pytest.raises(AwayError):
        process.pool.settle()
    store.is_away = False
    process.pool.settle()
    assert store.rows["app"]["orders"].spent == 3
    assert store.rows["app"]["stock"].available == 1


@pytest.mark.proves("I-34")
def test_without_its_store_a_first_call_is_refused(start, store):
    store.is_away = True
    with pytest.raises(AwayError):
        _spend(start().gate, 1)


def test_what_was_learnt_of_an_unknown_operation_survives_a_restart(start, clock):
    before = start(limits=())
    before.gate.learn("orders", available=0, capacity=10, refill_per_second=2)
    _spend(before.gate, 1)
    before.pool.settle()
    began = clock.monotonic()
    _spend(start("two", limits=()).gate, 1)
    assert clock.monotonic() - began == pytest.approx(0.5, abs=0.05)


@pytest.mark.proves("I-26")
def test_a_read_of_one_process_goes_after_a_waiting_write_of_another(stepped_clock):
    store = MemoryStore(stepped_clock, is_exact=True)
    order: list[str] = []

    def spend(process, priority, cost):
        pool = BudgetPool((LIMIT,), clock=stepped_clock, store=store, owner="app", node=process)
        pool.spend("orders", cost=cost, priority=priority)
        order.append(process)

    spend("first", WRITE, 10)
    threads = []
    waiting = [("write", WRITE, 3), ("read", READ, 1), ("bulk", BULK, 1)]
    for number, (process, priority, cost) in enumerate(waiting, start=1):
        thread = threading.Thread(target=spend, args=(process, priority, cost), daemon=True)
        thread.start()
        threads.append(thread)
        stepped_clock.step(0, sleepers=lambda number=number: number)
    while len(order) < 4:
        stepped_clock.step(0.05, sleepers=lambda: 4 - len(order))
    assert order == ["first", "write", "read", "bulk"]


@pytest.mark.proves("I-26")
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 1), st.floats(0.1, 5), st.sampled_from(Priority), st.floats(0, 3)),
        max_size=30,
    )
)
def test_two_processes_on_rows_never_overdraw_in_any_window(calls):
    clock = FakeClock()
    store = MemoryStore(clock, is_exact=True)
    pools = [
        BudgetPool((LIMIT,), clock=clock, store=store, owner="app", node=name)
        for name in ("one", "two")
    ]
    spent: list[tuple[float, float]] = []
    for which, cost, priority, pause in calls:
        clock.advance(pause)
        try:
            pools[which].spend("orders", cost=cost, priority=priority)
        except RateLimited:
            continue
        spent.append((clock.monotonic(), cost))
    for begin, (since, _) in enumerate(spent):
        total = 0.0
        for until, cost in spent[begin:]:
            total += cost
            assert total <= LIMIT.capacity + (until - since) * LIMIT.refill_per_second + 1e-3


@pytest.mark.proves("I-26")
def test_memory_that_meets_its_rows_often_still_uses_all_of_the_rate(clock):
    """A small bucket flows over between two meetings; that must not cost what flowed in."""
    store = MemoryStore(clock, is_exact=False)
    limit = RateLimit(operation="orders", capacity=2, refill_per_second=5)
    pool = BudgetPool((limit,), clock=clock, store=store, owner="app", node="one")
    settled = clock.monotonic()
    for _ in range(200):
        pool.spend("orders", cost=1, priority=READ)
        if clock.monotonic() - settled > 2:
            pool.settle()
            settled = clock.monotonic()
    assert clock.monotonic() <= (200 - 2) / 5 * 1.02


def test_told_while_being_settled_counts_more_than_what_was_settled(clock):
    store = MemoryStore(clock, is_exact=False)
    pool = BudgetPool((LIMIT,), clock=clock, store=store, owner="app", node="one")
    pool.spend("orders", cost=4, priority=READ)
    inner = store.change

    def change(owner, operations, decide):
        inner(owner, operations, decide)
        pool.learn(
            "orders", Bucket(capacity=10, refill_per_second=1, available=1, at=clock.monotonic())
        )

    store.change = change
    pool.settle()
    assert pool.available("orders") == 1
