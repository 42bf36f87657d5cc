"""The sandbox's hands for the contract suite: what is a seller's own."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any, Final

from connectors.amazon.sandbox.app import AmazonSandbox
from connectors.amazon.sandbox.marketplace import MARKETPLACE_ID, order_number, stamp
from connectors.amazon.sandbox.routes import Request
from connectors.amazon.sandbox.shipments import Shipments
from connectors.amazon.session import AmazonSession, open_session
from connectors.amazon.settings import AmazonSettings
from connectors.amazon.webhook import WEBHOOK
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.sandbox_driver import SandboxDriver
from oms_sync.sdk.sandbox_queue import VISIBILITY_SECONDS

PAGE: Final = 4


class Seller(SandboxDriver):
    """A sandbox seller and the hub's side of it. A `QueueChannel`."""

    create = AmazonSandbox
    account = "seller-a"
    unknown_order_id = "999-9999999-9999999"
    unknown_listing_id = "NO-SUCH-SKU"
    merges_lines = "a cart of Amazon's merges the lines of one SKU"
    part = WEBHOOK
    _numbers = count(1)

    def settings_of(self, fields: Any) -> AmazonSettings:
        return AmazonSettings.model_validate(fields)

    def live_secrets(self, settings: Any) -> tuple[Any, ...]:
        queue = settings.notifications.secret_access_key
        return settings.lwa_client_secret, settings.refresh_token, queue

    def opened(self, request: OpenRequest) -> AmazonSession:
        session = open_session(request)
        session._orders.page_orders = PAGE
        return session

    def order(self, channel_order_id: str) -> Any:
        return self.sandbox.store.orders[order_number(channel_order_id) or 0]

    def fulfilments(self, channel_order_id: str) -> int:
        """Dispatches: packages of one shipment differ in their last two digits alone."""
        dispatches = self.order(channel_order_id).dispatches
        return len({each.name[:-2] for each in dispatches if not each.is_cancelled})

    def request_cancellation(self, channel_order_id: str) -> None:
        """The buyer asks for the whole order to be cancelled."""
        self.sandbox.sales.hold(channel_order_id, release=False)

    def ship(self, channel_order_id: str, lines: Mapping[str, int]) -> None:
        """The seller confirms units by hand, as Seller Central lets him."""
        number = next(self._numbers)
        package = {
            "packageReferenceId": f"9{number}",
            "carrierCode": "UPS",
            "trackingNumber": f"1Z{number}",
            "shipDate": stamp(self.now()),
            "orderItems": [
                {"orderItemId": line, "quantity": units} for line, units in lines.items()
            ],
        }
        asked = {"marketplaceId": MARKETPLACE_ID, "packageDetail": package}
        request = Request(
            operation="confirmShipment",
            path=(channel_order_id,),
            query="",
            body=json.dumps(asked).encode(),
            base_url=self.base_url,
        )
        Shipments(self.sandbox.store).confirm(request)

    def announce(self) -> str:
        return self.place_order(1)

    def redeliver(self) -> None:
        self.advance(VISIBILITY_SECONDS + 1)


start_seller: Final = Seller.start
