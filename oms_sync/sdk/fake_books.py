"""The fake channel's own books: listings, orders, and the clock its facts are stamped with.

Quantities follow orders by one rule, so that what is on sale and what was sold always agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from oms_sync.sdk.fake_acts import FakeRefusal, add_fulfilment, taken
from oms_sync.sdk.fake_faults import FakeFaults
from oms_sync.sdk.fake_orders import FakeFulfilment, FakeLine, FakeOrder, summarise_order
from oms_sync.sdk.fake_portable import Regrouped, present_id
from oms_sync.sdk.fake_queue import FakeQueue
from oms_sync.sdk.fake_webhooks import FakeMail
from oms_sync.sdk.ports import Clock

_TICK: Final = timedelta(microseconds=1)
_TIE: Final = timedelta(seconds=1)
_PRICE_MINOR: Final = 1250


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeListing:
    """One offer. `channel_sku` is text the seller chose; `is_stocked` False is never counted."""

    channel_listing_id: str
    channel_sku: str
    is_stocked: bool = True
    quantity: int = 0
    #: what it was before the newest push, for stale reads (F41)
    quantity_before: int = 0
    #: units the channel holds itself, None where it holds none
    pool: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeEffect:
    """One thing a session changed at the channel; refused and repeated calls leave none."""

    #: "quantity_set", "fulfilment_made", "cancelled", "refunded", "held", "released",
    #: "tracking_corrected" or "subscribed"
    kind: str
    #: listing, order or topic
    target: str
    at: datetime
    key: str = ""
    quantity: int | None = None


TIE: Final = timedelta(seconds=1)


class FakeBooks:
    """Everything a fake channel knows; its FakeChannel and sessions hold the lock."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        faults: FakeFaults,
        mail: FakeMail,
        queue: FakeQueue | None = None,
    ) -> None:
        self.name = name
        self.listings: dict[str, FakeListing] = {}
        self.orders: dict[str, FakeOrder] = {}
        #: each order as it was before its newest change, for stale reads (F41)
        self.orders_before: dict[str, FakeOrder] = {}
        #: ids orders had, and what they became
        self.former: dict[str, str] = {}
        self._clock = clock
        self._faults = faults
        self._mail = mail
        self._queue = queue
        self._last = clock.now()
        self._last_update = self._last

    def now(self) -> datetime:
        """The channel's time: never before a stamp it gave."""
        return max(self._clock.now(), self._last)

    def stamp(self) -> datetime:
        """A time for a new fact, later than every stamp before, though the clock stands."""
        self._last = max(self._clock.now(), self._last + _TICK)
        return self._last

    def offer(self, channel_sku: str, quantity: int, *, is_stocked: bool) -> str:
        """Put something on sale; answers its channel listing id."""
        if any(one.channel_sku == channel_sku for one in self.listings.values()):
            raise FakeRefusal(f"{channel_sku} is on sale already")
        listing_id = f"{self.name}-listing-{len(self.listings) + 1}"
        self.listings[listing_id] = FakeListing(
            channel_listing_id=listing_id,
            channel_sku=channel_sku,
            is_stocked=is_stocked,
            quantity=quantity,
            quantity_before=quantity,
        )
        return listing_id

    def offered(self, channel_sku: str) -> FakeListing:
        """The listing of a SKU; raises FakeRefusal when it is not on sale."""
        for listing in self.listings.values():
            if listing.channel_sku == channel_sku:
                return listing
        raise FakeRefusal(f"{self.name} does not offer {channel_sku}")

    def set_quantity(self, channel_listing_id: str, quantity: int) -> None:
        """Overwrite what is on sale; the number before stays known for stale reads."""
        listing = self.listings[channel_listing_id]
        self.listings[channel_listing_id] = replace(
            listing, quantity=quantity, quantity_before=listing.quantity
        )

    def order(self, channel_order_id: str) -> FakeOrder:
        """One order, by any id it had; raises FakeRefusal when there is none."""
        order = self.orders.get(present_id(self.former, channel_order_id))
        if order is None:
            raise FakeRefusal(f"{self.name} has no order {channel_order_id}")
        return order

    def shown(self) -> list[FakeOrder]:
        """The orders visible now."""
        now = self.now()
        return [
            order
            for order in self.orders.values()
            if order.visible_at <= now and not order.is_deleted
        ]

    def new_line(self, channel_sku: str, units: int) -> FakeLine:
        """A line of something on sale; its id comes from the order."""
        if units < 0:
            raise FakeRefusal(f"nobody can buy {units} units")
        listing = self.offered(channel_sku)
        return FakeLine(
            channel_line_id="",
            channel_listing_id=listing.channel_listing_id,
            channel_sku=channel_sku,
            price_minor=_PRICE_MINOR,
            is_stocked=listing.is_stocked,
            ordered=units,
        )

    def store(self, after: FakeOrder, *, announced_at: datetime | None = None) -> None:
        """Keep the order's new record, move what is on sale by the difference, tell webhooks.

        Raises FakeRefusal, and changes nothing, when a listing has not that many units.
        """
        before = self.orders.get(after.channel_order_id)
        gone = taken(before) if before else {}
        moves = {
            listing_id: units - gone.get(listing_id, 0)
            for listing_id, units in taken(after).items()
        }
        for listing_id, units in moves.items():
            if units > max(0, self.listings[listing_id].quantity):
                raise FakeRefusal(f"{self.listings[listing_id].channel_sku} is sold out")
        for listing_id, units in moves.items():
            listing = self.listings[listing_id]
            self.listings[listing_id] = replace(listing, quantity=listing.quantity - units)
        self._record(before, after, announced_at=announced_at)

    def regroup(self, change: Regrouped) -> str:
        """Keep an order under a new id and what it took lines from; answers that id."""
        sources = [self.orders.pop(one) for one in change.former]
        new_id = change.order.channel_order_id
        self.former |= dict.fromkeys(change.former, new_id)
        for order in change.rest:
            self._record(self.orders[order.channel_order_id], order)
        self._record((*sources, *change.rest)[0], change.order)
        if not sources:  # a stale read does not show it as an order that is still there
            self.orders_before[new_id] = self.orders[new_id]
        return new_id

    def next_order_id(self) -> str:
        """An id no order ever had."""
        return f"{self.name}-{len(self.orders) + len(self.former) + 1:06d}"

    def _record(
        self, before: FakeOrder | None, after: FakeOrder, *, announced_at: datetime | None = None
    ) -> None:
        # A tie is of one second: a change is never stamped with a time long gone.
        is_near = self.now() - self._last_update <= _TIE
        if not (is_near and self._faults.fires("F32")):
            self._last_update = after.placed_at if before is None else self.stamp()
        self.orders[after.channel_order_id] = replace(after, updated_at=self._last_update)
        self.orders_before[after.channel_order_id] = before or after
        at = announced_at or max(self.now(), after.visible_at)
        self._mail.send("orders/update", after.channel_order_id, at=at)
        if self._queue is not None:
            shown = summarise_order(self.orders[after.channel_order_id])
            document = {"id": after.channel_order_id, "order": shown}
            # a notification does not wait until lists show the order
            self._queue.put("orders/shown", document, at=self.now())

    def delete(self, channel_order_id: str) -> None:
        """Take an order away for good, and tell."""
        order = self.order(channel_order_id)
        self.orders[order.channel_order_id] = replace(order, is_deleted=True)
        at = self.stamp()
        self._mail.send("orders/delete", channel_order_id, at=at)
        if self._queue is not None:
            self._queue.put("orders/delete", {"id": channel_order_id}, at=at)

    def make_fulfilment(
        self,
        channel_order_id: str,
        units: Mapping[str, int],
        *,
        tracking_numbers: tuple[str, ...],
        carriers: tuple[str, ...] = (),
        key: str = "",
    ) -> str:
        """One more dispatch of an order, by line; answers its id."""
        order = self.order(channel_order_id)
        fulfilment = FakeFulfilment(
            channel_shipment_id=f"{channel_order_id}-shipment-{len(order.fulfilments) + 1}",
            lines=tuple(sorted(units.items())),
            tracking_numbers=tracking_numbers,
            carriers=carriers,
            made_at=self.stamp(),
            key=key,
        )
        self.store(add_fulfilment(order, fulfilment))
        return fulfilment.channel_shipment_id
