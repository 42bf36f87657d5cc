"""What shall change in an order at its channel, and what of it is still missing there.

The look before every send, for cancellations and refunds: pure, so that no unit is cancelled and
no money sent twice whatever becomes of the answers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, Protocol

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.order import LineCounts, OrderFacts
from oms_sync.domain.shipment import Package
from oms_sync.domain.values import Money

#: from here on somebody is told that what was taken does not show
LATE_SECONDS: Final = 3_600.0
#: from here on it is not waited for any longer
GIVEN_UP_SECONDS: Final = 3 * 86_400.0

WriteReason = Literal["buyer", "stock", "address", "price", "fraud", "payment", "returned", "other"]
"""Why units are cancelled or money goes back."""


class WriteKind(StrEnum):
    """What is written back."""

    CANCEL = "cancel"
    REFUND = "refund"
    HOLD = "hold"
    RELEASE = "release"
    CORRECT = "correct"
    #: a no to the buyer who asks to cancel
    DECLINE = "decline"


class WriteState(StrEnum):
    """Where telling the channel stands."""

    WAITING = "waiting"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    #: a newer wish took its place before it was confirmed
    SUPERSEDED = "superseded"

    @property
    def is_open(self) -> bool:
        """True while the channel has to be told or asked."""
        return self in (WriteState.WAITING, WriteState.SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for; which fields count depends on the kind."""

    reason: WriteReason = "other"
    note: str = ""
    #: units by channel line id
    lines: Mapping[str, int] = field(default_factory=dict)
    #: units already cancelled when it was asked, by channel line id
    cancelled_before: Mapping[str, int] = field(default_factory=dict)
    is_restocked: bool = False
    #: everything that goes back, lines and shipping together
    amount: Money | None = None
    line_amounts: Mapping[str, Money] = field(default_factory=dict)
    shipping: Money | None = None
    shipment_id: str = ""
    packages: tuple[Package, ...] = ()
    #: what the shipment had before
    packages_before: tuple[Package, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBack:
    """One wish, and how far its channel was told. `write_id` is the key at every attempt."""

    write_id: str
    order_id: str
    account: str
    kind: WriteKind
    wish: Wish
    asked_at: datetime
    actor: str
    state: WriteState = WriteState.WAITING
    attempts: int = 0
    #: grows with every claim: who holds an older one stores nothing
    turn: int = 0
    next_at: datetime
    #: when it was sent last; set before the call, so that a crash cannot hide it
    sent_at: datetime | None = None
    #: what the channel gave to follow its decision by
    receipt: str = ""
    #: when the channel took it
    answered_at: datetime | None = None
    confirmed_at: datetime | None = None
    #: refunds the order had before the first send; None until then
    known_before: tuple[str, ...] | None = None
    #: the refund recognised as this one
    channel_refund_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationLeft:
    """What of a cancellation the order does not show yet."""

    #: units still to cancel, by channel line id
    missing: Mapping[str, int]
    #: units that can be cancelled no more: they shipped, are in others' care, or their line is in
    #: another order by now
    lost: Mapping[str, int]
    #: `missing` is everything the order has open
    is_whole: bool


def cancellation_left(wish: Wish, counts: Mapping[str, LineCounts]) -> CancellationLeft:
    """Compare what was asked with the units as they are."""
    missing: dict[str, int] = {}
    lost: dict[str, int] = {}
    for line_id, units in wish.lines.items():
        count = counts.get(line_id)
        if count is None:
            lost[line_id] = units
            continue
        left = max(0, wish.cancelled_before.get(line_id, 0) + units - count.cancelled)
        possible = min(left, count.open)
        missing |= {line_id: possible} if possible else {}
        lost |= {line_id: left - possible} if left > possible else {}
    is_whole = sum(missing.values()) == sum(count.open for count in counts.values())
    return CancellationLeft(missing=missing, lost=lost, is_whole=is_whole)


class ShownRefund(Protocol):
    """A refund as a channel shows it."""

    @property
    def channel_refund_id(self) -> str:
        """The channel's own id."""

    @property
    def amount(self) -> Money:
        """How much went back."""

    @property
    def lines(self) -> Mapping[str, int]:
        """Units by channel line id, where the channel says so."""

    @property
    def state(self) -> Literal["pending", "done", "failed"]:
        """How far it is."""

    @property
    def key(self) -> str | None:
        """Our key, where the channel keeps it."""


def find_refund(
    write: WriteBack, shown: Sequence[ShownRefund], claimed: Collection[str]
) -> ShownRefund | None:
    """Recognise our refund among those of the order.

    Ours is the one recognised before, the one with our key, or else one that was not there before
    the first send, carries no other key and no other refund of ours, and is of the same amount
    and lines. Nothing is ours that was never sent.
    """
    for one in shown:
        if one.channel_refund_id == write.channel_refund_id or one.key == write.write_id:
            return one
    if write.known_before is None:
        return None
    strangers = {*write.known_before, *claimed}
    for one in shown:
        is_new = one.key is None and one.channel_refund_id not in strangers
        if is_new and one.state != "failed" and _is_alike(write.wish, one):
            return one
    return None


def _is_alike(wish: Wish, shown: ShownRefund) -> bool:
    has_lines = bool(wish.lines) and bool(shown.lines)
    return shown.amount == wish.amount and (not has_lines or dict(shown.lines) == dict(wish.lines))


def refundable(facts: OrderFacts, refunds: Iterable[Money]) -> Money | None:
    """What the seller may still give back, never below nothing; None while no total is known.

    Tax the channel collected and paid was never the seller's: the channel returns it itself.
    """
    if facts.total is None:
        return None
    left, theirs = facts.total, facts.tax_remitted
    own = () if theirs is None or theirs.currency != left.currency else (theirs,)
    for one in (*own, *refunds):
        left -= one
    return left if left.amount > 0 else Money.zero(left.currency)


def share(amount: Money, weights: Mapping[str, Money]) -> dict[str, Money]:
    """Split `amount` by `weights` to the minor unit; what does not divide goes to the first ones.

    Without any weight everything goes to the first.
    """
    minor, total = amount.minor(), sum(one.minor() for one in weights.values())
    if minor < 0 or not weights:
        raise InvalidValue(f"{amount.text()} cannot be split")
    parts = {name: minor * one.minor() // total if total else 0 for name, one in weights.items()}
    for name in list(parts)[: minor - sum(parts.values())] if total else ():
        parts[name] += 1
    if not total:
        parts[next(iter(parts))] = minor
    return {name: Money.from_minor(part, amount.currency) for name, part in parts.items()}


def superseded(write: WriteBack) -> WriteBack:
    """The same, given up for a newer wish; whoever is telling the channel of it stores nothing."""
    return replace(over(write, WriteState.SUPERSEDED), turn=write.turn + 1)


def over(write: WriteBack, state: WriteState) -> WriteBack:
    """The same, ended; the words meant for the channel are not kept for longer than they serve."""
    return replace(write, state=state, wish=replace(write.wish, note=""))


class Lateness(StrEnum):
    """How long a channel has not shown what it took."""

    NONE = "none"
    #: somebody should look
    LATE = "late"
    #: nobody waits any longer
    TOO_LATE = "too_late"


def lateness(write: WriteBack, *, now: datetime, lag_seconds: float) -> Lateness:
    """Judge what was answered and is not shown yet, by how long the channel's reads may lag."""
    if write.answered_at is None:
        return Lateness.NONE
    age = (now - write.answered_at).total_seconds()
    if age >= max(GIVEN_UP_SECONDS, lag_seconds):
        return Lateness.TOO_LATE
    return Lateness.LATE if age >= max(LATE_SECONDS, lag_seconds) else Lateness.NONE
