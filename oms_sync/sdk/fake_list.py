"""The fake channel's own list of orders by the time they were placed. Pure."""

from collections.abc import Sequence
from datetime import datetime

from oms_sync.sdk.fake_orders import FakeOrder


def listed_page(
    orders: Sequence[FakeOrder],
    *,
    since: datetime,
    until: datetime,
    cursor: str | None,
    size: int,
) -> tuple[list[FakeOrder], str, bool]:
    """The orders of the next page, its cursor, and whether it is the last.

    The cursor is the place of the last order shown, so that orders that come or go between two
    pages move no others.
    """
    listed = sorted(
        (order for order in orders if since <= order.placed_at < until),
        key=_place,
    )
    waiting = [order for order in listed if cursor is None or _place(order) > cursor]
    shown = waiting[:size]
    after = _place(shown[-1]) if shown else cursor or ""
    return shown, after, len(shown) == len(waiting)


def _place(order: FakeOrder) -> str:
    return f"{order.placed_at.isoformat(timespec='microseconds')} {order.channel_order_id}"
