"""A sandbox shop served over HTTP, and a server that answers what a test lays ready."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.shopify import CONNECTOR
from connectors.shopify.client import Client
from connectors.shopify.sandbox.driver import Shop, signed, start_shop
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.tokens import Credentials
from connectors.shopify.wire import Wire
from oms_sync.cli.workbench import serve, workbench
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.testing import FakeClock, MemoryTokens, OpenGate, SeededIds

HERE = Path(__file__).parent


def start(**options: Any) -> AbstractContextManager[Shop]:
    """A fresh sandbox shop over HTTP, with a clock one sets."""
    return start_shop(workbench(CONNECTOR), **options)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with start() as running:
        yield running


@pytest.fixture
def running_shop() -> Callable[..., Any]:
    """Starts shops with options of the test's own."""
    return start


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
