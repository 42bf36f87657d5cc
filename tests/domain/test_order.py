"""What follows from what is known: units per line, wanted units, holds, state, money."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import (
    KnownOrder,
    LineCounts,
    LineSight,
    OrderFacts,
    OrderSight,
    OrderState,
    Version,
    hold_codes,
    line_counts,
    money_residual,
    moves_stock,
    order_state,
    wanted,
)
from oms_sync.domain.values import Money

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SMALL = (None, 0, 1, 2, 3)


def order(*lines: LineSight, **facts) -> KnownOrder:
    version = Version(NOW, NOW)
    seen = OrderSight(channel_order_id="1", version=version, facts=OrderFacts(**facts), lines=lines)
    return first_sight("shop-a", seen)


def line(line_id: str = "a", **values) -> LineSight:
    return LineSight(channel_line_id=line_id, **values)


def counts(**values: int) -> LineCounts:
    zero = dict.fromkeys(
        "ordered shipped elsewhere cancelled open returned taken put_back".split(), 0
    )
    return LineCounts(**{**zero, **values})


def eur(text: str) -> Money:
    return Money(Decimal(text), "EUR")


@pytest.mark.proves("I-16")
def test_every_unit_of_a_line_is_in_one_place_whatever_was_seen():
    for ordered, cancelled, shipped, elsewhere, here, is_gone in product(
        (None, 0, 1, 2), SMALL, SMALL, (None, 0, 1, 3), (0, 1, 3), (False, True)
    ):
        sight = line(
            quantity_ordered=ordered,
            quantity_cancelled=cancelled,
            quantity_shipped=shipped,
            quantity_elsewhere=elsewhere,
            quantity_returned=shipped,
        )
        known = order(sight, cancelled_at=NOW if is_gone else None)
        split = line_counts(known, known.lines[0], here)
        assert split.ordered == split.open + split.shipped + split.cancelled + split.elsewhere
        assert min(split.open, split.shipped, split.cancelled, split.elsewhere) >= 0
        assert 0 <= split.returned <= split.shipped
        assert not (is_gone and split.open)


@pytest.mark.proves("I-30")
def test_shipped_units_beat_cancelled_ones():
    sight = line(quantity_ordered=3, quantity_cancelled=3, quantity_shipped=1)
    known = order(sight)
    split = line_counts(known, known.lines[0], 2)
    assert (split.shipped, split.cancelled, split.open) == (2, 1, 0)


@pytest.mark.parametrize(("shipped_here", "shipped"), [(0, 3), (1, 1), (3, 3)])
def test_a_line_marked_shipped_counts_whole_unless_this_hub_counted_units_itself(
    shipped_here, shipped
):
    known = order(line(quantity_ordered=3, is_marked_shipped=True))
    split = line_counts(known, known.lines[0], shipped_here)
    assert (split.shipped, split.open) == (shipped, 3 - shipped)


def test_units_in_others_care_are_not_ours_to_ship():
    known = order(line(quantity_ordered=3, quantity_elsewhere=1, quantity_restocked=1))
    split = line_counts(known, known.lines[0], 0)
    assert (split.elsewhere, split.open, split.taken) == (1, 2, 1)


@pytest.mark.parametrize(
    ("values", "facts", "taken"),
    [
        ({"quantity_ordered": 3}, {}, 3),
        ({"quantity_ordered": 3, "quantity_restocked": 2}, {}, 1),
        ({"quantity_ordered": 1, "quantity_restocked": 2}, {}, 0),
        ({"quantity_ordered": 3}, {"fulfilled_by": "channel"}, 0),
        ({"quantity_ordered": 3, "is_stocked": False}, {}, 0),
        ({"quantity_ordered": 3, "is_stocked": True}, {"fulfilled_by": "seller"}, 3),
        # a cancellation without restock leaves the channel's own quantity lowered
        ({"quantity_ordered": 3, "quantity_cancelled": 3}, {"cancelled_at": NOW}, 3),
        # a test order is nothing to ship, and moved the channel's own quantity all the same
        ({"quantity_ordered": 3}, {"is_test": True}, 3),
    ],
)
def test_units_taken_from_the_channels_own_quantity(values, facts, taken):
    known = order(line(**values), **facts)
    assert line_counts(known, known.lines[0], 0).taken == taken


@pytest.mark.parametrize(
    ("values", "facts", "is_moving"),
    [
        ({}, {}, True),
        ({}, {"fulfilled_by": "channel"}, False),
        ({}, {"fulfilled_by": "seller", "is_test": False, "is_complete": True}, True),
        ({}, {"is_test": True}, False),
        ({}, {"is_complete": False}, False),  # half-read: I-06
        ({}, {"is_complete": False, "line_ids": ("a",)}, True),  # it was read whole before
        ({"is_stocked": False}, {}, False),
    ],
)
def test_which_lines_our_stock_stands_behind(values, facts, is_moving):
    known = order(line(quantity_ordered=2, **values), **facts)
    (each,) = known.lines
    assert moves_stock(known, each) is is_moving
    assert wanted(known, each, line_counts(known, each, 0)) == (2 if is_moving else 0)


@pytest.mark.proves("I-17")
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_a_cancelled_order_wants_nothing(ordered, shipped, here):
    known = order(
        line(quantity_ordered=ordered, quantity_shipped=shipped), state=OrderState.CANCELLED
    )
    (each,) = known.lines
    assert wanted(known, each, line_counts(known, each, here)) == 0


def test_the_holds_facts_call_for():
    everything = order(
        channel_holds=("fraud", "address"), unmapped_codes=("status: odd",), is_complete=False
    )
    assert hold_codes(everything, has_unmapped_sku=True) == (
        "channel:address",
        "channel:fraud",
        "incomplete",
        "unmapped_code",
        "unmapped_sku",
    )
    calm = order(channel_holds=(), unmapped_codes=(), is_complete=True)
    assert hold_codes(calm, has_unmapped_sku=False) == ()
    assert hold_codes(order(), has_unmapped_sku=False) == ()


OPEN, SHIPPED, GONE = counts(open=1), counts(shipped=1), counts(cancelled=1)


@pytest.mark.parametrize(
    ("facts", "lines", "has_holds", "state"),
    [
        ({"state": OrderState.OPEN}, (OPEN,), False, OrderState.OPEN),
        ({"state": OrderState.OPEN}, (OPEN,), True, OrderState.HELD),
        ({"state": OrderState.PENDING}, (OPEN,), False, OrderState.PENDING),
        # an unpaid order with a hold waits for a person first
        ({"state": OrderState.PENDING}, (OPEN,), True, OrderState.HELD),
        # nothing said about the state: never ship
        ({}, (OPEN,), False, OrderState.PENDING),
        ({}, (), False, OrderState.PENDING),
        ({"state": OrderState.OPEN}, (), True, OrderState.HELD),
        ({"state": OrderState.OPEN}, (SHIPPED, OPEN), False, OrderState.OPEN),
        ({"state": OrderState.OPEN}, (SHIPPED, GONE), True, OrderState.CLOSED),
        ({"state": OrderState.OPEN}, (counts(elsewhere=1),), False, OrderState.CLOSED),
        ({"state": OrderState.OPEN}, (GONE,), False, OrderState.CANCELLED),
        ({"cancelled_at": NOW}, (SHIPPED,), True, OrderState.CANCELLED),
        ({"state": OrderState.CANCELLED}, (OPEN,), False, OrderState.CANCELLED),
        ({"state": OrderState.CLOSED}, (OPEN,), False, OrderState.CLOSED),
    ],
)
def test_the_state_follows_from_facts_units_and_holds(facts, lines, has_holds, state):
    assert order_state(order(**facts), lines, has_holds=has_holds) is state


PRICED = line(quantity_ordered=2, unit_price=eur("5.00"))


@pytest.mark.proves("I-10", "A27")
@pytest.mark.parametrize(
    ("lines", "facts", "residual"),
    [
        ((PRICED,), {"total": eur("10.00")}, "0.00"),
        ((PRICED,), {"total": eur("10.01")}, "0.01"),
        ((PRICED,), {"total": eur("16.00"), "shipping": eur("4"), "tax": eur("2")}, "0.00"),
        (
            (PRICED,),
            {
                "total": eur("14.00"),
                "shipping": eur("4"),
                "tax": eur("2"),
                "are_taxes_included": True,
            },
            "0.00",
        ),
        ((PRICED,), {"total": eur("7.00"), "discount": eur("3")}, "0.00"),
        ((), {"total": eur("0")}, "0.00"),
        ((line(quantity_ordered=2),), {"total": eur("10")}, None),
        ((line(unit_price=eur("5")),), {"total": eur("10")}, None),
        ((PRICED,), {}, None),
    ],
)
def test_what_of_the_total_its_parts_do_not_explain(lines, facts, residual):
    found = money_residual(order(*lines, currency="EUR", **facts))
    assert (found and found.text()) == residual


def test_without_a_currency_nothing_adds_up():
    assert money_residual(order(PRICED, total=eur("10"))) is None
