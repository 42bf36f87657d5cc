"""Erased orders whose lines and ids move: who still has something to ship keeps its people."""

from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.flows.records import StoredLine, StoredOrder
from oms_sync.flows.regroup import Regrouping

AT = datetime(2026, 3, 1, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


def sight(name, at, *line_ids, aliases=()):
    return OrderSight(
        channel_order_id=name,
        version=Version(at, at),
        facts=OrderFacts(state=OrderState.OPEN, line_ids=line_ids),
        lines=tuple(LineSight(channel_line_id=one, quantity_ordered=1) for one in line_ids),
        aliases=aliases,
    )


def known(name, *, is_erased, has_line=True):
    """A stored order that has the line of its own name, or none."""
    lines = (name,) if has_line else ()
    return StoredOrder(
        order_id=name,
        known=first_sight("shop-a", sight(name, AT, *lines)),
        state=OrderState.OPEN,
        lines=tuple(StoredLine(line_id=f"line-{one}", channel_line_id=one) for one in lines),
        imported_at=AT,
        names=(name,),
        erased_at=AT if is_erased else None,
    )


def regrouped(shown, *, erased, has_line=True):
    """What has become of the orders 1 and 2, of which those in `erased` were."""
    made = iter(["new"])
    stored = [known(name, is_erased=name in erased, has_line=has_line) for name in "12"]
    grouping = Regrouping(stored, account="shop-a", now=LATER, new_id=lambda: next(made))
    grouping.show(shown.channel_order_id, shown, "key")
    return {one.order_id: one for one in grouping.result().orders}


@pytest.mark.parametrize("aliases", [(), ("1", "2")])
@pytest.mark.parametrize(("erased", "is_left"), [("", False), ("1", False), ("12", True)])
def test_of_orders_that_become_one_it_stays_erased_where_all_were(erased, is_left, aliases):
    (order,) = regrouped(sight("3", LATER, "1", "2", aliases=aliases), erased=erased).values()
    assert len(order.lines) == 2
    assert (order.erased_at is not None) == is_left


def test_an_erased_order_under_another_id_stays_erased():
    orders = regrouped(sight("3", LATER, "1", aliases=("1",)), erased="1")
    assert orders["1"].erased_at == AT
    assert orders["1"].known.ref.channel_order_id == "3"


@pytest.mark.parametrize("erased", ["1", "12"])
def test_orders_without_lines_that_become_one_bring_nobody_back(erased):
    orders = regrouped(sight("1", LATER, aliases=("2",)), erased=erased, has_line=False)
    (order,) = orders.values()
    assert order.erased_at == AT
