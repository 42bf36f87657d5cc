"""Feeds: a document is uploaded, queued, worked off after the lag, and its report fetched."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon.sandbox import feed_files
from connectors.amazon.sandbox.answers import (
    PATH_EXTRA,
    Query,
    answer,
    check_marketplaces,
    invalid,
    not_found,
)
from connectors.amazon.sandbox.documents import Document, Documents
from connectors.amazon.sandbox.marketplace import MARKETPLACE_ID, fine_stamp, seller_id
from connectors.amazon.sandbox.order_feeds import ORDER_FEEDS, OrderFeeds, Unreadable
from connectors.amazon.sandbox.pages import Pages
from connectors.amazon.sandbox.routes import Request
from connectors.amazon.sandbox.stock import Offers
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

LISTINGS_FEED: Final = "JSON_LISTINGS_FEED"
#: switched off by Amazon in 2025: taken in, then FATAL
RETIRED: Final = tuple(
    "POST_INVENTORY_AVAILABILITY_DATA POST_FLAT_FILE_PRICEANDQUANTITYONLY_UPDATE_DATA "
    "POST_FLAT_FILE_INVLOADER_DATA POST_PRODUCT_DATA".split()
)
STATUSES: Final = ("CANCELLED", "DONE", "FATAL", "IN_PROGRESS", "IN_QUEUE")
FEEDS_KEPT_MAX: Final = 1_000
TYPES_MAX: Final = 10
PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 10
RESULT_TYPE: Final = "application/json; charset=UTF-8"
XML_TYPE: Final = "text/xml; charset=UTF-8"
_TYPES: Final = frozenset({LISTINGS_FEED, *RETIRED, *ORDER_FEEDS})
_FILTERS: Final = (
    "feedTypes marketplaceIds pageSize processingStatuses createdSince createdUntil".split()
)


@dataclass(slots=True, kw_only=True, eq=False)
class Feed:
    """One feed on its way."""

    id: str
    type: str
    document: Document
    created_at: datetime
    due_at: datetime
    status: str = ""
    result: Document | None = None

    def shown_status(self, now: datetime) -> str:
        """Until it is done: in the queue for the first half of the lag, then in progress."""
        if self.status:
            return self.status
        half = self.created_at + (self.due_at - self.created_at) / 2
        return "IN_QUEUE" if now < half else "IN_PROGRESS"


class Feeds:
    """Resolvers of the feed operations."""

    def __init__(
        self, store: Store, offers: Offers, documents: Documents, order_feeds: OrderFeeds
    ) -> None:
        self._store, self._offers, self._documents = store, offers, documents
        self._order_feeds = order_feeds
        self._reader = feed_files.FeedReader(offers, seller_id(store))
        self._feeds: dict[str, Feed] = {}
        self._pages = Pages(store)

    def create_document(self, request: Request) -> Reply:
        request.params()
        extras = dict.fromkeys((PATH_EXTRA, "marketplaceIds", "MarketplaceIds"), object)
        body = request.fields({"contentType": str}, extras)
        document = self._documents.expect(body["contentType"])
        url = self._documents.address(document, request.base_url)
        return answer(201, {"feedDocumentId": document.id, "url": url})

    def document(self, request: Request) -> Reply:
        request.params(("enableContentEncodingUrlHeader",))
        return self._documents.show(request.path[0], "feedDocumentId", request.base_url)

    def create(self, request: Request) -> Reply:
        request.params()
        required = {"feedType": str, "marketplaceIds": list, "inputFeedDocumentId": str}
        optional = {"feedOptions": dict, PATH_EXTRA: object, "MarketplaceIds": object}
        body = request.fields(required, optional)
        if not body["marketplaceIds"]:
            raise invalid("Invalid value for body.marketplaceIds")
        check_marketplaces(body["marketplaceIds"])
        kind = body["feedType"]
        if kind not in _TYPES:
            raise invalid(f"Invalid feed type: {kind}")
        document = self._documents.find(body["inputFeedDocumentId"])
        if document is None or not document.is_upload:
            raise invalid("Invalid input", "The input feed document does not exist.")
        feed = self._queue(kind, document)
        return answer(202, {"feedId": feed.id})

    def _queue(self, kind: str, document: Document) -> Feed:
        store = self._store
        if len(self._feeds) >= FEEDS_KEPT_MAX:
            self._feeds.pop(next(iter(self._feeds)))
        due = store.now() + timedelta(seconds=store.options.lag_seconds)
        number = str(store.next_id() % 10**12)
        feed = Feed(id=number, type=kind, document=document, created_at=store.now(), due_at=due)
        self._feeds[feed.id] = feed
        self._offers.accept(lambda: self._work_off(feed))
        return feed

    def _work_off(self, feed: Feed) -> None:
        if feed.status == "CANCELLED":
            return
        content = feed.document.content
        if feed.type in RETIRED or content is None:
            feed.status = "FATAL"
            return
        if feed.type in ORDER_FEEDS:
            self._work_off_order(feed, content)
            return
        try:
            read = self._reader.read(content)
        except feed_files.Unreadable:
            feed.status = "FATAL"
            return
        fires = self._store.faults.fires
        if len(read) > 1 and fires("F08"):
            feed_files.lose_part(read)
        if not fires("F09"):
            feed_files.apply(read, self._offers.set)
        report = feed_files.processing_report(read, seller_id(self._store), feed.id)
        feed.result = self._documents.keep(RESULT_TYPE, report, is_packed=True)
        feed.status = "DONE"

    def _work_off_order(self, feed: Feed, content: bytes) -> None:
        try:
            report = self._order_feeds.work_off(feed.type, content, seller_id(self._store))
        except Unreadable:
            feed.status = "FATAL"
            return
        feed.result = self._documents.keep(XML_TYPE, report, is_packed=True)
        feed.status = "DONE"

    def get(self, request: Request) -> Reply:
        request.params()
        return answer(200, self._view(self._find(request)))

    def _find(self, request: Request) -> Feed:
        self._offers.settle()
        feed = self._feeds.get(request.path[0])
        if feed is None:
            raise not_found("The feed does not exist.")
        return feed

    def cancel(self, request: Request) -> Reply:
        request.params()
        feed = self._find(request)
        if feed.shown_status(self._store.now()) != "IN_QUEUE":
            raise invalid("The feed can only be cancelled while it is IN_QUEUE.")
        feed.status = "CANCELLED"
        return answer(200, {})

    def search(self, request: Request) -> Reply:
        self._offers.settle()
        query = request.params((*_FILTERS, "nextToken"))
        token = query.text("nextToken")
        if token is not None:
            if query.names() & set(_FILTERS):
                raise invalid("nextToken may not be combined with other parameters.")
            found, size, start = self._pages.take(token, None)
        else:
            found, size, start = self._found(query), self._size(query), 0
        page = found[start : start + size]
        body: dict[str, Any] = {"feeds": [self._view(each) for each in page]}
        if start + size < len(found):
            body["nextToken"] = self._pages.give((), (found, size, start + size))
        return answer(200, body)

    def _size(self, query: Query) -> int:
        return query.whole("pageSize", 1, PAGE_MAX, default=PAGE_DEFAULT)

    def _found(self, query: Query) -> list[Feed]:
        types = query.listed("feedTypes", _TYPES, most=TYPES_MAX)
        if not types:
            raise invalid("Either feedTypes or nextToken is required.")
        query.marketplaces(is_required=False)
        statuses = query.listed("processingStatuses", STATUSES)
        since, until = query.time("createdSince"), query.time("createdUntil")
        now = self._store.now()
        return [
            each
            for each in reversed(self._feeds.values())
            if each.type in types
            and (not statuses or each.shown_status(now) in statuses)
            and (since is None or each.created_at >= since)
            and (until is None or each.created_at <= until)
        ]

    def _view(self, feed: Feed) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "feedId": feed.id,
            "feedType": feed.type,
            "marketplaceIds": [MARKETPLACE_ID],
            "createdTime": fine_stamp(feed.created_at),
            "processingStatus": feed.shown_status(self._store.now()),
        }
        if feed.status in ("DONE", "FATAL"):
            shown["processingStartTime"] = fine_stamp(feed.created_at)
            shown["processingEndTime"] = fine_stamp(feed.due_at)
        if feed.result is not None:
            shown["resultFeedDocumentId"] = feed.result.id
        return shown
