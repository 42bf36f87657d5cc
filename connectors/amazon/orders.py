"""Reading orders: feeds by time of change, single orders by id, and how far a feed has been read.

Lists are asked for what the stock decision needs and name nobody; who an order goes to is read by
id, for orders the seller ships, once they may be shipped.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon import cursors
from connectors.amazon.account import PROBED_SECONDS, Places
from connectors.amazon.client import Answer, Client
from connectors.amazon.cursors import SHIPPABLE, Cursor, stamp
from connectors.amazon.faults import Denied, NotFound, Refused
from connectors.amazon.orders_v0 import INCLUDED as OLDER
from connectors.amazon.orders_v0 import OlderOrders
from connectors.amazon.parse import NOTE
from connectors.amazon.reports import ORDER_ID, OrdersReport
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment

#: what the stock decision needs; without FULFILLMENT an order has no status
DECISION: Final = ("FULFILLMENT", "CANCELLATION")
#: what shipping needs besides, in the order it is given up when Amazon refuses
DETAILS: Final = ("PROCEEDS", "RECIPIENT", "BUYER")
#: what comparing needs; who bought is nobody's business there
COMPARED: Final = (*DECISION, "PROCEEDS")
_REFUSED: Final = "Amazon refuses orders of {}"
_MEND: Final = "take them out of marketplace_ids, or mend this: older orders are not read till then"
_ISOLATED: Final = (sdk.OrderFeed.CHANGES, sdk.OrderFeed.SWEEP)
OPEN_STATUSES: Final = ("PENDING_AVAILABILITY", "PENDING", *SHIPPABLE)
PAGE_ORDERS: Final = 100
#: checksums a cursor carries; a longer circle than these show is not noticed
SEEN_MAX: Final = 2_000
#: restarts in a row before an operator is told, and for how long he is told before the next one
RESTARTS_MAX: Final = 5
GIVEN_UP_SECONDS: Final = 900.0
TOKEN_LIFE_SECONDS: Final = 23 * 3600.0
#: a marketplace asked anew is read from where it was left out, and no further back than this
LEFT_OUT: Final = timedelta(days=7)
#: the channel refuses an upper bound closer to now
BOUND_SECONDS: Final = 120.0
BOUND_MARGIN_SECONDS: Final = 2.0
DETAIL_SECONDS_MAX: Final = 20.0
WAITING_MAX: Final = 1_000
DONE_MAX: Final = 5_000
#: marks a session remembers besides those of its cursors
KNOWN_MAX: Final = 10_000
#: parts of an order that name people, and where they stand
PEOPLE: Final = {"BUYER": "buyer", "RECIPIENT": "recipient"}


class OrderReader:
    """Reads feeds and single orders through a client."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        lag: float = request.settings.visibility_lag_seconds
        self._client, self._clock = client, request.clock
        #: what lists leave out
        self.report = OrdersReport(client, request)
        #: where orders are asked for
        self.places = Places(client, request.clock)
        self._lag, self._overlap = lag, timedelta(seconds=max(request.overlap_seconds, lag))
        #: a fuller page costs no more calls
        self.page_orders = PAGE_ORDERS
        is_older = request.settings.orders_api == "v0"
        self._older = OlderOrders(client) if is_older else None
        #: parts of an order Amazon refuses to this application
        self.withheld: tuple[str, ...] = ()
        #: parts it leaves out without a word
        self._absent: set[str] = set()
        #: marks of orders read in full and surely stored, whichever feed showed them
        self._known: dict[str, None] = {}

    def forget_withheld(self) -> tuple[str, ...]:
        """Ask for everything again from now on, as roles may be granted; answers what was not."""
        missing = dict.fromkeys((*self.withheld, *sorted(self._absent)))
        self.withheld, self._absent = (), set()
        return tuple(missing)

    def page(self, feed: sdk.OrderFeed, cursor: str | None, since: datetime) -> sdk.OrderPage:
        """The next page of `feed`."""
        place = cursors.read_cursor(cursor)
        self._note(*place.done, *place.fresh)
        listed: list[dict[str, Any]] = []
        unlisted: tuple[str, ...] = ()
        priority = sdk.Priority.READ if feed is sdk.OrderFeed.CHANGES else sdk.Priority.BULK
        is_listing = not place.is_listed and len(place.waiting) < WAITING_MAX
        if is_listing:
            try:
                place, answer = self._list(feed, place, since, priority)
            except (Refused, Denied) as error:
                if place.token is None:
                    raise
                return _page([], self._restart(place, str(error)), is_last=False)
            listed, is_first = answer.fields["orders"], place.token is None
            place = self._advance(place, answer)
            if feed is sdk.OrderFeed.SWEEP:
                unlisted = self._unlisted(place, listed, is_first=is_first)
        known = self._known
        due = {
            each["orderId"]: cursors.mark_of(each, self.withheld)
            for each in listed
            if cursors.wants_details(each)
        }
        waiting = dict.fromkeys(
            (*place.waiting, *(one for one, mark in due.items() if mark not in known), *unlisted)
        )
        found = self._details(list(waiting), is_all=not is_listing)
        full = {one: read for one, read in found.items() if read is not None}
        raws = [_raw(each, DECISION) for each in listed if each["orderId"] not in full]
        raws += [raw for raw, _ in full.values()]
        fresh = dict.fromkeys((*place.fresh, *(mark for mark in due.values() if mark in known)))
        fresh |= dict.fromkeys(mark for _, mark in full.values())
        left = tuple(one for one in waiting if one not in found)
        place = replace(place, waiting=left, fresh=tuple(fresh)[-DONE_MAX:])
        place, is_last = cursors.finish(feed, place)
        return _page(raws, place, is_last=is_last)

    def _unlisted(
        self, place: Cursor, listed: Sequence[Mapping[str, Any]], *, is_first: bool
    ) -> tuple[str, ...]:
        """At the end of a sweep: orders the day's report names and no page of it showed."""
        self.report.note((each["orderId"] for each in listed), is_first=is_first)
        return self.report.unlisted(place, self.places.asked) if place.is_listed else ()

    def by_id(self, channel_order_ids: Sequence[str]) -> tuple[sdk.RawOrder, ...]:
        """The orders as they are now; unknown ids are gone."""
        return tuple(self._one(each) for each in channel_order_ids)

    def listed(self, since: datetime, until: datetime, cursor: str | None) -> sdk.OrderPage:
        """The next page of what was placed in [since, until), as far as lists show it already."""
        place = cursors.read_cursor(cursor)
        included = tuple(part for part in COMPARED if part not in self.withheld)
        self._check_all_places()
        query: dict[str, Any] = {
            "createdAfter": stamp(since),
            "marketplaceIds": self.places.asked,
            "includedData": list(included),
            "maxResultsPerPage": self.page_orders,
        }
        if place.token is None:
            place = replace(place, before=self._until(until))
        if place.before is not None:
            if moment(place.before) < since:
                return _page([], place, is_last=True)
            query["createdBefore"] = place.before
        try:
            answer = self._asked(query, place, sdk.Priority.BULK)
        except (Denied, Refused) as error:
            return self._not_listed(query, place, included, error)
        place = self._advance(place, answer)
        orders = [
            each for each in answer.fields["orders"] if since <= moment(each["createdTime"]) < until
        ]
        raws = [_raw(each, included) for each in orders]
        return _page(raws, place, is_last=place.is_listed)

    def _not_listed(
        self, query: Mapping[str, Any], place: Cursor, included: Sequence[str], error: Exception
    ) -> sdk.OrderPage:
        """Go on without a part, or from the beginning; else the refusal stands."""
        if place.token is not None:
            return _page([], self._restart(place, str(error)), is_last=False)
        least = {**query, "includedData": list(DECISION)}
        if self.places.isolate(
            lambda one: self._asked({**least, "marketplaceIds": [one]}, place, sdk.Priority.BULK)
        ):
            self._check_all_places()
        if isinstance(error, Denied) and included != DECISION:
            self.withheld = (*self.withheld, "PROCEEDS")
            return _page([], place, is_last=False)
        raise error

    def _check_all_places(self) -> None:
        """A time is compared whole or not at all."""
        refused = ", ".join(self.places.refused)
        if refused:
            message = f"{_REFUSED.format(refused)}: nothing can be compared until that is mended"
            raise sdk.RateLimited(message, retry_after_seconds=PROBED_SECONDS)

    def _until(self, until: datetime) -> str | None:
        """The upper bound to ask with; None where the channel shall set its own."""
        newest = self._newest()
        is_unbound = until > newest and self._lag < BOUND_SECONDS
        return None if is_unbound else stamp(min(until, newest))

    def _newest(self) -> datetime:
        """The latest instant lists may be asked up to."""
        return self._client.now() - timedelta(seconds=self._lag + BOUND_MARGIN_SECONDS)

    def shown(
        self, order_id: str, included: Sequence[str], *, priority: sdk.Priority
    ) -> dict[str, Any]:
        """One order with the parts named, or all the older API knows; raises NotFound."""
        try:
            if self._older is not None:
                return self._older.get(order_id, priority)
            answer = self._client.run(
                "getOrder", order_id, includedData=list(included), priority=priority
            )
        except NotFound as error:
            raise NotFound(f"Amazon has no order {order_id}") from error
        order = answer.fields["order"]
        if not isinstance(order, dict) or order.get("orderId") != order_id:
            raise sdk.BadPayload(f"Amazon answers another order than {order_id}")
        return order

    def _one(self, order_id: str) -> sdk.RawOrder:
        try:
            if ORDER_ID.fullmatch(order_id):
                raw, mark = self._full(order_id, self.withheld, sdk.Priority.READ)
                # Who asks by id asks again until it is stored.
                self._note(mark)
                return raw
        except NotFound:
            pass
        return sdk.RawOrder(channel_order_id=order_id, payload=b"", is_gone=True)

    def _note(self, *marks: str) -> None:
        self._known = dict.fromkeys([*self._known, *marks][-KNOWN_MAX:])

    def _full(
        self, order_id: str, withheld: tuple[str, ...], priority: sdk.Priority
    ) -> tuple[sdk.RawOrder, str]:
        """An order with all Amazon grants us, in one call where no role is missing, and its mark.

        Who it goes to is kept only where the seller ships it, and it is to be shipped.
        """
        if self._older is not None:
            order = self.shown(order_id, OLDER, priority=priority)
            return _raw(order, OLDER), cursors.mark_of(order, withheld)
        included = (*DECISION, *(part for part in DETAILS if part not in withheld))
        try:
            order = self.shown(order_id, included, priority=priority)
        except Denied as error:
            if included == DECISION:
                # Without the role for this no list is read either: it is this order alone.
                raise sdk.Rejected(str(error)) from error
            return self._full(order_id, (*withheld, included[-1]), priority)
        self.withheld = withheld
        if cursors.wants_details(order):
            for part in PEOPLE.keys() & set(included):
                (self._absent.discard if order.get(PEOPLE[part]) else self._absent.add)(part)
            included = (*included, NOTE)
        else:
            order = {name: value for name, value in order.items() if name not in PEOPLE.values()}
            included = tuple(part for part in included if part not in PEOPLE)
        return _raw(order, included), cursors.mark_of(order, withheld)

    def _details(
        self, order_ids: Sequence[str], *, is_all: bool
    ) -> dict[str, tuple[sdk.RawOrder, str] | None]:
        """Read as many in full as the call budget gives in time; None for what is gone."""
        until = self._clock.monotonic() + DETAIL_SECONDS_MAX
        found: dict[str, tuple[sdk.RawOrder, str] | None] = {}
        for order_id in order_ids:
            if found and self._clock.monotonic() >= until:
                break
            try:
                found[order_id] = self._full(order_id, self.withheld, sdk.Priority.BULK)
            except sdk.RetryLater:
                if is_all and not found:
                    raise
                break
            except (sdk.FixData, sdk.Bug):
                # What the list showed of it stands; it must not keep the others waiting.
                found[order_id] = None
        return found

    def _begin(self, feed: sdk.OrderFeed, place: Cursor, since: datetime) -> Cursor:
        """The pass as it begins; one under way goes on, without those that refuse by now."""
        if place.after is not None:
            out = dict.fromkeys(self._out(), place.after)
            return replace(place, left_out=out | dict(place.left_out))
        after, before = since, None
        if feed is sdk.OrderFeed.CHANGES:
            after, place = self._where(place, since)
        if self._lag >= BOUND_SECONDS:
            # With less the channel sets the bound itself, and says which.
            before = self._newest()
            after = min(after, before)
        return replace(place, after=stamp(after), before=stamp(before) if before else None)

    def _where(self, place: Cursor, since: datetime) -> tuple[datetime, Cursor]:
        """Where the changes begin; of a marketplace asked anew, where it was left out."""
        asked, mark = self.places.asked, place.watermark or stamp(since + self._overlap)
        oldest = self._client.now() - LEFT_OUT
        back = (moment(told) for one, told in place.left_out.items() if one in asked)
        begins = (max(told, oldest) for told in back)
        left_out = {one: place.left_out.get(one, mark) for one in self._out()}
        after = min([moment(mark), *begins]) - self._overlap
        return after, replace(place, left_out=left_out)

    def _out(self) -> list[str]:
        asked = self.places.asked
        return [one for one in self._client.configured_ids if one not in asked]

    def _list(
        self, feed: sdk.OrderFeed, place: Cursor, since: datetime, priority: sdk.Priority
    ) -> tuple[Cursor, Answer]:
        """The next page of the pass, which begins here where none is under way."""
        if feed not in _ISOLATED and self.places.refused:
            # What is read once, at first connect, is read whole or not at all.
            raise Denied(f"{_REFUSED.format(', '.join(self.places.refused))}: {_MEND}")
        begun = self._begin(feed, place, since)
        try:
            return begun, self._search(feed, begun, priority)
        except (Refused, Denied):
            if place.token or feed not in _ISOLATED:
                raise
            if not self.places.isolate(lambda one: self._search(feed, begun, priority, [one])):
                raise
        # From what was stored: of those asked anew it says since when they are missing.
        begun = self._begin(feed, place, since)
        return begun, self._search(feed, begun, priority)

    def _search(
        self,
        feed: sdk.OrderFeed,
        place: Cursor,
        priority: sdk.Priority,
        marketplace_ids: Sequence[str] = (),
    ) -> Answer:
        query: dict[str, Any] = {
            "lastUpdatedAfter": place.after,
            "marketplaceIds": list(marketplace_ids) or self.places.asked,
            "includedData": list(DECISION),
            "maxResultsPerPage": self.page_orders,
        }
        if place.before:
            query["lastUpdatedBefore"] = place.before
        if feed is sdk.OrderFeed.OPEN:
            query["fulfillmentStatuses"] = list(OPEN_STATUSES)
        return self._asked(query, place, priority)

    def _asked(self, query: dict[str, Any], place: Cursor, priority: sdk.Priority) -> Answer:
        if place.token:
            if self._age(place) > timedelta(seconds=TOKEN_LIFE_SECONDS):
                raise Refused("the page token is a day old")
            query = {**query, "paginationToken": place.token}
        if self._older is not None:
            return self._older.search(query, priority)
        return self._client.run("searchOrders", priority=priority, **query)

    def _advance(self, place: Cursor, answer: Answer) -> Cursor:
        orders, fields = answer.fields["orders"], answer.fields
        if not isinstance(orders, list) or not all(
            isinstance(each, dict) and isinstance(each.get("orderId"), str) for each in orders
        ):
            raise sdk.ChannelDown("the list of orders has another shape than Amazon's contract")
        self.places.worked()
        pagination = fields.get("pagination") or {}
        token = pagination.get("nextToken")
        echoed = fields.get("lastUpdatedBefore")
        if echoed is not None:
            moment(echoed)  # the next pass begins there
        place = replace(place, echoed=place.echoed or echoed)
        if not token:
            return replace(place, token=None, issued_at=None, is_listed=True)
        marks = [zlib.crc32(str(token).encode())]
        if orders:
            words = [f"{each['orderId']} {each.get('lastUpdatedTime')}" for each in orders]
            marks.append(zlib.crc32("\n".join(words).encode()))
        if set(marks) & set(place.seen):
            return self._restart(place, "the list of orders goes round in circles")
        issued_at, seen = self._clock.now().isoformat(), (*place.seen, *marks)
        return replace(place, token=token, issued_at=issued_at, seen=seen[-SEEN_MAX:])

    def _restart(self, place: Cursor, reason: str) -> Cursor:
        """Read the window again from its beginning: what was stored already is merged away."""
        restarts = place.restarts + 1
        if restarts > RESTARTS_MAX:
            # The stored cursor stays: only its age can end this, and must.
            if self._age(place) < timedelta(seconds=GIVEN_UP_SECONDS):
                raise sdk.ChannelDown(f"reading orders from {place.after} gets nowhere: {reason}")
            restarts = 1
        return replace(place, token=None, issued_at=None, seen=(), restarts=restarts)

    def _age(self, place: Cursor) -> timedelta:
        """How long ago the page token was issued."""
        now = self._clock.now()
        return now - datetime.fromisoformat(place.issued_at or now.isoformat())


def _page(raws: Sequence[sdk.RawOrder], place: Cursor, *, is_last: bool) -> sdk.OrderPage:
    return sdk.OrderPage(orders=tuple(raws), cursor=cursors.write_cursor(place), is_last=is_last)


def _raw(order: Mapping[str, Any], included: Sequence[str]) -> sdk.RawOrder:
    envelope = {"included": list(included), "order": order}
    # Numbers with decimals are weights and measures; nobody here reads them: text keeps them.
    payload = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"), default=str)
    return sdk.RawOrder(channel_order_id=order["orderId"], payload=payload.encode())
