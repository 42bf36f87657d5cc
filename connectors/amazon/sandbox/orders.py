"""searchOrders and getOrder: windows with a visibility lag, page tokens, and what lists get wrong.

Amazon wants the end of a window at least two minutes in the past, because only then it is sure to
show every change. Here those two minutes are `lag_seconds`: with lag 0 any past instant will do.
Lists lag, one order by its id is fresh.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon.sandbox.answers import Query, Refused, answer, invalid, not_found
from connectors.amazon.sandbox.marketplace import (
    MARKETPLACES,
    fine_stamp,
    order_id,
    order_number,
    stamp,
)
from connectors.amazon.sandbox.order_views import (
    DATA_SETS,
    STATUSES,
    fulfiller_of,
    sold_in,
    status_of,
    view_order,
)
from connectors.amazon.sandbox.pages import Pages
from connectors.amazon.sandbox.routes import Request
from oms_sync.sdk.sandbox_records import Order
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

PAGE_MAX: Final = 100
UNKNOWN: Final = "The specified order does not exist."
_FULFILLERS: Final = ("MERCHANT", "AMAZON")
_FAMILIES: Final = ("lastUpdated", "created")
_SEARCH: Final = tuple(
    "createdAfter createdBefore lastUpdatedAfter lastUpdatedBefore fulfillmentStatuses "
    "marketplaceIds fulfilledBy maxResultsPerPage paginationToken includedData".split()
)

Position = tuple[datetime, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search without its page: what a page token is bound to."""

    family: str
    after: datetime
    before: datetime | None
    statuses: tuple[str, ...]
    fulfilled_by: tuple[str, ...]
    #: marketplaces, () for all of them
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where in the window the next page begins; the window itself no longer moves."""

    before: datetime
    position: Position | None


class Orders:
    """Resolvers of the two reads."""

    def __init__(self, store: Store) -> None:
        self._store = self.store = store
        self._pages = Pages(store)
        #: parts of orders the application lacks a role for: "denied", or quietly "absent"
        self.withheld: dict[str, str] = {}
        #: ids of orders no list ever shows, though each can be read
        self.hidden: set[str] = set()
        #: marketplaces whose lists are refused
        self.refused: set[str] = set()

    def get(self, request: Request) -> Reply:
        query = request.params(("includedData",))
        included = self._granted(query)
        order = self.visible(request.path[0])
        return answer(200, {"order": view_order(order, included)})

    def search(self, request: Request) -> Reply:
        query = request.params(_SEARCH)
        query.marketplaces(is_required=False)
        included = self._granted(query)
        size = query.whole("maxResultsPerPage", 1, PAGE_MAX, default=PAGE_MAX)
        search = self._search(query)
        token = query.text("paginationToken")
        mark = self.first(search) if token is None else self._pages.take(token, search)
        page, is_cut = self.page(search, mark, size)
        next_mark = Mark(before=mark.before, position=_key(page[-1], search)) if is_cut else None
        if self._store.faults.fires("F19"):
            page, next_mark = [], mark  # an empty page that is not the last
        next_token = self._next_token(search, mark, next_mark, token)
        if page and self._store.faults.fires("F18"):
            page = page[:-1]
        body: dict[str, Any] = {"orders": [view_order(each, included) for each in page]}
        if next_token is not None:
            body["pagination"] = {"nextToken": next_token}
        body[f"{search.family}Before"] = _echo(mark.before)
        return answer(200, body)

    def _granted(self, query: Query) -> list[str]:
        included = query.listed("includedData", DATA_SETS)
        for part in included:
            if self.withheld.get(part) == "denied":
                message = "Access to requested resource is denied."
                raise Refused(403, "Unauthorized", message, f"A role is missing for {part}.")
        return [part for part in included if part not in self.withheld]

    def places(self, query: Query, name: str = "marketplaceIds") -> tuple[str, ...]:
        """The marketplaces asked for; one that is refused refuses them all."""
        found = tuple(query.listed(name))
        if self.refused.intersection(found or MARKETPLACES):
            message = "Access to requested resource is denied."
            raise Refused(403, "Unauthorized", message)
        return found

    def visible(self, text: str) -> Order:
        """The order of this id, as far as it may be seen yet."""
        order = find_order(self._store, text)
        if order.visible_at > self._store.now():
            raise not_found(UNKNOWN)
        return order

    def taken(self, token: str, search: Search) -> Mark:
        mark: Mark = self._pages.take(token, search)
        return mark

    def given(self, search: Search, mark: Mark, last: Order) -> str:
        return self._pages.give(search, Mark(before=mark.before, position=_key(last, search)))

    def _next_token(
        self, search: Search, mark: Mark, next_mark: Mark | None, token: str | None
    ) -> str | None:
        """The next page's token; with F20 one that leads back to this very page."""
        if self._store.faults.fires("F20"):
            return token or self._pages.give(search, mark)
        return None if next_mark is None else self._pages.give(search, next_mark)

    def _search(self, query: Query) -> Search:
        given = [name for name in _FAMILIES if f"{name}After" in query]
        if len(given) != 1:
            raise invalid("Exactly one of createdAfter and lastUpdatedAfter must be provided.")
        family = given[0]
        for other in _FAMILIES:
            if other != family and f"{other}Before" in query:
                raise invalid(f"{other}Before may not be combined with {family}After.")
        after, before = query.time(f"{family}After"), query.time(f"{family}Before")
        if after is None:
            raise invalid(f"Missing required parameter: {family}After")
        lag = self._store.options.lag_seconds
        if before is not None and before > self.horizon():
            raise invalid(f"{family}Before must be at least {lag:g} seconds before now.")
        if before is not None and before < after:
            raise invalid(f"{family}Before must be equal to or after {family}After.")
        return Search(
            family=family,
            after=after,
            before=before,
            statuses=tuple(query.listed("fulfillmentStatuses", STATUSES)),
            fulfilled_by=tuple(query.listed("fulfilledBy", _FULFILLERS)),
            places=self.places(query),
        )

    def horizon(self) -> datetime:
        return self._store.now() - timedelta(seconds=self._store.options.lag_seconds)

    def first(self, search: Search) -> Mark:
        before = search.before or self.horizon().replace(microsecond=0)
        return Mark(before=before, position=None)

    def page(self, search: Search, mark: Mark, size: int) -> tuple[list[Order], bool]:
        found = [each for each in self._candidates(search) if self._fits(each, search, mark)]
        found.sort(key=lambda order: _key(order, search))
        return found[:size], len(found) > size

    def _candidates(self, search: Search) -> Iterable[Order]:
        if search.family == "created":
            return self._store.orders.values()
        return self._store.updated_since(search.after)

    def _fits(self, order: Order, search: Search, mark: Mark) -> bool:
        key = _key(order, search)
        return (
            search.after <= key[0] <= mark.before
            and order.visible_in_lists_at <= self._store.now()
            and (not self.hidden or order_id(order) not in self.hidden)
            and (not search.places or sold_in(order) in search.places)
            and (mark.position is None or key > mark.position)
            and (not search.statuses or status_of(order) in search.statuses)
            and (not search.fulfilled_by or fulfiller_of(order) in search.fulfilled_by)
        )


def find_order(store: Store, text: str) -> Order:
    """The order of this id, visible or not."""
    number = order_number(text)
    if number is None:
        raise invalid("Invalid Input", "The order id must have the shape 3-7-7.")
    if number not in store.orders:
        raise not_found(UNKNOWN)
    return store.orders[number]


def _key(order: Order, search: Search) -> Position:
    return (order.created_at if search.family == "created" else order.updated_at), order.id


def _echo(moment: datetime) -> str:
    return fine_stamp(moment) if moment.microsecond else stamp(moment)
