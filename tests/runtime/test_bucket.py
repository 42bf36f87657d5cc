"""A budget several processes share: never overdrawn, in order of priority, whatever clocks do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.flows.budgets import BudgetClaim
from oms_sync.runtime import bucket
from oms_sync.runtime.bucket import Bucket, corrected, flowed, fresh_record, taken, taken_up
from oms_sync.sdk import Priority, RateLimit

WRITE, READ, BULK = Priority.WRITE, Priority.READ, Priority.BULK
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = RateLimit(operation="orders", capacity=10, refill_per_second=2)


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _claim(process: str, *, at: float = 0, cost: float = 1, priority: Priority = READ):
    return BudgetClaim(
        node=process,
        priority=priority,
        since=_at(at),
        cost=cost,
        until=_at(at + bucket.CLAIM_SECONDS),
    )


def _empty(at: float = 0):
    return replace(fresh_record(LIMIT, _at(at)), available=0.0)


def _take(record, claim, patience: float = 10.0):
    return taken(record, claim, patience_seconds=patience)


def test_what_flows_in_stops_at_the_brim():
    assert flowed(_empty(), _at(3)).available == 6
    assert flowed(_empty(), _at(3_000)).available == 10


@pytest.mark.proves("I-36")
def test_a_clock_put_forward_fills_no_bucket_beyond_the_time_that_passed():
    assert flowed(_empty(), _at(3_600), elapsed_max=0.5).available == 1


@pytest.mark.proves("I-36")
def test_a_clock_put_back_stops_the_refill_for_a_moment_and_not_until_it_has_caught_up():
    behind = flowed(_empty(), _at(-3_600))
    assert (behind.available, behind.at) == (0, _at(-3_600))
    assert flowed(behind, _at(-3_599)).available == 2


def test_a_process_a_moment_ahead_gives_nobody_a_second_refill():
    ahead = flowed(_empty(), _at(1))
    late = flowed(ahead, _at(0.5))
    assert late == ahead
    assert flowed(late, _at(1)).available == ahead.available


@pytest.mark.proves("I-26")
def test_a_read_leaves_a_waiting_write_of_another_process_what_it_waits_for():
    record, wait = _take(_empty(), _claim("one", cost=3, priority=WRITE))
    assert wait == 1.5
    record, wait = _take(flowed(record, _at(0.9)), _claim("two", at=0.9))
    assert wait == pytest.approx((3 + 1 - 1.8) / 2), "the write's three come first"
    record, wait = _take(flowed(record, _at(0.9)), _claim("three", at=0.9, priority=WRITE, cost=3))
    assert wait == pytest.approx((3 + 3 - 1.8) / 2), "one that came earlier goes first"
    renewed = replace(_claim("one", cost=3, priority=WRITE), until=_at(2.5))
    record, wait = _take(flowed(record, _at(1.5)), renewed)
    assert (wait, record.available) == (0, pytest.approx(0))
    assert {one.node for one in record.claims} == {"two", "three"}


def test_a_claim_of_a_process_that_is_gone_soon_holds_nothing_back():
    record, _ = _take(_empty(), _claim("gone", cost=8, priority=WRITE))
    _, wait = _take(flowed(record, _at(1.01)), _claim("two", at=1.01))
    assert wait == 0


def test_who_would_wait_too_long_leaves_no_claim():
    record, wait = _take(_empty(), _claim("one", cost=10), patience=2)
    assert (wait, record.claims) == (5, ())


def test_claims_are_bounded():
    record = _empty()
    for number in range(bucket.CLAIMS_MAX + 20):
        record, _ = _take(record, _claim(f"process-{number:03d}"), patience=1e9)
    assert len(record.claims) == bucket.CLAIMS_MAX


def test_bulk_work_of_any_process_leaves_a_fifth():
    record = replace(fresh_record(LIMIT, NOW), available=2.5)
    assert _take(record, _claim("one", priority=BULK))[1] == pytest.approx(0.25)
    assert _take(record, _claim("one", priority=READ))[1] == 0


def test_what_the_channel_says_is_kept_with_its_time():
    told = Bucket(capacity=40, refill_per_second=4, available=7, at=0.0)
    record = corrected(fresh_record(LIMIT, NOW), told)
    assert (record.capacity, record.refill_per_second, record.available) == (40, 4, 7)
    assert record.learnt_at == NOW


def test_a_starting_process_takes_up_what_was_left_and_what_flowed_in_since():
    records = {"orders": _empty()}
    found = taken_up(records, {"orders": LIMIT, "stock": replace(LIMIT, operation="stock")}, _at(2))
    assert found["orders"].available == 4
    assert found["stock"].available == 10


def test_an_operation_only_learnt_of_is_taken_up_too():
    learnt = replace(_empty(), published_capacity=None, published_refill=None)
    assert taken_up({"orders": learnt}, {}, _at(1))["orders"].available == 2


def test_another_manifest_changes_size_and_rate_and_fills_nothing():
    larger = RateLimit(operation="orders", capacity=100, refill_per_second=9)
    found = taken_up({"orders": replace(_empty(), spent=70.0)}, {"orders": larger}, _at(1))
    record = found["orders"]
    assert (record.capacity, record.refill_per_second) == (100, 9)
    assert (record.available, record.spent) == (2, 70)


@pytest.mark.parametrize(
    ("hours", "left"),
    [
        (1, 0),  # the quota may well be spent until tomorrow
        (25, 10),  # no quota is counted longer than a day
    ],
)
def test_a_standstill_the_channel_told_of_is_believed_for_a_day(hours, left):
    told = Bucket(capacity=10, refill_per_second=0, available=0, at=0.0)
    stored = corrected(fresh_record(LIMIT, NOW), told)
    found = taken_up({"orders": stored}, {"orders": LIMIT}, _at(hours * 3_600))
    assert found["orders"].available == left


@pytest.mark.proves("I-26")
@given(
    capacity=st.floats(1, 50),
    refill=st.floats(0.5, 50),
    calls=st.lists(
        st.tuples(
            st.sampled_from(["one", "two", "three"]),
            st.floats(0.1, 20),
            st.sampled_from(Priority),
            st.floats(0, 3),
        ),
        max_size=40,
    ),
    skews=st.fixed_dictionaries(
        {name: st.floats(-2, 2) for name in ("one", "two", "three")},
    ),
)
def test_processes_whose_clocks_differ_a_little_never_overdraw_together(
    capacity, refill, calls, skews
):
    limit = RateLimit(operation="orders", capacity=capacity, refill_per_second=refill)
    record, now, spent = fresh_record(limit, _at(min(skews.values()))), 0.0, []
    for process, cost, priority, pause in calls:
        now += pause
        record = flowed(record, _at(now + skews[process]))
        record, wait = _take(record, _claim(process, at=now, cost=cost, priority=priority))
        if wait == 0:
            spent.append((now, min(cost, capacity)))
    for begin, (since, _) in enumerate(spent):
        total = 0.0
        for until, cost in spent[begin:]:
            total += cost
            # the furthest clock leads, once
            assert total <= capacity + (until - since + 4) * refill + 1e-3
