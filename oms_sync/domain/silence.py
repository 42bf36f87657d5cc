"""When an account is too quiet: pure judgement over what was last heard of it and when.

Silence is named, never guessed at: each kind says since when, and what it means.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

#: orders not read for so long, or for so many poll periods
NOT_READ_SECONDS: Final = 600.0
NOT_READ_PERIODS: Final = 5
#: from this share of the channel's horizon on, what we missed is about to be lost
HISTORY_ENDS_SHARE: Final = 0.5
#: new orders nobody announced: so many, the first of them so old
UNANNOUNCED_ORDERS: Final = 3
UNANNOUNCED_SECONDS: Final = 900.0
NOT_PUSHED_SECONDS: Final = 1_800.0
NOT_RECONCILED_SECONDS: Final = 3_600.0
NOT_RECONCILED_PERIODS: Final = 3
NOT_WRITTEN_BACK_SECONDS: Final = 3_600.0
#: a sweep may read for so long before it counts as one that never ends
SWEEP_SECONDS_MAX: Final = 2 * 86_400.0
#: buyers have three days to agree, banks take as long
UNDECIDED_SECONDS: Final = 4 * 86_400.0
#: orders not shipped so long before they have to be
NOT_SHIPPED_AHEAD_SECONDS: Final = 4 * 3_600.0
NOT_TOLD_SECONDS: Final = 3_600.0
#: sellers wait for money four days at most before a channel lets them cancel
NOT_PAID_SECONDS: Final = 5 * 86_400.0


class SilenceKind(StrEnum):
    """What is missing."""

    #: no poll of orders came to its end
    NOT_READ = "not_read"
    #: and what was not read is soon older than the channel shows
    HISTORY_ENDS = "history_ends"
    NO_ORDERS = "no_orders"
    #: polls find orders that neither webhook nor queue announced
    UNANNOUNCED = "unannounced"
    #: listings wait, and the channel has taken no quantity
    NOT_PUSHED = "not_pushed"
    #: orders and quantities were not compared
    NOT_RECONCILED = "not_reconciled"
    #: cancellations, refunds and the like were asked for, and the channel shows none of it
    NOT_WRITTEN_BACK = "not_written_back"
    #: orders have to leave soon, or should have left
    NOT_SHIPPED = "not_shipped"
    #: goods have left, and the channel does not know
    NOT_TOLD = "not_told"
    #: orders nobody pays keep units from being sold
    NOT_PAID = "not_paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """Orders or shipments of which something should have happened by now."""

    #: since when it is due of the one that waits longest
    since: datetime
    count: int
    #: what they keep reserved
    units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is ordinary for an account."""

    poll_seconds: float
    reconcile_seconds: float
    #: so long without an order is a silence; None where that is ordinary
    silence_hours: float | None
    order_horizon_days: float
    reads_orders: bool
    pushes_stock: bool
    pushes_tracking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What was last heard of an account."""

    first_connected_at: datetime
    #: everything visible at that time is stored
    read_at: datetime | None = None
    #: when the newest page of orders was stored, within a pass under way too
    page_at: datetime | None = None
    swept_at: datetime | None = None
    #: of the sweep under way: its beginning, and when its newest page was stored
    sweep_began_at: datetime | None = None
    sweep_page_at: datetime | None = None
    #: the next sweep begins then; a slow one is not repeated within its own time
    sweep_due_at: datetime | None = None
    last_order_at: datetime | None = None
    #: orders placed and taken in since the channel last announced one, the oldest few; none
    #: where the channel announces nothing
    unannounced: Sequence[datetime] = ()
    #: listings have wanted a push since then, and no quantity was confirmed since
    unpushed_since: datetime | None = None
    #: the oldest write-back the channel has not taken, or took and does not show
    unwritten_since: datetime | None = None
    #: the oldest one the channel is deciding on, or working at
    undecided_since: datetime | None = None
    #: orders to ship, by the time they have to leave
    unshipped: Overdue | None = None
    #: shipments the channel has not confirmed, by the time they were made
    untold: Overdue | None = None
    #: shipments it refused of orders it goes on waiting for
    refused: Overdue | None = None
    #: unpaid orders that hold units, by the time they were placed
    unpaid: Overdue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence: since when, and in words."""

    since: datetime
    reason: str


def silences(pulse: Pulse, pace: Pace, *, now: datetime) -> Mapping[SilenceKind, Silence]:
    """Every silence of the account at this instant."""
    found: dict[SilenceKind, Silence] = {}
    if pace.reads_orders:
        _judge_reading(found, pulse, pace, now)
        _judge_orders(found, pulse, pace, now)
        _judge_sweep(found, pulse, pace, now)
    if pace.pushes_stock and pulse.unpushed_since is not None:
        since = pulse.unpushed_since
        if _is_over(since, NOT_PUSHED_SECONDS, now):
            reason = "listings wait to be pushed, and the channel has taken no quantity since"
            found[SilenceKind.NOT_PUSHED] = Silence(since=since, reason=reason)
    _judge_write_backs(found, pulse, now)
    _judge_overdue(found, pulse, pace)
    return found


def overdue_before(kind: SilenceKind, now: datetime) -> datetime:
    """What was due, made or placed by then has waited for too long."""
    return now - timedelta(seconds=_PATIENCE[kind])


def overdue_count(pulse: Pulse, kind: SilenceKind) -> int:
    """How many orders or shipments wait for too long in this way."""
    return sum(one.count for one in _overdue(pulse, kind))


def history_left(pulse: Pulse, pace: Pace, *, now: datetime) -> timedelta:
    """How long the channel still shows everything not yet read; negative once some is lost."""
    return _known_until(pulse) + timedelta(days=pace.order_horizon_days) - now


def lost_stretch(
    read_at: datetime, *, page_at: datetime | None, horizon_days: float, now: datetime
) -> tuple[datetime, datetime] | None:
    """From when to when the channel shows our missing orders no more; None where nothing is lost.

    A pass that goes on was judged when it began: only one left alone for long is judged anew.
    """
    oldest_shown = now - timedelta(days=horizon_days)
    if read_at >= oldest_shown:
        return None
    if page_at is not None and not _is_over(page_at, NOT_READ_SECONDS, now):
        return None
    return read_at, oldest_shown


def _known_until(pulse: Pulse) -> datetime:
    return pulse.read_at or pulse.first_connected_at


def _judge_reading(
    found: dict[SilenceKind, Silence], pulse: Pulse, pace: Pace, now: datetime
) -> None:
    since = max(_known_until(pulse), pulse.page_at or pulse.first_connected_at)
    limit = max(NOT_READ_SECONDS, NOT_READ_PERIODS * pace.poll_seconds)
    if not _is_over(since, limit, now):
        return
    reason = "no poll of orders has succeeded since"
    found[SilenceKind.NOT_READ] = Silence(since=since, reason=reason)
    left = history_left(pulse, pace, now=now)
    if left < timedelta(days=pace.order_horizon_days * (1 - HISTORY_ENDS_SHARE)):
        found[SilenceKind.HISTORY_ENDS] = Silence(since=since, reason=_left_in_words(left))


def _left_in_words(left: timedelta) -> str:
    if left <= timedelta(0):
        return "the channel no longer shows all that was missed: some of it is lost for good"
    hours = int(left.total_seconds() // 3600)
    return f"in {hours // 24} days {hours % 24} hours the channel begins to show less than we miss"


def _judge_orders(
    found: dict[SilenceKind, Silence], pulse: Pulse, pace: Pace, now: datetime
) -> None:
    since = pulse.last_order_at or pulse.first_connected_at
    hours = pace.silence_hours
    if hours is not None and _is_over(since, hours * 3600, now):
        reason = f"no order for more than {hours:g} hours, which silence_hours says is odd"
        found[SilenceKind.NO_ORDERS] = Silence(since=since, reason=reason)
    first = pulse.unannounced[0] if pulse.unannounced else now
    is_many = len(pulse.unannounced) >= UNANNOUNCED_ORDERS
    if is_many and _is_over(first, UNANNOUNCED_SECONDS, now):
        reason = "polls find new orders, and the channel has announced none of them since"
        found[SilenceKind.UNANNOUNCED] = Silence(since=first, reason=reason)


def _judge_sweep(
    found: dict[SilenceKind, Silence], pulse: Pulse, pace: Pace, now: datetime
) -> None:
    since = max(_signs_of_sweep(pulse, pace, now))
    limit = max(NOT_RECONCILED_SECONDS, NOT_RECONCILED_PERIODS * pace.reconcile_seconds)
    if _is_over(since, limit, now):
        reason = "the channel's orders have not been compared with ours since"
        found[SilenceKind.NOT_RECONCILED] = Silence(since=since, reason=reason)


def _signs_of_sweep(pulse: Pulse, pace: Pace, now: datetime) -> Iterator[datetime]:
    """When the sweep was last busy; one put off counts from a period before it is due."""
    yield pulse.swept_at or pulse.first_connected_at
    began = pulse.sweep_began_at
    if began is not None and not _is_over(began, SWEEP_SECONDS_MAX, now):
        yield pulse.sweep_page_at or began
    if pulse.sweep_due_at is not None:
        yield pulse.sweep_due_at - timedelta(seconds=pace.reconcile_seconds)


def _judge_write_backs(found: dict[SilenceKind, Silence], pulse: Pulse, now: datetime) -> None:
    for since, limit, reason in (
        (pulse.undecided_since, UNDECIDED_SECONDS, "the channel has not decided since"),
        (pulse.unwritten_since, NOT_WRITTEN_BACK_SECONDS, "the channel has shown none of it since"),
    ):
        if since is not None and _is_over(since, limit, now):
            words = f"a cancellation, refund, hold or correction was asked for, and {reason}"
            found[SilenceKind.NOT_WRITTEN_BACK] = Silence(since=since, reason=words)


def _is_over(since: datetime, seconds: float, now: datetime) -> bool:
    return now - since > timedelta(seconds=seconds)


def _judge_overdue(found: dict[SilenceKind, Silence], pulse: Pulse, pace: Pace) -> None:
    """Alarms about orders: a pulse names only those whose time is up."""
    if pace.reads_orders and (late := pulse.unshipped) is not None:
        since = late.since - timedelta(seconds=NOT_SHIPPED_AHEAD_SECONDS)
        reason = (
            f"{_many(late.count, 'order')} to ship within {NOT_SHIPPED_AHEAD_SECONDS / 3600:g} "
            f"hours or late already, the first by {late.since:%Y-%m-%d %H:%M} UTC"
        )
        found[SilenceKind.NOT_SHIPPED] = Silence(since=since, reason=reason)
    if pace.reads_orders and (late := pulse.unpaid) is not None:
        reason = (
            f"{_many(late.count, 'order')} unpaid for more than {NOT_PAID_SECONDS / 86_400:g} days "
            f"hold {_many(late.units, 'unit')}: orders cancel --reason gives them back"
        )
        found[SilenceKind.NOT_PAID] = Silence(since=late.since, reason=reason)
    untold = _overdue(pulse, SilenceKind.NOT_TOLD)
    if pace.pushes_tracking and untold:
        refused = pulse.refused.count if pulse.refused else 0
        reason = (
            f"{_many(sum(one.count for one in untold), 'shipment')} the channel does not show, "
            f"{refused} of them refused: the buyer waits for news, the channel for the goods"
        )
        since = min(one.since for one in untold)
        found[SilenceKind.NOT_TOLD] = Silence(since=since, reason=reason)


def _overdue(pulse: Pulse, kind: SilenceKind) -> list[Overdue]:
    kept = {
        SilenceKind.NOT_SHIPPED: (pulse.unshipped,),
        SilenceKind.NOT_TOLD: (pulse.untold, pulse.refused),
        SilenceKind.NOT_PAID: (pulse.unpaid,),
    }
    return [one for one in kept[kind] if one is not None]


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


_PATIENCE: Final[Mapping[SilenceKind, float]] = {
    SilenceKind.NOT_SHIPPED: -NOT_SHIPPED_AHEAD_SECONDS,
    SilenceKind.NOT_TOLD: NOT_TOLD_SECONDS,
    SilenceKind.NOT_PAID: NOT_PAID_SECONDS,
}
#: the silences that count orders or shipments
OVERDUE_KINDS: Final = tuple(_PATIENCE)
