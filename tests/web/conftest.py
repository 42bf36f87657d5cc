"""The webhook route behind a real server on loopback, and a client that speaks bare bytes."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from oms_sync.flows.records import NewMessage
from oms_sync.runtime.clock import SystemClock
from oms_sync.web.app import make_app
from oms_sync.web.health import Readiness
from oms_sync.web.limits import HEADER_BYTES_MAX, bounded_protocol
from oms_sync.web.listeners import Listener, bind
from oms_sync.web.verifiers import Verifier
from oms_sync.web.webhooks import WebhookParts

SIGNATURE = "x-signature"
READ_SECONDS_MAX = 10


def sign(body: bytes, secret: bytes) -> str:
    return base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()


class HmacWebhook:
    """A verifier like a connector's: base64 of HMAC-SHA256 over the raw body, any live secret."""

    def __init__(self) -> None:
        self.calls = 0

    def verify(self, settings, headers, body) -> bool:
        self.calls += 1
        given = headers.get(SIGNATURE, "").encode("latin-1", "replace")
        return any(
            hmac.compare_digest(given, sign(body, secret).encode()) for secret in settings["live"]
        )

    def topic(self, headers) -> str:
        return headers.get("x-topic", "")


class MemoryWriter:
    """Keeps deliveries; a test may make it slow, full or failing."""

    def __init__(self) -> None:
        self.stored: list[NewMessage] = []
        self.refuses: Exception | None = None
        self.fails: Exception | None = None

    def put(self, message: NewMessage) -> Future:
        if self.refuses:
            raise self.refuses
        stored: Future = Future()
        if self.fails:
            stored.set_exception(self.fails)
        else:
            self.stored.append(message)
            stored.set_result(None)
        return stored


@dataclass
class CountingMetrics:
    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def count(self, name, amount=1, **labels) -> None:
        self.counted[(name, labels["account"], labels["outcome"])] += int(amount)

    def gauge(self, name, value, **labels) -> None: ...

    def observe(self, name, value, **labels) -> None: ...

    def outcomes(self) -> dict[tuple[str, str], int]:
        return {key[1:]: count for key, count in self.counted.items()}


class Answer:
    """What came back on a socket: status, headers, and whether the connection was closed."""

    def __init__(self, raw: bytes, *, is_closed: bool) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.status = int(lines[0].split()[1]) if raw else 0
        self.headers = {
            name.strip().lower().decode(): value.strip().decode()
            for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        self.is_closed = is_closed


class Served:
    """One listener with the webhook route and the health routes."""

    def __init__(self, *, secrets, body_seconds=10.0, **limits) -> None:
        self.writer, self.metrics, self.clock = MemoryWriter(), CountingMetrics(), SystemClock()
        self.verifiers: dict[str, Verifier] = {}
        parts = WebhookParts(
            verifiers=self.verifiers,
            writer=self.writer,
            clock=self.clock,
            metrics=self.metrics,
            is_accepting=lambda: self.is_accepting,
            body_seconds=body_seconds,
        )
        self.readiness = Readiness({}, clock=self.clock)
        self.reset(secrets=secrets)
        config = uvicorn.Config(
            make_app(webhooks=parts, readiness=self.readiness),
            http=bounded_protocol(H11Protocol, **limits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        )
        self.listener = Listener(
            uvicorn.Server(config), bound=bind("127.0.0.1", 0), clock=self.clock
        )
        self.listener.start()

    def reset(self, *, secrets) -> None:
        """As if it had just been made."""
        self.secrets, self.webhook, self.is_accepting = secrets, HmacWebhook(), True
        self.verifiers.clear()
        for name, settings in secrets.items():
            self.verifiers[name] = Verifier(
                webhook=self.webhook, settings=settings, headers=("x-topic", "x-event")
            )
        self.writer.stored, self.writer.fails, self.writer.refuses = [], None, None
        self.metrics.counted.clear()
        self.readiness.refresh()
        self.readiness.open()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.listener.port), READ_SECONDS_MAX)
        connection.settimeout(READ_SECONDS_MAX)
        return connection

    def send(self, raw: bytes, *, then: bytes = b"") -> Answer:
        """Send bytes as they are and read one answer."""
        with self.connect() as connection:
            connection.sendall(raw)
            if then:
                with contextlib.suppress(OSError):  # it may be refused already
                    connection.sendall(then)
            return read_answer(connection)

    def get(self, path: str) -> Answer:
        """An honest question."""
        return self.send(request(path, b"", method="GET"))

    def post(self, account: str, body: bytes, *, secret=None, headers=(), path=None) -> Answer:
        """An honest delivery, signed with the account's first secret unless told otherwise."""
        if secret is None and account in self.secrets:
            secret = self.secrets[account]["live"][0]
        lines = list(headers)
        if secret is not None:
            lines.append(f"{SIGNATURE}: {sign(body, secret)}")
        return self.send(request(path or f"/webhooks/{account}", body, lines) + body)


def request(path: str, body: bytes, lines=(), *, method="POST", length=None) -> bytes:
    """The head of a request."""
    length = len(body) if length is None else length
    head = [f"{method} {path} HTTP/1.1", "host: hub", f"content-length: {length}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"


def read_answer(connection: socket.socket) -> Answer:
    raw = b""
    deadline = time.monotonic() + READ_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            chunk = connection.recv(65536)
        except ConnectionError:
            return Answer(raw, is_closed=True)
        if not chunk:
            return Answer(raw, is_closed=True)
        raw += chunk
        head, found, body = raw.partition(b"\r\n\r\n")
        if found:
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(body) >= length and b"connection: close" not in head.lower():
                return Answer(raw, is_closed=False)
    raise AssertionError("the server neither answered nor closed in time")


@pytest.fixture(autouse=True)
def _logs_as_at_first() -> Iterator[None]:
    """Whatever a test set up for the whole process is taken back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.propagate, logger.disabled = True, False
    logging.captureWarnings(capture=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """A maker of listeners; all end with the test."""
    made: list[Served] = []

    def make(**options) -> Served:
        options.setdefault("secrets", {"shop-a": {"live": [b"first secret"]}})
        made.append(Served(**options))
        return made[-1]

    yield make
    for each in made:
        each.listener.stop()


@pytest.fixture(scope="session")
def _shared() -> Iterator[Served]:
    served = Served(secrets={})
    yield served
    served.listener.stop()


@pytest.fixture
def served(_shared) -> Served:
    """A listener with the usual limits and one account; the same for all tests, always as new."""
    _shared.reset(secrets={"shop-a": {"live": [b"first secret"]}})
    return _shared


@pytest.fixture
def raw_request() -> Callable[..., bytes]:
    return request


@pytest.fixture
def read() -> Callable[[socket.socket], Answer]:
    return read_answer


@pytest.fixture
def run_verifying() -> Callable[..., bool]:
    """Ask a keyed verifier as the route does."""

    def run(verifier, signature: str) -> bool:
        return asyncio.run(verifier.is_genuine({}, {"x-signature": signature}, b"{}"))

    return run


@pytest.fixture
def captured() -> Iterator[list]:
    """The log lines of the test, as dictionaries."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def in_threads() -> Callable[..., list]:
    """Run the same thing many times at once; answers what each gave."""

    def run(count: int, act: Callable[[int], object]) -> list:
        found: list = [None] * count

        def one(number: int) -> None:
            found[number] = act(number)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return found

    return run
