"""Reading orders: which ones a feed names, and each one whole.

A page of a feed lists ids; the orders themselves are then read by id, as for a single re-read. The
cursor says how far; its watermark moves only when a pass is complete, and is never rounded up.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.shopify import feeds
from connectors.shopify.client import Answer, Client
from connectors.shopify.faults import CostTooHigh
from connectors.shopify.feeds import Cursor, Kept, Step
from connectors.shopify.ids import number
from connectors.shopify.nested import More
from connectors.shopify.parse import missing_units
from oms_sync import sdk
from oms_sync.sdk.answers import understood
from oms_sync.sdk.strict_json import moment

PAGE_ORDERS: Final = 50
CHUNK_ORDERS: Final = 10
#: how far before a sweep the orders were placed whose returns it looks at
RETURNS_BACK: Final = timedelta(days=90)
_ID_DIGITS_MAX: Final = 20
#: nothing more is done with the goods; any other status may stand for several returns at once
_DEALT_WITH: Final = frozenset({"RETURNED", "RETURN_FAILED"})
#: how long after its last change an order may lack work that the shop is still to show
ROUTING_SECONDS: Final = 60.0
_BULK: Final = sdk.Priority.BULK
#: feed → document, time it is sorted by, filter, priority
_FEEDS: Final = {
    sdk.OrderFeed.CHANGES: ("OrdersByChange", "updated_at", "", sdk.Priority.READ),
    sdk.OrderFeed.SWEEP: ("OrdersByChange", "updated_at", "", _BULK),
    sdk.OrderFeed.HISTORY: ("OrdersByAge", "created_at", "", _BULK),
    sdk.OrderFeed.OPEN: ("OrdersByAge", "created_at", "status:open ", _BULK),
}
_FIELDS: Final = {"updated_at": "updatedAt", "created_at": "createdAt"}
#: what is learnt late while a list that adds to the orders cannot be read
LOSSES: Final = {
    "WorkByChange": "holds and moves are learnt only when their order changes otherwise",
    "OrdersWithReturns": "what is done with returned goods is learnt by webhooks only",
}
#: a list that only adds to what the orders say may fail so without keeping the orders waiting
_DISPENSABLE: Final = (sdk.ChannelDown, sdk.FixData, sdk.PermissionMissing, sdk.Bug)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One order as it was read: what is handed out, and the record itself."""

    raw: sdk.RawOrder
    order: Mapping[str, Any] | None
    #: read whole, and all its units have a place: reading it again would say the same
    is_final: bool = False


class OrderReader:
    """Reads feeds and single orders through a client."""

    def __init__(
        self,
        client: Client,
        places: Callable[[], Iterable[str]],
        *,
        api_version: str,
        overlap_seconds: float,
    ) -> None:
        self._client, self._places, self._api_version = client, places, api_version
        self._overlap = timedelta(seconds=overlap_seconds)
        self._stored = {feed: feeds.StoredOrders() for feed in sdk.OrderFeed}
        self._returned = feeds.ReturnStatuses()
        #: by document: why a list that adds to the orders could not be read the last time
        self.troubles: dict[str, str] = {}

    def page(self, feed: sdk.OrderFeed, cursor: str | None, since: datetime) -> sdk.OrderPage:
        """The next page of `feed`."""
        stored = self._stored[feed]
        stored.prove(cursor)
        place = feeds.read_cursor(cursor)
        if place.phase in (feeds.RETURNS, feeds.END):
            self._returned.prove(cursor)
            return self._returns_page(feed, place, since)
        step = Step(place=place, kept={})
        if place.phase == feeds.ORDERS:
            step = self._changed_orders(feed, place, since)
        if step.place.phase == feeds.WORK:
            step = self._changed_work(feed, step, since)
        following = feeds.write_cursor(step.place)
        stored.hand_out(following, step.kept)
        return sdk.OrderPage(orders=step.orders, cursor=following, is_last=step.place.is_done)

    def placed(self, since: datetime, until: datetime, cursor: str | None) -> sdk.OrderPage:
        """The next page of all orders placed in [since, until); one may come twice."""
        place = feeds.read_cursor(cursor)
        if place.start is None:
            # The shop's times are whole seconds: an edge between two of them belongs to the later.
            edges = feeds.stamp(feeds.ceiling(since)), feeds.stamp(feeds.ceiling(until))
            place = Cursor(start=edges[0], until=edges[1])
        search = f"created_at:>='{place.start}' created_at:<'{place.until}'"
        answer = self._ask("OrdersByAge", search, place, _BULK)
        if isinstance(answer, Cursor):
            return sdk.OrderPage(orders=(), cursor=feeds.write_cursor(answer), is_last=False)
        listed = answer.fields["orders"]
        orders = self._read([number(each["id"]) for each in listed["nodes"]], _BULK)
        following = feeds.advance(place, listed, "createdAt", answer.at)
        return sdk.OrderPage(
            orders=tuple(one.raw for one in orders),
            cursor=feeds.write_cursor(following),
            is_last=following.start is None,
        )

    def by_id(self, channel_order_ids: Sequence[str]) -> tuple[sdk.RawOrder, ...]:
        """The orders as they are now; unknown ids are gone."""
        whole = self._read(list(channel_order_ids), sdk.Priority.READ)
        return tuple(one.raw for one in whole)

    # --- the lists of a pass ---------------------------------------------------------------------

    def _changed_orders(self, feed: sdk.OrderFeed, place: Cursor, since: datetime) -> Step:
        document, sorted_by, filters, priority = _FEEDS[feed]
        if place.start is None:
            place = replace(place, start=self._first_edge(feed, place.watermark, since))
        search = f"{filters}{sorted_by}:>='{place.start}'"
        answer = self._ask(document, search, place, priority)
        if isinstance(answer, Cursor):
            return Step(place=answer, kept={})
        listed = answer.fields["orders"]
        named = {number(each["id"]): moment(each["updatedAt"]) for each in listed["nodes"]}
        if feed is sdk.OrderFeed.CHANGES:
            named = self._stored[feed].without_known(named)
        whole = self._read(list(named), priority)
        place = feeds.advance(place, listed, _FIELDS[sorted_by], answer.at)
        if place.start is None:
            place = feeds.next_list(feed, place, answer.at)
        kept = _as_listed(whole, named, answer.at) if feed in feeds.LISTS else {}
        return Step(place=place, orders=tuple(one.raw for one in whole), kept=kept)

    def _changed_work(self, feed: sdk.OrderFeed, step: Step, since: datetime) -> Step:
        """The orders whose fulfilment orders changed, besides those of `step`.

        Holds, moves and splits change those, and need not change the time of the order. Where this
        fails, the orders of `step` are handed out first; the next turn meets the failure again.
        """
        try:
            with understood("the shop"):
                return self._work_page(feed, step, since)
        except sdk.ChannelError as error:
            if step.orders:
                return step
            self._do_without("WorkByChange", error)
            return replace(step, place=feeds.next_list(feed, step.place))

    def _work_page(self, feed: sdk.OrderFeed, step: Step, since: datetime) -> Step:
        place, priority = step.place, _FEEDS[feed][-1]
        if place.start is None:
            edge = self._first_edge(feed, place.work or place.watermark, since)
            place = replace(place, start=edge)
        search = f"updated_at:>='{place.start}' updated_at:<'{place.until}'"
        answer = self._ask("WorkByChange", search, place, priority)
        if isinstance(answer, Cursor):
            return replace(step, place=answer)
        listed = answer.fields["fulfillmentOrders"]
        changed: dict[str, datetime] = {}
        for each in listed["nodes"]:
            order_id, at = number(each["orderId"]), moment(each["updatedAt"])
            changed[order_id] = max(at, changed.get(order_id, at))
        unread = self._stored[feed].unread(changed, step.kept)
        whole = [one for one in self._read(unread, priority) if not one.raw.is_gone]
        place = feeds.advance(place, listed, "updatedAt", answer.at)
        if place.start is None:
            place = feeds.next_list(feed, place)
        kept = {**step.kept, **_with_work(whole, changed, answer.at)}
        self.troubles.pop("WorkByChange", None)
        return Step(place=place, orders=(*step.orders, *(one.raw for one in whole)), kept=kept)

    def _returns_page(self, feed: sdk.OrderFeed, place: Cursor, since: datetime) -> sdk.OrderPage:
        """Orders whose goods come back: no time of the order tells of what is done with them.

        One with a return not dealt with is read at every sweep, another when its status changed.
        """
        if place.phase == feeds.END:  # asked for only when all that came before is stored
            done = feeds.write_cursor(feeds.next_list(feed, place))
            return sdk.OrderPage(orders=(), cursor=done, is_last=True)
        try:
            with understood("the shop"):
                return self._returned_orders(feed, place, since)
        except sdk.ChannelError as error:
            self._do_without("OrdersWithReturns", error)
            skipped = feeds.write_cursor(feeds.next_list(feed, place))
            return sdk.OrderPage(orders=(), cursor=skipped, is_last=False)

    def _returned_orders(
        self, feed: sdk.OrderFeed, place: Cursor, since: datetime
    ) -> sdk.OrderPage:
        if place.start is None:
            place = replace(place, start=feeds.stamp(since - RETURNS_BACK))
        search = f"-return_status:no_return created_at:>='{place.start}'"
        answer = self._ask("OrdersWithReturns", search, place, _BULK)
        if isinstance(answer, Cursor):
            taken_up = feeds.write_cursor(answer)
            return sdk.OrderPage(orders=(), cursor=taken_up, is_last=False)
        listed = answer.fields["orders"]
        statuses = {number(each["id"]): each["returnStatus"] for each in listed["nodes"]}
        changed = [
            one
            for one, status in statuses.items()
            if status not in _DEALT_WITH or self._returned.of(one) != status
        ]
        whole = [one for one in self._read(changed, _BULK) if not one.raw.is_gone]
        place = feeds.advance(place, listed, "createdAt", answer.at)
        if place.start is None:
            place = feeds.next_list(feed, place)
        following = feeds.write_cursor(place)
        read = [one.raw.channel_order_id for one in whole if one.is_final]
        self._returned.hand_out(following, {one: statuses[one] for one in read})
        self.troubles.pop("OrdersWithReturns", None)
        return sdk.OrderPage(
            orders=tuple(one.raw for one in whole), cursor=following, is_last=False
        )

    def _ask(
        self, document: str, search: str, place: Cursor, priority: sdk.Priority
    ) -> Answer | Cursor:
        """The shop's answer, or where to take the list up by time when its place has expired."""
        query = {"query": search, "after": place.after}
        try:
            return self._client.run_sized(document, query, PAGE_ORDERS, priority=priority)
        except (sdk.BadPayload, CostTooHigh):
            raise
        except sdk.Bug as error:
            if place.after is None:
                raise
            return feeds.take_up(place, place.newest, str(error))

    def _do_without(self, document: str, error: sdk.ChannelError) -> None:
        """Note why a list that adds to the orders is left out; raise what concerns all of them."""
        if not isinstance(error, _DISPENSABLE):
            raise error
        self.troubles[document] = str(error)[:300]

    def _first_edge(self, feed: sdk.OrderFeed, mark: str | None, since: datetime) -> str:
        if feed is sdk.OrderFeed.CHANGES and mark is not None:
            return feeds.stamp(datetime.fromisoformat(mark) - self._overlap)
        return feeds.stamp(since)

    # --- whole orders ----------------------------------------------------------------------------

    def _read(self, ids: Sequence[str], priority: sdk.Priority) -> list[Whole]:
        found: dict[str, dict[str, Any]] = {}
        waiting = [one for one in dict.fromkeys(ids) if _is_id(one)]
        while waiting:  # each turn takes ids away, or halves the size, which ends at one
            size = self._client.size("Orders", CHUNK_ORDERS)
            gids = [f"gid://shopify/Order/{one}" for one in waiting[:size]]
            try:
                answer = self._client.run("Orders", {"ids": gids}, priority=priority)
            except CostTooHigh:
                self._client.halve("Orders", len(gids))
                continue
            for at, node in enumerate(answer.fields["nodes"]):
                if isinstance(node, dict) and "id" in node:
                    added = {"withheld": _withheld(answer, at), "read_at": answer.at}
                    found[number(node["id"])] = node | added
            waiting = waiting[size:]
        return [self._raw(one, found.get(one), priority) for one in ids]

    def _raw(self, order_id: str, order: dict[str, Any] | None, priority: sdk.Priority) -> Whole:
        if order is None:
            gone = sdk.RawOrder(channel_order_id=order_id, payload=b"", is_gone=True)
            return Whole(raw=gone, order=None)
        withheld, read_at = order.pop("withheld"), order.pop("read_at")
        try:
            is_complete = self._complete(order, priority)
        except (sdk.Bug, sdk.FixData):
            # The rest of this one order cannot be had; it must not keep the others waiting.
            is_complete = False
        age = (read_at - moment(order["updatedAt"])).total_seconds()
        places = frozenset(self._places())
        is_routing = age < ROUTING_SECONDS and bool(missing_units(order, places))
        envelope = {"api_version": self._api_version, "is_complete": is_complete}
        envelope |= {"places": sorted(places), "withheld": withheld, "is_routing": is_routing}
        envelope |= {"order": order}
        payload = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
        raw = sdk.RawOrder(channel_order_id=order_id, payload=payload.encode())
        return Whole(raw=raw, order=order, is_final=is_complete and not is_routing)

    def _complete(self, order: dict[str, Any], priority: sdk.Priority) -> bool:
        more = More(self._client, priority)
        whole = more.list(order, "refunds", "AllRefunds")
        whole &= more.list(order, "fulfillments", "AllDispatches")
        whole &= more.returns(order)
        whole &= more.pages(order, "lineItems", "MoreLines")
        whole &= more.pages(order, "fulfillmentOrders", "MoreWork")
        works = order["fulfillmentOrders"]["nodes"]
        for owners, field, document in (
            (order["refunds"], "refundLineItems", "MoreRefundLines"),
            (order["fulfillments"], "fulfillmentLineItems", "MoreDispatchLines"),
            (works, "lineItems", "MoreWorkLines"),
        ):
            for owner in owners:
                whole &= more.pages(owner, field, document)
        return whole


def _as_listed(
    orders: Iterable[Whole], listed: Mapping[str, datetime], at: datetime
) -> dict[str, Kept]:
    """Those that were read whole, and as new as the list said: a read may be behind the list."""
    found: dict[str, Kept] = {}
    for one in orders:
        order_id = one.raw.channel_order_id
        if one.order is None or not one.is_final:
            continue
        changed_at = moment(one.order["updatedAt"])
        if changed_at == listed[order_id]:
            is_settled = changed_at <= at - feeds.SETTLED_AFTER
            found[order_id] = Kept(changed_at=changed_at if is_settled else None, read_at=at)
    return found


def _with_work(
    orders: Iterable[Whole], changed: Mapping[str, datetime], at: datetime
) -> dict[str, Kept]:
    """Those that were read whole, with their work as new as the list of work said."""
    found: dict[str, Kept] = {}
    for one in orders:
        if one.order is None or not one.is_final:
            continue
        newest = feeds.newest_of(one.order["fulfillmentOrders"]["nodes"])
        if newest is not None and newest >= changed[one.raw.channel_order_id]:
            changed_at = moment(one.order["updatedAt"])
            is_settled = changed_at <= at - feeds.SETTLED_AFTER
            kept = Kept(changed_at=changed_at if is_settled else None, read_at=at)
            found[one.raw.channel_order_id] = kept
    return found


def _withheld(answer: Answer, at: int) -> list[str]:
    """The fields of the order at this place of the answer that no permission shows."""
    lead = f"nodes.{at}."
    paths = (path.removeprefix(lead) for path in answer.withheld if path.startswith(lead))
    return sorted({path.partition(".")[0] for path in paths})


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS_MAX
