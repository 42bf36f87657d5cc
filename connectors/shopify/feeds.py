"""How far the feeds of orders are read, and what of them the hub is known to have stored. Pure.

A pass goes through up to three lists: the orders themselves, then those whose work changed, then
those whose goods come back: neither of these moves the time of the order.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from oms_sync import sdk
from oms_sync.sdk.strict_json import moment, read_json

#: the shop ends every list after 25,000 objects; a longer one is taken up anew by time
LISTED_MAX: Final = 20_000
#: orders of the overlap that are known to be stored as they are now, and need no second reading
STORED_MAX: Final = 10_000
#: orders with returns whose status is remembered: read anew at every sweep where it is forgotten
RETURNED_MAX: Final = 100_000
#: the shop's times are whole seconds: what was read this much later contains all of its second
SETTLED_AFTER: Final = timedelta(seconds=2)
ORDERS: Final = ""
WORK: Final = "work"
RETURNS: Final = "returns"
END: Final = "end"
#: the lists of each feed that has several, in the order of their reading
LISTS: Final[Mapping[sdk.OrderFeed, tuple[str, ...]]] = {
    sdk.OrderFeed.CHANGES: (ORDERS, WORK),
    sdk.OrderFeed.SWEEP: (ORDERS, WORK, RETURNS, END),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a feed is read; all times are texts in the channel's clock."""

    #: every order, and the orders of all work, changed up to here were read by a complete pass
    watermark: str | None = None
    work: str | None = None
    #: the list being read: its lower edge, the place in it, the newest seen, where it ends
    phase: str = ORDERS
    start: str | None = None
    after: str | None = None
    newest: str | None = None
    until: str | None = None
    listed: int = 0

    @property
    def is_done(self) -> bool:
        """True between two passes."""
        return self.start is None and self.phase == ORDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An order as it was handed out."""

    #: as the list of orders said; None where the second of the change was not over yet
    changed_at: datetime | None
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one turn at one list gave."""

    place: Cursor
    orders: tuple[sdk.RawOrder, ...] = ()
    kept: Mapping[str, Kept]


class StoredOrders:
    """Orders of a feed that the hub has stored as they are now.

    The overlap lists every recent order again at each pass; only what changed is worth its cost.
    That a page is stored is known when its cursor comes back; whoever asks for anything else is
    told everything.
    """

    def __init__(self) -> None:
        self._known: dict[str, Kept] = {}
        self._cursor: str | None = None
        self._unproved: Mapping[str, Kept] = {}

    def prove(self, cursor: str | None) -> None:
        """The hub reads on from `cursor`, so it has stored what came with it."""
        if cursor is None or cursor != self._cursor:
            self._known.clear()
        else:
            for order_id, kept in self._unproved.items():
                self._known.pop(order_id, None)
                self._known[order_id] = kept
        while len(self._known) > STORED_MAX:
            del self._known[next(iter(self._known))]
        self._cursor, self._unproved = cursor, {}

    def hand_out(self, cursor: str, orders: Mapping[str, Kept]) -> None:
        """The hub is given these orders together with `cursor`.

        A cursor that did not move cannot prove that they are stored.
        """
        self._unproved = orders if cursor != self._cursor else {}
        self._cursor = cursor

    def without_known(self, listed: Mapping[str, datetime]) -> dict[str, datetime]:
        """Those of the listed orders that are not known as listed."""
        return {one: at for one, at in listed.items() if self._changed_at(one) != at}

    def unread(self, changed: Mapping[str, datetime], fresh: Mapping[str, Kept]) -> list[str]:
        """Those whose work changed after they were last read; `fresh` ones were read just now."""
        kept = {one: fresh.get(one) or self._known.get(one) for one in changed}
        return [
            one
            for one, at in changed.items()
            if (known := kept[one]) is None or known.read_at < at + SETTLED_AFTER
        ]

    def _changed_at(self, order_id: str) -> datetime | None:
        kept = self._known.get(order_id)
        return kept.changed_at if kept else None


class ReturnStatuses:
    """What the list of returns said of each order the hub has stored since; for all sweeps."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._cursor: str | None = None
        self._unproved: Mapping[str, str] = {}

    def prove(self, cursor: str | None) -> None:
        """The hub reads on from `cursor`, so it has stored what came with it."""
        if cursor is not None and cursor == self._cursor:
            self._known |= self._unproved
        while len(self._known) > RETURNED_MAX:
            del self._known[next(iter(self._known))]
        self._unproved = {}

    def hand_out(self, cursor: str, statuses: Mapping[str, str]) -> None:
        """The hub is given the orders of these statuses together with `cursor`."""
        self._cursor, self._unproved = cursor, statuses

    def of(self, order_id: str) -> str | None:
        """The status the order was last stored with."""
        return self._known.get(order_id)


def advance(place: Cursor, connection: Mapping[str, Any], field: str, at: datetime) -> Cursor:
    """The place after this page of the list; without a start where the list has ended."""
    nodes, page = connection["nodes"], connection["pageInfo"]
    until = place.until or stamp(at)
    newest = max((each[field] for each in nodes), key=moment, default=place.newest)
    if place.newest and newest and moment(place.newest) > moment(newest):
        newest = place.newest
    is_past = bool(nodes) and moment(nodes[-1][field]) > moment(until)
    if not page["hasNextPage"] or is_past:
        return _finished(place, newest)
    place = replace(place, newest=newest, until=until)
    if page["endCursor"] in (None, place.after):
        return take_up(place, newest, "the shop's list of orders goes round in circles")
    listed = place.listed + len(nodes)
    if listed >= LISTED_MAX:
        return take_up(place, newest, f"{LISTED_MAX} orders share one time")
    return replace(place, after=page["endCursor"], listed=listed)


def _finished(place: Cursor, newest: str | None) -> Cursor:
    done = Cursor(watermark=place.watermark, work=place.work, phase=place.phase)
    if place.phase == ORDERS:
        return replace(done, watermark=_later(place.watermark, newest))
    return replace(done, work=_later(place.work, newest)) if place.phase == WORK else done


def _later(mark: str | None, newest: str | None) -> str | None:
    return newest if newest and (mark is None or moment(newest) > moment(mark)) else mark


def next_list(feed: sdk.OrderFeed, place: Cursor, at: datetime | None = None) -> Cursor:
    """The beginning of the list that follows in the pass, or of the next pass.

    `at` is the shop's time, which the list of work ends just before.
    """
    lists = LISTS.get(feed, (ORDERS,))
    following = lists.index(place.phase) + 1
    phase = lists[following] if following < len(lists) else ORDERS
    # What changes in this very second is left to the next pass, which reads it whole.
    until = stamp(at - SETTLED_AFTER) if phase == WORK and at else None
    return Cursor(watermark=place.watermark, work=place.work, phase=phase, until=until)


def take_up(place: Cursor, newest: str | None, reason: str) -> Cursor:
    """Go on by time from the newest seen; lists are sorted, so everything before it was read."""
    if newest is None or newest == place.start:
        raise sdk.ChannelDown(f"reading orders from {place.start} on gets nowhere: {reason}")
    return replace(place, start=newest, after=None, listed=0)


def newest_of(nodes: Iterable[Mapping[str, Any]]) -> datetime | None:
    """The newest `updatedAt` of some records."""
    return max((moment(each["updatedAt"]) for each in nodes), default=None)


def ceiling(instant: datetime) -> datetime:
    """The first whole second not before `instant`."""
    return instant if instant.microsecond == 0 else instant + timedelta(seconds=1)


def stamp(instant: datetime) -> str:
    """A time as the shop writes it: cut off to the second, never rounded up."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_cursor(cursor: str | None) -> Cursor:
    """The place a cursor text stands for."""
    if cursor is None:
        return Cursor()
    try:
        return Cursor(**read_json(cursor.encode()))
    except TypeError as error:
        raise sdk.BadPayload(f"this is no cursor of ours: {cursor[:200]!r}") from error


def write_cursor(place: Cursor) -> str:
    """The cursor text of a place."""
    return json.dumps({name: value for name, value in asdict(place).items() if value})
