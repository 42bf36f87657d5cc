"""Ids that change and lines that move, at the fake channel: from records to records, pure.

Lines keep their ids. What was sold stays sold: nothing here moves what is on sale.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from oms_sync.sdk.fake_acts import FakeRefusal
from oms_sync.sdk.fake_orders import FakeOrder

_RENAMES_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrouped:
    """Orders as they are now: one under a new id, and those that lost lines to it."""

    order: FakeOrder
    #: orders that keep some of their lines
    rest: tuple[FakeOrder, ...] = ()
    #: ids that are no order's own any more
    former: tuple[str, ...]


def present_id(former: Mapping[str, str], channel_order_id: str) -> str:
    """The id an order goes by now."""
    for _ in range(_RENAMES_MAX):
        if channel_order_id not in former:
            break
        channel_order_id = former[channel_order_id]
    return channel_order_id


def rename(order: FakeOrder, new_id: str) -> Regrouped:
    """Give the order another id."""
    return Regrouped(
        order=replace(order, channel_order_id=new_id), former=(order.channel_order_id,)
    )


def combine(
    orders: Sequence[FakeOrder],
    new_id: str,
    *,
    at: datetime,
    channel_line_ids: Collection[str] | None = None,
) -> Regrouped:
    """Make one new order of unpaid ones, of all their lines or of some; the rest stays."""
    if len(orders) == 1 or any(one.state != "pending" for one in orders):
        raise FakeRefusal("only several unpaid orders can be combined")
    lines = [line for one in orders for line in one.lines]
    chosen = (
        {one.channel_line_id for one in lines} if channel_line_ids is None else channel_line_ids
    )
    taken = tuple(line for line in lines if line.channel_line_id in chosen)
    rest = tuple(
        replace(one, lines=kept)
        for one in orders
        if (kept := tuple(line for line in one.lines if line.channel_line_id not in chosen))
    )
    left = {one.channel_order_id for one in rest}
    return Regrouped(
        order=replace(
            orders[0],
            channel_order_id=new_id,
            lines=taken,
            placed_at=min(one.placed_at for one in orders),
            visible_at=at,
        ),
        rest=rest,
        former=tuple(one.channel_order_id for one in orders if one.channel_order_id not in left),
    )
