"""Call budgets in the database: one truth for every process, and what a restart finds."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from oms_sync.flows.budgets import CALLS_MAX, BudgetClaim, BudgetRecord, WriteCost
from oms_sync.flows.records import AccountProfile
from oms_sync.runtime.budgets import BudgetParts, Budgets
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.redaction import Redactor
from oms_sync.sdk import Call, Priority, RateLimit, RateLimited
from oms_sync.storage.budgets import COST_HOURS_MAX, CallBudgets

only_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
LIMITS = (RateLimit(operation="orders", capacity=10, refill_per_second=1),)

SPENDER = """
import sys
import time
from pathlib import Path

from oms_sync.runtime.clock import SystemClock, SystemIds
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.pools import BudgetPool
from oms_sync.runtime.rate import RateBuckets
from oms_sync.sdk import Priority, RateLimit
from oms_sync.storage.crypto import load_key_ring
from oms_sync.storage.engine import open_storage

url, key_path, name, seconds = sys.argv[1:]
clock = SystemClock()
storage = open_storage(url, keys=load_key_ring(Path(key_path)), clock=clock, ids=SystemIds())
limits = [RateLimit(operation="orders", capacity=20, refill_per_second=40)]
pool = BudgetPool(limits, clock=clock, store=storage.budgets, owner="app", node=name)
gates = [
    RateBuckets((), clock=clock, metrics=NullMetrics(), account=f"shop-{n}", pool=pool)
    for n in range(3)
]
print("ready", flush=True)
sys.stdin.readline()
began, calls = time.monotonic(), 0
while time.monotonic() - began < float(seconds):
    gates[calls % 3].spend("orders", priority=Priority.READ)
    calls += 1
print(calls, flush=True)
storage.close()
"""


@pytest.fixture
def start(open_store, clock):
    """A process of its own on the database; time is the test's on both databases."""

    def make(process: str = "one"):
        storage = open_store()
        store = CallBudgets(storage._database, clock, now=clock.now)
        parts = BudgetParts(
            store=store,
            clock=clock,
            metrics=NullMetrics(),
            redactor=Redactor(),
            node=process,
        )
        return SimpleNamespace(budgets=Budgets(parts), storage=storage, store=store)

    return make


def _gates(process, count: int = 1, owner: str = "app"):
    return [process.budgets.gate(f"shop-{n}", LIMITS, owner=owner) for n in range(count)]


def _spend(gate, times, *, priority=Priority.READ):
    for _ in range(times):
        gate.spend("orders", priority=priority)


def test_a_record_comes_back_as_it_was_stored(storage, clock):
    now = clock.now()
    claim = BudgetClaim(node="p", priority=1, since=now, cost=2.5, until=now + timedelta(seconds=1))
    record = BudgetRecord(
        operation="orders",
        capacity=10.5,
        refill_per_second=1 / 3,
        available=-0.1,
        at=now,
        spent=1e9 + 0.25,
        published_capacity=12.0,
        published_refill=0.5,
        learnt_at=now - timedelta(microseconds=1),
        claims=(claim,),
    )
    learnt = replace(
        record, operation="stock", published_capacity=None, published_refill=None, claims=()
    )
    storage.budgets.change("app", None, lambda found, at: [record, learnt])
    seen = {}
    storage.budgets.change("app", ["orders"], lambda found, at: seen.update(found) or [])
    assert seen == {"orders": record}
    storage.budgets.change("app", None, lambda found, at: seen.update(found) or [])
    assert seen == {"orders": record, "stock": learnt}
    storage.budgets.change(
        "other", None, lambda found, at: seen.clear() or seen.update(found) or []
    )
    assert seen == {}


def test_a_decision_that_fails_changes_nothing_and_frees_the_row(storage, clock):
    record = BudgetRecord(
        operation="orders", capacity=1, refill_per_second=1, available=1, at=clock.now()
    )
    storage.budgets.change("app", None, lambda found, at: [record])

    def fail(found, at):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.budgets.change("app", ["orders"], fail)
    storage.budgets.change("app", ["orders"], lambda found, at: [replace(record, available=0.5)])


@pytest.mark.proves("I-26", "I-31")
def test_a_restart_finds_the_budget_as_it_was_left(start, clock):
    before = start()
    (gate,) = _gates(before)
    _spend(gate, 10)
    before.budgets.close()
    clock.advance(2)
    (gate,) = _gates(start("two"))
    _spend(gate, 2)
    began = clock.monotonic()
    _spend(gate, 1)
    assert clock.monotonic() - began == pytest.approx(1.0, abs=0.05)


@pytest.mark.proves("I-26")
def test_three_accounts_in_two_processes_keep_one_budget(start, clock):
    one, two = start("one"), start("two")
    gates = [*_gates(one, 3), *_gates(two, 3)]
    spent = []
    for turn in range(60):
        _spend(gates[turn % 6], 1)
        spent.append(clock.monotonic())
        for process in (one, two, one):  # who was told first hears of the other's calls, too
            process.budgets.keep()
    for begin, since in enumerate(spent):
        for calls, until in enumerate(spent[begin:], start=1):
            assert calls <= 10 + (until - since) + 1e-3
    assert spent[-1] <= 50 * 1.03, "and use all of it"


@pytest.mark.proves("I-36")
def test_a_clock_that_goes_back_locks_nobody_out(start, clock):
    before = start()
    (gate,) = _gates(before)
    _spend(gate, 10)
    before.budgets.close()
    clock.advance(-3_600)
    (gate,) = _gates(start("two"))
    began = clock.monotonic()
    _spend(gate, 3)
    assert clock.monotonic() - began == pytest.approx(3.0, abs=0.1)


@only_postgres
@pytest.mark.proves("I-36")
def test_time_is_the_servers_and_not_that_of_a_process(open_store, clock):
    storage = open_store()
    told = []
    storage.budgets.change("app", None, lambda found, at: told.append(at) or [])
    clock.advance(86_400)
    storage.budgets.change("app", None, lambda found, at: told.append(at) or [])
    assert timedelta(0) <= told[1] - told[0] < timedelta(seconds=30)
    assert told[0].utcoffset() == timedelta(0)


@only_postgres
@pytest.mark.slow
@pytest.mark.proves("I-26")
def test_two_processes_of_three_accounts_share_one_budget_in_real_time(
    database_url, key_path, storage
):
    seconds = 1.5
    arguments = [sys.executable, "-c", SPENDER, database_url, str(key_path)]
    running = [
        subprocess.Popen(
            [*arguments, name, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    calls = [int(process.stdout.readline()) for process in running]
    took = time.monotonic() - began
    assert [process.wait(10) for process in running] == [0, 0]
    for process in running:
        process.stdin.close()
        process.stdout.close()
    assert min(calls) > 0
    assert sum(calls) <= 20 + 40 * took + 1
    assert sum(calls) >= 0.85 * (20 + 40 * seconds)


@pytest.fixture
def known(storage):
    """An account the hub knows."""
    storage.record_profiles([AccountProfile(name="shop-0", connector="shopify")])
    return storage


def test_the_report_shows_what_is_left_now_and_who_shares_it(known, start, clock):
    process = start()
    for gate in _gates(process, 2):
        _spend(gate, 3)
    process.budgets.close()
    clock.advance(1)
    shown = known.reports.account("shop-0")
    (budget,) = shown["rate_budget"]
    assert {**budget, "at": None} == {
        "operation": "orders",
        "available": 5.0,
        "capacity": 10.0,
        "refill_per_second": 1.0,
        "at": None,
    }
    assert shown["budget_shared_with"] == ["shop-1"]
    assert shown["drain_seconds"] == 0


@pytest.mark.parametrize(
    ("cost", "pushed", "left", "drains"),
    [
        # two listings wait at 4 a listing; 6 are there, one flows in each second
        (8.0, 2, 6.0, 2.0),
        # what is there suffices
        (2.0, 2, 6.0, 0.0),
        # nothing was ever pushed: nobody knows
        (8.0, 0, 6.0, None),
        (None, 2, 6.0, None),
    ],
)
def test_the_time_to_drain_follows_from_what_changes_have_cost(
    known, build, *, clock, tamper, cost, pushed, left, drains
):
    for number in range(2):
        build.listed(f"l-{number}", desired=9)
    listings = [one["listing_id"] for one in known.reports.listings(account="shop-a")]
    assert len(listings) == 2
    tamper("UPDATE listings SET account = 'shop-0'")
    known.budgets.note(owners={"shop-0": "shop-0"}, costs=[], calls={})
    if cost is not None:
        costs = [WriteCost(account="shop-0", operation="orders", cost=cost / 2)] * 2
        for one in costs:
            known.budgets.note(owners={}, costs=[one], calls={})
    record = BudgetRecord(
        operation="orders", capacity=10, refill_per_second=1, available=left, at=clock.now()
    )
    known.budgets.change("shop-0", None, lambda found, at: [record])
    tamper(
        "INSERT INTO stock_batches (key, account, entries, sent_at, attempts) "
        "VALUES ('b', 'shop-0', '[]', :at, 1)",
        at=_micros(clock.now()),
    )
    for number in range(pushed):
        tamper(
            "INSERT INTO stock_pushes (batch_key, channel_listing_id, outcome, at, reason) "
            "VALUES ('b', :listing, 'applied', :at, '')",
            listing=f"l-{number}",
            at=_micros(clock.now()),
        )
    assert known.reports.account("shop-0")["drain_seconds"] == drains
    assert known.reports.accounts()[0]["drain_seconds"] == drains


def _micros(instant) -> int:
    return round(instant.timestamp() * 1_000_000)


def test_what_writes_cost_is_forgotten_after_a_day(storage, clock):
    cost = WriteCost(account="shop-0", operation="orders", cost=1)
    for _ in range(COST_HOURS_MAX + 5):
        storage.budgets.note(owners={}, costs=[cost], calls={})
        clock.advance(3_600)
    with storage._database.read() as transaction:
        from oms_sync.storage.tables.budgets import write_costs

        assert len(transaction.rows(write_costs.select())) == COST_HOURS_MAX + 1


def _call(clock, number: int) -> Call:
    return Call(
        operation="orders",
        at=clock.now() + timedelta(seconds=number),
        duration_seconds=0.125,
        cost=2,
        status="200",
        request_id=f"request-{number}",
    )


def test_the_last_calls_are_kept_of_each_account_and_shown_newest_first(open_store, clock):
    daemon, command = open_store(), open_store()
    many = [_call(clock, number) for number in range(CALLS_MAX)]
    daemon.budgets.note(owners={}, costs=[], calls={"shop-0": many, "shop-1": many[:3]})
    daemon.budgets.note(owners={}, costs=[], calls={"shop-0": [_call(clock, CALLS_MAX)]})
    shown = command.reports.calls("shop-0", limit=1_000)
    assert len(shown) == CALLS_MAX
    assert shown[0] == {
        "at": shown[0]["at"],
        "operation": "orders",
        "status": "200",
        "cost": 2.0,
        "duration_seconds": 0.125,
        "request_id": f"request-{CALLS_MAX}",
    }
    assert shown[-1]["request_id"] == "request-1"
    assert len(command.reports.calls("shop-1")) == 3
    assert command.reports.calls("nobody") == []
    assert json.loads(json.dumps(shown)) == shown


def _slower(record: BudgetRecord) -> BudgetRecord:
    """As the channel may say."""
    return replace(record, refill_per_second=0.1, learnt_at=record.at)


@pytest.mark.proves("I-26")
def test_who_would_wait_too_long_holds_nothing_back_in_the_database(start):
    one, two = start("one"), start("two")
    (first,) = _gates(one)
    _spend(first, 10)
    one.budgets.keep()
    one.store.change("app", None, lambda found, at: [_slower(found["orders"])])
    one.budgets.keep()
    with pytest.raises(RateLimited):
        first.spend("orders", cost=9, priority=Priority.BULK)
    seen = {}
    two.store.change("app", None, lambda found, at: seen.update(found) or [])
    assert seen["orders"].claims == ()
