"""What buyers and the seller do to an order of the fake channel: from one record to the next, pure.

Units on sale follow from the records: an order has taken `ordered − restocked` of each listing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from oms_sync.sdk.fake_orders import FakeFulfilment, FakeLine, FakeOrder, FakeRefund

#: why the channel holds an order whose buyer asked to cancel it
CANCELLATION_REQUESTED: Final = "cancellation_requested"
#: why it holds one a session stopped
STOPPED: Final = "stopped"

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
    return replace(answer_wish(order), lines=lines, cancelled_at=at)


def cancel_units(
    order: FakeOrder, units: Mapping[str, int], *, restock: bool, at: datetime
) -> FakeOrder:
    """Some units, by line, leave the order; it is cancelled once nothing is left of it."""
    known = {line.channel_line_id: line for line in order.lines}
    for line_id, wanted in units.items():
        line = known.get(line_id)
        if order.cancelled_at is not None or line is None or not 0 < wanted <= line.open:
            raise FakeRefusal(f"{line_id}: {wanted} units cannot be cancelled")
    lines = tuple(
        _take_out(line, units.get(line.channel_line_id, 0), restock=restock) for line in order.lines
    )
    is_empty = all(line.cancelled == line.ordered for line in lines)
    return replace(answer_wish(order), lines=lines, cancelled_at=at if is_empty else None)


def answer_wish(order: FakeOrder) -> FakeOrder:
    """The order without the buyer's wish to cancel: the seller gave an answer."""
    return replace(order, holds=tuple(one for one in order.holds if one != CANCELLATION_REQUESTED))


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


def give_back(before: FakeOrder, after: FakeOrder, *, at: datetime) -> FakeOrder:
    """Money for the units that left the order or came back between the two."""
    lines = {line.channel_line_id: line for line in before.lines}
    units = {
        line.channel_line_id: line.cancelled + line.returned
        - lines[line.channel_line_id].cancelled - lines[line.channel_line_id].returned
        for line in after.lines
    }  # fmt: skip
    minor = sum(line.price_minor * units[line.channel_line_id] for line in after.lines)
    return add_refund(after, {each: count for each, count in units.items() if count}, minor, at=at)


def add_refund(
    order: FakeOrder, units: Mapping[str, int], minor: int, *, at: datetime, key: str = ""
) -> FakeOrder:
    """One more refund; refuses more money than was paid and has not gone back."""
    given = sum(one.minor for one in order.refunds if one.state != "failed")
    if minor < 0 or given + minor > order.total_minor:
        raise FakeRefusal(f"{order.total_minor - given} can be refunded, not {minor}")
    refund = FakeRefund(
        channel_refund_id=f"{order.channel_order_id}-refund-{len(order.refunds) + 1}",
        minor=minor,
        lines=tuple(sorted(units.items())),
        at=at,
        key=key,
    )
    return replace(order, refunds=(*order.refunds, refund)) if minor else order


def take_back(order: FakeOrder, units: Mapping[str, int]) -> FakeOrder:
    """Shipped units, by line, have come back sellable, as many as are away."""
    lines = []
    for line in order.lines:
        back = min(units.get(line.channel_line_id, 0), line.shipped - line.returned)
        changed = replace(line, returned=line.returned + back, restocked=line.restocked + back)
        lines.append(changed)
    return replace(order, lines=tuple(lines))


def correct_fulfilment(
    order: FakeOrder,
    channel_shipment_id: str,
    *,
    numbers: tuple[str, ...],
    carriers: tuple[str, ...],
) -> FakeOrder:
    """Give a dispatch other packages; refuses one that is not there or was taken back."""
    if not any(
        one.channel_shipment_id == channel_shipment_id and not one.is_cancelled
        for one in order.fulfilments
    ):
        raise FakeRefusal(f"{order.channel_order_id} has no dispatch {channel_shipment_id}")
    return replace(
        order,
        fulfilments=tuple(
            replace(one, tracking_numbers=numbers, carriers=carriers)
            if one.channel_shipment_id == channel_shipment_id
            else one
            for one in order.fulfilments
        ),
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
