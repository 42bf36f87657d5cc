"""Whether an order a channel lists is here, and the same: what differs, what excuses it.

Pure. Reading the list is `flows/reconcile_orders.py`; what a day of it proves is `certificate.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from oms_sync.domain.merge import merge
from oms_sync.domain.order import KnownOrder, LineCounts, line_counts, order_state
from oms_sync.domain.values import Money


class DifferenceKind(StrEnum):
    """What of an order is not the same at both ends."""

    MISSING = "missing"
    EXTRA = "extra"
    STATE = "state"
    LINES = "lines"
    QUANTITY = "quantity"
    AMOUNT = "amount"
    TRACKING = "tracking"
    #: the channel lists it in a form nobody could read
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same at both ends, in words a person can compare."""

    kind: DifferenceKind
    ours: str = ""
    theirs: str = ""
    #: the channel's id of the line, empty where it is about the order
    line: str = ""


class Standing(StrEnum):
    """What became of one order of the list."""

    IN_HUB = "in_hub"
    #: in the hub; the newest change of the channel is so fresh that it may be on its way
    BEHIND = "behind"
    #: kept as a dead letter, with its bytes and the reason
    QUARANTINED = "quarantined"
    #: an operator dropped it, with a reason
    IGNORED = "ignored"
    #: in the hub, and the channel shows something else
    DIFFERENT = "different"
    MISSING = "missing"
    #: in the hub, and not in the channel's list
    EXTRA = "extra"
    #: in the hub, not in the list, and the hub knows that the channel took it away
    GONE = "gone"


#: what stands for a received order, and what keeps a certificate from being issued
RECEIVED: Final = (Standing.IN_HUB, Standing.BEHIND, Standing.QUARANTINED, Standing.IGNORED)
FAULTS: Final = (Standing.MISSING, Standing.DIFFERENT, Standing.EXTRA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Orders placed in [since, until); `day` where that is one UTC day, from its beginning."""

    since: datetime
    until: datetime
    day: date | None = None

    @property
    def is_over(self) -> bool:
        """True for a whole day, False for what of a day was over when it was looked at."""
        return self.day is not None and self.until == window_of_day(self.day).until

    def __contains__(self, instant: datetime) -> bool:
        return self.since <= instant < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """An order as the hub has it."""

    order_id: str
    known: KnownOrder
    #: units shipped here, by channel line id
    shipped_here: Mapping[str, int] = field(default_factory=dict)
    #: units of dispatches the channel confirmed a while ago, by channel line id
    told: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A message about an order that was not worked off for good."""

    is_dead: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOrder:
    """One order of a list, judged."""

    channel_order_id: str
    standing: Standing
    order_id: str | None = None
    reason: str = ""
    differences: tuple[Difference, ...] = ()


def window_of_day(day: date) -> Window:
    """The UTC day, whatever the clocks of the place do on it."""
    since = datetime.combine(day, time(0), UTC)
    return Window(since=since, until=since + timedelta(days=1), day=day)


def window_until(day: date, until: datetime) -> Window:
    """What of the UTC day was over at `until`."""
    whole = window_of_day(day)
    return replace(whole, until=min(whole.until, max(whole.since, until)))


def windows_since(since: datetime, until: datetime) -> tuple[Window, ...]:
    """[since, until) cut at UTC midnights; whole days carry their date."""
    windows: list[Window] = []
    start = since
    while start < until:
        whole = window_of_day(start.astimezone(UTC).date())
        is_whole = start == whole.since and whole.until <= until
        part = Window(since=start, until=min(whole.until, until))
        windows.append(whole if is_whole else part)
        start = whole.until
    return tuple(windows)


def differences(ours: Ours, shown: KnownOrder) -> tuple[Difference, ...]:
    """What the channel shows that the hub does not know; what is older than ours is none."""
    known = ours.known
    after = merge(known, replace(shown, ref=known.ref))
    before_counts, after_counts = _counts(known, ours), _counts(after, ours)
    found = [
        *_lines(before_counts, after_counts, known, after),
        *_quantities(before_counts, after_counts),
        *_state(known, after, before_counts, after_counts),
        *_amounts(known, after),
        *_tracking(ours, shown),
    ]
    return tuple(sorted(found, key=lambda one: (one.kind, one.line)))


def judge(
    channel_order_id: str,
    *,
    ours: Ours | None,
    shown: KnownOrder | None,
    kept: Kept | None,
    fresh_since: datetime,
) -> ListedOrder:
    """What became of an order the channel lists; `shown` is None where it could not be read.

    A change of the channel's from `fresh_since` on may still be on its way.
    """
    if ours is None:
        found: tuple[Difference, ...] = (Difference(kind=DifferenceKind.MISSING, theirs="listed"),)
        fault = Standing.MISSING
    elif shown is None:
        found, fault = (Difference(kind=DifferenceKind.UNREADABLE),), Standing.DIFFERENT
    else:
        found, fault = differences(ours, shown), Standing.DIFFERENT
    standing, reason = _standing(ours, shown, found, kept, fresh_since)
    return ListedOrder(
        channel_order_id=channel_order_id,
        standing=standing or fault,
        order_id=ours.order_id if ours else None,
        reason=reason,
        differences=found,
    )


def _standing(
    ours: Ours | None,
    shown: KnownOrder | None,
    found: Sequence[Difference],
    kept: Kept | None,
    fresh_since: datetime,
) -> tuple[Standing | None, str]:
    """What excuses an order, and why; None where nothing does."""
    blocking = [one for one in found if one.kind is not DifferenceKind.TRACKING]
    if ours is not None and not blocking:
        return Standing.IN_HUB, ""
    if ours is not None and shown is not None and _is_fresh(ours.known, shown, fresh_since):
        return Standing.BEHIND, ""
    if kept is not None:
        return (Standing.QUARANTINED if kept.is_dead else Standing.IGNORED), kept.reason
    return None, ""


def _is_fresh(known: KnownOrder, shown: KnownOrder, since: datetime) -> bool:
    return shown.version.at > known.version.at and shown.version.at >= since


def not_listed(ours: Ours, *, is_gone: bool) -> ListedOrder:
    """An order of the window that the channel's list does not have."""
    found = Difference(kind=DifferenceKind.EXTRA, ours=ours.known.facts.channel_status or "here")
    return ListedOrder(
        channel_order_id=ours.known.ref.channel_order_id,
        standing=Standing.GONE if is_gone else Standing.EXTRA,
        order_id=ours.order_id,
        differences=() if is_gone else (found,),
    )


# --- what is compared ----------------------------------------------------------------------------


def _counts(order: KnownOrder, ours: Ours) -> dict[str, LineCounts]:
    return {
        known.line.channel_line_id: line_counts(
            order, known, ours.shipped_here.get(known.line.channel_line_id, 0)
        )
        for known in order.lines
    }


def _lines(
    before: Mapping[str, LineCounts],
    after: Mapping[str, LineCounts],
    known: KnownOrder,
    merged: KnownOrder,
) -> list[Difference]:
    kind = DifferenceKind.LINES
    fresh = [Difference(kind=kind, theirs="listed", line=one) for one in after if one not in before]
    was_gone = {one.line.channel_line_id for one in known.lines if known.has_left(one)}
    is_gone = {one.line.channel_line_id for one in merged.lines if merged.has_left(one)}
    left = [
        Difference(kind=kind, ours="known", line=one)
        for one in sorted(is_gone - was_gone)
        if one in before
    ]
    return [*fresh, *left]


def _quantities(
    before: Mapping[str, LineCounts], after: Mapping[str, LineCounts]
) -> list[Difference]:
    return [
        Difference(
            kind=DifferenceKind.QUANTITY,
            line=line,
            ours=f"{getattr(counts, name)} {name}",
            theirs=f"{getattr(after[line], name)} {name}",
        )
        for line, counts in before.items()
        for name in ("ordered", "cancelled", "shipped", "elsewhere", "returned")
        if getattr(counts, name) != getattr(after[line], name)
    ]


def _state(
    known: KnownOrder,
    after: KnownOrder,
    before_counts: Mapping[str, LineCounts],
    after_counts: Mapping[str, LineCounts],
) -> list[Difference]:
    ours = order_state(known, tuple(before_counts.values()), has_holds=False)
    theirs = order_state(after, tuple(after_counts.values()), has_holds=False)
    if ours is theirs:
        return []
    return [Difference(kind=DifferenceKind.STATE, ours=str(ours), theirs=str(theirs))]


def _amounts(known: KnownOrder, after: KnownOrder) -> list[Difference]:
    kind = DifferenceKind.AMOUNT
    prices = {one.line.channel_line_id: one.line.unit_price for one in known.lines}
    found = [
        Difference(
            kind=kind,
            line=one.line.channel_line_id,
            ours=_money(prices[one.line.channel_line_id]),
            theirs=_money(one.line.unit_price),
        )
        for one in after.lines
        if one.line.channel_line_id in prices
        and prices[one.line.channel_line_id] != one.line.unit_price
    ]
    if known.facts.total != after.facts.total:
        found.append(
            Difference(kind=kind, ours=_money(known.facts.total), theirs=_money(after.facts.total))
        )
    return found


def _tracking(ours: Ours, shown: KnownOrder) -> list[Difference]:
    """Units the channel confirmed as dispatched and now shows as not shipped."""
    return [
        Difference(
            kind=DifferenceKind.TRACKING,
            line=one.line.channel_line_id,
            ours=f"{ours.told[one.line.channel_line_id]} confirmed",
            theirs=f"{one.line.quantity_shipped} shipped",
        )
        for one in shown.lines
        if one.line.quantity_shipped is not None
        and not one.line.is_marked_shipped
        and ours.told.get(one.line.channel_line_id, 0) > one.line.quantity_shipped
    ]


def _money(money: Money | None) -> str:
    return f"{money.text()} {money.currency}" if money else "unknown"
