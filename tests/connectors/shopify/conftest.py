"""A sandbox shop served over HTTP, and the contract suite's hands on it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from connectors.shopify import CONNECTOR
from connectors.shopify.client import Client
from connectors.shopify.sandbox.app import create_sandbox
from connectors.shopify.session import ShopifySession, open_session
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.tokens import Credentials
from connectors.shopify.webhook import WEBHOOK
from connectors.shopify.wire import Wire
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.sandbox import Purchase, SandboxOptions
from oms_sync.sdk.testing import (
    FakeClock,
    MemoryTokens,
    NotApplicable,
    OpenGate,
    SeededIds,
    SignedWebhook,
    Trouble,
)

HERE = Path(__file__).parent
START_SECONDS_MAX = 10
PAGE = 6
TROUBLES = {
    Trouble.RATE_LIMITED: "F05",
    Trouble.DOWN: "F06",
    Trouble.TIMEOUT_BEFORE: "F01",
    Trouble.TIMEOUT_AFTER: "F02",
    Trouble.PARTIAL: "F08",
}


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a port of the system's choosing; gives its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            interface="asgi3",
            log_config=None,
            lifespan="off",
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS_MAX
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS_MAX)


class Shop:
    """A sandbox shop and the hub's side of it. A `ContractChannel`."""

    unknown_order_id = "999999999999"
    unknown_listing_id = "gid://shopify/InventoryItem/999999999999"

    def __init__(self, sandbox: Any, clock: FakeClock, base_url: str) -> None:
        self.sandbox, self.clock, self.base_url = sandbox, clock, base_url
        entry = sandbox.account_entry()
        self.settings = ShopifySettings.model_validate(entry["settings"])
        self.tokens, self.gate = MemoryTokens(), OpenGate()
        self.secrets = tuple(
            each.get_secret_value()
            for each in (self.settings.client_secret, self.settings.webhook_secret)
            if each is not None
        )
        self.recordings = tuple(
            path.read_bytes() for path in sorted((HERE / "recordings").glob("order-*.json"))
        )

    def request(self, **changes: Any) -> OpenRequest:
        request = OpenRequest(
            account="shop-a",
            settings=self.settings,
            endpoint=self.base_url,
            locations=("main",),
            overlap_seconds=600.0,
            may_write=True,
            tables=load_tables(CONNECTOR.manifest),
            clock=self.clock,
            ids=SeededIds(1),
            gate=self.gate,
            tokens=self.tokens,
        )
        return replace(request, **changes)

    def open(self, *, may_write: bool = True) -> ShopifySession:
        session = open_session(self.request(may_write=may_write))
        for name in ("OrdersByChange", "OrdersByAge", "Listings"):
            session._client.halve(name, PAGE)  # small pages, so that a few orders fill several
        return session

    def now(self) -> datetime:
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def sku(self, number: int = 0) -> str:
        skus = [sku for _, sku in self.sandbox.sales.listings()]
        return skus[number]

    def place_order(self, *quantities: int) -> str:
        if len(quantities) > 1:
            raise NotApplicable("a shop's cart merges the lines of one variant")
        lines = tuple((self.sku(), quantity) for quantity in quantities)
        placed: str = self.sandbox.sales.place(Purchase(lines=lines))
        return placed

    def place_together(self, count: int) -> list[str]:
        return [self.place_order(1) for _ in range(count)]

    def place_late(self, seconds: float) -> str:
        placed = self.place_order(1)
        order = self.sandbox.store.order(placed)
        order.visible_at = order.visible_in_lists_at = self.now() + timedelta(seconds=seconds)
        return placed

    def cancel_order(self, channel_order_id: str) -> None:
        self.sandbox.sales.cancel(channel_order_id, restock=True)

    def fulfilments(self, channel_order_id: str) -> int:
        return len(self.sandbox.truth()["orders"][channel_order_id]["shipments"])

    def listing_ids(self) -> list[str]:
        return [listing_id for listing_id, _ in self.sandbox.sales.listings()]

    def quantity(self, channel_listing_id: str) -> int:
        sku = dict(self.sandbox.sales.listings())[channel_listing_id]
        quantity: int = self.sandbox.truth()["quantities"][sku]
        return quantity

    def set_quantity(self, channel_listing_id: str, quantity: int) -> None:
        self.sandbox.sales.set_quantity(
            dict(self.sandbox.sales.listings())[channel_listing_id], quantity
        )

    def trouble(self, kind: Trouble) -> None:
        if kind is Trouble.REVOKED:
            self._real_opens = self.sandbox._tokens.opens
            self.sandbox._tokens.opens = lambda _: False
        elif kind in TROUBLES:
            self.sandbox.faults.set(TROUBLES[kind], 1.0)
        else:
            raise NotApplicable(f"a shop never plays {kind}")

    def heal(self) -> None:
        self.sandbox.faults.heal()
        if hasattr(self, "_real_opens"):
            self.sandbox._tokens.opens = self._real_opens

    def webhook(self) -> SignedWebhook:
        placed = self.place_order(1)
        body = json.dumps({"id": int(placed), "updated_at": "2026-03-01T12:00:00Z"}).encode()
        return SignedWebhook(
            part=WEBHOOK,
            settings=self.settings,
            headers=signed(self.secrets[0], body, "orders/create"),
            body=body,
            signature_header="x-shopify-hmac-sha256",
            channel_order_id=placed,
        )


def signed(secret: str, body: bytes, topic: str) -> dict[str, str]:
    import base64
    import hashlib
    import hmac

    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {
        "x-shopify-topic": topic,
        "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
    }


@contextmanager
def start_shop(**options: Any) -> Iterator[Shop]:
    """A fresh sandbox shop over HTTP, with a clock one sets."""
    clock = FakeClock()
    chosen = {"account": "shop-a", "skus": 8, "limits_published": False, "hang_seconds": 0.05}
    sandbox = create_sandbox(SandboxOptions(**chosen | options), now=clock.now)
    with serve(sandbox.app) as base_url:
        yield Shop(sandbox, clock, base_url)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with start_shop() as running:
        yield running


@pytest.fixture
def running_shop() -> Callable[..., Any]:
    """Starts shops with options of the test's own."""
    return start_shop


@pytest.fixture
def serve_app() -> Callable[[Any], Any]:
    return serve


@pytest.fixture
def sign() -> Callable[..., dict[str, str]]:
    return signed


@pytest.fixture(scope="session")
def tables() -> dict[str, Any]:
    return load_tables(CONNECTOR.manifest)


@pytest.fixture(scope="session")
def recordings() -> Path:
    return HERE / "recordings"


@pytest.fixture(scope="session")
def expected() -> Path:
    return HERE / "expected"


# --- a server that answers what a test lays ready ----------------------------


class Scripted:
    """A server that answers what a test lays ready, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list = []
        self.asked: list = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("content-length") or 0)
                script.asked.append((self.path, dict(self.headers), self.rfile.read(length)))
                script._answer(self)

            def do_GET(self):
                script.asked.append((self.path, dict(self.headers), b""))
                script._answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # callers hang up on purpose
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def _answer(self, handler):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, headers, body = answer(handler) if callable(answer) else answer
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
        handler.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        for name, value in sent.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True


@pytest.fixture
def scripted():
    script = Scripted()
    yield script
    script.server.shutdown()
    script.server.server_close()


@pytest.fixture
def make_client(scripted):
    def make(*, credentials=None, prefix="", token="shpat_canary", **changes):
        settings = ShopifySettings(shop="shop-a", access_token=token)
        request = OpenRequest(
            account="shop-a",
            settings=settings,
            endpoint=None,
            locations=("main",),
            overlap_seconds=600,
            may_write=True,
            tables={},
            clock=FakeClock(),
            ids=SeededIds(1),
            gate=OpenGate(),
            tokens=MemoryTokens(),
        )
        request = replace(request, **changes)
        wire = Wire(request.clock)
        credentials = credentials or Credentials(request, scripted.url, wire)
        return Client(request, scripted.url + prefix, wire, credentials)

    return make
