"""An opened Amazon account: joins reading, writing and translation behind the capabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from connectors.amazon import account
from connectors.amazon.cancels import CancelDesk
from connectors.amazon.client import Client
from connectors.amazon.faults import Denied
from connectors.amazon.listings import read_listings, read_pool, unshared
from connectors.amazon.orders import OrderReader
from connectors.amazon.parse import parse_order
from connectors.amazon.queue import Queue
from connectors.amazon.refunds import RefundDesk
from connectors.amazon.shipments import ShipmentDesk
from connectors.amazon.stock import StockDesk
from connectors.amazon.subscriptions import subscribe
from connectors.amazon.writes import OrderFeeds
from oms_sync import sdk
from oms_sync.sdk.answers import understood

#: what is stored beside the tokens: what discovery saw of quantities that are not one
UNSHARED: Final = "unshared_quantities"


def open_session(request: sdk.OpenRequest) -> "AmazonSession":
    """Open one account; nothing is sent yet."""
    return AmazonSession(request, Client(request))


class AmazonSession:
    """See the capability Protocols of `oms_sync.sdk`."""

    def __init__(self, request: sdk.OpenRequest, client: Client) -> None:
        settings = request.settings
        self._client, self._tables, self._store = client, request.tables, request.tokens
        self._orders = OrderReader(client, request)
        self._stock = StockDesk(client, request)
        self._shipments = ShipmentDesk(client, self._orders, request)
        self._order_feeds = OrderFeeds(client, request)
        self._cancels = CancelDesk(client, self._orders, self._order_feeds, request)
        self._refunds = RefundDesk(client, self._orders, self._order_feeds, request)
        self._notifications = settings.notifications
        self._is_older = settings.orders_api == "v0"
        self._queue: Queue | None = None
        if settings.notifications is not None:
            self._queue = Queue(settings.notifications, settings.seller_id, request)

    def close(self) -> None:
        self._client.close()
        if self._queue is not None:
            self._queue.close()

    def check(self) -> sdk.AccountCheck:
        with understood("Amazon"):
            self._client.tokens.token()
            expires_at = self._client.tokens.expires_at
            refused = {"REFUNDS": self._refunds.is_blind, "REPORTS": self._orders.report.is_refused}
            withheld = (*self._orders.forget_withheld(), *(one for one in refused if refused[one]))
            found = account.check(self._client, withheld, expires_at)
        places = (
            f"orders of {one}: take it out of marketplace_ids, or mend this: {told}"
            for one, told in self._orders.places.refused.items()
        )
        warnings = [self._store.load().get(UNSHARED, ""), account.OLDER if self._is_older else ""]
        return replace(
            found,
            missing_permissions=(*found.missing_permissions, *places),
            warnings=(*found.warnings, *filter(None, warnings)),
        )

    def read_orders(
        self, feed: sdk.OrderFeed, cursor: str | None, since: datetime
    ) -> sdk.OrderPage:
        with understood("Amazon"):
            return self._orders.page(feed, cursor, since)

    def read_orders_by_id(self, channel_order_ids: Sequence[str]) -> tuple[sdk.RawOrder, ...]:
        with understood("Amazon"):
            return self._orders.by_id(channel_order_ids)

    def parse_order(self, payload: bytes, seen_at: datetime) -> sdk.OrderSight:
        return parse_order(payload, seen_at, tables=self._tables)

    def list_orders(self, since: datetime, until: datetime, cursor: str | None) -> sdk.OrderPage:
        with understood("Amazon"):
            return self._orders.listed(since, until, cursor)

    def has_queue(self) -> bool:
        return self._queue is not None

    def pull(self, wait_seconds: float) -> tuple[sdk.Notification, ...]:
        return self._queue.pull(wait_seconds) if self._queue is not None else ()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        if self._queue is not None:
            self._queue.acknowledge(receipts)

    def subscribe_queue(self) -> tuple[str, ...]:
        if self._notifications is None:
            return ()
        with understood("Amazon"):
            return subscribe(self._client, self._notifications)

    def read_listings(self, cursor: str | None) -> sdk.ListingPage:
        with understood("Amazon"):
            page = read_listings(self._client)
        with self._store.locked():
            self._store.save({**self._store.load(), UNSHARED: unshared(page)})
        return page

    def read_pools(self) -> Mapping[str, int] | None:
        with understood("Amazon"):
            try:
                return read_pool(self._client)
            except Denied:  # discovery names the role
                return None

    def read_stock(self, channel_listing_ids: Sequence[str]) -> sdk.StockReading:
        with understood("Amazon"):
            return self._stock.read(channel_listing_ids)

    def push_stock(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        with understood("Amazon", is_write=True):
            return self._stock.push(batch)

    def read_shipments(self, channel_order_id: str) -> tuple[sdk.ChannelShipment, ...]:
        with understood("Amazon"):
            return self._shipments.read(channel_order_id)

    def push_shipment(self, shipment: sdk.OutgoingShipment) -> None:
        with understood("Amazon", is_write=True):
            self._shipments.push(shipment)

    def correct_shipment(self, correction: sdk.TrackingCorrection) -> None:
        with understood("Amazon", is_write=True):
            self._shipments.correct(correction)

    def cancel_order(self, cancellation: sdk.OutgoingCancellation) -> str | None:
        with understood("Amazon", is_write=True):
            return self._cancels.cancel(cancellation)

    def read_refunds(self, channel_order_id: str) -> tuple[sdk.ChannelRefund, ...]:
        with understood("Amazon"):
            return self._refunds.read(channel_order_id)

    def refund_order(self, refund: sdk.OutgoingRefund) -> str | None:
        with understood("Amazon", is_write=True):
            return self._refunds.refund(refund)

    def follow_write(self, receipt: str) -> bool:
        with understood("Amazon"):
            return self._order_feeds.follow(receipt)
