"""The sandbox's hands for the contract suite: what happens at the channel's side."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon.sandbox.app import AmazonSandbox
from connectors.amazon.sandbox.marketplace import order_number
from connectors.amazon.session import AmazonSession, open_session
from connectors.amazon.settings import AmazonSettings
from connectors.amazon.webhook import WEBHOOK
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.contract import NotApplicable, SignedWebhook, Trouble, Workbench
from oms_sync.sdk.fake_ports import FakeClock, MemoryTokens, OpenGate, SeededIds
from oms_sync.sdk.sandbox import Purchase, SandboxOptions
from oms_sync.sdk.sandbox_queue import VISIBILITY_SECONDS
from oms_sync.sdk.sandbox_records import Order

PAGE: Final = 4
_OPTIONS: Final = SandboxOptions(
    account="seller-a", skus=8, limits_published=False, hang_seconds=0.05
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
    sandbox = AmazonSandbox(replace(_OPTIONS, **options), clock.now)
    with bench.serve(sandbox.app) as base_url:
        sandbox.options = replace(sandbox.options, port=int(base_url.rpartition(":")[2]))
        seller = Seller(sandbox, clock, base_url, bench)
        try:
            yield seller
        finally:
            seller.close()


class Seller:
    """A sandbox seller and the hub's side of it. A `QueueChannel`."""

    unknown_order_id = "999-9999999-9999999"
    unknown_listing_id = "NO-SUCH-SKU"
    part = WEBHOOK

    def __init__(
        self, sandbox: AmazonSandbox, clock: FakeClock, base_url: str, bench: Workbench
    ) -> None:
        self.sandbox, self.clock, self.base_url = sandbox, clock, base_url
        self.tables, self.recordings = bench.tables, bench.recordings
        self.settings = AmazonSettings.model_validate(sandbox.account_entry()["settings"])
        self.tokens, self.gate = MemoryTokens(), OpenGate()
        self._opened: list[AmazonSession] = []
        assert self.settings.notifications is not None, "the sandbox serves a queue"
        self.secrets = tuple(
            each.get_secret_value()
            for each in (
                self.settings.lwa_client_secret,
                self.settings.refresh_token,
                self.settings.notifications.secret_access_key,
            )
        )

    def request(self, **changes: Any) -> OpenRequest:
        """What the hub would open a session with."""
        request = OpenRequest(
            account="seller-a",
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

    def open(self, *, may_write: bool = True) -> AmazonSession:
        session = open_session(self.request(may_write=may_write))
        session._orders.page_orders = PAGE  # small pages, so that a few orders fill several
        self._opened.append(session)
        return session

    def close(self) -> None:
        """Give back what the sessions opened."""
        for session in self._opened:
            session.close()

    def now(self) -> datetime:
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def sku(self, number: int = 0) -> str:
        """A SKU the seller ships."""
        return self.listing_ids()[number]

    def place_order(self, *quantities: int) -> str:
        if len(quantities) > 1:
            raise NotApplicable("a cart of Amazon's merges the lines of one SKU")
        lines = tuple((self.sku(), quantity) for quantity in quantities)
        return self.sandbox.sales.place(Purchase(lines=lines))

    def place_together(self, count: int) -> list[str]:
        return [self.place_order(1) for _ in range(count)]

    def place_late(self, seconds: float) -> str:
        placed = self.place_order(1)
        order = self._order(placed)
        order.visible_at = order.visible_in_lists_at = self.now() + timedelta(seconds=seconds)
        return placed

    def _order(self, channel_order_id: str) -> Order:
        return self.sandbox.store.orders[order_number(channel_order_id) or 0]

    def cancel_order(self, channel_order_id: str) -> None:
        self.sandbox.sales.cancel(channel_order_id, restock=True)

    def fulfilments(self, channel_order_id: str) -> int:
        """Dispatches: packages of one shipment differ in their last two digits alone."""
        dispatches = self._order(channel_order_id).dispatches
        return len({each.name[:-2] for each in dispatches if not each.is_cancelled})

    def listing_ids(self) -> list[str]:
        return [listing_id for listing_id, _ in self.sandbox.sales.listings()]

    def quantity(self, channel_listing_id: str) -> int:
        quantity: int = self.sandbox.truth()["quantities"][channel_listing_id]
        return quantity

    def set_quantity(self, channel_listing_id: str, quantity: int) -> None:
        self.sandbox.sales.set_quantity(channel_listing_id, quantity)

    def trouble(self, kind: Trouble) -> None:
        if kind is Trouble.REVOKED:
            self.sandbox.tokens.is_revoked = True
        elif kind in TROUBLES:
            self.sandbox.faults.set(TROUBLES[kind], 1.0)
        else:
            raise NotApplicable(f"Amazon never plays {kind}")

    def heal(self) -> None:
        self.sandbox.faults.heal()
        self.sandbox.tokens.is_revoked = False

    def webhook(self) -> SignedWebhook:
        raise NotApplicable("Amazon writes to a queue and calls no address")

    def announce(self) -> str:
        return self.place_order(1)

    def redeliver(self) -> None:
        self.advance(VISIBILITY_SECONDS + 1)
