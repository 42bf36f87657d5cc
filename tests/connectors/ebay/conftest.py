"""A sandbox seller served over HTTP, and a server that answers what a test lays ready."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.ebay import CONNECTOR
from connectors.ebay.client import Client
from connectors.ebay.sandbox.driver import Seller, start_seller
from connectors.ebay.session import open_session
from connectors.ebay.settings import EbaySettings
from oms_sync.cli.workbench import serve, workbench
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.sdk import OpenRequest
from oms_sync.sdk.testing import FakeClock, MemoryTokens, OpenGate, SeededIds

HERE = Path(__file__).parent
NAMESPACE = "urn:ebay:apis:eBLBaseComponents"
TOKEN_PATH = "/identity/v1/oauth2/token"
SETTINGS = {
    "app_id": "app-1",
    "dev_id": "dev-1",
    "cert_id": "cert-canary",
    "refresh_token": "refresh-canary",
    "compatibility_level": 1423,
    "visibility_lag_seconds": 120,
    "verification_token": "v" * 40,
}


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


@pytest.fixture
def serve_app() -> Callable[[Any], Any]:
    return serve


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


def trading_answer(call, inner="", *, ack="Success", at="2026-03-01T12:00:00.000Z"):
    """The body of a Trading answer."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{call}Response xmlns="{NAMESPACE}">'
        f"<Timestamp>{at}</Timestamp><Ack>{ack}</Ack>{inner}</{call}Response>"
    ).encode()


def fault(code, *, severity="Error", kind="RequestError", message="It is so.", **parameters):
    """One entry of `Errors`."""
    named = "".join(
        f'<ErrorParameters ParamID="{name}"><Value>{value}</Value></ErrorParameters>'
        for name, value in parameters.items()
    )
    return (
        f"<Errors><ShortMessage>{message}</ShortMessage><ErrorCode>{code}</ErrorCode>"
        f"<SeverityCode>{severity}</SeverityCode>{named}"
        f"<ErrorClassification>{kind}</ErrorClassification></Errors>"
    )


class Scripted:
    """A server that answers what a test lays ready, and remembers what it was asked.

    Tokens are granted by themselves, numbered; the call budget answers 204, which says nothing.
    """

    def __init__(self) -> None:
        #: (status, headers, body) each, or a function of the handler that gives one
        self.answers: list = []
        #: Trading and REST calls: what, headers with lower-case names, body
        self.asked: list = []
        self.granted: list = []
        self.grants = self.grant
        self.limits = (204, {}, b"")
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def work(self):
                length = int(self.headers.get("content-length") or 0)
                self.body = self.rfile.read(length)
                script._answer(self)

            def log_message(self, *_):
                pass

        for method in ("GET", "POST", "PUT"):
            setattr(Handler, f"do_{method}", Handler.work)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # callers hang up on purpose
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def grant(self, handler):
        kind = "app" if b"client_credentials" in handler.body else "user"
        number = len(self.granted)
        return (200, {}, {"access_token": f"{kind}-token-{number}", "expires_in": 7200})

    def bodies(self, call):
        """The bodies of all Trading calls of one name."""
        return [body.decode() for what, _, body in self.asked if what == call]

    def _answer(self, handler):
        if handler.path.endswith(TOKEN_PATH):
            self.granted.append((dict(handler.headers), handler.body))
            answer = self.grants(handler)
        elif "/developer/analytics/" in handler.path:
            answer = self.limits
        else:
            headers = {name.lower(): value for name, value in handler.headers.items()}
            what = headers.get("x-ebay-api-call-name") or f"{handler.command} {handler.path}"
            self.asked.append((what, headers, handler.body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answer = answer(handler) if callable(answer) else answer
        self._send(handler, *answer)

    def _send(self, handler, status, headers, body):
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
        handler.send_response(status)
        sent = {"Content-Type": "text/xml", "Content-Length": str(len(body)), **headers}
        for name, value in sent.items():
            if value is not None:
                handler.send_header(name, value)
        handler.send_header("Connection", "close")
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
def answers(scripted):
    """Lays Trading answers ready: (call, inner, keywords) each, or a finished answer."""

    def lay(*given):
        scripted.answers = [
            (200, {}, trading_answer(*one[:2], **(one[2] if len(one) > 2 else {})))
            if isinstance(one[0], str)
            else one
            for one in given
        ]

    return lay


@pytest.fixture
def say():
    """The words of answers: `say.fault(…)`, `say.answer(…)`."""

    class Say:
        pass

    Say.fault, Say.answer = staticmethod(fault), staticmethod(trading_answer)
    return Say


@pytest.fixture
def make_request(scripted, tables):
    def make(*, settings=None, prefix="", **changes):
        request = OpenRequest(
            account="ebay-a",
            settings=EbaySettings(**(SETTINGS | (settings or {}))),
            endpoint=scripted.url + prefix,
            locations=("main",),
            overlap_seconds=600,
            may_write=True,
            tables=tables,
            clock=FakeClock(),
            ids=SeededIds(1),
            gate=OpenGate(),
            tokens=MemoryTokens(),
        )
        return replace(request, **changes)

    return make


@pytest.fixture
def make_client(make_request):
    made = []

    def make(**changes):
        made.append(Client(make_request(**changes)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def make_session(make_request):
    made = []

    def make(**changes):
        made.append(open_session(make_request(**changes)))
        return made[-1]

    yield make
    for session in made:
        session.close()
