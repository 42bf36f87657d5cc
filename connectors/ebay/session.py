"""An opened eBay account: joins reading, writing and translation behind the capabilities."""

from collections.abc import Sequence
from datetime import datetime

from connectors.ebay.account import AccountDesk
from connectors.ebay.cancels import KIND as CANCELLATION
from connectors.ebay.cancels import CancelDesk
from connectors.ebay.client import Client
from connectors.ebay.orders import OrderReader
from connectors.ebay.parse import parse_order
from connectors.ebay.refunds import RefundDesk
from connectors.ebay.shipments import ShipmentDesk
from connectors.ebay.stock import StockDesk
from oms_sync import sdk
from oms_sync.sdk.answers import understood


def open_session(request: sdk.OpenRequest) -> "EbaySession":
    """Open one account; nothing is sent yet."""
    return EbaySession(request)


class EbaySession:
    """See the capability Protocols of `oms_sync.sdk`."""

    def __init__(self, request: sdk.OpenRequest) -> None:
        settings = request.settings
        self._tables = request.tables
        self._client = Client(request)
        self._account = AccountDesk(self._client, request)
        self._orders = OrderReader(
            self._client,
            lag_seconds=settings.visibility_lag_seconds,
            overlap_seconds=request.overlap_seconds,
        )
        self._stock = StockDesk(self._client, request)
        self._shipments = ShipmentDesk(self._client, self._orders, self._tables["carriers"])
        self._cancels = CancelDesk(self._client, self._orders, self._tables["post_order_reasons"])
        self._refunds = RefundDesk(self._client, self._orders, self._tables["refund_reasons"])

    def close(self) -> None:
        self._client.close()

    def check(self) -> sdk.AccountCheck:
        with understood("eBay"):
            return self._account.check(
                is_zero_allowed=self._stock.is_zero_allowed(),
                revisions=self._stock.revisions,
            )

    def read_orders(
        self, feed: sdk.OrderFeed, cursor: str | None, since: datetime
    ) -> sdk.OrderPage:
        with understood("eBay"):
            return self._orders.page(feed, cursor, since)

    def read_orders_by_id(self, channel_order_ids: Sequence[str]) -> tuple[sdk.RawOrder, ...]:
        with understood("eBay"):
            return self._orders.by_id(channel_order_ids)

    def parse_order(self, payload: bytes, seen_at: datetime) -> sdk.OrderSight:
        return parse_order(payload, seen_at, tables=self._tables)

    def ensure_subscriptions(self, url: str) -> tuple[str, ...]:
        with understood("eBay"):
            return self._account.ensure_subscriptions(url)

    def read_listings(self, cursor: str | None) -> sdk.ListingPage:
        with understood("eBay"):
            return self._stock.listings(cursor)

    def read_stock(self, channel_listing_ids: Sequence[str]) -> sdk.StockReading:
        with understood("eBay"):
            return self._stock.read(channel_listing_ids)

    def push_stock(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        with understood("eBay", is_write=True):
            return self._stock.push(batch)

    def list_orders(self, since: datetime, until: datetime, cursor: str | None) -> sdk.OrderPage:
        with understood("eBay"):
            return self._orders.placed(since, until, cursor)

    def cancel_order(self, cancellation: sdk.OutgoingCancellation) -> str | None:
        with understood("eBay", is_write=True):
            return self._cancels.cancel(cancellation)

    def decline_cancellation(self, channel_order_id: str) -> None:
        with understood("eBay", is_write=True):
            self._cancels.decline(channel_order_id)

    def read_refunds(self, channel_order_id: str) -> tuple[sdk.ChannelRefund, ...]:
        with understood("eBay"):
            return self._refunds.read(channel_order_id)

    def refund_order(self, refund: sdk.OutgoingRefund) -> str | None:
        with understood("eBay", is_write=True):
            return self._refunds.refund(refund)

    def follow_write(self, receipt: str) -> bool:
        with understood("eBay"):
            kind, *parts = receipt.split("/")
            if kind == CANCELLATION:
                return self._cancels.follow(*parts)
            return self._refunds.follow(*parts)

    def correct_shipment(self, correction: sdk.TrackingCorrection) -> None:
        with understood("eBay", is_write=True):
            self._shipments.correct(correction)

    def read_shipments(self, channel_order_id: str) -> tuple[sdk.ChannelShipment, ...]:
        with understood("eBay"):
            return self._shipments.read(channel_order_id)

    def push_shipment(self, shipment: sdk.OutgoingShipment) -> None:
        with understood("eBay", is_write=True):
            self._shipments.push(shipment)
