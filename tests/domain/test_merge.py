"""Merge: whatever the order and number of sights, the same knowledge."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import (
    KnownOrder,
    LineSight,
    OrderFacts,
    OrderSight,
    OrderState,
    Version,
    line_counts,
)
from oms_sync.domain.values import Money

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def sight(seconds: int, *lines: LineSight, seen: int | None = None, **facts) -> OrderSight:
    return OrderSight(
        channel_order_id="1001",
        version=Version(at(seconds), at(seconds if seen is None else seen)),
        facts=OrderFacts(**facts),
        lines=lines,
    )


def known(*sights: OrderSight) -> KnownOrder:
    return reduce(merge, (first_sight("shop-a", one) for one in sights))


def line(line_id: str = "a", **quantities) -> LineSight:
    return LineSight(channel_line_id=line_id, **quantities)


def maybe(strategy):
    return st.none() | strategy


instants = st.integers(0, 3).map(at)
quantities = st.integers(0, 3)
lines = st.builds(
    LineSight,
    channel_line_id=st.sampled_from("abc"),
    channel_sku=maybe(st.sampled_from(["TEE", "MUG"])),
    quantity_ordered=maybe(quantities),
    quantity_cancelled=maybe(quantities),
    quantity_shipped=maybe(quantities),
    is_stocked=maybe(st.booleans()),
)
facts = st.builds(
    OrderFacts,
    channel_status=maybe(st.sampled_from(["paid", "new"])),
    state=maybe(st.sampled_from(OrderState)),
    cancelled_at=maybe(instants),
    total=maybe(st.sampled_from(["1.00", "2.00"]).map(lambda text: Money(Decimal(text), "EUR"))),
    is_test=maybe(st.booleans()),
    channel_holds=maybe(st.sampled_from([(), ("fraud",)])),
    line_ids=maybe(st.sampled_from([("a",), ("a", "b"), ()])),
    is_complete=maybe(st.booleans()),
)
sights = st.builds(
    OrderSight,
    channel_order_id=st.just("1001"),
    version=st.builds(Version, instants, instants),
    facts=facts,
    lines=st.lists(lines, max_size=3, unique_by=lambda one: one.channel_line_id).map(tuple),
)


@pytest.mark.proves("I-07", "F11", "F13")
@given(st.lists(sights, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_order_and_any_number_of_the_same_sights_gives_the_same_knowledge(seen, chance):
    shuffled = [*seen, *chance.choices(seen, k=2)]
    chance.shuffle(shuffled)
    assert known(*shuffled) == known(*seen)


@pytest.mark.proves("I-07")
@given(sights, sights, sights)
def test_merge_is_commutative_associative_and_idempotent(one, two, three):
    a, b, c = (first_sight("shop-a", each) for each in (one, two, three))
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert merge(merge(a, b), b) == merge(a, b)


@pytest.mark.proves("I-07")
@given(sights, sights)
def test_older_never_beats_newer_and_missing_never_resets(one, two):
    older, newer = sorted((one, two), key=lambda each: each.version)
    merged, latest = known(older, newer), first_sight("shop-a", newer)
    first = first_sight("shop-a", older)
    for name in (field.name for field in fields(OrderFacts)):
        value = getattr(latest.facts, name)
        if older.version != newer.version and value is not None:
            assert getattr(merged.facts, name) == value
        if value is None:
            assert getattr(merged.facts, name) == getattr(first.facts, name)


@pytest.mark.proves("I-07")
def test_each_field_keeps_the_value_of_its_own_newest_sight():
    cases = [
        sight(1, line(quantity_ordered=2), channel_status="new", is_test=False),
        sight(2, channel_status="paid"),
        sight(3, line("a", quantity_shipped=1), line("b", quantity_ordered=1)),
    ]
    for order in permutations(cases):
        merged = known(*order)
        assert merged.facts.channel_status == "paid"
        assert merged.facts.is_test is False
        assert merged.version == Version(at(3), at(3))
        assert merged.field_version("channel_status").at == at(2)
        assert merged.field_version("line_ids").at == at(3)
        first, second = merged.lines
        assert (first.line.quantity_ordered, first.line.quantity_shipped) == (2, 1)
        assert second.line.quantity_ordered == 1


@pytest.mark.proves("I-07", "F32")
def test_of_one_second_the_sight_seen_later_wins():
    early, late = sight(1, seen=5, channel_status="new"), sight(1, seen=6, channel_status="paid")
    assert known(late, early).facts.channel_status == "paid"


@pytest.mark.proves("I-17", "F34")
@given(st.lists(sights, max_size=3), st.integers(0, 3))
def test_a_cancellation_once_seen_stays(others, when):
    cancelled = sight(when, state=OrderState.CANCELLED)
    assert known(cancelled, *others).is_cancelled
    assert known(*others, cancelled).is_cancelled


@pytest.mark.proves("I-17")
def test_a_cancellation_is_remembered_by_its_own_time_or_the_sights():
    assert known(sight(2, state=OrderState.CANCELLED)).facts.cancelled_at == at(2)
    told = sight(2, state=OrderState.CANCELLED, cancelled_at=at(1))
    assert known(told).facts.cancelled_at == at(1)
    assert known(told).facts.state is None
    revived = known(sight(2, state=OrderState.CANCELLED), sight(3, state=OrderState.OPEN))
    assert revived.is_cancelled


@pytest.mark.proves("F35")
def test_a_line_leaves_only_by_a_newer_complete_sight():
    before = sight(
        1, line("a", quantity_ordered=1), line("b", quantity_ordered=2), line_ids=("a", "b")
    )
    after = sight(2, line("a", quantity_ordered=1), line_ids=("a",))
    header = sight(3)
    for order in permutations([before, after, header]):
        merged = known(*order)
        stays, left = merged.lines
        assert (merged.has_left(stays), merged.has_left(left)) == (False, True)
        assert line_counts(merged, left, 0).cancelled == 2
    back = known(before, after, sight(4, line("b", quantity_ordered=2), line_ids=("a", "b")))
    assert not back.has_left(back.lines[1])
    assert not known(sight(1, line("a"))).has_left(known(sight(1, line("a"))).lines[0])


def test_a_line_newer_than_the_listing_has_not_left():
    listed = sight(1, line("a"), line_ids=("a",))
    added = sight(2, line("b", quantity_ordered=1))
    merged = known(listed, added)
    assert not merged.has_left(merged.lines[1])


@pytest.mark.proves("A28")
def test_a_naive_time_is_no_version():
    with pytest.raises(InvalidValue, match="aware"):
        Version(START.replace(tzinfo=None), START)
    with pytest.raises(InvalidValue, match="aware"):
        Version(START, START.replace(tzinfo=None))


def test_one_line_id_twice_is_refused():
    with pytest.raises(InvalidValue, match="twice"):
        first_sight("shop-a", sight(1, line("a"), line("a")))


@pytest.mark.proves("I-02", "F38")
def test_the_same_id_at_another_account_is_another_order():
    one, two = first_sight("shop-a", sight(1)), first_sight("shop-b", sight(1))
    with pytest.raises(InvalidValue, match="shop-b:1001"):
        merge(one, two)


@pytest.mark.proves("A24")
@pytest.mark.parametrize("quantity", [-1, 1.0, True, 2**63, "1", float("nan")])
def test_a_quantity_that_is_no_whole_number_in_range_is_refused(quantity):
    for field in fields(LineSight):
        if field.name.startswith("quantity_"):
            with pytest.raises(InvalidValue, match=field.name):
                replace(line(), **{field.name: quantity})
