"""Listens where every connector sends and where every sandbox answers; standard library alone.

It changes the one low-level function of each, when its module is imported, in the test process and
(by `inside/sitecustomize.py`) in the processes a test starts. A connection that a connector opens
beside these functions is refused.
"""

import base64
import functools
import importlib.abc
import importlib.util
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path

CONNECTORS = str(Path(__file__).parents[3] / "connectors") + os.sep
SANDBOX = f"{os.sep}sandbox{os.sep}"
SPOOL_VARIABLE = "OMS_SYNC_CONTRACT_SPOOL"
CONTROL_PATH = "/_sandbox/"
FRAMES_MAX = 200
#: of one operation and status, what a child process writes down; its requests are all written
CHILD_ANSWERS_MAX = 300


class Bypassed(BaseException):
    """A connector opened a connection nobody listens to; no Exception, so nothing swallows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request of a connector, or one request to a sandbox with its answer."""

    channel: str
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    #: what the transport itself calls it, where it knows
    label: str = ""
    #: None for a connector's request
    status: int | None = None
    answer: bytes = b""
    #: faults that were played while the answer was made
    faults: tuple[str, ...] = ()

    def line(self) -> bytes:
        """For the spool."""
        fields = asdict(self)
        for name in ("body", "answer"):
            fields[name] = base64.b64encode(fields[name]).decode()
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Exchange":
        """What `line` wrote."""
        fields = json.loads(line)
        for name in ("body", "answer"):
            fields[name] = base64.b64decode(fields[name])
        return cls(**{**fields, "faults": tuple(fields["faults"])})


class Tap:
    """What was heard in this process."""

    def __init__(self, spool: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._inside = threading.local()
        self._heard: list[Exchange] = []
        self._answers: dict[object, int] = {}
        self._spool = spool / f"{os.getpid()}.jsonl" if spool else None
        self.bypassed: list[str] = []

    def hear(self, exchange: Exchange) -> None:
        """Keep it, or write it down for the parent process; a kill may cut the last one off."""
        with self._lock:
            if self._spool is None:
                self._heard.append(exchange)
                return
            if exchange.status is not None:
                target = exchange.headers.get("x-ebay-api-call-name", exchange.method)
                kind = (exchange.channel, target, exchange.status, exchange.url.count("/"))
                self._answers[kind] = self._answers.get(kind, 0) + 1
                if self._answers[kind] > CHILD_ANSWERS_MAX:
                    return
            with self._spool.open("ab") as file:
                file.write(exchange.line())

    def drain(self) -> list[Exchange]:
        """What was heard since the last time."""
        with self._lock:
            heard, self._heard = self._heard, []
        return heard

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Connections opened by this thread in here are those that are listened to."""
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        try:
            yield
        finally:
            self._inside.depth -= 1

    def check_connection(self, address: object) -> None:
        """Refuse a connection that connector code opens outside the watched functions."""
        if getattr(self._inside, "depth", 0):
            return
        place = _connector_frame()
        if place is not None:
            message = f"{place} opened {address!r} beside the connector's transport"
            self.bypassed.append(message)
            raise Bypassed(message)


def _connector_frame() -> str | None:
    """The innermost frame that is a connector's own, not its sandbox's."""
    frame = sys._getframe(1)
    for _ in range(FRAMES_MAX):
        if frame is None:
            return None
        path = frame.f_code.co_filename
        if path.startswith(CONNECTORS) and SANDBOX not in path:
            return f"{path.removeprefix(CONNECTORS)}:{frame.f_lineno}"
        frame = frame.f_back
    return None


# --- the requests of connectors ------------------------------------------------------------------


def _watch_shopify(tap: Tap, module: object) -> None:
    wire = module.Wire
    post = wire.post

    @functools.wraps(post)
    def heard(self, url, body, headers, *, is_write):
        sent = {name.lower(): value for name, value in dict(headers).items()}
        tap.hear(Exchange(channel="shopify", method="POST", url=url, headers=sent, body=body))
        with tap.inside():
            return post(self, url, body, headers, is_write=is_write)

    wire.post = heard


def _watch_amazon(tap: Tap, module: object) -> None:
    wire = module.Wire
    carry = wire.handle_request

    @functools.wraps(carry)
    def heard(self, request):
        tap.hear(
            Exchange(
                channel="amazon",
                method=request.method,
                url=str(request.url),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(),
                label=self._present.call.operation,
            )
        )
        with tap.inside():
            return carry(self, request)

    wire.handle_request = heard


def _watch_ebay(tap: Tap, module: object) -> None:
    wire = module.Wire
    send = wire.send

    @functools.wraps(send)
    def heard(self, exchange):
        tap.hear(
            Exchange(
                channel="ebay",
                method=exchange.method,
                url=str(exchange.url),
                headers={name.lower(): str(value) for name, value in exchange.headers.items()},
                body=exchange.body or b"",
            )
        )
        with tap.inside():
            return send(self, exchange)

    wire.send = heard


def _watch_queue(tap: Tap, module: object) -> None:
    """Amazon's queue is spoken to by its own SDK, which has one function that sends, too."""
    from botocore.httpsession import URLLib3Session

    send = URLLib3Session.send

    @functools.wraps(send)
    def heard(self, request):
        if _connector_frame() is None:
            return send(self, request)
        sent = {str(name).lower(): _text(value) for name, value in request.headers.items()}
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        url, method = request.url, request.method
        tap.hear(Exchange(channel="amazon", method=method, url=url, headers=sent, body=body))
        with tap.inside():
            return send(self, request)

    URLLib3Session.send = heard


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


# --- the answers of sandboxes --------------------------------------------------------------------

_ASKED: ContextVar[tuple | None] = ContextVar("asked", default=None)


class _Received:
    """ASGI's receive, remembering the body that came through it."""

    def __init__(self, receive: Callable) -> None:
        self._receive, self.body = receive, b""
        self.__self__ = getattr(receive, "__self__", None)

    async def __call__(self) -> dict:
        message = await self._receive()
        self.body += message.get("body", b"")
        return message


def _watch_sandbox(channel: str, tap: Tap, module: object) -> None:
    (kind,) = (
        each
        for name, each in vars(module).items()
        if name.endswith("Sandbox") and name != "Sandbox" and each.__module__ == module.__name__
    )
    serve = kind.__call__

    @functools.wraps(serve)
    async def heard(self, scope, receive, send):
        if scope["type"] == "http" and not scope.get("path", "").startswith(CONTROL_PATH):
            receive = _Received(receive)
            _ASKED.set((channel, self.faults, scope, receive))
        await serve(self, scope, receive, send)

    kind.__call__ = heard


def _watch_answers(tap: Tap, module: object) -> None:
    wire = module.Wire
    answer = wire.answer

    @functools.wraps(answer)
    async def heard(self, call, receive, send):
        asked = _ASKED.get()
        if asked is not None:
            call = replace(call, work=functools.partial(_work, tap, asked, call.work))
        await answer(self, call, receive, send)

    wire.answer = heard


def _work(tap: Tap, asked: tuple, work: Callable) -> object:
    channel, faults, scope, received = asked
    before = {kind: each["fired"] for kind, each in faults.counters().items()}
    reply = work()
    fired = tuple(k for k, each in faults.counters().items() if each["fired"] > before[k])
    query = scope.get("query_string", b"").decode()
    path = scope.get("raw_path", scope["path"].encode()).decode().partition("?")[0]
    tap.hear(
        Exchange(
            channel=channel,
            method=scope["method"],
            url=f"http://sandbox{path}{'?' if query else ''}{query}",
            headers={name.decode().lower(): _text(value) for name, value in scope["headers"]},
            body=received.body,
            status=reply.status,
            answer=reply.body,
            faults=fired,
        )
    )
    return reply


# --- putting it in place -------------------------------------------------------------------------

WATCHED: dict[str, Callable[[Tap, object], None]] = {
    "connectors.shopify.wire": _watch_shopify,
    "connectors.amazon.wire": _watch_amazon,
    "connectors.ebay.wire": _watch_ebay,
    "connectors.amazon.queue": _watch_queue,
    "oms_sync.sdk.sandbox_wire": _watch_answers,
    **{
        f"connectors.{channel}.sandbox.app": functools.partial(_watch_sandbox, channel)
        for channel in ("amazon", "ebay", "shopify")
    },
}


class _Watcher(importlib.abc.MetaPathFinder):
    """Puts the tap into a watched module as soon as it is imported, and imports nothing itself."""

    def __init__(self, tap: Tap) -> None:
        self._tap, self._looking = tap, threading.local()

    def find_spec(self, name, path=None, target=None):
        if name not in WATCHED or getattr(self._looking, "on", False):
            return None
        self._looking.on = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking.on = False
        load = spec.loader.exec_module

        def watched(module):
            load(module)
            WATCHED[name](self._tap, module)

        spec.loader.exec_module = watched
        return spec


def install(tap: Tap) -> None:
    """Listen from now on, for as long as the process lives."""
    for name, watch in WATCHED.items():
        if name in sys.modules:
            watch(tap, sys.modules[name])
    sys.meta_path.insert(0, _Watcher(tap))
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _guarded(tap, getattr(socket.socket, name)))


def _guarded(tap: Tap, original: Callable) -> Callable:
    @functools.wraps(original)
    def guarded(sock, *arguments):
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            tap.check_connection(arguments[-1])
        return original(sock, *arguments)

    return guarded
