"""What buyers and the seller do to an order of the fake channel: from one record to the next, pure.

Units on sale follow from the records: an order has taken `ordered − restocked` of each listing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from oms_sync.sdk.fake_orders import FakeFulfilment, FakeLine, FakeOrder

NewLine = Callable[[str, int], FakeLine]


class FakeRefusal(Exception):
    """The channel refuses what a buyer, its seller or a session asks; nothing was changed."""


def taken(order: FakeOrder) -> dict[str, int]:
    """Units the order has taken from what is on sale, by channel listing id."""
    units: dict[str, int] = {}
    if order.fulfilled_by == "seller":
        for line in order.lines:
            if line.is_stocked:
                before = units.get(line.channel_listing_id, 0)
                units[line.channel_listing_id] = before + line.ordered - line.restocked
    return units


def cancel_order(order: FakeOrder, *, restock: bool, at: datetime) -> FakeOrder:
    """Everything not shipped leaves the order."""
    if order.cancelled_at is not None:
        raise FakeRefusal(f"{order.channel_order_id} is cancelled already")
    lines = tuple(_take_out(line, line.open, restock=restock) for line in order.lines)
    return replace(order, lines=lines, cancelled_at=at)


def edit_order(order: FakeOrder, quantities: Mapping[str, int], new_line: NewLine) -> FakeOrder:
    """Give SKUs new units; what leaves goes back on sale, an unknown SKU adds a line."""
    lines = {line.channel_line_id: line for line in order.lines}
    by_sku = {line.channel_sku: line for line in reversed(order.lines)}
    for channel_sku, units in quantities.items():
        line_id = f"{order.channel_order_id}-{len(lines) + 1}"
        line = by_sku.get(channel_sku) or replace(new_line(channel_sku, 0), channel_line_id=line_id)
        more = units - (line.ordered - line.cancelled)
        if -more > line.open:
            raise FakeRefusal(f"{channel_sku}: only {line.open} units are not shipped")
        lines[line.channel_line_id] = (
            _take_out(line, -more, restock=True)
            if more < 0
            else replace(line, ordered=line.ordered + more)
        )
    return replace(order, lines=tuple(lines.values()))


def refund_order(
    order: FakeOrder, quantities: Mapping[str, int] | None, *, restock: bool
) -> FakeOrder:
    """Unshipped units leave the order; shipped ones, with `restock`, have come back sellable."""
    return replace(
        order, lines=tuple(_refund(line, quantities, restock=restock) for line in order.lines)
    )


def add_fulfilment(order: FakeOrder, fulfilment: FakeFulfilment) -> FakeOrder:
    """One more dispatch; refuses a cancelled order, and more units than are open."""
    units, open_units = dict(fulfilment.lines), {one.channel_line_id: one for one in order.lines}
    if order.cancelled_at is not None:
        raise FakeRefusal(f"{order.channel_order_id} is cancelled")
    for line_id, wanted in units.items():
        line = open_units.get(line_id)
        if line is None or not 0 < wanted <= line.open:
            raise FakeRefusal(f"{line_id} has {line.open if line else 0} units open, not {wanted}")
    if not units:
        raise FakeRefusal("a dispatch without units")
    return _ship(replace(order, fulfilments=(*order.fulfilments, fulfilment)), units, sign=1)


def undo_fulfilment(order: FakeOrder, channel_shipment_id: str) -> FakeOrder:
    """Take a dispatch back: its units are open again."""
    for one in order.fulfilments:
        if one.channel_shipment_id == channel_shipment_id and not one.is_cancelled:
            kept = tuple(
                replace(each, is_cancelled=True) if each is one else each
                for each in order.fulfilments
            )
            return _ship(replace(order, fulfilments=kept), dict(one.lines), sign=-1)
    raise FakeRefusal(f"{order.channel_order_id} has no dispatch {channel_shipment_id}")


def _ship(order: FakeOrder, units: Mapping[str, int], *, sign: int) -> FakeOrder:
    return replace(
        order,
        lines=tuple(
            replace(line, shipped=line.shipped + sign * units.get(line.channel_line_id, 0))
            for line in order.lines
        ),
    )


def _refund(line: FakeLine, quantities: Mapping[str, int] | None, *, restock: bool) -> FakeLine:
    possible = line.open + line.shipped - line.returned
    asked = possible if quantities is None else quantities.get(line.channel_sku, 0)
    if asked > possible:
        raise FakeRefusal(f"{line.channel_sku}: only {possible} units can be refunded")
    unshipped = min(asked, line.open)
    back = asked - unshipped if restock else 0
    after = _take_out(line, unshipped, restock=restock)
    return replace(after, returned=after.returned + back, restocked=after.restocked + back)


def _take_out(line: FakeLine, units: int, *, restock: bool) -> FakeLine:
    return replace(
        line,
        cancelled=line.cancelled + units,
        restocked=line.restocked + (units if restock else 0),
    )
