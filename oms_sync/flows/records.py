"""Rows the flows work with: domain values plus what the hub keeps about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from oms_sync.domain.cancel_requests import Declined
from oms_sync.domain.listing import DriftPolicy
from oms_sync.domain.order import (
    Hold,
    KnownOrder,
    LineCounts,
    OrderSight,
    OrderState,
    line_counts,
)
from oms_sync.domain.shipment import PushState, Shipment
from oms_sync.domain.values import Sku
from oms_sync.sdk import OrderFeed, StockBatch

#: hold of an order the channel does not show any more
GONE = "gone_at_channel"
#: hold an operator asked for
MANUAL_HOLD = "manual"
#: hold of an order that is being cancelled at its channel
CANCELLING = "cancelling"
#: holds that do not follow from what the channel shows
OWN_HOLDS = (GONE, MANUAL_HOLD, CANCELLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountProfile:
    """What the configuration says of one channel account."""

    name: str
    connector: str
    mode: Literal["shadow", "live"] = "live"
    #: location codes, best first; reservations and pushed quantity use exactly these
    locations: tuple[str, ...] = ("main",)
    buffer: int = 0
    cap: int | None = None
    drift: DriftPolicy = "overwrite"
    #: what a buyer's wish to cancel leads to
    cancellation_requests: Literal["hold", "accept"] = "hold"
    poll_seconds: float = 60
    reconcile_seconds: float = 3600
    overlap_seconds: float = 600
    backfill_days: int = 30
    #: so long without an order is worth an alarm; None where that is ordinary
    silence_hours: float | None = None
    #: days after a finished order's latest date until its personal data is destroyed
    personal_data_days: int = 30
    #: days until the bytes of messages that were worked off are destroyed
    raw_payload_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """What the hub remembers of an account across restarts."""

    name: str
    connector: str
    first_connected_at: datetime | None = None
    #: set once the first back-fill is complete; nothing is pushed before
    backfilled_at: datetime | None = None
    is_paused: bool = False
    #: "ok", "degraded", "needs_reauth"; `paused` is shown when `is_paused`
    health: str = "ok"
    reason: str = ""
    token_expires_at: datetime | None = None
    #: ours minus the channel's clock, at the last look
    clock_skew_seconds: int | None = None


class MessageSource(StrEnum):
    """How a message came in."""

    WEBHOOK = "webhook"
    POLL = "poll"
    READ = "read"
    #: what a hint itself showed of an order
    NOTIFICATION = "notification"
    IMPORT = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to store. Hints come by webhook, pulled ones too; everything else is an order as
    the channel answered or showed it, `body` empty and topic "order.gone" when it has no such
    order.
    """

    account: str
    topic: str
    source: MessageSource
    body: bytes
    received_at: datetime
    channel_order_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxMessage:
    """A stored message, its bytes decrypted."""

    message_id: str
    account: str
    topic: str
    source: MessageSource
    body: bytes
    received_at: datetime
    channel_order_id: str | None
    headers: Mapping[str, str]
    #: keyed hash of the plain bytes
    dedupe_key: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One message, translated: a sight, or the news that the channel has no such order."""

    message: InboxMessage
    channel_order_id: str
    sight: OrderSight | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """An order some hint says to read again. `armed` grows with each hint."""

    channel_order_id: str
    armed: int
    is_deletion: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPosition:
    """How far one feed of one account was read."""

    account: str
    feed: OrderFeed
    cursor: str | None = None
    #: where the feed began
    since: datetime
    #: when the pass under way was started
    pass_started_at: datetime | None = None
    #: start of the newest pass that was read to its end; everything visible then is stored
    drained_at: datetime | None = None
    #: the next pass is due
    next_at: datetime | None = None
    is_finished: bool = False
    #: orders read in the pass under way or last, and when its newest page was stored
    orders_read: int = 0
    page_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLine:
    """What the hub keeps of one order line besides what the channel says of it."""

    line_id: str
    channel_line_id: str
    sku: Sku | None = None
    listing_id: str | None = None
    #: units reserved, by location code
    held: Mapping[str, int] = field(default_factory=dict)
    quantity_short: int = 0
    #: units in shipments made here
    shipped_here: int = 0
    #: shipped units the ledger has seen leave
    shipped_booked: int = 0
    #: returned units the ledger has seen come back
    returned_booked: int = 0
    #: units counted in the listing's `taken`
    taken_booked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOrder:
    """One order as the hub keeps it. `lines` are in the order of `known.lines`."""

    order_id: str
    known: KnownOrder
    state: OrderState
    lines: tuple[StoredLine, ...]
    holds: tuple[Hold, ...] = ()
    #: reservation has to look at this order
    is_reserve_due: bool = True
    #: dedupe key of the payload merged last
    payload_key: str = ""
    imported_at: datetime
    #: every id the order answers to, its own included, sorted; empty where ids never change
    names: tuple[str, ...] = ()
    #: the order that has all lines of this one now
    merged_into: str | None = None
    #: the buyer's request to cancel that somebody here said no to
    declined: Declined | None = None
    #: since then nobody's personal data is kept with it, whatever the channel shows again
    erased_at: datetime | None = None

    @property
    def placed_at(self) -> datetime:
        """When the buyer ordered; where the channel did not say, when it was first shown."""
        return self.known.facts.placed_at or self.known.version.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Orders as a batch of messages found them, and as it leaves them."""

    #: the account as it is known now
    record: AccountRecord | None = None
    #: by order id
    stored: Mapping[str, StoredOrder]
    orders: Sequence[StoredOrder]
    #: the order of each channel order id that was asked for or shown
    owners: Mapping[str, str] = field(default_factory=dict)
    #: channel order ids nobody had before, and those another order had
    fresh_names: Mapping[str, str] = field(default_factory=dict)
    moved_names: Mapping[str, str] = field(default_factory=dict)
    #: lines that were in another order before: line id to order id
    moved: Mapping[str, str] = field(default_factory=dict)
    #: orders that gave all their lines to another: order id to order id
    merged: Mapping[str, str] = field(default_factory=dict)
    #: channel order ids of orders that gave some of their lines to another
    parted: Sequence[str] = ()

    @property
    def renamed(self) -> list[StoredOrder]:
        """Known orders that go by another channel order id now."""
        return [
            order
            for order in self.orders
            if order.order_id in self.stored
            and order.known.ref != self.stored[order.order_id].known.ref
        ]


def counts_of(order: StoredOrder) -> tuple[LineCounts, ...]:
    """The split of every line's units, in the order of `order.lines`."""
    return tuple(
        line_counts(order.known, known, line.shipped_here)
        for known, line in zip(order.known.lines, order.lines, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A stock batch as it was stored before sending."""

    account: str
    batch: StockBatch
    sent_at: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRecord:
    """What became of one entry of a stock batch; an append-only fact."""

    batch_key: str
    channel_listing_id: str
    #: a PushOutcome, or "superseded"
    outcome: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentPush:
    """One shipment and how far its account was told."""

    shipment: Shipment
    state: PushState = PushState.WAITING
    attempts: int = 0
    next_at: datetime
    confirmed_at: datetime | None = None
    #: the channel's own ids of it
    channel_shipment_ids: tuple[str, ...] = ()
    error: str = ""
