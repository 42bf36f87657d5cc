"""An opened Shopify account: joins reading, writing and translation behind the capabilities."""

from collections.abc import Sequence
from datetime import datetime

from connectors.shopify import account, orders, subscriptions
from connectors.shopify.cancels import CancelDesk
from connectors.shopify.client import Client
from connectors.shopify.holds import HoldDesk
from connectors.shopify.orders import OrderReader
from connectors.shopify.parse import parse_order
from connectors.shopify.refunds import RefundDesk
from connectors.shopify.shipments import ShipmentDesk
from connectors.shopify.stock import Places, StockDesk
from connectors.shopify.tokens import Credentials
from connectors.shopify.wire import Wire
from oms_sync import sdk
from oms_sync.sdk.answers import understood


def open_session(request: sdk.OpenRequest) -> "ShopifySession":
    """Open one account; nothing is sent yet."""
    return ShopifySession(request)


class ShopifySession:
    """See the capability Protocols of `oms_sync.sdk`."""

    def __init__(self, request: sdk.OpenRequest) -> None:
        settings = request.settings
        base_url = (request.endpoint or f"https://{settings.shop}").rstrip("/")
        wire = Wire(request.clock, request.calls)
        ids = settings.location_ids
        known = [ids[code] for code in request.locations if code in ids]
        self._unmapped = [code for code in request.locations if ids and code not in ids]
        self._locations = frozenset(known)
        self._shop: str = settings.shop
        self._tables = request.tables
        self._credentials = Credentials(request, base_url, wire)
        self._client = Client(request, base_url, wire, self._credentials)
        self._places = Places(self._client, known)
        self._orders = OrderReader(
            self._client,
            self._places.ours,
            api_version=settings.api_version,
            overlap_seconds=request.overlap_seconds,
        )
        self._stock = StockDesk(self._client, self._places)
        self._shipments = ShipmentDesk(
            self._client,
            self._tables["carriers"],
            locations=self._places.ours,
            notify_buyer=settings.notify_buyer,
        )
        self._refunds = RefundDesk(
            self._client,
            self._shipments,
            return_to=self._places.main,
            notify_buyer=settings.notify_buyer,
        )
        reasons = self._tables["cancel_reasons"]
        self._cancels = CancelDesk(self._client, self._refunds, reasons, settings)
        self._holds = HoldDesk(self._client, self._places.ours)

    def close(self) -> None:
        """Connections end with each call; there is nothing to give back."""

    def check(self) -> sdk.AccountCheck:
        with understood("the shop"):
            self._credentials.token()
            self._places.forget()
            return account.check(
                self._client,
                self._shop,
                known=self._warnings(),
                has_services=self._has_services(),
                token_expires_at=self._credentials.expires_at,
            )

    def _has_services(self) -> bool:
        try:
            return self._places.has_services()
        except sdk.PermissionMissing:
            return False  # the check goes on to name the scope

    def _unknown_places(self) -> tuple[str, ...]:
        try:
            return self._places.unknown()
        except sdk.PermissionMissing:
            return ()  # the check goes on to name the scope

    def _warnings(self) -> tuple[str, ...]:
        """What our own settings and readings have to say."""
        warnings = []
        if self._unmapped:
            warnings.append(f"settings.location_ids does not name: {', '.join(self._unmapped)}")
        if unknown := self._unknown_places():
            warnings.append(
                f"the shop has no such location, or has closed it: {', '.join(unknown)}; check "
                "settings.location_ids"
            )
        if others := self._places.others():
            warnings.append(
                f"quantities are set at {self._places.main()} only: what the shop shows at "
                f"{', '.join(others)} counts into them, and is moved by hand"
            )
        for document, reason in self._orders.troubles.items():
            warnings.append(f"{orders.LOSSES[document]}: {reason}")
        return tuple(warnings)

    def read_orders(
        self, feed: sdk.OrderFeed, cursor: str | None, since: datetime
    ) -> sdk.OrderPage:
        with understood("the shop"):
            return self._orders.page(feed, cursor, since)

    def read_orders_by_id(self, channel_order_ids: Sequence[str]) -> tuple[sdk.RawOrder, ...]:
        with understood("the shop"):
            return self._orders.by_id(channel_order_ids)

    def list_orders(self, since: datetime, until: datetime, cursor: str | None) -> sdk.OrderPage:
        with understood("the shop"):
            return self._orders.placed(since, until, cursor)

    def parse_order(self, payload: bytes, seen_at: datetime) -> sdk.OrderSight:
        return parse_order(payload, seen_at, tables=self._tables, locations=self._locations)

    def ensure_subscriptions(self, url: str) -> tuple[str, ...]:
        with understood("the shop"):
            return subscriptions.ensure(self._client, url)

    def read_listings(self, cursor: str | None) -> sdk.ListingPage:
        with understood("the shop"):
            return self._stock.listings(cursor)

    def read_stock(self, channel_listing_ids: Sequence[str]) -> sdk.StockReading:
        with understood("the shop"):
            return self._stock.read(channel_listing_ids)

    def push_stock(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        with understood("the shop", is_write=True):
            return self._stock.push(batch)

    def read_shipments(self, channel_order_id: str) -> tuple[sdk.ChannelShipment, ...]:
        with understood("the shop"):
            return self._shipments.read(channel_order_id)

    def push_shipment(self, shipment: sdk.OutgoingShipment) -> None:
        with understood("the shop", is_write=True):
            self._shipments.push(shipment)

    def correct_shipment(self, correction: sdk.TrackingCorrection) -> None:
        with understood("the shop", is_write=True):
            self._shipments.correct(correction)

    def cancel_order(self, cancellation: sdk.OutgoingCancellation) -> str | None:
        with understood("the shop", is_write=True):
            return self._cancels.cancel(cancellation)

    def follow_write(self, receipt: str) -> bool:
        with understood("the shop"):
            return self._cancels.is_decided(receipt)

    def read_refunds(self, channel_order_id: str) -> tuple[sdk.ChannelRefund, ...]:
        with understood("the shop"):
            return self._refunds.read(channel_order_id)

    def refund_order(self, refund: sdk.OutgoingRefund) -> str | None:
        with understood("the shop", is_write=True):
            self._refunds.send(refund)
        return None

    def hold_order(self, hold: sdk.OutgoingHold) -> None:
        with understood("the shop", is_write=True):
            self._holds.hold(hold)

    def release_order(self, hold: sdk.OutgoingHold) -> None:
        with understood("the shop", is_write=True):
            self._holds.release(hold)
