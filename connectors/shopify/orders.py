"""Reading orders: which ones a feed names, each one whole, and how far a feed has been read.

A page of a feed lists ids; the orders themselves are then read by id, as for a single re-read. The
cursor says how far; its watermark moves only when a pass is complete, and is never rounded up.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.shopify.client import Answer, Client
from connectors.shopify.documents import LIST_FIRST, LIST_MAX
from connectors.shopify.faults import CostTooHigh
from connectors.shopify.ids import number
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment, read_json

PAGE_ORDERS: Final = 50
CHUNK_ORDERS: Final = 10
#: pages of one nested list that are fetched before the order counts as not wholly readable
MORE_PAGES_MAX: Final = 20
#: the shop ends every list after 25,000 objects; a longer one is taken up anew by time
LISTED_MAX: Final = 20_000
#: orders of the overlap that are known to be stored as they are now, and need no second reading
STORED_MAX: Final = 10_000
#: the shop's times are whole seconds: what was read this much later contains all of its second
SETTLED_AFTER: Final = timedelta(seconds=2)
_ID_DIGITS_MAX: Final = 20
_NO_RETURN: Final = "NO_RETURN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a feed is read; all times are texts in the channel's clock."""

    #: everything changed up to here was read by a complete pass
    watermark: str | None = None
    #: the running pass: its lower edge, its place in the list, the newest seen, where it ends
    start: str | None = None
    after: str | None = None
    newest: str | None = None
    until: str | None = None
    listed: int = 0


_BULK: Final = sdk.Priority.BULK
#: feed → document, time it is sorted by, filter, priority
_FEEDS: Final = {
    sdk.OrderFeed.CHANGES: ("OrdersByChange", "updated_at", "", sdk.Priority.READ),
    sdk.OrderFeed.SWEEP: ("OrdersByChange", "updated_at", "", _BULK),
    sdk.OrderFeed.HISTORY: ("OrdersByAge", "created_at", "", _BULK),
    sdk.OrderFeed.OPEN: ("OrdersByAge", "created_at", "status:open ", _BULK),
}
_FIELDS: Final = {"updated_at": "updatedAt", "created_at": "createdAt"}


class OrderReader:
    """Reads feeds and single orders through a client."""

    def __init__(self, client: Client, *, api_version: str, overlap_seconds: float) -> None:
        self._client, self._api_version = client, api_version
        self._overlap = timedelta(seconds=overlap_seconds)
        self._stored = StoredOrders()

    def page(self, feed: sdk.OrderFeed, cursor: str | None, since: datetime) -> sdk.OrderPage:
        """The next page of `feed`."""
        document, sorted_by, filters, priority = _FEEDS[feed]
        is_endless = feed is sdk.OrderFeed.CHANGES
        if is_endless:
            self._stored.prove(cursor)
        place = _read_cursor(cursor)
        if place.start is None:
            place = replace(place, start=self._first_edge(feed, place, since))
        query = {"query": f"{filters}{sorted_by}:>='{place.start}'", "after": place.after}
        answer = self._ask(document, query, place, priority)
        if isinstance(answer, Cursor):
            return sdk.OrderPage(orders=(), cursor=_write_cursor(answer), is_last=False)
        listed = answer.fields["orders"]
        named = {number(each["id"]): moment(each["updatedAt"]) for each in listed["nodes"]}
        if is_endless:
            named = self._stored.without_known(named)
        orders = self._read(list(named), priority)
        place = _advance(place, listed, _FIELDS[sorted_by], answer.at)
        is_last, following = place.start is None, _write_cursor(place)
        if is_endless:
            known = {one: at for one, at in named.items() if at <= answer.at - SETTLED_AFTER}
            self._stored.hand_out(following, _as_listed(orders, known))
        return sdk.OrderPage(orders=orders, cursor=following, is_last=is_last)

    def placed(self, since: datetime, until: datetime, cursor: str | None) -> sdk.OrderPage:
        """The next page of all orders placed in [since, until); one may come twice."""
        place = _read_cursor(cursor)
        if place.start is None:
            # The shop's times are whole seconds: an edge between two of them belongs to the later.
            place = Cursor(start=_stamp(_ceiling(since)), until=_stamp(_ceiling(until)))
        search = f"created_at:>='{place.start}' created_at:<'{place.until}'"
        query = {"query": search, "after": place.after}
        answer = self._ask("OrdersByAge", query, place, _BULK)
        if isinstance(answer, Cursor):
            return sdk.OrderPage(orders=(), cursor=_write_cursor(answer), is_last=False)
        listed = answer.fields["orders"]
        orders = self._read([number(each["id"]) for each in listed["nodes"]], _BULK)
        following = _advance(place, listed, "createdAt", answer.at)
        return sdk.OrderPage(
            orders=orders, cursor=_write_cursor(following), is_last=following.start is None
        )

    def by_id(self, channel_order_ids: Sequence[str]) -> tuple[sdk.RawOrder, ...]:
        """The orders as they are now; unknown ids are gone."""
        return self._read(list(channel_order_ids), sdk.Priority.READ)

    def _ask(
        self, document: str, query: Mapping[str, Any], place: Cursor, priority: sdk.Priority
    ) -> Answer | Cursor:
        """The shop's answer, or where to take the list up by time when its place has expired."""
        try:
            return self._client.run_sized(document, query, PAGE_ORDERS, priority=priority)
        except (sdk.BadPayload, CostTooHigh):
            raise
        except sdk.Bug as error:
            if place.after is None:
                raise
            return _take_up(place, place.newest, str(error))

    def _first_edge(self, feed: sdk.OrderFeed, place: Cursor, since: datetime) -> str:
        if feed is sdk.OrderFeed.CHANGES and place.watermark is not None:
            return _stamp(datetime.fromisoformat(place.watermark) - self._overlap)
        return _stamp(since)

    def _read(self, ids: Sequence[str], priority: sdk.Priority) -> tuple[sdk.RawOrder, ...]:
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
            for node in answer.fields["nodes"]:
                if isinstance(node, dict) and "id" in node:
                    found[number(node["id"])] = node
            waiting = waiting[size:]
        return tuple(self._raw(one, found.get(one), priority) for one in ids)

    def _raw(
        self, order_id: str, order: dict[str, Any] | None, priority: sdk.Priority
    ) -> sdk.RawOrder:
        if order is None:
            return sdk.RawOrder(channel_order_id=order_id, payload=b"", is_gone=True)
        try:
            is_complete = self._complete(order, priority)
        except (sdk.Bug, sdk.FixData):
            # The rest of this one order cannot be had; it must not keep the others waiting.
            is_complete = False
        envelope = {"api_version": self._api_version, "is_complete": is_complete, "order": order}
        payload = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
        return sdk.RawOrder(channel_order_id=order_id, payload=payload.encode())

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


class StoredOrders:
    """Orders of the endless feed that the hub has stored as they are now.

    The overlap lists every recent order again at each pass; only what changed is worth its cost.
    That a page is stored is known when its cursor comes back; whoever asks for anything else is
    told everything.
    """

    def __init__(self) -> None:
        self._known: dict[str, datetime] = {}
        self._cursor: str | None = None
        self._unproved: Mapping[str, datetime] = {}

    def prove(self, cursor: str | None) -> None:
        """The hub reads on from `cursor`, so it has stored what came with it."""
        if cursor is None or cursor != self._cursor:
            self._known.clear()
        else:
            for order_id, changed_at in self._unproved.items():
                self._known.pop(order_id, None)
                self._known[order_id] = changed_at
        while len(self._known) > STORED_MAX:
            del self._known[next(iter(self._known))]
        self._cursor, self._unproved = cursor, {}

    def hand_out(self, cursor: str, orders: Mapping[str, datetime]) -> None:
        """The hub is given these orders, as changed then, together with `cursor`.

        A cursor that did not move cannot prove that they are stored.
        """
        self._unproved = orders if cursor != self._cursor else {}
        self._cursor = cursor

    def without_known(self, listed: Mapping[str, datetime]) -> dict[str, datetime]:
        """Those of the listed orders that are not known as listed."""
        return {one: at for one, at in listed.items() if self._known.get(one) != at}


def _as_listed(
    orders: Sequence[sdk.RawOrder], listed: Mapping[str, datetime]
) -> dict[str, datetime]:
    """Those that were read whole, and as new as the list said: a read may be behind the list."""
    found: dict[str, datetime] = {}
    for raw in (one for one in orders if one.channel_order_id in listed and not one.is_gone):
        envelope = json.loads(raw.payload)
        changed_at = moment(envelope["order"]["updatedAt"])
        if envelope["is_complete"] and changed_at == listed[raw.channel_order_id]:
            found[raw.channel_order_id] = changed_at
    return found


class More:
    """Fetches what the first answer left out of nested lists, into the record itself."""

    def __init__(self, client: Client, priority: sdk.Priority) -> None:
        self._client, self._priority = client, priority

    def pages(self, owner: dict[str, Any], field: str, document: str) -> bool:
        """Complete the connection `field`; False when that is not possible."""
        connection = owner[field]
        for _ in range(MORE_PAGES_MAX):
            page = connection["pageInfo"]
            if not page["hasNextPage"]:
                return True
            variables = {"id": owner["id"], "after": page["endCursor"]}
            answer = self._client.run(document, variables, priority=self._priority)
            following = (answer.fields.get("node") or {}).get(field)
            if following is None or following["pageInfo"]["endCursor"] == page["endCursor"]:
                return False
            connection["nodes"] += following["nodes"]
            connection["pageInfo"] = following["pageInfo"]
        return False

    def list(self, owner: dict[str, Any], field: str, document: str) -> bool:
        """Read the list `field` again when it may have been cut off."""
        if len(owner[field]) < LIST_FIRST:
            return True
        answer = self._client.run(document, {"id": owner["id"]}, priority=self._priority)
        whole = (answer.fields.get("order") or {}).get(field)
        if whole is None:
            return False
        owner[field] = whole
        return len(whole) < LIST_MAX

    def returns(self, order: dict[str, Any]) -> bool:
        """Read what became of returned goods into `returns`; None where no permission shows it."""
        if order.get("returnStatus") in (None, _NO_RETURN):
            order["returns"] = []
            return True
        try:
            answer = self._client.run("Returns", {"id": order["id"]}, priority=self._priority)
        except sdk.PermissionMissing:
            order["returns"] = None  # the refunds say less, and are all there is
            return True
        found = (answer.fields.get("order") or {}).get("returns")
        if found is None:
            return False
        reverses = [each["reverseFulfillmentOrders"] for each in found["nodes"]]
        lines = [one["lineItems"] for each in reverses for one in each["nodes"]]
        order["returns"] = [line for each in lines for line in each["nodes"]]
        return not any(each["pageInfo"]["hasNextPage"] for each in (found, *reverses, *lines))


def _advance(place: Cursor, connection: Mapping[str, Any], field: str, at: datetime) -> Cursor:
    nodes, page = connection["nodes"], connection["pageInfo"]
    until = place.until or _stamp(at)
    newest = max((each[field] for each in nodes), key=moment, default=place.newest)
    if place.newest and newest and moment(place.newest) > moment(newest):
        newest = place.newest
    is_past = bool(nodes) and moment(nodes[-1][field]) > moment(until)
    if not page["hasNextPage"] or is_past:
        mark = place.watermark
        if newest and (mark is None or moment(newest) > moment(mark)):
            mark = newest
        return Cursor(watermark=mark)
    place = replace(place, newest=newest, until=until)
    if page["endCursor"] in (None, place.after):
        return _take_up(place, newest, "the shop's list of orders goes round in circles")
    listed = place.listed + len(nodes)
    if listed >= LISTED_MAX:
        return _take_up(place, newest, f"{LISTED_MAX} orders share one time")
    return replace(place, after=page["endCursor"], listed=listed)


def _take_up(place: Cursor, newest: str | None, reason: str) -> Cursor:
    """Go on by time from the newest seen; lists are sorted, so everything before it was read."""
    if newest is None or newest == place.start:
        raise sdk.ChannelDown(f"reading orders from {place.start} on gets nowhere: {reason}")
    return replace(place, start=newest, after=None, listed=0)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS_MAX


def _ceiling(instant: datetime) -> datetime:
    return instant if instant.microsecond == 0 else instant + timedelta(seconds=1)


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # cut off, never rounded up


def _read_cursor(cursor: str | None) -> Cursor:
    if cursor is None:
        return Cursor()
    try:
        return Cursor(**read_json(cursor.encode()))
    except TypeError as error:
        raise sdk.BadPayload(f"this is no cursor of ours: {cursor[:200]!r}") from error


def _write_cursor(place: Cursor) -> str:
    return json.dumps({name: value for name, value in asdict(place).items() if value})
