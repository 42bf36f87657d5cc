"""A sandbox served by uvicorn in a thread, and a small client that shows everything it answers."""

import base64
import hashlib
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
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.sax.saxutils import escape

import pytest
import uvicorn
from lxml import etree

from connectors.ebay.sandbox.app import EbaySandbox, create_sandbox
from oms_sync.sdk.sandbox import SandboxOptions

WAIT_SECONDS_MAX = 5.0
NAMESPACE = "urn:ebay:apis:eBLBaseComponents"
SCOPE = "https://api.ebay.com/oauth/api_scope"


@dataclass
class Answer:
    """A Trading answer: its bytes and its tree without namespaces."""

    raw: bytes
    root: Any

    def texts(self, path: str) -> list[str]:
        return [each.text or "" for each in self.root.iterfind(path)]

    def text(self, path: str) -> str | None:
        return self.root.findtext(path)

    @property
    def ack(self) -> str | None:
        return self.text("Ack")

    @property
    def codes(self) -> list[int]:
        return [int(code) for code in self.texts("Errors/ErrorCode")]


@dataclass
class Seller:
    """A running sandbox and how to talk to it."""

    sandbox: EbaySandbox
    options: SandboxOptions
    tokens: dict[str, str] = field(default_factory=dict)

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(self.options.host, self.options.port, timeout=5)
        try:
            is_plain = body is None or isinstance(body, bytes)
            connection.request(method, path, body if is_plain else json.dumps(body), headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        status, headers, raw = self.send(method, f"/_sandbox/{path}", body)
        return status, json.loads(raw) if "json" in headers["content-type"] else raw.decode()

    def force(self, kind: str, times: int = 1) -> None:
        status, counter = self.control("PUT", f"faults/{kind}", {"rate": 0, "force": times})
        assert (status, counter["forced"]) == (200, times)

    def fired(self, kind: str) -> int:
        return self.control("GET", "faults")[1][kind]["fired"]

    def grant(self, form: dict[str, str], pair: str | None = None) -> tuple[int, Any]:
        settings = self.sandbox.account_entry()["settings"]
        pair = pair or f"{settings['app_id']}:{settings['cert_id']}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode(form).encode()
        status, _, raw = self.send("POST", "/identity/v1/oauth2/token", body, headers)
        return status, json.loads(raw)

    def renew(self) -> None:
        refresh = self.sandbox.account_entry()["settings"]["refresh_token"]
        forms = {
            "user": {"grant_type": "refresh_token", "refresh_token": refresh},
            "application": {"grant_type": "client_credentials", "scope": SCOPE},
        }
        for kind, form in forms.items():
            status, granted = self.grant(form)
            assert status == 200, granted
            self.tokens[kind] = granted["access_token"]

    def post(self, call: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One Trading request as bytes came back."""
        sent = {
            "X-EBAY-API-CALL-NAME": call,
            "X-EBAY-API-COMPATIBILITY-LEVEL": "1423",
            "X-EBAY-API-SITEID": "0",
            "X-EBAY-API-IAF-TOKEN": self.tokens["user"],
        } | headers
        whole = f'<{call}Request xmlns="{NAMESPACE}">{body}</{call}Request>'
        return self.send("POST", "/ws/api.dll", whole.encode(), sent)

    def trading(self, call: str, body: str = "", **headers: str) -> Answer:
        status, _, raw = self.post(call, body, **headers)
        assert status == 200, raw
        root = etree.fromstring(raw)
        for element in root.iter():
            element.tag = etree.QName(element).localname
        return Answer(raw, root)

    def rest(
        self, method: str, path: str, body: Any = None, *, token: str = "user"
    ) -> tuple[int, dict[str, str], Any]:
        headers = {"Authorization": f"Bearer {self.tokens[token]}"}
        status, answered, raw = self.send(method, path, body, headers)
        return status, answered, json.loads(raw) if raw else None

    def buy(self, *lines: tuple[str, int], **more: Any) -> str:
        listed = [{"channel_sku": sku, "quantity": quantity} for sku, quantity in lines]
        status, body = self.control("POST", "orders", {"lines": listed, **more})
        assert status == 201, body
        return body["channel_order_id"]

    def act(self, order_id: str, act: str, body: Any = None) -> tuple[int, Any]:
        return self.control("POST", f"orders/{quote(order_id)}/{act}", body or {})

    def by_id(self, *order_ids: str) -> Answer:
        ids = "".join(f"<OrderID>{escape(each)}</OrderID>" for each in order_ids)
        return self.trading("GetOrders", f"<OrderIDArray>{ids}</OrderIDArray>")

    def revise(self, *nodes: tuple[str, str | None, int]) -> Answer:
        body = "".join(
            f"<InventoryStatus>{f'<SKU>{escape(sku)}</SKU>' if sku else ''}"
            f"<ItemID>{item}</ItemID><Quantity>{quantity}</Quantity></InventoryStatus>"
            for item, sku, quantity in nodes
        )
        return self.trading("ReviseInventoryStatus", body)

    def item(self, sku: str) -> str:
        return next(
            number.partition("/")[0]
            for number, known in self.sandbox.sales.listings()
            if known == sku
        )

    def truth(self) -> dict[str, Any]:
        return self.sandbox.truth()

    def left(self, sku: str) -> int:
        return self.truth()["quantities"][sku]


@pytest.fixture
def start_seller() -> Iterator[Callable[..., Seller]]:
    """A maker of sandboxes on ports of the machine's choice."""
    started: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(**options: Any) -> Seller:
        now = options.pop("now", lambda: datetime.now(UTC))
        ear = socket.socket()
        ear.bind(("127.0.0.1", 0))
        settings = {"hang_seconds": 0.05, "late_seconds": 0.4, "retry_gap_seconds": 0.02}
        settings["account"] = "ebay-us"
        chosen = SandboxOptions(**{**settings, "port": ear.getsockname()[1], **options})
        sandbox = create_sandbox(chosen, now=now)
        server = uvicorn.Server(
            uvicorn.Config(sandbox.app, log_level="error", lifespan="on", ws="none")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]}, daemon=True)
        thread.start()
        started.append((server, thread, ear))
        wait_until(lambda: server.started)
        seller = Seller(sandbox, chosen)
        seller.renew()
        return seller

    yield start
    for server, thread, ear in started:
        server.should_exit = True
        thread.join(WAIT_SECONDS_MAX)
        ear.close()


@pytest.fixture
def seller(start_seller: Callable[..., Seller]) -> Seller:
    return start_seller()


@dataclass
class Hub:
    """An HTTP listener that answers challenges, keeps what it gets and answers as told."""

    url: str
    token: str = "a-verification-token-of-32-letters-x"
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def hub() -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code = parse_qs(urlsplit(self.path).query)["challenge_code"][0]
            digest = hashlib.sha256(f"{code}{told.token}{told.url}".encode()).hexdigest()
            body = json.dumps({"challengeResponse": digest}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(told.answers.pop(0) if told.answers else 204)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Hub(f"http://127.0.0.1:{server.server_port}/webhooks/ebay-us")
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
