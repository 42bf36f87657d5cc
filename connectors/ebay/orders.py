"""Reading orders: the pages of a window of time, single orders by id, how far a feed is read.

The window of a pass stays the same while it is paged, and the cursor names the page. What changes
meanwhile leaves the window and shifts the pages behind it: when the list has become shorter, the
reader goes back far enough to miss nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.ebay import parse, render
from connectors.ebay.client import Answer, Client
from connectors.ebay.faults import NO_PAGE_CODES, are_all, refusal
from connectors.ebay.ids import is_order_id
from connectors.ebay.markup import Node, wrap
from connectors.ebay.trading import TradingCall
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment, read_json

CALL: Final = "GetOrders"
#: eBay shows nothing older, not even by id; a minute of it is left for the call itself
OLDEST: Final = timedelta(days=90) - timedelta(minutes=1)
MOD_TIME: Final = "ModTime"
CREATE_TIME: Final = "CreateTime"
SLICES: Final = {MOD_TIME: timedelta(days=30), CREATE_TIME: timedelta(days=90)}
#: a window of more pages is read no further, and said to be broken
PAGES_MAX: Final = 10_000
#: how often one window is gone back in because its list became shorter, until it is halved
TURNS_MAX: Final = 10
_MOMENT: Final = timedelta(seconds=1)
_BULK: Final = sdk.Priority.BULK
_FEEDS: Final = {
    sdk.OrderFeed.CHANGES: (MOD_TIME, sdk.Priority.READ),
    sdk.OrderFeed.OPEN: (CREATE_TIME, _BULK),
    sdk.OrderFeed.HISTORY: (CREATE_TIME, _BULK),
    sdk.OrderFeed.SWEEP: (CREATE_TIME, _BULK),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a feed is read; all times are texts in the channel's clock."""

    #: everything up to here was read by a complete pass
    watermark: str | None = None
    #: the running pass: the window it pages, where the whole pass ends, the page to come
    start: str | None = None
    until: str | None = None
    end: str | None = None
    page: int = 1
    #: how many orders the window held when it was last asked
    total: int = 0
    #: how often the pass went back in this window
    turns: int = 0
    #: a list of several pages is read a second time, for a change moves an order behind the reader
    is_again: bool = False


class OrderReader:
    """Reads feeds and single orders through a client."""

    def __init__(self, client: Client, *, lag_seconds: float, overlap_seconds: float) -> None:
        self._client = client
        self._level: str = client.level
        self._lag = timedelta(seconds=lag_seconds)
        # What became visible late was visible within the lag, so a pass reaches back that far.
        self._overlap = timedelta(seconds=max(overlap_seconds, lag_seconds))
        self.per_page = render.ORDERS_PER_PAGE

    def page(self, feed: sdk.OrderFeed, cursor: str | None, since: datetime) -> sdk.OrderPage:
        """The next page of `feed`."""
        field, priority = _FEEDS[feed]
        place = _read_cursor(cursor)
        if place.start is None:
            place = self._begin(place, feed, since)
        answer = self._read(place, field, priority)
        if answer is None:
            # The list has become shorter than that: it is read once more from its first page.
            window = _window(field, place)
            place = _back(replace(place, until=render.stamp(window.until)), 1, 0)
            return sdk.OrderPage(orders=(), cursor=_write_cursor(place), is_last=False)
        nodes = _orders(answer)
        is_last, following = self._follow(place, answer, field, count=len(nodes))
        if feed is sdk.OrderFeed.OPEN:
            nodes = [order for order in nodes if not parse.is_finished(order)]
        orders = tuple(self._raw(order.text("OrderID") or "", order) for order in nodes)
        return sdk.OrderPage(orders=orders, cursor=_write_cursor(following), is_last=is_last)

    def placed(self, since: datetime, until: datetime, cursor: str | None) -> sdk.OrderPage:
        """The next page of what was placed in [since, until), with nothing left out.

        By creation eBay sorts the last change first: an order changed while later pages are read
        moves to the front, behind the reader. So a list of several pages is read twice.
        """
        place = _read_cursor(cursor)
        if place.start is None:
            now = self._client.now()
            start, end = max(since, now - OLDEST), min(until, now)
            if start >= end:
                return sdk.OrderPage(orders=(), cursor="", is_last=True)
            place = replace(place, start=render.stamp(start), end=render.stamp(end))
        answer = self._read(place, CREATE_TIME, _BULK)
        nodes = _orders(answer) if answer else []
        has_more = answer and _has_more(answer, place.page, self.per_page, len(nodes))
        following = _list_on(place, has_more=bool(has_more))
        orders = tuple(
            self._raw(order.text("OrderID") or "", order)
            for order in nodes
            if since <= parse.placed_at(order) < until
        )
        cursor = _write_cursor(following) if following else ""
        return sdk.OrderPage(orders=orders, cursor=cursor, is_last=following is None)

    def _read(self, place: Cursor, field: str, priority: sdk.Priority) -> Answer | None:
        """One page; None where the list has become too short to have it."""
        body = render.list_orders(_window(field, place), place.page, self.per_page)
        answer = self._client.attempt(TradingCall(name=CALL, body=body), priority=priority)
        if place.page > 1 and are_all(answer.errors, NO_PAGE_CODES):
            return None
        if not answer.is_clean:
            raise refusal(CALL, answer.errors, is_write=False)
        return answer

    def by_id(self, channel_order_ids: Sequence[str]) -> tuple[sdk.RawOrder, ...]:
        """The orders as they are now, each under the id it was asked for by."""
        found = self.nodes(channel_order_ids, sdk.Priority.READ)
        return tuple(
            self._raw(one, found[one])
            if one in found
            else sdk.RawOrder(channel_order_id=one, payload=b"", is_gone=True)
            for one in channel_order_ids
        )

    def one(self, channel_order_id: str) -> Node:
        """An order that is to be written to."""
        found = self.nodes([channel_order_id], sdk.Priority.WRITE)
        if channel_order_id not in found:
            raise sdk.Rejected(f"eBay has no order {channel_order_id}, or it is over 90 days old")
        return found[channel_order_id]

    def nodes(self, order_ids: Sequence[str], priority: sdk.Priority) -> dict[str, Node]:
        """Orders by the id asked for, which eBay may answer with another one."""
        asked = [one for one in dict.fromkeys(order_ids) if is_order_id(one)]
        if not asked:
            return {}
        answered = self._ask(asked, priority)
        found = {one: node for one in asked if (node := _known_as(one, answered)) is not None}
        missing = [one for one in asked if one not in found]
        is_strange = any(node not in found.values() for node in answered)
        for one in missing if is_strange else ():
            # An order came back that names none of the ids: ask for each alone, to tell whose.
            alone = answered if len(asked) == 1 else self._ask([one], priority)
            if len(alone) == 1:
                found[one] = alone[0]
        return found

    def _ask(self, order_ids: Sequence[str], priority: sdk.Priority) -> list[Node]:
        call = TradingCall(name=CALL, body=render.orders_by_id(order_ids))
        return _orders(self._client.run(call, priority=priority))

    def _begin(self, place: Cursor, feed: sdk.OrderFeed, since: datetime) -> Cursor:
        now = self._client.now()
        start = since
        if feed is sdk.OrderFeed.CHANGES and place.watermark is not None:
            start = moment(place.watermark) - self._overlap
        start = max(start, now - OLDEST)
        # Where all is younger than the lag, or our clock went back, the answer tells eBay's time.
        end = max(now - self._lag, start + _MOMENT)
        return replace(place, start=render.stamp(start), end=render.stamp(end))

    def _follow(
        self, place: Cursor, answer: Answer, field: str, *, count: int
    ) -> tuple[bool, Cursor]:
        """Where to go on after a page, and whether the pass is over."""
        window = _window(field, place)
        place = replace(place, until=render.stamp(window.until))
        if place.page == 1:
            # Never beyond what eBay's own clock allows, whatever ours says.
            place = replace(place, end=_earlier(place.end, render.stamp(answer.at - self._lag)))
            if _end(place) <= window.start:  # nothing of it is old enough to be read yet
                return True, Cursor(watermark=place.watermark)
        total = _total(answer)
        lost = place.total - total
        if lost > 0 and place.page > 1:
            back = -(-lost // self.per_page)
            return False, _back(place, max(1, place.page - back), total)
        if _has_more(answer, place.page, self.per_page, count):
            return False, replace(place, page=place.page + 1, total=total)
        if window.until < _end(place):
            done = render.stamp(window.until)
            return False, Cursor(watermark=place.watermark, start=done, end=place.end)
        return True, Cursor(watermark=_later(place.watermark, render.stamp(_end(place))))

    def _raw(self, order_id: str, order: Node) -> sdk.RawOrder:
        payload = wrap(parse.ENVELOPE, {"compatibilityLevel": self._level}, order)
        return sdk.RawOrder(channel_order_id=order_id, payload=payload)


def _has_more(answer: Answer, page: int, per_page: int, count: int) -> bool:
    """Whether another page follows, by what eBay says, else by what it counts."""
    said, is_promised = answer.root.text("HasMoreOrders"), page * per_page < _total(answer)
    if said == "true" or (said is None and is_promised):
        if page >= PAGES_MAX or not (count or is_promised):
            raise sdk.ChannelDown(f"{CALL}: page {page} promises more and never ends")
        return True
    return False


def _list_on(place: Cursor, *, has_more: bool) -> Cursor | None:
    """Where a list goes on after a page; None at its end."""
    until = _window(CREATE_TIME, place).until
    place = replace(place, until=render.stamp(until))
    if has_more:
        return replace(place, page=place.page + 1)
    if place.page > 1 and not place.is_again:
        return replace(place, page=1, is_again=True)
    if until < _end(place):
        return Cursor(start=render.stamp(until), end=place.end)
    return None


def _orders(answer: Answer) -> list[Node]:
    if answer.root.find("OrderArray") is None:
        counted = answer.root.text("ReturnedOrderCountActual")
        if "0" not in (counted, answer.root.text("PaginationResult/TotalNumberOfEntries")):
            # An answer that does not even count its orders: no cursor may pass it.
            raise sdk.ChannelDown(f"{CALL}: eBay answered without orders")
    return answer.root.all("OrderArray/Order")


def _known_as(order_id: str, orders: Sequence[Node]) -> Node | None:
    """The order that goes by `order_id`; an unpaid order of one line goes by its line's id."""
    for order in orders:
        if order_id in parse.order_ids(order):
            return order
    for order in orders:
        if order_id in {parse.line_id(line) for line in order.all(parse.LINES)}:
            return order
    return None


def _back(place: Cursor, page: int, total: int) -> Cursor:
    """The place a page was read at before, to read what slipped there.

    A list that goes on moving is read in halves: one that fits a page cannot move under the reader.
    """
    if place.turns < TURNS_MAX:
        return replace(place, page=page, total=total, turns=place.turns + 1)
    start, until = moment(place.start or ""), moment(place.until or "")
    if until - start <= _MOMENT:
        raise sdk.ChannelDown(f"{CALL}: the list of a closed window never stands still")
    half = render.stamp(start + (until - start) / 2)
    return replace(place, until=half, page=1, total=0, turns=0)


def _window(field: str, place: Cursor) -> render.Window:
    assert place.start is not None, "a running pass knows its window"
    start = moment(place.start)
    if place.until is not None:
        return render.Window(field=field, start=start, until=moment(place.until))
    return render.Window(field=field, start=start, until=min(start + SLICES[field], _end(place)))


def _end(place: Cursor) -> datetime:
    return moment(place.end or "")


def _total(answer: Answer) -> int:
    text = answer.root.text("PaginationResult/TotalNumberOfEntries") or "0"
    if not (text.isascii() and text.isdecimal()):
        raise sdk.BadPayload(f"{CALL}: a number of orders of {text[:40]!r}")
    return int(text)


def _earlier(one: str | None, other: str) -> str:
    return other if one is None else min(one, other, key=moment)


def _later(one: str | None, other: str) -> str:
    return other if one is None else max(one, other, key=moment)


def _read_cursor(cursor: str | None) -> Cursor:
    if cursor is None:
        return Cursor()
    try:
        fields: Mapping[str, Any] = read_json(cursor.encode())
        return Cursor(**fields)
    except TypeError as error:
        raise sdk.BadPayload(f"this is no cursor of ours: {cursor[:200]!r}") from error


def _write_cursor(place: Cursor) -> str:
    return json.dumps({name: value for name, value in asdict(place).items() if value})
