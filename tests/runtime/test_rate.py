"""The call budget: kept exactly, given to writes first, and never waited for without end."""

import threading
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.runtime import pools
from oms_sync.runtime.rate import RateBuckets
from oms_sync.sdk import Priority, RateLimit, RateLimited
from oms_sync.sdk.fake_ports import FakeClock

WRITE, READ, BULK = Priority.WRITE, Priority.READ, Priority.BULK


class _Quiet:
    def count(self, *_: object, **__: object) -> None: ...

    def gauge(self, *_: object, **__: object) -> None: ...

    def observe(self, *_: object, **__: object) -> None: ...


def _buckets(clock, metrics=None, **limits) -> RateBuckets:
    listed = [
        RateLimit(operation=name.replace("any", "*"), capacity=size, refill_per_second=refill)
        for name, (size, refill) in limits.items()
    ]
    return RateBuckets(listed, clock=clock, metrics=metrics or _Quiet(), account="shop-a")


def test_what_fits_is_let_through_at_once(clock):
    gate = _buckets(clock, orders=(10, 1))
    for _ in range(10):
        gate.spend("orders", priority=WRITE)
    assert clock.monotonic() == 0


def test_what_does_not_fit_waits_exactly_until_it_does(clock):
    gate = _buckets(clock, orders=(10, 2))
    gate.spend("orders", cost=10, priority=READ)
    gate.spend("orders", cost=4, priority=READ)
    assert clock.monotonic() == pytest.approx(2.0, abs=0.01)


@pytest.mark.proves("I-26")
def test_a_wait_beyond_the_maximum_is_refused_with_the_time_to_come_back(clock):
    gate = _buckets(clock, orders=(100, 1))
    gate.spend("orders", cost=100, priority=READ)
    with pytest.raises(RateLimited) as refused:
        gate.spend("orders", cost=60, priority=READ)
    assert refused.value.retry_after_seconds == pytest.approx(60)
    assert clock.monotonic() == 0, "nobody waited for what could not come in time"


def test_a_bucket_into_which_nothing_flows_names_no_time(clock):
    gate = _buckets(clock, orders=(1, 0))
    gate.spend("orders", priority=WRITE)
    with pytest.raises(RateLimited) as refused:
        gate.spend("orders", priority=WRITE)
    assert refused.value.retry_after_seconds is None


def test_a_refused_caller_does_not_stand_in_the_way_of_the_next(clock):
    gate = _buckets(clock, orders=(100, 1))
    gate.spend("orders", cost=95, priority=READ)
    with pytest.raises(RateLimited):
        gate.spend("orders", cost=90, priority=WRITE)
    gate.spend("orders", cost=5, priority=READ)
    assert clock.monotonic() == 0


def test_unnamed_operations_share_the_bucket_of_all_others(clock):
    gate = _buckets(clock, orders=(1, 1), any=(2, 1))
    gate.spend("orders", priority=READ)
    gate.spend("listings", priority=READ)
    gate.spend("stock", priority=READ)
    assert clock.monotonic() == 0
    gate.spend("shipments", priority=READ)
    assert clock.monotonic() == pytest.approx(1.0, abs=0.01)


def test_without_any_limit_nothing_waits(clock):
    gate = _buckets(clock)
    for _ in range(1000):
        gate.spend("orders", cost=1e9, priority=BULK)
    assert (clock.monotonic(), gate.calls) == (0, 1000)


def test_a_call_dearer_than_the_whole_bucket_goes_out_when_the_bucket_is_full(clock):
    gate = _buckets(clock, points=(10, 5))
    gate.spend("points", cost=4, priority=READ)
    gate.spend("points", cost=50, priority=READ)
    assert clock.monotonic() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("priority", "calls"),
    [(BULK, 8), (READ, 10), (WRITE, 10)],  # bulk leaves a fifth
)
def test_bulk_work_leaves_a_fifth_to_the_others(clock, priority, calls):
    gate = _buckets(clock, orders=(10, 0))
    for _ in range(calls):
        gate.spend("orders", priority=priority)
    with pytest.raises(RateLimited):
        gate.spend("orders", priority=priority)


def test_bulk_work_dearer_than_its_share_still_goes_out_from_a_full_bucket(clock):
    gate = _buckets(clock, orders=(10, 1))
    gate.spend("orders", cost=9, priority=BULK)
    assert clock.monotonic() == 0
    gate.spend("orders", cost=9, priority=BULK)
    assert clock.monotonic() == pytest.approx(9.0, abs=0.01), "it waited for a full one"


def test_learning_corrects_what_is_left_how_much_fits_and_how_fast_it_fills(clock, metrics):
    gate = _buckets(clock, metrics, points=(1000, 50))
    gate.learn("points", available=3, capacity=2000, refill_per_second=100)
    assert gate.budget() == [
        {"operation": "points", "available": 3, "capacity": 2000, "refill_per_second": 100}
    ]
    assert metrics.gauges["rate_budget", "shop-a", "points"] == 3
    gate.spend("points", cost=53, priority=WRITE)
    assert clock.monotonic() == pytest.approx(0.5, abs=0.01)


def test_what_is_not_said_of_a_bucket_stays_as_it_is_known(clock):
    gate = _buckets(clock, points=(1000, 50))
    gate.learn("points", available=0)
    assert gate.budget() == [
        {"operation": "points", "available": 0, "capacity": 1000, "refill_per_second": 50}
    ]
    gate.learn("points", available=0, refill_per_second=20)
    gate.spend("points", cost=10, priority=READ)
    assert clock.monotonic() == pytest.approx(0.5, abs=0.01)
    gate.learn("unheard of", available=0)
    gate.spend("unheard of", priority=READ)
    assert clock.monotonic() == pytest.approx(0.5, abs=0.01), "nothing is known to limit it"


def test_an_operation_without_a_bucket_gets_one_from_what_was_learnt(clock):
    gate = _buckets(clock)
    gate.learn("points", available=0, capacity=10, refill_per_second=10)
    gate.spend("points", cost=5, priority=READ)
    assert clock.monotonic() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_what_is_no_number_corrects_nothing(clock, odd):
    gate = _buckets(clock, points=(10, 1))
    gate.learn("points", available=odd, capacity=10, refill_per_second=1)
    gate.learn("points", available=1, capacity=odd, refill_per_second=1)
    gate.learn("points", available=1, capacity=10, refill_per_second=odd)
    assert gate.budget()[0]["available"] == 10


def test_operations_learnt_of_are_bounded(clock):
    gate = _buckets(clock)
    for number in range(pools.LEARNT_OPERATIONS_MAX + 50):
        gate.learn(f"operation-{number}", available=1, capacity=1, refill_per_second=1)
    assert len(gate.budget()) == pools.LEARNT_OPERATIONS_MAX


def test_who_waits_is_told_at_once_when_the_hub_stops():
    class StoppingClock(FakeClock):
        def sleep(self, seconds: float) -> None:
            pass  # returns early: the hub is stopping

    gate = _buckets(StoppingClock(), orders=(1, 1))
    gate.spend("orders", priority=READ)
    with pytest.raises(RateLimited, match="stopping"):
        gate.spend("orders", priority=READ)


@given(
    capacity=st.floats(1, 50),
    refill=st.floats(0.5, 50),
    calls=st.lists(
        st.tuples(st.floats(0.1, 20), st.sampled_from(Priority), st.floats(0, 3)), max_size=40
    ),
)
def test_in_no_window_is_more_spent_than_the_bucket_and_its_refill(capacity, refill, calls):
    clock = FakeClock()
    gate = _buckets(clock, orders=(capacity, refill))
    spent: list[tuple[float, float]] = []
    for cost, priority, pause in calls:
        clock.advance(pause)
        try:
            gate.spend("orders", cost=cost, priority=priority)
        except RateLimited:
            continue
        spent.append((clock.monotonic(), min(cost, capacity)))
    for begin, (since, _) in enumerate(spent):
        total = 0.0
        for until, cost in spent[begin:]:
            total += cost
            assert total <= capacity + (until - since) * refill + 1e-3


def _spend_in_thread(gate, name, order, **kwargs) -> threading.Thread:
    def spend() -> None:
        gate.spend("orders", **kwargs)
        order.append(name)

    thread = threading.Thread(target=spend, daemon=True)
    thread.start()
    return thread


@pytest.mark.proves("I-26")
def test_a_write_that_comes_later_goes_before_everything_that_waits(stepped_clock):
    gate = _buckets(stepped_clock, orders=(5, 1))
    gate.spend("orders", cost=5, priority=WRITE)
    order: list[str] = []
    threads = []
    waiting = [("bulk", BULK), ("read", READ), ("read again", READ), ("write", WRITE)]
    for number, (name, priority) in enumerate(waiting, start=1):
        threads.append(_spend_in_thread(gate, name, order, cost=1, priority=priority))
        stepped_clock.step(0, sleepers=partial(int, number))
    while len(order) < len(threads):
        stepped_clock.step(0.05, sleepers=lambda: len(threads) - len(order))
    assert order == ["write", "read", "read again", "bulk"]
    # one unit a second: three before it, its own, and the fifth it leaves
    assert stepped_clock.monotonic() == pytest.approx(5.0, abs=1.0)


@pytest.mark.proves("I-26")
def test_many_threads_together_keep_the_limit(stepped_clock):
    gate = _buckets(stepped_clock, orders=(5, 10))
    order: list[int] = []
    threads = [_spend_in_thread(gate, n, order, cost=1, priority=READ) for n in range(20)]
    while len(order) < len(threads):
        stepped_clock.step(0.05, sleepers=lambda: len(threads) - len(order))
        assert len(order) <= 5 + stepped_clock.monotonic() * 10 + 1e-6
    assert sorted(order) == list(range(20))
