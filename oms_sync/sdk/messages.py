"""What travels between the hub and a connector: pages, hints, pushes, and their results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class OrderFeed(StrEnum):
    """Which orders a page is from.

    `CHANGES` is the endless feed of new and changed orders; `OPEN` and `HISTORY` are read once, at
    first connect, open orders first; `SWEEP` re-lists a wide window to find what `CHANGES` missed.
    """

    CHANGES = "changes"
    OPEN = "open"
    HISTORY = "history"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOrder:
    """One order as the channel answered it; the bytes become an inbox message."""

    channel_order_id: str
    #: what `parse_order` understands; empty when `is_gone`
    payload: bytes
    #: True when the channel answers that it has no such order
    is_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """One page of a feed.

    `cursor` continues after this page and is stored together with its orders. `is_last` says that
    everything visible when the pass began has now been read; the next call with `cursor` begins a
    new pass. An empty page need not be the last.
    """

    orders: tuple[RawOrder, ...]
    cursor: str
    is_last: bool


class HintKind(StrEnum):
    """What a webhook is about."""

    ORDER = "order"
    ORDER_DELETED = "order_deleted"
    LISTING = "listing"
    #: orders changed, and it does not say which
    ORDERS = "orders"
    #: the credentials, or what they may do, changed
    ACCOUNT = "account"
    #: a buyer asks to be forgotten
    ERASURE = "erasure"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What a webhook says to look at. It is never a fact: the hub reads the object itself."""

    kind: HintKind
    #: channel order id, channel listing id, or for ERASURE the `channel_buyer_id`; empty for the
    #: other kinds
    object_id: str = ""
    #: for LISTING: the quantity the hint claims, so that an echo of our own write can be dropped
    quantity: int | None = None
    #: for ORDER: what the message itself shows of the order, for `parse_order`. Only where the
    #: channel promises it and the message proves whose it is; it says when the order was placed.
    #: It is reserved at once, and the order is read again all the same.
    order: RawOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message of a queue the channel writes to; it stays there until it is acknowledged."""

    #: what `acknowledge` takes; another one at every delivery
    receipt: str
    #: what it is about, for grouping
    topic: str
    #: what the webhook part's `read_hint` understands
    body: bytes
    #: kept beside the body (lower case); none may hold personal data
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeAnswer:
    """What the hub answers a channel that asks whether the webhook address is ours."""

    body: bytes
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelListing:
    """A listing as discovery finds it."""

    channel_listing_id: str
    channel_sku: str
    title: str = ""
    quantity: int | None = None
    #: False when the channel does not count its stock: it is never pushed
    is_stocked: bool = True
    #: units the channel itself holds and ships: recorded with its time, never pushed, never
    #: reserved; None where there are none or nobody may know
    channel_pool: int | None = None
    #: what the operator should know, such as "the shop sells on when sold out"
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingPage:
    """One page of discovery; `cursor` None means it was the last."""

    listings: tuple[ChannelListing, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockPush:
    """One listing's new absolute quantity; `expected` is the compare value where there is one."""

    channel_listing_id: str
    channel_sku: str
    quantity: int
    expected: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockBatch:
    """What is sent in one call. `key` and the entries were stored before sending; a retry repeats
    both exactly.
    """

    key: str
    entries: tuple[StockPush, ...]


class PushOutcome(StrEnum):
    """What became of one entry of a batch."""

    #: the channel says this very quantity is applied
    APPLIED = "applied"
    #: taken in, not yet applied: only a look proves it
    ACCEPTED = "accepted"
    #: the compare value did not match; nothing was applied
    STALE = "stale"
    #: refused for good, with a reason
    REJECTED = "rejected"
    #: not sent or not applied through no fault of this entry: send it again in a new batch
    NOT_APPLIED = "not_applied"
    #: not sent: its turn comes later, for the channel's own limits; `reason` says so. The hub asks
    #: again after some minutes, and at once when it wants another quantity
    POSTPONED = "postponed"
    #: nobody knows: look
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """The outcome of one entry, matched by key, never by position."""

    channel_listing_id: str
    outcome: PushOutcome
    #: when it was applied, in the channel's clock
    applied_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockReading:
    """Quantities as the channel shows them; a listing it does not know is absent."""

    quantities: Mapping[str, int]
    #: the channel's clock when it was asked
    read_at: datetime
    #: what the channel says is wrong with a listing, by channel listing id, in its own words; such
    #: a listing may take a quantity and never show it
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPackage:
    """One box: our carrier code, the channel's name for it is the connector's business."""

    carrier: str
    tracking_number: str | None
    tracking_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingShipment:
    """A shipment to tell the channel about. `lines` maps channel line id to units still missing
    there; `key` is the same at every attempt.
    """

    key: str
    channel_order_id: str
    lines: Mapping[str, int]
    packages: tuple[OutgoingPackage, ...]
    service: str | None
    shipped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCheck:
    """What the channel says of the credentials: who they are, what they may do, what time it is."""

    channel_account: str
    #: what stands for good for the shop or seller these credentials open, whatever it is called
    channel_account_id: str
    channel_time: datetime
    missing_permissions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    token_expires_at: datetime | None = None
    detail: Mapping[str, str] = field(default_factory=dict)
