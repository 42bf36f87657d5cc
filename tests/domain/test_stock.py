"""Stock counters: what a movement may do, and what is left to sell, term by term."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.stock import (
    MovementKind,
    StockLevel,
    StockMovement,
    apply,
    available_to_sell,
    channel_quantity,
)
from oms_sync.domain.values import QUANTITY_MAX, Sku

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEE = Sku("TEE")


def level(**counts) -> StockLevel:
    return StockLevel(**{"sku": TEE, "location": "main", "is_counted": True, **counts})


def movement(kind: MovementKind, **deltas) -> StockMovement:
    return StockMovement(
        sku=TEE, location="main", kind=kind, reason="test", source="test", actor="test", at=NOW,
        **deltas,
    )  # fmt: skip


deltas = st.integers(-4, 4)
movements = st.builds(
    lambda kind, on_hand, unavailable, reserved: movement(
        kind, on_hand_delta=on_hand, unavailable_delta=unavailable, reserved_delta=reserved
    ),
    st.sampled_from(MovementKind), deltas, deltas, deltas,
)  # fmt: skip


@pytest.mark.proves("I-13", "I-14")
@given(st.lists(movements, max_size=12))
def test_counters_are_the_sum_of_their_movements_and_never_break_the_rule(attempts):
    now, stored = level(), []
    for each in attempts:
        try:
            now = apply(now, each)
        except RuleBroken:
            continue
        stored.append(each)
        assert 0 <= now.reserved + now.unavailable <= now.on_hand
        assert now.free == now.on_hand - now.unavailable - now.reserved >= 0
    assert now.on_hand == sum(each.on_hand_delta for each in stored)
    assert now.reserved == sum(each.reserved_delta for each in stored)
    assert now.unavailable == sum(each.unavailable_delta for each in stored)
    assert now.sequence == len(stored)


@pytest.mark.proves("I-19")
@given(st.integers(-5, 5), st.integers(0, 5))
def test_an_adjustment_and_a_reservation_commute(adjustment, reserved):
    start = level(on_hand=10)
    count = movement(MovementKind.ADJUSTMENT, on_hand_delta=adjustment)
    reserve = movement(MovementKind.RESERVE, reserved_delta=reserved)
    assert apply(apply(start, count), reserve) == apply(apply(start, reserve), count)


@pytest.mark.parametrize(
    ("start", "deltas", "told"),
    [
        (level(on_hand=2), {"reserved_delta": 3}, "reserve more than is on hand"),
        (level(on_hand=2, unavailable=1), {"reserved_delta": 2}, "reserve more"),
        (level(on_hand=2, reserved=2), {"on_hand_delta": -1}, "reserve more"),
        (level(on_hand=2), {"on_hand_delta": -3}, "negative"),
        (level(on_hand=2), {"reserved_delta": -1}, "negative"),
        (level(on_hand=2), {"unavailable_delta": -1}, "negative"),
        (level(), {"on_hand_delta": QUANTITY_MAX + 1}, "not a real count"),
    ],
)
def test_a_movement_that_would_break_a_rule_is_refused(start, deltas, told):
    with pytest.raises(RuleBroken, match=told):
        apply(start, movement(MovementKind.ADJUSTMENT, **deltas))


def test_a_movement_changes_its_own_level_only():
    with pytest.raises(RuleBroken, match="cannot change"):
        apply(level(location="annex"), movement(MovementKind.RECEIPT, on_hand_delta=1))


def test_only_a_count_makes_a_quantity_out_of_nothing():
    new = StockLevel(sku=TEE, location="main")
    received = apply(new, movement(MovementKind.RECEIPT, on_hand_delta=1))
    assert not received.is_counted
    assert apply(received, movement(MovementKind.ADJUSTMENT)).is_counted
    assert apply(level(), movement(MovementKind.SHIP)).is_counted


counts = st.integers(0, 50)
levels = st.lists(
    st.builds(
        StockLevel,
        sku=st.just(TEE),
        location=st.sampled_from(["main", "annex"]),
        on_hand=counts,
        unavailable=counts,
        reserved=counts,
        safety_stock=counts,
    ),
    max_size=3,
)


@pytest.mark.proves("I-40")
@given(levels)
def test_what_is_available_to_sell_is_the_sum_of_its_counts(given_levels):
    number = available_to_sell(given_levels)
    assert number.value == sum(
        one.on_hand - one.unavailable - one.reserved - one.safety_stock for one in given_levels
    )
    assert len(number.terms) == 4 * len(given_levels)


@pytest.mark.proves("I-24", "I-40")
@given(levels, counts, st.none() | counts)
def test_a_channel_quantity_is_floor_of_cap_of_available_less_buffer(given_levels, buffer, cap):
    number = channel_quantity(given_levels, buffer=buffer, cap=cap)
    left = available_to_sell(given_levels).value - buffer
    assert number.value == max(0, left if cap is None else min(left, cap))
    assert number.value == sum(term.amount for term in number.terms)
    assert 0 <= number.value <= max(0, available_to_sell(given_levels).value)


def test_a_channel_quantity_names_every_cause():
    terms = channel_quantity([level(on_hand=9, reserved=1, safety_stock=2)], buffer=1, cap=3).terms
    assert [(term.name, term.amount) for term in terms if term.amount] == [
        ("on_hand", 9),
        ("reserved", -1),
        ("safety_stock", -2),
        ("channel_buffer", -1),
        ("channel_cap", -2),
    ]
    floored = channel_quantity([level(on_hand=1, safety_stock=3)])
    assert (floored.value, floored.terms[-1].name, floored.terms[-1].amount) == (0, "floor", 2)
