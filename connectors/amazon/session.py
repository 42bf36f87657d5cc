"""An opened Amazon account: joins reading, writing and translation behind the capabilities."""

from collections.abc import Sequence
from datetime import datetime

from connectors.amazon import account
from connectors.amazon.client import Client
from connectors.amazon.listings import read_listings
from connectors.amazon.orders import OrderReader
from connectors.amazon.parse import parse_order
from connectors.amazon.queue import Queue
from connectors.amazon.shipments import ShipmentDesk
from connectors.amazon.stock import StockDesk
from oms_sync import sdk
from oms_sync.sdk.answers import understood


def open_session(request: sdk.OpenRequest) -> "AmazonSession":
    """Open one account; nothing is sent yet."""
    return AmazonSession(request, Client(request))


class AmazonSession:
    """See the capability Protocols of `oms_sync.sdk`."""

    def __init__(self, request: sdk.OpenRequest, client: Client) -> None:
        settings = request.settings
        self._client, self._tables = client, request.tables
        self._orders = OrderReader(client, request)
        self._stock = StockDesk(client, request)
        self._shipments = ShipmentDesk(client, self._orders, request)
        self._queue: Queue | None = None
        if settings.notifications is not None:
            self._queue = Queue(settings.notifications, settings.seller_id)

    def close(self) -> None:
        self._client.close()
        if self._queue is not None:
            self._queue.close()

    def check(self) -> sdk.AccountCheck:
        with understood("Amazon"):
            self._client.tokens.token()
            expires_at = self._client.tokens.expires_at
            return account.check(self._client, self._orders.forget_withheld(), expires_at)

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

    def has_queue(self) -> bool:
        return self._queue is not None

    def pull(self, wait_seconds: float) -> tuple[sdk.Notification, ...]:
        return self._queue.pull(wait_seconds) if self._queue is not None else ()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        if self._queue is not None:
            self._queue.acknowledge(receipts)

    def read_listings(self, cursor: str | None) -> sdk.ListingPage:
        with understood("Amazon"):
            return read_listings(self._client)

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
