"""A seller's Amazon that answers what a test lays ready, and the sandbox served over HTTP."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from connectors.amazon import CONNECTOR
from connectors.amazon.client import Client
from connectors.amazon.sandbox.driver import Seller, start_seller
from connectors.amazon.sandbox.order_views import SOLD_IN
from connectors.amazon.session import AmazonSession
from connectors.amazon.settings import AmazonSettings
from oms_sync.cli.workbench import workbench
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.sdk import OpenRequest, OrderFeed
from oms_sync.sdk.sandbox import Purchase
from oms_sync.sdk.testing import FakeClock, MemoryTokens, OpenGate, SeededIds

HERE = Path(__file__).parent
OPERATIONS = {
    "token": ("POST", r"/auth/o2/token"),
    "searchOrders": ("GET", r"/orders/2026-01-01/orders"),
    "getOrder": ("GET", r"/orders/2026-01-01/orders/[^/]+"),
    "confirmShipment": ("POST", r"/orders/v0/orders/[^/]+/shipmentConfirmation"),
    "searchListingsItems": ("GET", r"/listings/2021-08-01/items/[^/]+"),
    "getListingsItem": ("GET", r"/listings/2021-08-01/items/[^/]+/.+"),
    "patchListingsItem": ("PATCH", r"/listings/2021-08-01/items/[^/]+/.+"),
    "createFeedDocument": ("POST", r"/feeds/2021-06-30/documents"),
    "getFeedDocument": ("GET", r"/feeds/2021-06-30/documents/[^/]+"),
    "createFeed": ("POST", r"/feeds/2021-06-30/feeds"),
    "getFeeds": ("GET", r"/feeds/2021-06-30/feeds"),
    "getFeed": ("GET", r"/feeds/2021-06-30/feeds/[^/]+"),
    "createReport": ("POST", r"/reports/2021-06-30/reports"),
    "getReport": ("GET", r"/reports/2021-06-30/reports/[^/]+"),
    "getReportDocument": ("GET", r"/reports/2021-06-30/documents/[^/]+"),
    "getMarketplaceParticipations": ("GET", r"/sellers/v1/marketplaceParticipations"),
    "getInventorySummaries": ("GET", r"/fba/inventory/v1/summaries"),
    "getSubscription": ("GET", r"/notifications/v1/subscriptions/[^/]+"),
    "createSubscription": ("POST", r"/notifications/v1/subscriptions/[^/]+"),
    "deleteSubscriptionById": ("DELETE", r"/notifications/v1/subscriptions/[^/]+/[^/]+"),
    "getDestinations": ("GET", r"/notifications/v1/destinations"),
    "createDestination": ("POST", r"/notifications/v1/destinations"),
    "getOrders": ("GET", r"/orders/v0/orders"),
    "getOrderV0": ("GET", r"/orders/v0/orders/[^/]+"),
    "getOrderItems": ("GET", r"/orders/v0/orders/[^/]+/orderItems"),
    "listFinancialEventsByOrderId": ("GET", r"/finances/v0/orders/[^/]+/financialEvents"),
    "upload": ("PUT", r"/documents/.+"),
    "download": ("GET", r"/documents/.+"),
}
DOCUMENTS = "https://tortuga.s3.amazonaws.com/documents"
GRANT = {"access_token": "Atza|canary-1", "expires_in": 3600, "token_type": "bearer"}


class Asked:
    """One request as it went over the wire."""

    def __init__(self, operation: str, request: httpx.Request) -> None:
        self.operation, self.method, self.url = operation, request.method, request.url
        self.headers, self.body = dict(request.headers), request.read()
        found = parse_qs(request.url.query.decode(), keep_blank_values=True)
        self.query = {
            name: values[0] if len(values) == 1 else values for name, values in found.items()
        }

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Amazon:
    """Answers per operation, in order, the last one again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[str, list[Any]] = {
            "token": [GRANT],
            "searchListingsItems": [{"numberOfResults": 0, "items": []}],
            "createReport": [{"reportId": "r1"}],
        }
        self.headers: dict[str, str] = {}

    def on(self, operation: str, *answers: Any) -> None:
        assert operation in OPERATIONS, operation
        self._answers[operation] = list(answers)

    def of(self, operation: str) -> list[Asked]:
        return [one for one in self.asked if one.operation == operation]

    @property
    def counts(self) -> Counter[str]:
        return Counter(one.operation for one in self.asked)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        operation = next(
            name
            for name, (method, pattern) in OPERATIONS.items()
            if method == request.method and re.fullmatch(pattern, request.url.path)
        )
        self.asked.append(Asked(operation, request))
        answers = self._answers[operation]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(self.asked[-1])
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=answer.content
            )
        if isinstance(answer, int):
            return httpx.Response(answer, headers=self.headers)
        return httpx.Response(200, json=answer, headers=self.headers)


@pytest.fixture
def amazon() -> Amazon:
    return Amazon()


SETTINGS = {
    "region": "na",
    "marketplace_ids": ("ATVPDKIKX0DER",),
    "seller_id": "A1EXAMPLESELLER",
    "lwa_client_id": "amzn1.application-oa2-client.example",
    "lwa_client_secret": "canary-secret",
    "refresh_token": "Atzr|canary-refresh",
    "visibility_lag_seconds": 0,
}


@pytest.fixture
def settings() -> Callable[..., AmazonSettings]:
    def make(**changes: Any) -> AmazonSettings:
        return AmazonSettings.model_validate({**SETTINGS, **changes})

    return make


@pytest.fixture
def request_for(settings: Any, tables: Any) -> Callable[..., OpenRequest]:
    """What the hub opens a session with; keywords that are none of it go into the settings."""

    def make(*, endpoint=None, may_write=True, tokens=None, gate=None, clock=None, **changes):
        return OpenRequest(
            account="seller-a",
            settings=settings(**changes),
            endpoint=endpoint,
            locations=("main",),
            overlap_seconds=600.0,
            may_write=may_write,
            tables=tables,
            clock=clock or FakeClock(),
            ids=SeededIds(1),
            gate=gate or OpenGate(),
            tokens=tokens or MemoryTokens(),
        )

    return make


@pytest.fixture
def open_client(amazon: Amazon, request_for: Any) -> Iterator[Callable[..., Client]]:
    opened: list[Client] = []

    def make(**changes: Any) -> Client:
        opened.append(Client(request_for(**changes), inner=httpx.MockTransport(amazon)))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def open_session(amazon: Amazon, request_for: Any) -> Iterator[Callable[..., AmazonSession]]:
    opened: list[AmazonSession] = []

    def make(**changes: Any) -> AmazonSession:
        request = request_for(**changes)
        client = Client(request, inner=httpx.MockTransport(amazon))
        opened.append(AmazonSession(request, client))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


def start(**options: Any) -> AbstractContextManager[Seller]:
    """A fresh sandbox seller over HTTP, with a clock one sets."""
    return start_seller(workbench(CONNECTOR), **options)


@pytest.fixture
def seller() -> Iterator[Seller]:
    with start() as running:
        yield running


@pytest.fixture
def running_seller() -> Callable[..., Any]:
    """Starts sellers with options of the test's own."""
    return start


@pytest.fixture(scope="session")
def tables() -> dict[str, Any]:
    return load_tables(CONNECTOR.manifest)


@pytest.fixture(scope="session")
def recordings() -> Path:
    return HERE / "recordings"


@pytest.fixture(scope="session")
def expected() -> Path:
    return HERE / "expected"


@pytest.fixture
def documents() -> str:
    """Where Amazon keeps documents."""
    return DOCUMENTS


@pytest.fixture
def shown_order() -> Callable[..., dict[str, Any]]:
    return order_of


def order_of(
    number: int = 1, *, status: str = "UNSHIPPED", by: str = "MERCHANT", **changes: Any
) -> dict[str, Any]:
    """An order as Amazon shows it, of two units of one SKU."""
    order = {
        "orderId": f"111-0000000-{number:07d}",
        "createdTime": "2026-03-01T10:00:00Z",
        "lastUpdatedTime": "2026-03-01T11:00:00Z",
        "salesChannel": {"channelName": "AMAZON", "marketplaceId": "ATVPDKIKX0DER"},
        "fulfillment": {"fulfillmentStatus": status, "fulfilledBy": by},
        "orderItems": [
            {
                "orderItemId": f"9000000{number:07d}",
                "quantityOrdered": 2,
                "product": {"sellerSku": "TEE-M", "title": "Tee"},
                "fulfillment": {"quantityFulfilled": 0, "quantityUnfulfilled": 2},
            }
        ],
    }
    return {**order, **changes}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def reading(open_session, clock):
    """A session, and its pages one after the other."""
    session = open_session(clock=clock)

    def read(cursor=None, feed=OrderFeed.CHANGES):
        return session.read_orders(feed, cursor, clock.now() - timedelta(hours=1))

    read.session = session
    return read


@pytest.fixture
def place(seller):
    """Places an order in a marketplace."""

    def act(marketplace_id="ATVPDKIKX0DER", **more):
        order_id = seller.sandbox.sales.place(Purchase(lines=((seller.sku(), 1),), **more))
        order = seller.order(order_id)
        order.tags += (f"{SOLD_IN}{marketplace_id}",)
        seller.sandbox.store.changed(order)
        return order_id

    return act


@pytest.fixture
def reads(seller):
    """A whole pass: the ids it showed, and where the next one begins."""

    def act(session, feed=OrderFeed.CHANGES, cursor=None, hours=1):
        found = []
        while True:
            page = session.read_orders(feed, cursor, seller.now() - timedelta(hours=hours))
            found += [raw.channel_order_id for raw in page.orders]
            cursor = page.cursor
            if page.is_last:
                return set(found), cursor

    return act
