"""The sandbox's hands for the contract suite: what is a seller's own."""

import json
from typing import Any, Final

from connectors.ebay.keys import HEADER, open_webhook
from connectors.ebay.sandbox.app import EbaySandbox
from connectors.ebay.session import EbaySession, open_session
from connectors.ebay.settings import EbaySettings
from connectors.ebay.webhook import WEBHOOK
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.contract import SignedWebhook
from oms_sync.sdk.sandbox import Purchase
from oms_sync.sdk.sandbox_driver import SandboxDriver

PAGE: Final = 6


class _EveryAddress(set[tuple[str, str]]):
    """Addresses taken for ours without a challenge: nobody listens where the suite subscribes."""

    def __contains__(self, address: object) -> bool:
        return True


class Seller(SandboxDriver):
    """A sandbox seller and the hub's side of it."""

    create = EbaySandbox
    account = "ebay-a"
    unknown_order_id = "99-99999-99999"
    unknown_listing_id = "999999999999"

    def settings_of(self, fields: Any) -> EbaySettings:
        self.sandbox._notifications._proved = _EveryAddress()
        return EbaySettings.model_validate(fields)

    def live_secrets(self, settings: Any) -> tuple[Any, ...]:
        secrets = settings.refresh_token, settings.cert_id, settings.verification_token
        return *secrets, settings.signing_key, settings.signing_jwe

    def opened(self, request: OpenRequest) -> EbaySession:
        session = open_session(request)
        session._orders.per_page = session._stock.per_page = PAGE
        return session

    def order(self, channel_order_id: str) -> Any:
        return self.sandbox.books.order(channel_order_id)

    def place_order(self, *quantities: int) -> str:
        """Several lines of one SKU are several purchases, combined before they are paid."""
        if len(quantities) == 1:
            return super().place_order(*quantities)
        placed = self.place_unpaid(quantities[0])
        for quantity in quantities[1:]:
            placed = self.sandbox.sales.combine(placed, self.place_unpaid(quantity))
        return self.pay(placed)

    def place_unpaid(self, quantity: int) -> str:
        """A purchase nobody has paid for yet; answers the id it has till then."""
        lines = ((self.sku(), quantity),)
        placed: str = self.sandbox.sales.place(Purchase(lines=lines, is_paid=False))
        return placed

    def pay(self, channel_order_id: str) -> str:
        """The buyer pays; answers the id the order has from then on."""
        self.sandbox.sales.pay(channel_order_id)
        name: str = self.sandbox.books.sheets[self.order(channel_order_id).id].name
        return name

    def request_cancellation(self, channel_order_id: str) -> None:
        """The buyer asks to cancel."""
        self.sandbox.post_order.request(channel_order_id)

    def webhook(self) -> SignedWebhook:
        placed = self.place_order(1)
        body = confirmation(placed)
        return SignedWebhook(
            part=open_webhook(self.request()),
            settings=self.settings,
            headers={HEADER: self.sandbox.pushes.key.header(body)},
            body=body,
            signature_header=HEADER,
            channel_order_id=placed,
            pure=WEBHOOK,
            challenge={"challenge_code": "a8628072-3d33-45ee-9004-bee86830a22d"},
        )


start_seller: Final = Seller.start


def confirmation(channel_order_id: str) -> bytes:
    """The body of a push that tells of a paid order."""
    message = {
        "metadata": {"topic": "ORDER_CONFIRMATION", "schemaVersion": "1.0", "deprecated": False},
        "notification": {
            "notificationId": "6c9a0d0e_1",
            "eventDate": "2026-03-01T12:00:00.000Z",
            "publishDate": "2026-03-01T12:00:00.000Z",
            "publishAttemptCount": 1,
            "data": {
                "user": {"userId": "seller1", "username": "seller"},
                "order": {"orderId": channel_order_id, "orderLineItems": []},
            },
        },
    }
    return json.dumps(message, separators=(",", ":")).encode()
