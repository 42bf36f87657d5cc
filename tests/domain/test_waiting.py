"""Goods a channel goes on waiting for, by its own account."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.waiting import is_waited_for, units_unseen

AT = datetime(2026, 3, 1, tzinfo=UTC)
UNITS = st.none() | st.integers(0, 5)


def _order(*lines: LineSight, **facts: object):
    sight = OrderSight(
        channel_order_id="1",
        version=Version(AT, AT),
        facts=OrderFacts(**{"state": OrderState.OPEN, **facts}),
        lines=lines,
    )
    return first_sight("shop-a", sight)


LINE = LineSight(channel_line_id="a", quantity_ordered=2)


@pytest.mark.parametrize(
    ("line", "facts", "expected"),
    [
        ({}, {}, True),
        ({"quantity_shipped": 1}, {}, True),
        ({"quantity_shipped": 2}, {}, False),
        ({"is_marked_shipped": True}, {}, False),
        ({"quantity_cancelled": 2}, {}, False),
        ({"quantity_elsewhere": 2}, {}, False),
        ({}, {"cancelled_at": AT, "state": OrderState.CANCELLED}, False),
        # others ship it, or nobody does
        ({}, {"fulfilled_by": "channel"}, False),
        ({}, {"is_test": True}, False),
        # unpaid: it will be waited for
        ({}, {"state": OrderState.PENDING}, True),
    ],
)
def test_a_channel_waits_for_units_it_shows_open_and_we_ship(line, facts, expected):
    assert is_waited_for(_order(replace(LINE, **line), **facts)) is expected


@given(ordered=UNITS, shipped=UNITS, cancelled=UNITS, elsewhere=UNITS, here=st.integers(0, 5))
def test_units_are_unseen_until_the_channel_shows_them_gone(
    ordered, shipped, cancelled, elsewhere, here
):
    line = LineSight(
        channel_line_id="a",
        quantity_ordered=ordered,
        quantity_shipped=shipped,
        quantity_cancelled=cancelled,
        quantity_elsewhere=elsewhere,
    )
    unseen = units_unseen(line, here)
    assert 0 <= unseen <= here
    assert unseen + (shipped or 0) + (cancelled or 0) + (elsewhere or 0) <= max(
        ordered or 0, (shipped or 0) + (cancelled or 0) + (elsewhere or 0)
    )
    assert units_unseen(replace(line, quantity_shipped=here), here) == 0
    assert units_unseen(replace(line, is_marked_shipped=True), here) == 0
    assert units_unseen(line, 0) == 0
    if ordered and not (shipped or cancelled or elsewhere):
        assert unseen == min(ordered, here)
