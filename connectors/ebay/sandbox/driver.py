"""The sandbox's hands for the contract suite: what happens at the channel's side."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.ebay.keys import HEADER, open_webhook
from connectors.ebay.sandbox.app import EbaySandbox
from connectors.ebay.session import EbaySession, open_session
from connectors.ebay.settings import EbaySettings
from connectors.ebay.webhook import WEBHOOK
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.contract import NotApplicable, SignedWebhook, Trouble, Workbench
from oms_sync.sdk.fake_ports import FakeClock, MemoryTokens, OpenGate, SeededIds
from oms_sync.sdk.sandbox import Purchase, SandboxOptions

PAGE: Final = 6
_OPTIONS: Final = SandboxOptions(
    account="ebay-a", skus=8, limits_published=False, hang_seconds=0.05
)
TROUBLES: Final = {
    Trouble.RATE_LIMITED: "F05",
    Trouble.DOWN: "F06",
    Trouble.TIMEOUT_BEFORE: "F01",
    Trouble.TIMEOUT_AFTER: "F02",
    Trouble.PARTIAL: "F08",
}


@contextmanager
def start_seller(bench: Workbench, **options: Any) -> Iterator["Seller"]:
    """The connector's `contract`: a fresh seller over HTTP, with a clock one sets."""
    clock = FakeClock()
    sandbox = EbaySandbox(replace(_OPTIONS, **options), clock.now)
    with bench.serve(sandbox.app) as base_url, ExitStack() as opened:
        yield Seller(sandbox, clock, base_url, bench, opened)


class _EveryAddress(set[tuple[str, str]]):
    """Addresses taken for ours without a challenge: nobody listens where the suite subscribes."""

    def __contains__(self, address: object) -> bool:
        return True


class Seller:
    """A sandbox seller and the hub's side of it. A `ContractChannel`."""

    unknown_order_id = "99-99999-99999"
    unknown_listing_id = "999999999999"

    def __init__(
        self,
        sandbox: EbaySandbox,
        clock: FakeClock,
        base_url: str,
        bench: Workbench,
        opened: ExitStack,
    ) -> None:
        self._opened = opened
        self.sandbox, self.clock, self.base_url = sandbox, clock, base_url
        self.tables, self.recordings = bench.tables, bench.recordings
        sandbox._notifications._proved = _EveryAddress()
        self.settings = EbaySettings.model_validate(sandbox.account_entry()["settings"])
        self.tokens, self.gate = MemoryTokens(), OpenGate()
        secrets = (
            self.settings.refresh_token,
            self.settings.cert_id,
            self.settings.verification_token,
        )
        self.secrets = tuple(each.get_secret_value() for each in secrets if each is not None)

    def request(self, **changes: Any) -> OpenRequest:
        """What the hub would open a session with."""
        request = OpenRequest(
            account="ebay-a",
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

    def open(self, *, may_write: bool = True) -> EbaySession:
        session = open_session(self.request(may_write=may_write))
        self._opened.callback(session.close)
        # Small pages, so that a few orders fill several.
        session._orders.per_page = session._stock.per_page = PAGE
        return session

    def now(self) -> datetime:
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def sku(self, number: int = 0) -> str:
        skus = [sku for _, sku in self.sandbox.sales.listings()]
        return skus[number]

    def place_order(self, *quantities: int) -> str:
        """Several lines of one SKU are several purchases, combined before they are paid."""
        sales, first = self.sandbox.sales, quantities[0]
        if len(quantities) == 1:
            return sales.place(Purchase(lines=((self.sku(), first),)))
        placed = self.place_unpaid(first)
        for quantity in quantities[1:]:
            placed = sales.combine(placed, self.place_unpaid(quantity))
        return self.pay(placed)

    def place_unpaid(self, quantity: int) -> str:
        """A purchase nobody has paid for yet; answers the id it has till then."""
        lines = ((self.sku(), quantity),)
        return self.sandbox.sales.place(Purchase(lines=lines, is_paid=False))

    def pay(self, channel_order_id: str) -> str:
        """The buyer pays; answers the id the order has from then on."""
        self.sandbox.sales.pay(channel_order_id)
        books = self.sandbox.books
        return books.sheets[books.order(channel_order_id).id].name

    def place_together(self, count: int) -> list[str]:
        return [self.place_order(1) for _ in range(count)]

    def place_late(self, seconds: float) -> str:
        placed = self.place_order(1)
        order = self.sandbox.books.order(placed)
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
            raise NotApplicable(f"eBay never plays {kind}")

    def heal(self) -> None:
        self.sandbox.faults.heal()
        self.sandbox.tokens.are_revoked = False

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
