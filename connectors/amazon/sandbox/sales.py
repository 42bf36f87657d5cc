"""What buyers and the seller's hands do at Amazon: the shared sales under Amazon's own ids.

Two pools: what the seller ships lowers the offered quantity, what Amazon ships does not. `hold`
stands for a buyer who asks for a cancellation, `hold` with release for one who changed his mind.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from connectors.amazon.sandbox.fba import FbaOrders, FbaPool
from connectors.amazon.sandbox.marketplace import order_id, order_number, stamp
from connectors.amazon.sandbox.order_feeds import OrderFeeds
from connectors.amazon.sandbox.stock import Offers
from oms_sync.sdk.sandbox import Purchase, Refusal
from oms_sync.sdk.sandbox_records import Order
from oms_sync.sdk.sandbox_sales import Sales, order_truth

_OFFERED: Final = "orders fulfilled by seller or channel, no tests"


class AmazonSales:
    """A `ChannelTruth`."""

    def __init__(
        self,
        sales: Sales,
        fba: FbaOrders,
        offers: Offers,
        order_feeds: OrderFeeds,
    ) -> None:
        self._sales, self._fba, self._offers = sales, fba, offers
        self._store, self._order_feeds = order_feeds.store, order_feeds
        self._pool: FbaPool = offers.fba

    def place(self, purchase: Purchase) -> str:
        """See `ChannelTruth`."""
        with self._store.act():
            self._offers.settle()
            if purchase.is_test or purchase.fulfilled_by not in ("seller", "channel"):
                raise Refusal(422, "not_offered", allowed=_OFFERED)
            if purchase.fulfilled_by == "channel":
                return self._place_fba(purchase)
            placed = self._sales.place(purchase)
            return order_id(self._store.order(placed))

    def _place_fba(self, purchase: Purchase) -> str:
        try:
            return self._fba.place(purchase)
        except Refusal as refusal:
            lines = [{"channel_sku": sku, "quantity": count} for sku, count in purchase.lines]
            refused = {"at": stamp(self._store.now()), "reason": refusal.reason, "lines": lines}
            self._store.refused.append(refused)
            raise

    def pay(self, channel_order_id: str) -> None:
        """See `ChannelTruth`."""
        with self._store.act():
            order = self._order(channel_order_id)
            if order.fulfilled_by == "channel":
                self._fba.pay(order)
            else:
                self._sales.pay(str(order.id))

    def cancel(self, channel_order_id: str, *, restock: bool) -> None:
        """See `ChannelTruth`."""
        with self._store.act():
            self._offers.settle()
            order = self._order(channel_order_id)
            if order.fulfilled_by == "channel":
                self._fba.cancel(order)
            else:
                self._sales.cancel(str(order.id), restock=restock)

    def edit(self, channel_order_id: str, quantities: Mapping[str, int]) -> None:
        """Cancel units of lines; Amazon has no other edit."""
        with self._store.act():
            self._offers.settle()
            order = self._ours(channel_order_id)
            current = {line.variant.sku: line.current for line in order.lines}
            for sku, quantity in quantities.items():
                if quantity > current.get(sku, 0):
                    raise Refusal(422, "not_offered", allowed="fewer units of ordered SKUs")
            self._sales.edit(str(order.id), quantities)

    def refund(
        self, channel_order_id: str, quantities: Mapping[str, int] | None, *, restock: bool
    ) -> None:
        """Refund units not yet shipped; of others the order would never tell."""
        with self._store.act():
            self._offers.settle()
            order = self._ours(channel_order_id)
            if any(line.fulfilled for line in order.lines):
                raise Refusal(422, "not_offered", allowed="units of orders not yet shipped")
            self._sales.refund(str(order.id), quantities, restock=restock)

    def hold(self, channel_order_id: str, *, release: bool) -> None:
        """See `ChannelTruth`."""
        self._sales.hold(str(self._ours(channel_order_id).id), release=release)

    def set_quantity(self, channel_sku: str, quantity: int) -> None:
        """See `ChannelTruth`."""
        with self._store.act():
            self._offers.settle()
            self._sales.set_quantity(channel_sku, quantity)

    def listings(self) -> Iterable[tuple[str, str]]:
        """See `ChannelTruth`; listings whose stock lies at Amazon are not the hub's business."""
        return self._sales.listings()

    def truth(self) -> dict[str, Any]:
        """See `Sandbox.truth`; besides who fulfils, what Amazon sold, and forbidden writes.

        `sold` counts what the seller ships, `sold_by_channel` what Amazon ships.
        """
        store, pool = self._store, self._pool
        with store.act():
            self._offers.settle()
            orders = {
                order_id(each): _told(each) | {"refunds": self._order_feeds.told(each)}
                for each in store.orders.values()
            }
            return self._sales.truth() | {
                "orders": orders,
                "sold_by_channel": dict(pool.units),
                "flipped": dict(pool.flipped),
                "forbidden_writes": list(pool.forbidden),
            }

    def changes(self, after: int) -> list[dict[str, Any]]:
        """See `ChannelTruth`."""
        with self._store.lock:
            self._offers.settle()
        return self._sales.changes(after)

    def _order(self, channel_order_id: str) -> Order:
        order = self._store.orders.get(order_number(channel_order_id) or 0)
        if order is None:
            raise Refusal(404, "unknown_order", channel_order_id=channel_order_id)
        return order

    def _ours(self, channel_order_id: str) -> Order:
        order = self._order(channel_order_id)
        if order.fulfilled_by == "channel":
            raise Refusal(409, "fulfilled_by_channel")
        return order


def _told(order: Order) -> dict[str, Any]:
    named = {"channel_order_number": order_id(order), "fulfilled_by": order.fulfilled_by}
    return order_truth(order) | named
