"""The sandbox's hands for the contract suite: what is a shop's own."""

import base64
import hashlib
import hmac
import json
from typing import Any, Final

from connectors.shopify.sandbox.app import ShopifySandbox
from connectors.shopify.session import ShopifySession, open_session
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.webhook import WEBHOOK
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.contract import NotApplicable, SignedWebhook
from oms_sync.sdk.sandbox_driver import SandboxDriver

PAGE: Final = 6


class Shop(SandboxDriver):
    """A sandbox shop and the hub's side of it."""

    create = ShopifySandbox
    account = "shop-a"
    unknown_order_id = "999999999999"
    unknown_listing_id = "gid://shopify/InventoryItem/999999999999"
    merges_lines = "a shop's cart merges the lines of one variant"

    def settings_of(self, fields: Any) -> ShopifySettings:
        return ShopifySettings.model_validate(fields)

    def live_secrets(self, settings: Any) -> tuple[Any, ...]:
        return settings.client_secret, settings.webhook_secret

    def opened(self, request: OpenRequest) -> ShopifySession:
        session = open_session(request)
        for name in ("OrdersByChange", "OrdersByAge", "Listings"):
            session._client.halve(name, PAGE)
        return session

    def order(self, channel_order_id: str) -> Any:
        return self.sandbox.store.order(channel_order_id)

    def request_cancellation(self, channel_order_id: str) -> None:
        raise NotApplicable("a shop's buyers ask its people, not the API")

    def webhook(self) -> SignedWebhook:
        placed = self.place_order(1)
        body = json.dumps({"id": int(placed), "updated_at": "2026-03-01T12:00:00Z"}).encode()
        return SignedWebhook(
            part=WEBHOOK,
            settings=self.settings,
            headers=signed(self.secrets[0], body, "orders/create"),
            body=body,
            signature_header="x-shopify-hmac-sha256",
            channel_order_id=placed,
        )


start_shop: Final = Shop.start


def signed(secret: str, body: bytes, topic: str) -> dict[str, str]:
    """The headers a shop would send with `body`."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {
        "x-shopify-topic": topic,
        "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
    }
