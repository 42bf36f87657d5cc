"""A sandbox served by uvicorn in a thread, the unmodified SDK and boto3 pointed at it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import boto3
import httpx
import pytest
import uvicorn
from botocore.config import Config
from sp_api.api import Feeds, ListingsItems, Notifications, Orders, Reports, Sellers
from sp_api.auth import AccessTokenClient
from sp_api.auth.access_token_client import cache, grantless_cache
from sp_api.base.credential_provider import FromCodeCredentialProvider

from connectors.amazon.sandbox.app import create_sandbox
from oms_sync.sdk.sandbox import SandboxOptions

WAIT_SECONDS_MAX = 5.0
HERE = "ATVPDKIKX0DER"
STOCKED = "SKU-00010"


@dataclass
class Clock:
    """A clock that moves only when told to."""

    at: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class RealClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Answer:
    """One plain HTTP answer."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        return str(self.body["errors"][0]["code"])

    @property
    def text(self) -> str:
        error = self.body["errors"][0]
        return f"{error['message']} {error['details']}"


@dataclass
class Amazon:
    """A running sandbox and how to talk to it, plainly and through the vendors' packages."""

    sandbox: Any
    options: SandboxOptions
    clock: Any
    tokens: dict[bool, str] = field(default_factory=dict)
    opened: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = self.sandbox.account_entry()["settings"]
        self.seller = self.settings["seller_id"]

    # --- plain HTTP ------------------------------------------------------------------------------

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Any = None
    ) -> Answer:
        connection = HTTPConnection(self.options.host, self.options.port, timeout=5)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            told = {k.lower(): v for k, v in answer.getheaders()}
            return Answer(answer.status, told, answer.read())
        finally:
            connection.close()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        text = None if body is None else json.dumps(body).encode()
        answer = self.send(method, f"/_sandbox/{path}", text)
        return answer.status, answer.body if "json" in answer.headers["content-type"] else answer

    def grant(self, **fields: str) -> Answer:
        asked = {
            "grant_type": "refresh_token",
            "client_id": self.settings["lwa_client_id"],
            "client_secret": self.settings["lwa_client_secret"],
            "refresh_token": self.settings["refresh_token"],
            **fields,
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", "/auth/o2/token", urlencode(asked).encode(), kind)

    def token(self, *, is_grantless: bool = False) -> str:
        if is_grantless not in self.tokens:
            scope = "sellingpartnerapi::notifications"
            more = {"grant_type": "client_credentials", "scope": scope} if is_grantless else {}
            self.tokens[is_grantless] = self.grant(**more).body["access_token"]
        return self.tokens[is_grantless]

    def api(
        self, method: str, path: str, query: Any = None, body: Any = None, **more: Any
    ) -> Answer:
        asked = f"{path}?{urlencode(query)}" if query else path
        token = more.get("token", self.token(is_grantless=more.get("is_grantless", False)))
        headers = {"x-amz-access-token": token, "Content-Type": "application/json"}
        return self.send(
            method, asked, None if body is None else json.dumps(body).encode(), headers
        )

    def search(self, **query: Any) -> Answer:
        if not {"createdAfter", "lastUpdatedAfter"} & set(query):
            query["lastUpdatedAfter"] = "2026-01-01T00:00:00Z"
        return self.api("GET", "/orders/2026-01-01/orders", query)

    def order(self, order_id: str, included: str = "FULFILLMENT,CANCELLATION,PACKAGES") -> Any:
        path = f"/orders/2026-01-01/orders/{order_id}"
        answer = self.api("GET", path, {"includedData": included} if included else None)
        assert answer.status == 200, answer.raw
        return answer.body["order"]

    def confirm(self, order_id: str, **changes: Any) -> Answer:
        package = {
            "packageReferenceId": "1",
            "carrierCode": "UPS",
            "trackingNumber": "1Z1",
            "shipDate": "2026-03-01T11:00:00Z",
            "orderItems": [],
        }
        body = {"marketplaceId": HERE, "packageDetail": package | changes}
        return self.api("POST", f"/orders/v0/orders/{order_id}/shipmentConfirmation", None, body)

    def listing(self, sku: str, included: str = "fulfillmentAvailability") -> Any:
        path = f"/listings/2021-08-01/items/{self.seller}/{quote(sku, safe='')}"
        answer = self.api("GET", path, {"marketplaceIds": HERE, "includedData": included})
        assert answer.status == 200, answer.raw
        return answer.body

    def shown(self, sku: str) -> int:
        quantity: int = self.listing(sku)["fulfillmentAvailability"][0]["quantity"]
        return quantity

    def patch(self, sku: str, quantity: Any, op: str = "replace", **more: Any) -> Answer:
        entry = {"fulfillment_channel_code": "DEFAULT", "quantity": quantity, **more}
        change = {"op": op, "path": "/attributes/fulfillment_availability", "value": [entry]}
        return self.patch_with(sku, {"productType": "PRODUCT", "patches": [change]})

    def patch_with(self, sku: str, body: Any, **query: Any) -> Answer:
        path = f"/listings/2021-08-01/items/{self.seller}/{quote(sku, safe='')}"
        return self.api("PATCH", path, {"marketplaceIds": HERE, **query}, body)

    # --- the seller's side -----------------------------------------------------------------------

    def buy(self, sku: str = STOCKED, quantity: int = 1, **more: Any) -> str:
        line = {"channel_sku": sku, "quantity": quantity}
        status, body = self.control("POST", "orders", {"lines": [line], **more})
        assert status == 201, body
        return str(body["channel_order_id"])

    def quantity(self, sku: str = STOCKED) -> int:
        count: int = self.sandbox.truth()["quantities"][sku]
        return count

    def force(self, kind: str, times: int = 1) -> None:
        status, counter = self.control("PUT", f"faults/{kind}", {"rate": 0, "force": times})
        assert (status, counter["forced"]) == (200, times)

    def fired(self, kind: str) -> int:
        count: int = self.control("GET", "faults")[1][kind]["fired"]
        return count

    # --- the vendors' packages -------------------------------------------------------------------

    def sdk(self, client: Any, **more: Any) -> Any:
        """A client of the unmodified SDK, pointed here by its own means."""

        class Desk(AccessTokenClient):  # type: ignore[misc]
            scheme = "http://"
            host = f"{self.options.host}:{self.options.port}"

        credentials = {
            "lwa_app_id": self.settings["lwa_client_id"],
            "lwa_client_secret": self.settings["lwa_client_secret"],
            "refresh_token": self.settings["refresh_token"],
        }
        site = SimpleNamespace(
            endpoint=self.options.base_url, marketplace_id=HERE, region="us-east-1"
        )
        made = client(
            marketplace=site,
            credentials=credentials,
            credential_providers=(FromCodeCredentialProvider,),
            auth_token_client_class=Desk,
            **more,
        )
        self.opened += [made, made._auth._transport]
        return made

    def sqs(self, **more: Any) -> Any:
        told = self.settings["notifications"]
        asked = {
            "endpoint_url": told["endpoint_url"],
            "region_name": told["aws_region"],
            "aws_access_key_id": told["access_key_id"],
            "aws_secret_access_key": told["secret_access_key"],
            "config": Config(retries={"max_attempts": 0}, proxies={}),
        }
        made = boto3.session.Session().client("sqs", **(asked | more))
        self.opened.append(made)
        return made

    @property
    def queue_url(self) -> str:
        url: str = self.settings["notifications"]["queue_url"]
        return url

    def told(self, most: int = 10) -> list[dict[str, Any]]:
        """The notifications waiting, each deleted as it is read."""
        queue, found = self.sandbox.queue, []
        for _ in range(most):
            for message in queue.receive(10, 30):
                found.append(json.loads(message["Body"]))
                queue.delete(message["ReceiptHandle"])
        return found


@pytest.fixture(autouse=True)
def forget_tokens() -> Iterator[None]:
    """The SDK keeps tokens per process; a test must not meet another test's."""
    cache.clear()
    grantless_cache.clear()
    yield
    cache.clear()
    grantless_cache.clear()


@pytest.fixture
def start_amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Amazon]]:
    """A maker of sandboxes on ports of the machine's choice; their clocks stand."""
    monkeypatch.setenv("NO_PROXY", "*")
    started: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []
    served: list[Amazon] = []

    def start(**options: Any) -> Amazon:
        clock = RealClock() if options.pop("in_real_time", False) else Clock()
        ear = socket.create_server(("127.0.0.1", 0))
        settings = {"hang_seconds": 0.05, "late_seconds": 0.3, "account": "amazon-a"}
        chosen = SandboxOptions(
            **{**settings, "limits_published": False, "port": ear.getsockname()[1], **options}
        )
        sandbox = create_sandbox(chosen, now=clock.now)
        server = uvicorn.Server(
            uvicorn.Config(sandbox.app, log_level="error", lifespan="on", ws="none")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]}, daemon=True)
        thread.start()
        started.append((server, thread, ear))
        wait_until(lambda: server.started)
        made = Amazon(sandbox, chosen, clock)
        served.append(made)
        return made

    yield start
    for client in (each for amazon in served for each in amazon.opened):
        client.close()
    for server, thread, ear in started:
        server.should_exit = True
        thread.join(WAIT_SECONDS_MAX)
        ear.close()


@pytest.fixture
def amazon(start_amazon: Callable[..., Amazon]) -> Amazon:
    return start_amazon()


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait for something that happens soon."""
    return wait_until


@pytest.fixture
def apis() -> Any:
    """The SDK's clients by the words the tests use."""
    return SimpleNamespace(
        orders=lambda amazon: amazon.sdk(Orders, version="2026-01-01"),
        shipments=lambda amazon: amazon.sdk(Orders),
        listings=lambda amazon: amazon.sdk(ListingsItems),
        feeds=lambda amazon: amazon.sdk(Feeds),
        reports=lambda amazon: amazon.sdk(Reports),
        sellers=lambda amazon: amazon.sdk(Sellers),
        notifications=lambda amazon: amazon.sdk(Notifications),
    )


@pytest.fixture
def transfer() -> Callable[..., httpx.Response]:
    """Upload or download at a presigned address, as a client of its own does it."""

    def send(method: str, url: str, **more: Any) -> httpx.Response:
        assert urlsplit(url).hostname == "127.0.0.1"
        with httpx.Client(trust_env=False) as client:
            return client.request(method, url, **more)

    return send


def wait_until(claim: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        found = claim()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")
