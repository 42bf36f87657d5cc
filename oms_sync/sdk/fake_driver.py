"""The fake channel's hands for the contract suite, and an example of writing them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from oms_sync.sdk.connector import WebhookPart
from oms_sync.sdk.contract import SignedWebhook, StartChannel, Trouble
from oms_sync.sdk.fake import FakeChannel, FakeOptions
from oms_sync.sdk.fake_ports import FakeClock
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.fake_webhooks import FakeWebhookPart
from oms_sync.sdk.seeding import SeededChance

_KNOBS: Final = {
    Trouble.RATE_LIMITED: "F05",
    Trouble.DOWN: "F06",
    Trouble.TIMEOUT_BEFORE: "F01",
    Trouble.TIMEOUT_AFTER: "F02",
    Trouble.PARTIAL: "F08",
}
_CATALOGUE: Final = {"TEE": 40, "MUG": 30, "CAP": 20}

OpenSession = Callable[..., FakeSession]


class FakeDriver:
    """Drives a FakeChannel for the contract suite. A `QueueChannel`.

    `open_session` is called like `FakeSession`, so that a test can put a bad one in its place.
    """

    unknown_order_id = "fake-999999"
    unknown_listing_id = "fake-listing-999999"
    recordings: tuple[bytes, ...] = ()

    def __init__(
        self,
        options: FakeOptions,
        *,
        open_session: OpenSession = FakeSession,
        part: FakeWebhookPart | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.channel = FakeChannel(
            clock=self.clock,
            chance=SeededChance(1, "contract"),
            options=options,
            catalogue=_CATALOGUE,
        )
        settings = self.channel.settings
        self.secrets: tuple[str, ...] = (
            settings.token,
            settings.webhook_secret,
            settings.verification_token,
        )
        self._open_session = open_session
        self.part: WebhookPart = part or self.channel.webhook_part

    def open(self, *, may_write: bool = True) -> FakeSession:
        """A new session."""
        return self._open_session(self.channel, self.channel.request(may_write=may_write))

    def now(self) -> datetime:
        """The channel's time."""
        return self.channel.books.now()

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.clock.advance(seconds)

    def place_order(self, *quantities: int) -> str:
        """Sell TEEs, one line per quantity."""
        return self.channel.buy(*(("TEE", units) for units in quantities))

    def place_together(self, count: int) -> list[str]:
        """Orders that all carry the time of the first."""
        first = self.channel.buy(("TEE", 1))
        self.channel.faults.force("F32", count - 1)
        return [first, *(self.channel.buy(("TEE", 1)) for _ in range(count - 1))]

    def place_late(self, seconds: float) -> str:
        """An order of now, visible later."""
        assert seconds == self.channel.options.late_seconds, "the fake is late by its option"
        self.channel.faults.force("F17")
        return self.channel.buy(("TEE", 1))

    def cancel_order(self, channel_order_id: str) -> None:
        """The seller cancels."""
        self.channel.cancel(channel_order_id)

    def request_cancellation(self, channel_order_id: str) -> None:
        """The buyer asks for it."""
        self.channel.request_cancellation(channel_order_id)

    def fulfilments(self, channel_order_id: str) -> int:
        """Dispatches in truth."""
        return len(self.channel.fulfilments(channel_order_id))

    def listing_ids(self) -> list[str]:
        """Every listing."""
        return list(self.channel.books.listings)

    def quantity(self, channel_listing_id: str) -> int:
        """The truth."""
        return self.channel.books.listings[channel_listing_id].quantity

    def set_quantity(self, channel_listing_id: str, quantity: int) -> None:
        """A hand edit."""
        listing = self.channel.books.listings[channel_listing_id]
        self.channel.hand_edit(listing.channel_sku, quantity)

    def trouble(self, kind: Trouble) -> None:
        """Turn the knob that makes this trouble."""
        if kind is Trouble.REVOKED:
            self.channel.is_authorised = False
        else:
            self.channel.faults.set(_KNOBS[kind], rate=1.0)

    def heal(self) -> None:
        """Behave."""
        self.channel.is_authorised = True
        self.channel.faults.heal()

    def webhook(self) -> SignedWebhook:
        """The webhook of a new order."""
        self.channel.session().ensure_subscriptions("http://127.0.0.1/hub")
        order_id = self.channel.buy(("TEE", 1))
        delivery = self.channel.take_webhooks()[-1]
        return SignedWebhook(
            part=self.part,
            settings=self.channel.settings,
            headers=delivery.headers,
            body=delivery.body,
            signature_header="x-fake-signature",
            channel_order_id=order_id,
            challenge={"challenge_code": "4711"},
        )

    def announce(self) -> str:
        """Sell a TEE; the channel writes of it into the queue."""
        return self.place_order(1)

    def redeliver(self) -> None:
        """Everything not acknowledged is due again."""
        self.channel.queue.redeliver(now=self.now())


def start_fake(
    *,
    has_compare_and_set: bool = True,
    is_push_idempotent: bool = True,
    open_session: OpenSession = FakeSession,
    part: FakeWebhookPart | None = None,
) -> StartChannel:
    """A `StartChannel` of fresh fakes with small pages."""
    options = FakeOptions(
        has_compare_and_set=has_compare_and_set,
        is_push_idempotent=is_push_idempotent,
        page_size=2,
        has_queue=True,
    )

    @contextmanager
    def start() -> Iterator[FakeDriver]:
        yield FakeDriver(options, open_session=open_session, part=part)

    return start
