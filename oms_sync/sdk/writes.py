"""What the hub asks a channel to change in an order, and the refunds it reads back.

Every one of these is stored before it is sent, and sent again only after a look showed that it did
not happen. Reasons are our words; the channel's codes are tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from oms_sync.domain.values import Money
from oms_sync.domain.write_back import WriteReason
from oms_sync.sdk.messages import OutgoingPackage

__all__ = [
    "ChannelRefund",
    "OutgoingCancellation",
    "OutgoingHold",
    "OutgoingRefund",
    "TrackingCorrection",
    "WriteReason",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingCancellation:
    """Units that shall leave an order unshipped. `key` is the same at every attempt."""

    key: str
    channel_order_id: str
    #: units still to cancel, by channel line id
    lines: Mapping[str, int]
    #: everything the channel still has open: the order ends with it
    is_whole: bool
    reason: WriteReason
    #: the channel puts the units back into its own quantity, where it can be told
    is_restocked: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRefund:
    """Money that shall go back to the buyer. `key` is the same at every attempt."""

    key: str
    channel_order_id: str
    #: everything that goes back, lines and shipping together
    amount: Money
    #: units the money is for, by channel line id; empty for a refund of the order as a whole
    lines: Mapping[str, int] = field(default_factory=dict)
    #: the part of `amount` for each of `lines`
    line_amounts: Mapping[str, Money] = field(default_factory=dict)
    #: the part of `amount` for shipping
    shipping: Money | None = None
    reason: WriteReason
    #: the channel puts the units back into its own quantity, where it can be told
    is_restocked: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRefund:
    """One refund as the channel knows it."""

    channel_refund_id: str
    amount: Money
    #: units by channel line id, where the channel says so
    lines: Mapping[str, int] = field(default_factory=dict)
    state: Literal["pending", "done", "failed"]
    at: datetime
    #: our `key`, where the channel keeps it
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingHold:
    """A wish that nothing of an order ships for now, or (released) that it may again."""

    key: str
    channel_order_id: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingCorrection:
    """New packages for a dispatch the channel already has; they replace all it shows."""

    key: str
    channel_order_id: str
    channel_shipment_id: str
    #: units of the dispatch by channel line id, as the channel shows them
    lines: Mapping[str, int]
    packages: tuple[OutgoingPackage, ...]
    service: str | None
    shipped_at: datetime
