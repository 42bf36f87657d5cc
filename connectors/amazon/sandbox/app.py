"""The sandbox as a whole: one ASGI application that is Amazon, its queue and its controls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, Final

from starlette.applications import Starlette

from connectors.amazon.sandbox.account import Account
from connectors.amazon.sandbox.answers import JSON_TYPE, Refused
from connectors.amazon.sandbox.books import Books, Warehouses
from connectors.amazon.sandbox.documents import DOCUMENT_PATH, UPLOAD_BYTES_MAX, Documents
from connectors.amazon.sandbox.fba import FbaOrders, FbaPool
from connectors.amazon.sandbox.feeds import Feeds
from connectors.amazon.sandbox.limits import Limits
from connectors.amazon.sandbox.listings import Listings
from connectors.amazon.sandbox.marketplace import MARKETPLACE_ID, REGION, seller_id
from connectors.amazon.sandbox.notifications import Notifications
from connectors.amazon.sandbox.older_views import OlderOrders
from connectors.amazon.sandbox.order_feeds import OrderFeeds
from connectors.amazon.sandbox.orders import Orders
from connectors.amazon.sandbox.reports import Reports
from connectors.amazon.sandbox.routes import GRANTLESS, PREPARING, Request, Resolvers, find
from connectors.amazon.sandbox.sales import AmazonSales
from connectors.amazon.sandbox.shipments import Shipments
from connectors.amazon.sandbox.sqs import AWS_REGION, TARGET, Sqs, SqsRequest
from connectors.amazon.sandbox.stock import Offers
from connectors.amazon.sandbox.tokens import CONSENT_PATH, TOKEN_PATH, Tokens
from oms_sync.sdk import sandbox, sandbox_wire
from oms_sync.sdk.sandbox import Now, Sandbox, SandboxOptions
from oms_sync.sdk.sandbox_queue import Queue
from oms_sync.sdk.sandbox_sales import Sales
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import WIRE_FAULTS, Call, Courier, Reply, Wire

FAULTS: Final = (
    *WIRE_FAULTS,
    *"F07 F08 F09 F11 F12 F13 F14 F15 F17 F18 F19 F20 F21 F26 F40 F41".split(),
)
_CONTROL_PATH: Final = "/_sandbox/"
_HTML: Final = (("content-type", "text/html"),)
_PAGE: Final = b"<html><body><h1>Service Unavailable</h1></body></html>"
_QUOTA: Final = (
    b'{"errors": [{"code": "QuotaExceeded", '
    b'"message": "You exceeded your quota for the requested resource.", "details": ""}]}'
)
#: F05: as documented, without a body, with an absurd wait
_THROTTLED: Final = (
    Reply(status=429, body=_QUOTA),
    Reply(status=429, body=b"", headers=()),
    Reply(status=429, body=_QUOTA, headers=(JSON_TYPE, ("retry-after", "86400"))),
)
#: F06: without a body, with a body that is no error list, as a page of some proxy, as documented
_BROKEN: Final = (
    Reply(status=500, body=b"", headers=()),
    Reply(status=502, body=b'{"message": "Internal server error"}'),
    Reply(status=503, body=_PAGE, headers=_HTML),
    Reply(
        status=504, body=b'{"errors": [{"code": "InternalFailure", "message": "Gateway timeout."}]}'
    ),
)
#: F07: a success that says nothing
_EMPTY: Final = (
    Reply(status=200, body=b"{}"),
    Reply(status=200, body=b"", headers=()),
    Reply(status=200, body=_PAGE, headers=_HTML),
)


def create_sandbox(options: SandboxOptions, *, now: Now | None = None) -> Sandbox:
    """The connector's `sandbox` factory."""
    return AmazonSandbox(options, now or (lambda: datetime.now(UTC)))


class AmazonSandbox:
    """A seller's Amazon on loopback; see `oms_sync.sdk.sandbox.Sandbox`."""

    def __init__(self, options: SandboxOptions, now: Now) -> None:
        self.options = options
        self.faults = sandbox.FaultSwitches(FAULTS, seed=options.seed, stream=options.account)
        self.store = Store(options, self.faults, now)
        self._courier = Courier(options)
        later = self._courier.later
        self.fba = FbaPool(self.store)
        self.offers = Offers(self.store, self.fba, later)
        shared = Sales(self.store, lambda variant: variant.sku)
        fba_orders = FbaOrders(self.store, shared, self.fba, later)
        self.order_feeds = OrderFeeds(store=self.store, sales=shared)
        self.sales = AmazonSales(shared, fba_orders, self.offers, self.order_feeds)
        self.queue = Queue(self.store)
        self.sqs = Sqs(self.store, self.queue)
        self.tokens = Tokens(self.store)
        self.documents = Documents(self.store)
        self.orders = Orders(self.store)
        self.reports = Reports(self.store, self.offers, self.documents)
        self.account = Account(self.store, self.sqs.arn)
        #: operations the application lacks a role for
        self.denied: set[str] = set()
        Notifications(self.store, self.queue, later, self.account)
        self._limits = Limits(now, is_published=options.limits_published)
        self._resolvers = self._resolve()
        self._empty = cycle(_EMPTY)
        self._wire = Wire(self.faults, options, throttled=_THROTTLED, broken=_BROKEN)
        self._controls = Starlette(
            routes=sandbox.control_routes(self.sales, self.faults, options),
            exception_handlers={sandbox.Refusal: sandbox.refusal_response},
            lifespan=self._lifespan,
        )

    def _resolve(self) -> Resolvers:
        shipments, listings = Shipments(self.store), Listings(self.store, self.offers)
        feeds = Feeds(self.store, self.offers, self.documents, self.order_feeds)
        reports, account = self.reports, self.account
        books, older = Books(self.store, self.order_feeds), OlderOrders(self.orders)
        return {
            "searchOrders": self.orders.search,
            "getOrder": self.orders.get,
            "confirmShipment": shipments.confirm,
            "searchListingsItems": listings.search,
            "getListingsItem": listings.get,
            "patchListingsItem": listings.patch,
            "createFeedDocument": feeds.create_document,
            "getFeedDocument": feeds.document,
            "createFeed": feeds.create,
            "getFeeds": feeds.search,
            "getFeed": feeds.get,
            "cancelFeed": feeds.cancel,
            "createReport": reports.create,
            "getReport": reports.get,
            "getReportDocument": reports.document,
            "getMarketplaceParticipations": account.participations,
            "getSubscription": account.subscription,
            "createSubscription": account.subscribe,
            "deleteSubscriptionById": account.unsubscribe,
            "getDestinations": account.list_destinations,
            "createDestination": account.create_destination,
            "listFinancialEventsByOrderId": books.of_order,
            "getInventorySummaries": Warehouses(self.store, self.fba).summaries,
            "getOrders": older.search,
            "getOrderV0": older.get,
            "getOrderItems": older.lines,
        }

    @property
    def app(self) -> Any:
        return self

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._courier.running(), sandbox.buyers(self.sales, self.options):
            yield

    def truth(self) -> dict[str, Any]:
        return self.sales.truth()

    def account_entry(self) -> dict[str, Any]:
        endpoint = self.options.base_url
        return {
            "name": self.options.account,
            "connector": "amazon",
            "mode": "live",
            "endpoint": endpoint,
            # Amazon publishes some twenty lists an hour: polled faster, an account starves.
            "poll_seconds": 300 if self.options.limits_published else 1,
            "settings": {
                "region": REGION,
                "marketplace_ids": [MARKETPLACE_ID],
                "seller_id": seller_id(self.store),
                "lwa_client_id": self.tokens.client_id,
                "lwa_client_secret": self.tokens.client_secret,
                "refresh_token": self.tokens.refresh_token,
                "application_id": self.tokens.application_id,
                "visibility_lag_seconds": self.options.lag_seconds,
                "notifications": {
                    "queue_url": f"{endpoint}{self.sqs.path}",
                    "endpoint_url": endpoint,
                    "aws_region": AWS_REGION,
                    "access_key_id": self.sqs.access_key_id,
                    "secret_access_key": self.sqs.secret_access_key,
                },
            },
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith(_CONTROL_PATH):
            await self._controls(scope, receive, send)
            return
        body = await sandbox_wire.read_request(receive, bytes_max=UPLOAD_BYTES_MAX)
        if body is None:
            await sandbox_wire.send_reply(
                send, Refused(413, "RequestTooLarge", "Too large.").reply()
            )
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        raw_path = scope.get("raw_path", path.encode()).decode().partition("?")[0]
        if headers.get("x-amz-target", "").startswith(TARGET):
            request = SqsRequest(
                method=scope["method"], raw_path=raw_path, headers=headers, body=body
            )
            await sandbox_wire.send_reply(send, await self.sqs.answer(request))
            return
        call = self._call(scope, raw_path, headers, body)
        await self._wire.answer(call, receive, send)

    def _call(self, scope: Any, raw_path: str, headers: dict[str, str], body: bytes) -> Call:
        method, query = scope["method"], scope.get("query_string", b"").decode()
        if raw_path == TOKEN_PATH and method == "POST":
            return Call(work=lambda: self.tokens.grant(body), is_write=False)
        if raw_path == CONSENT_PATH and method == "GET":
            return Call(work=lambda: self.tokens.consent(query), is_write=False)
        if raw_path.startswith(DOCUMENT_PATH):
            name, kind = raw_path.removeprefix(DOCUMENT_PATH), headers.get("content-type", "")
            if method == "PUT":
                documents = self.documents
                return Call(work=lambda: documents.upload(name, query, kind, body), is_write=False)
            return Call(work=lambda: self.documents.download(name, query), is_write=False)
        token, base_url = headers.get("x-amz-access-token"), _base_url(scope)

        def work() -> Reply:
            try:
                operation, arguments = find(method, raw_path)
                request = Request(
                    operation=operation, path=arguments, query=query, body=body, base_url=base_url
                )
                return self._identified(self._work(request, token))
            except Refused as refused:
                return self._identified(refused.reply())

        return Call(work=work, is_write=method != "GET" and not _prepares(method, raw_path))

    def _work(self, request: Request, token: str | None) -> Reply:
        operation = request.operation
        with self.store.lock:
            self.store.calls[operation] += 1
            self.tokens.check(token, is_grantless=operation in GRANTLESS)
            self._limits.spend(operation)
            if operation in self.denied:
                message = "Access to requested resource is denied."
                raise Refused(403, "Unauthorized", message, f"A role is missing: {operation}.")
            if self.faults.fires("F07"):
                return next(self._empty)
            self.offers.settle()
            reply = self._resolvers[operation](request)
            headers = (*reply.headers, self._limits.header(operation))
            return Reply(status=reply.status, body=reply.body, headers=headers)

    def _identified(self, reply: Reply) -> Reply:
        number = self.store.secret(f"request/{self.store.next_id()}")
        headers = (*reply.headers, ("x-amzn-RequestId", number))
        return Reply(status=reply.status, body=reply.body, headers=headers)


def _prepares(method: str, raw_path: str) -> bool:
    """True where a lost answer leaves nothing done."""
    try:
        return find(method, raw_path)[0] in PREPARING
    except Refused:
        return False


def _base_url(scope: Any) -> str:
    """Where we listen; the official SDK spoils the Host header, so that one is not asked."""
    host, port = scope.get("server") or ("127.0.0.1", 0)
    return f"http://{host}:{port}"
