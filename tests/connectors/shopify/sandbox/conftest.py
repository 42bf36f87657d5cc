"""A sandbox served by uvicorn in a thread, and a small client that shows everything it answers."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import uvicorn

from connectors.shopify.sandbox.app import create_sandbox
from oms_sync.sdk.sandbox import Sandbox, SandboxOptions

VERSION = "2026-10"
WAIT_SECONDS_MAX = 5.0


@dataclass
class Shop:
    """A running sandbox and how to talk to it."""

    sandbox: Sandbox
    options: SandboxOptions
    token: str = ""

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(self.options.host, self.options.port, timeout=5)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        status, headers, raw = self.send(method, f"/_sandbox/{path}", body)
        is_json = "json" in headers["content-type"]
        return status, json.loads(raw) if is_json else raw.decode()

    def graphql(self, query: str, variables: Any = None, version: str = VERSION) -> Any:
        status, _, raw = self.send(
            "POST",
            f"/admin/api/{version}/graphql.json",
            {"query": query, "variables": variables},
            {"X-Shopify-Access-Token": self.token, "Content-Type": "application/json"},
        )
        assert status == 200, raw
        return json.loads(raw)

    def data(self, query: str, variables: Any = None) -> Any:
        answer = self.graphql(query, variables)
        assert "errors" not in answer, answer
        return answer["data"]

    def buy(self, sku: str, quantity: int = 1, **more: Any) -> str:
        line = {"channel_sku": sku, "quantity": quantity}
        status, body = self.control("POST", "orders", {"lines": [line], **more})
        assert status == 201, body
        return f"gid://shopify/Order/{body['channel_order_id']}"

    def renew_token(self) -> None:
        settings = self.sandbox.account_entry()["settings"]
        asked = {"grant_type": "client_credentials"}
        asked |= {name: settings[name] for name in ("client_id", "client_secret")}
        headers = {"Content-Type": "application/json"}
        status, _, raw = self.send("POST", "/admin/oauth/access_token", asked, headers)
        assert status == 200
        self.token = json.loads(raw)["access_token"]

    def item(self, sku: str) -> dict[str, Any]:
        """The inventory item of a SKU: id, location and what is available there."""
        location = self.sandbox.account_entry()["settings"]["location_ids"]["main"]
        query = """query($id: ID!) { inventoryItems(first: 250) { nodes { id sku
            inventoryLevel(locationId: $id) {
                quantities(names: ["available"]) { quantity } } } } }"""
        nodes = self.data(query, {"id": location})["inventoryItems"]["nodes"]
        found = next(node for node in nodes if node["sku"] == sku)
        available = found["inventoryLevel"]["quantities"][0]["quantity"]
        return {"id": found["id"], "location": location, "available": available}


@pytest.fixture
def start_shop() -> Iterator[Callable[..., Shop]]:
    """A maker of sandboxes on ports of the machine's choice."""
    started: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(**options: Any) -> Shop:
        now = options.pop("now", lambda: datetime.now(UTC))
        ear = socket.socket()
        ear.bind(("127.0.0.1", 0))
        settings = {"hang_seconds": 0.05, "late_seconds": 0.4, "retry_gap_seconds": 0.02}
        chosen = SandboxOptions(**{**settings, "port": ear.getsockname()[1], **options})
        sandbox = create_sandbox(chosen, now=now)
        server = uvicorn.Server(
            uvicorn.Config(sandbox.app, log_level="error", lifespan="on", ws="none")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]}, daemon=True)
        thread.start()
        started.append((server, thread, ear))
        wait_until(lambda: server.started)
        entry = sandbox.account_entry()["settings"]
        shop = Shop(sandbox, chosen, entry.get("access_token", ""))
        if not shop.token:
            shop.renew_token()
        return shop

    yield start
    for server, thread, ear in started:
        server.should_exit = True
        thread.join(WAIT_SECONDS_MAX)
        ear.close()


@pytest.fixture
def shop(start_shop: Callable[..., Shop]) -> Shop:
    return start_shop()


@dataclass
class Hub:
    """An HTTP listener that keeps what it gets and answers as told."""

    url: str
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def topics(self) -> list[str]:
        return [headers["x-shopify-topic"] for headers, _ in self.received]


@pytest.fixture
def hub() -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(told.answers.pop(0) if told.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Hub(f"http://127.0.0.1:{server.server_port}/webhooks/shop-a")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def wait_until(claim: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not claim():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def wait() -> Callable[[Callable[[], Any]], None]:
    return wait_until
