"""Hands on a sandbox for the contract suite, as far as they are alike for every channel."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from oms_sync.sdk.connector import OpenRequest, Session
from oms_sync.sdk.contract import NotApplicable, SignedWebhook, Trouble, Workbench
from oms_sync.sdk.fake_ports import FakeClock, MemoryTokens, OpenGate, SeededIds
from oms_sync.sdk.sandbox import Purchase, SandboxOptions

OPTIONS: Final = SandboxOptions(
    account="contract", skus=8, limits_published=False, hang_seconds=0.05
)
TROUBLES: Final = {
    Trouble.RATE_LIMITED: "F05",
    Trouble.DOWN: "F06",
    Trouble.TIMEOUT_BEFORE: "F01",
    Trouble.TIMEOUT_AFTER: "F02",
    Trouble.PARTIAL: "F08",
}


class SandboxDriver(ABC):
    """A sandbox and the hub's side of it. A `ContractChannel`; a channel fills in what is its own:
    the class attributes, `opened`, `settings_of`, `order` and, where it sends any, `webhook`.
    """

    #: makes the sandbox: `(SandboxOptions, now) -> sandbox`
    create: ClassVar[Any]
    account: ClassVar[str] = OPTIONS.account
    unknown_order_id: str
    unknown_listing_id: str
    #: what the channel cannot play, as "a shop's cart merges …"; empty when several lines may
    #: name one SKU
    merges_lines: str = ""

    def __init__(
        self, sandbox: Any, clock: FakeClock, base_url: str, bench: Workbench, held: ExitStack
    ) -> None:
        self.sandbox, self.clock, self.base_url, self._held = sandbox, clock, base_url, held
        self.tables, self.recordings = bench.tables, bench.recordings
        self.settings = self.settings_of(sandbox.account_entry()["settings"])
        self.tokens, self.gate = MemoryTokens(), OpenGate()
        self.secrets: tuple[str, ...] = tuple(
            value.get_secret_value()
            for value in self.live_secrets(self.settings)
            if value is not None
        )

    @classmethod
    @contextmanager
    def start(cls, bench: Workbench, **options: Any) -> Iterator[Any]:
        """The connector's `contract`: a fresh sandbox over HTTP, with a clock one sets."""
        clock = FakeClock()
        sandbox = cls.create(replace(OPTIONS, account=cls.account, **options), clock.now)
        with bench.serve(sandbox.app) as base_url, ExitStack() as held:
            sandbox.options = replace(sandbox.options, port=int(base_url.rpartition(":")[2]))
            yield cls(sandbox, clock, base_url, bench, held)

    # --- a channel's own --------------------------------------------------------------------------

    @abstractmethod
    def settings_of(self, fields: Any) -> Any:
        """The connector's settings model, of the entry the sandbox offers."""

    @abstractmethod
    def live_secrets(self, settings: Any) -> tuple[Any, ...]:
        """What of the settings must never be logged; None where one is not set."""

    @abstractmethod
    def opened(self, request: OpenRequest) -> Session:
        """A session that reads in small pages, so that a few orders fill several."""

    @abstractmethod
    def order(self, channel_order_id: str) -> Any:
        """The sandbox's own record of the order."""

    def webhook(self) -> SignedWebhook:
        """A signed webhook about an order."""
        raise NotApplicable("the channel calls no address")

    # --- alike everywhere -------------------------------------------------------------------------

    def request(self, **changes: Any) -> OpenRequest:
        """What the hub would open a session with."""
        request = OpenRequest(
            account=self.account,
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

    def open(self, *, may_write: bool = True) -> Any:
        """A new session; it is closed with the driver."""
        session = self.opened(self.request(may_write=may_write))
        self._held.callback(session.close)
        return session

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        """Let time pass there."""
        self.clock.advance(seconds)

    def sku(self, number: int = 0) -> str:
        """A SKU on sale."""
        return str(list(dict(self.sandbox.sales.listings()).values())[number])

    def place_order(self, *quantities: int) -> str:
        """A paid order with one line per quantity."""
        if len(quantities) > 1 and self.merges_lines:
            raise NotApplicable(self.merges_lines)
        lines = tuple((self.sku(), quantity) for quantity in quantities)
        placed: str = self.sandbox.sales.place(Purchase(lines=lines))
        return placed

    def place_together(self, count: int) -> list[str]:
        """Orders of one moment: the clock stands still."""
        return [self.place_order(1) for _ in range(count)]

    def place_late(self, seconds: float) -> str:
        """An order of now, shown later."""
        placed = self.place_order(1)
        order = self.order(placed)
        order.visible_at = order.visible_in_lists_at = self.now() + timedelta(seconds=seconds)
        return placed

    def cancel_order(self, channel_order_id: str) -> None:
        """The seller cancels; the units are on sale again."""
        self.sandbox.sales.cancel(channel_order_id, restock=True)

    def fulfilments(self, channel_order_id: str) -> int:
        """Dispatches in truth."""
        return len(self.sandbox.truth()["orders"][channel_order_id]["shipments"])

    def listing_ids(self) -> list[str]:
        """Everything on sale."""
        return [listing_id for listing_id, _ in self.sandbox.sales.listings()]

    def quantity(self, channel_listing_id: str) -> int:
        """The quantity in truth."""
        quantity: int = self.sandbox.truth()["quantities"][self._sku_of(channel_listing_id)]
        return quantity

    def set_quantity(self, channel_listing_id: str, quantity: int) -> None:
        """A hand edit."""
        self.sandbox.sales.set_quantity(self._sku_of(channel_listing_id), quantity)

    def trouble(self, kind: Trouble) -> None:
        """Begin to misbehave."""
        if kind is Trouble.REVOKED:
            self.sandbox.tokens.are_revoked = True
        else:
            self.sandbox.faults.set(TROUBLES[kind], 1.0)

    def heal(self) -> None:
        """Behave again."""
        self.sandbox.faults.heal()
        self.sandbox.tokens.are_revoked = False

    def _sku_of(self, channel_listing_id: str) -> str:
        return str(dict(self.sandbox.sales.listings())[channel_listing_id])
