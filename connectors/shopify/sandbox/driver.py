"""The sandbox's hands for the contract suite: what happens at the channel's side."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.shopify.sandbox.app import ShopifySandbox
from connectors.shopify.session import ShopifySession, open_session
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.webhook import WEBHOOK
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.contract import NotApplicable, SignedWebhook, Trouble, Workbench
from oms_sync.sdk.fake_ports import FakeClock, MemoryTokens, OpenGate, SeededIds
from oms_sync.sdk.sandbox import Purchase, SandboxOptions

PAGE: Final = 6
_OPTIONS: Final = SandboxOptions(
    account="shop-a", skus=8, limits_published=False, hang_seconds=0.05
)
TROUBLES: Final = {
    Trouble.RATE_LIMITED: "F05",
    Trouble.DOWN: "F06",
    Trouble.TIMEOUT_BEFORE: "F01",
    Trouble.TIMEOUT_AFTER: "F02",
    Trouble.PARTIAL: "F08",
}


@contextmanager
def start_shop(bench: Workbench, **options: Any) -> Iterator["Shop"]:
    """The connector's `contract`: a fresh shop over HTTP, with a clock one sets."""
    clock = FakeClock()
    sandbox = ShopifySandbox(replace(_OPTIONS, **options), clock.now)
    with bench.serve(sandbox.app) as base_url:
        yield Shop(sandbox, clock, base_url, bench)


class Shop:
    """A sandbox shop and the hub's side of it. A `ContractChannel`."""

    unknown_order_id = "999999999999"
    unknown_listing_id = "gid://shopify/InventoryItem/999999999999"

    def __init__(
        self, sandbox: ShopifySandbox, clock: FakeClock, base_url: str, bench: Workbench
    ) -> None:
        self.sandbox, self.clock, self.base_url = sandbox, clock, base_url
        self.tables, self.recordings = bench.tables, bench.recordings
        entry = sandbox.account_entry()
        self.settings = ShopifySettings.model_validate(entry["settings"])
        self.tokens, self.gate = MemoryTokens(), OpenGate()
        self.secrets = tuple(
            each.get_secret_value()
            for each in (self.settings.client_secret, self.settings.webhook_secret)
            if each is not None
        )

    def request(self, **changes: Any) -> OpenRequest:
        """What the hub would open a session with."""
        request = OpenRequest(
            account="shop-a",
            settings=self.settings,
            endpoint=self.base_url,
            locations=("main",),
            overlap_seconds=600.0,
            may_write=True,
            tables=self.tables,
            clock=self.clock,
            ids=SeededIds(1),
            gate=self.gate,
            tokens=self.tokens,
        )
        return replace(request, **changes)

    def open(self, *, may_write: bool = True) -> ShopifySession:
        session = open_session(self.request(may_write=may_write))
        for name in ("OrdersByChange", "OrdersByAge", "Listings"):
            session._client.halve(name, PAGE)  # small pages, so that a few orders fill several
        return session

    def now(self) -> datetime:
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def sku(self, number: int = 0) -> str:
        skus = [sku for _, sku in self.sandbox.sales.listings()]
        return skus[number]

    def place_order(self, *quantities: int) -> str:
        if len(quantities) > 1:
            raise NotApplicable("a shop's cart merges the lines of one variant")
        lines = tuple((self.sku(), quantity) for quantity in quantities)
        placed: str = self.sandbox.sales.place(Purchase(lines=lines))
        return placed

    def place_together(self, count: int) -> list[str]:
        return [self.place_order(1) for _ in range(count)]

    def place_late(self, seconds: float) -> str:
        placed = self.place_order(1)
        order = self.sandbox.store.order(placed)
        order.visible_at = order.visible_in_lists_at = self.now() + timedelta(seconds=seconds)
        return placed

    def cancel_order(self, channel_order_id: str) -> None:
        self.sandbox.sales.cancel(channel_order_id, restock=True)

    def fulfilments(self, channel_order_id: str) -> int:
        return len(self.sandbox.truth()["orders"][channel_order_id]["shipments"])

    def listing_ids(self) -> list[str]:
        return [listing_id for listing_id, _ in self.sandbox.sales.listings()]

    def quantity(self, channel_listing_id: str) -> int:
        sku = dict(self.sandbox.sales.listings())[channel_listing_id]
        quantity: int = self.sandbox.truth()["quantities"][sku]
        return quantity

    def set_quantity(self, channel_listing_id: str, quantity: int) -> None:
        self.sandbox.sales.set_quantity(
            dict(self.sandbox.sales.listings())[channel_listing_id], quantity
        )

    def trouble(self, kind: Trouble) -> None:
        if kind is Trouble.REVOKED:
            self.sandbox.tokens.are_revoked = True
        elif kind in TROUBLES:
            self.sandbox.faults.set(TROUBLES[kind], 1.0)
        else:
            raise NotApplicable(f"a shop never plays {kind}")

    def heal(self) -> None:
        self.sandbox.faults.heal()
        self.sandbox.tokens.are_revoked = False

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


def signed(secret: str, body: bytes, topic: str) -> dict[str, str]:
    """The headers a shop would send with `body`."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {
        "x-shopify-topic": topic,
        "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
    }
