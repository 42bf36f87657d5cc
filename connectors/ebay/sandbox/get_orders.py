"""GetOrders: windows with their silent precedence, pages over a list that moves, and its faults."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.ebay.sandbox.books import Books
from connectors.ebay.sandbox.markup import Markup, tag
from connectors.ebay.sandbox.order_views import OrderViews
from connectors.ebay.sandbox.shapes import Asked
from connectors.ebay.sandbox.wrongs import Refused, invalid, wrong
from oms_sync.sdk.sandbox_records import Order

PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 25
MODIFIED_DAYS_MAX: Final = 30
CREATED_DAYS_MAX: Final = 90
NUMBER_OF_DAYS_MAX: Final = 30
HISTORY: Final = timedelta(days=90)
_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_STATUSES: Final = {"Active": "pending", "Cancelled": "cancelled"}
_PAID: Final = ("open", "held", "closed")

Span = tuple[datetime, datetime]


class GetOrders:
    """Answers the call."""

    def __init__(self, books: Books, views: OrderViews) -> None:
        self._books, self._store, self._views = books, books.store, views

    def __call__(self, asked: Asked, level: int) -> Markup:
        size, number = page_of(asked, PAGE_MAX, PAGE_DEFAULT)
        names = [each.value for each in asked.all("OrderIDArray", "OrderID")]
        if asked.text("OrderRole") == "Buyer":
            found: list[Order] = []  # this user only sells
        elif names:
            found = self._named(names)
        else:
            found = self._in_span(asked)
        start = (number - 1) * size
        page, count = found[start : start + size], len(found)
        has_more = count > start + size
        if not names:
            page = self._lie(page)
        shown = [self._views.order(order, level) for order in page]
        return Markup(
            pages(count, size)
            + tag("HasMoreOrders", has_more)
            + tag("OrderArray", *shown)
            + tag("OrdersPerPage", size)
            + tag("PageNumber", number)
            + tag("ReturnedOrderCountActual", len(shown))
        )

    def _named(self, names: Iterable[str]) -> list[Order]:
        """By id, old ones too: no filter counts, and no visibility lag but that of F15."""
        now = self._store.now()
        found = (self._books.find(name) for name in names)
        return list(dict.fromkeys(one for one in found if one and one.visible_at <= now))

    def _in_span(self, asked: Asked) -> list[Order]:
        """NumberOfDays beats CreateTime beats ModTime; the losers are ignored without a word."""
        now = self._store.now()
        days = asked.whole("NumberOfDays")
        if days is not None:
            if not 1 <= days <= NUMBER_OF_DAYS_MAX:
                raise invalid("NumberOfDays", f"1 to {NUMBER_OF_DAYS_MAX}")
            found = self._created((now - timedelta(days=days), _EVER))
        elif asked.all("CreateTimeFrom"):
            found = self._created(_span(asked, "CreateTime", CREATED_DAYS_MAX))
        elif asked.all("ModTimeFrom"):
            found = self._modified(_span(asked, "ModTime", MODIFIED_DAYS_MAX))
        else:
            raise Refused(wrong(10009, "One of the date filters or OrderIDArray is required."))
        status = asked.text("OrderStatus") or "All"
        found = [each for each in found if self._is_visible(each) and _has_status(each, status)]
        found.sort(key=lambda order: (order.updated_at, order.id))
        return found[::-1] if asked.text("SortingOrder") == "Descending" else found

    def _created(self, span: Span) -> list[Order]:
        orders = self._store.orders.values()
        return [order for order in orders if span[0] <= order.created_at <= span[1]]

    def _modified(self, span: Span) -> list[Order]:
        orders = self._store.updated_since(span[0])
        return [order for order in orders if span[0] <= order.updated_at <= span[1]]

    def _is_visible(self, order: Order) -> bool:
        """Neither new nor modified orders are in a list before the lag has passed."""
        now, lag = self._store.now(), timedelta(seconds=self._store.options.lag_seconds)
        is_settled = not lag or order.updated_at + lag <= now
        is_recent = now - order.created_at <= HISTORY
        return is_settled and is_recent and order.visible_in_lists_at <= now

    def _lie(self, page: list[Order]) -> list[Order]:
        """F18 leaves one out; F22 has the first one modified, so that later pages shift."""
        fires = self._store.faults.fires
        if not page:
            return page
        if fires("F22"):
            self._store.touch(page[0])
        if fires("F18"):
            left_out = len(page) // 2
            return page[:left_out] + page[left_out + 1 :]
        return page


def page_of(asked: Asked, most: int, usual: int, *path: str) -> tuple[int, int]:
    """EntriesPerPage and PageNumber, refused where eBay refuses them."""
    size = asked.whole(*path, "Pagination", "EntriesPerPage")
    number = asked.whole(*path, "Pagination", "PageNumber")
    size, number = usual if size is None else size, 1 if number is None else number
    if not 1 <= size <= most:
        raise invalid("EntriesPerPage", f"1 to {most}")
    if number < 1:
        raise invalid("PageNumber", "1 or more")
    return size, number


def pages(count: int, size: int) -> Markup:
    return tag(
        "PaginationResult",
        tag("TotalNumberOfPages", -(-count // size)),
        tag("TotalNumberOfEntries", count),
    )


def _span(asked: Asked, name: str, days_max: int) -> Span:
    low, high = asked.time(f"{name}From"), asked.time(f"{name}To")
    if low is None or high is None:
        raise invalid(f"{name}To", f"{name}From and {name}To belong together")
    if high < low or high - low > timedelta(days=days_max):
        raise invalid(f"{name}To", f"a window of at most {days_max} days that does not end first")
    return low, high


def _has_status(order: Order, status: str) -> bool:
    if status == "All":
        return True
    if status == "Completed":
        return order.state in _PAID
    return order.state == _STATUSES.get(status)
