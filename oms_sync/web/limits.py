"""What a listener bears: connections, the time a request line may take, and odd requests.

The ASGI server closes idle connections only after a first request; the protocol made here also
bounds the time before it, and makes room by closing the connection that idled longest.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final

CONNECTIONS_MAX: Final = 200
HEADER_SECONDS_MAX: Final = 5.0
KEEP_ALIVE_SECONDS: Final = 15
#: request line and headers together
HEADER_BYTES_MAX: Final = 16_384
HEADERS_MAX: Final = 100
_HOST: Final = re.compile(rb"[A-Za-z0-9._:\[\]-]{0,255}")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OVERLOADED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)


class Door:
    """The connections of one listener."""

    def __init__(self, *, connections_max: int, header_seconds: float) -> None:
        self.header_seconds = header_seconds
        self._connections_max = connections_max
        self._every: set[Bounded] = set()
        #: those without a request under way, longest idle first
        self._idle: dict[Bounded, None] = {}

    def enter(self, connection: "Bounded") -> bool:
        """Take it in, in the place of the longest idle one if need be; False when all are busy."""
        if len(self._every) >= self._connections_max:
            longest = next(iter(self._idle), None)
            if longest is None:
                return False
            self.leave(longest)
            longest.transport.abort()
        self._every.add(connection)
        return True

    def leave(self, connection: "Bounded") -> None:
        """It is over."""
        self._every.discard(connection)
        self._idle.pop(connection, None)

    def mark(self, connection: "Bounded", *, is_idle: bool) -> None:
        """Note whether a request is under way on it."""
        if not is_idle:
            self._idle.pop(connection, None)
        elif connection in self._every:
            self._idle.setdefault(connection)


class Bounded(asyncio.Protocol):
    """What `bounded_protocol` puts in front of the server's own HTTP protocol."""

    door: ClassVar[Door]
    transport: Any
    cycle: Any
    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Let it in, or answer 503 and close."""
        super().connection_made(transport)
        if self.door.enter(self):
            self._wait_for_headers()
        else:
            transport.write(_OVERLOADED)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.door.leave(self)
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, chunk: bytes) -> None:
        """Time the headers: from connecting, or from the first byte of a further request."""
        if self.transport.is_closing():
            return
        super().data_received(chunk)
        if self._is_busy():
            self._stop_waiting()
            self.door.mark(self, is_idle=False)
        elif self._header_timer is None:
            self._wait_for_headers()

    def on_response_complete(self) -> None:
        """Idle again; the server's own timer closes it when nothing more comes."""
        super().on_response_complete()  # type: ignore[misc]
        if not self._is_busy():
            self.door.mark(self, is_idle=True)

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_headers(self) -> None:
        self.door.mark(self, is_idle=True)
        loop = asyncio.get_running_loop()
        self._header_timer = loop.call_later(self.door.header_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up(self) -> None:
        self._header_timer = None
        self.transport.abort()


def bounded_protocol(
    base: type[Any],
    *,
    connections_max: int = CONNECTIONS_MAX,
    header_seconds: float = HEADER_SECONDS_MAX,
) -> type[Any]:
    """A subclass of the server's HTTP protocol for one listener."""
    door = Door(connections_max=connections_max, header_seconds=header_seconds)
    return type("BoundedProtocol", (Bounded, base), {"door": door})


class RequestGuard:
    """Refuses what two readers might understand differently, before any route sees it."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = _refusal(scope)
        if status is None:
            await self._app(scope, receive, send)
        else:
            await answer(send, status)


async def answer(send: Send, status: int, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Answer without a body; a refusal also ends the connection, so that nothing of the request
    that was not read is taken for the next one.
    """
    closing = ((b"connection", b"close"),) if status >= 400 else ()  # noqa: PLR2004 - HTTP
    fixed = ((b"content-length", b"0"), *closing, *headers)
    await send({"type": "http.response.start", "status": status, "headers": list(fixed)})
    await send({"type": "http.response.body", "body": b""})


def _is_flooded(headers: list[tuple[bytes, bytes]]) -> bool:
    # the server bounds only headers that came in pieces; those that came at once are counted here
    if len(headers) > HEADERS_MAX:
        return True
    return sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES_MAX


def _refusal(scope: Scope) -> int | None:
    if _is_flooded(scope["headers"]):
        return 431
    names = [name for name, _ in scope["headers"]]
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    lengths = {value for name, value in scope["headers"] if name == b"content-length"}
    if b"transfer-encoding" in names and lengths:
        return 400
    if len(lengths) > 1 or any(not value.isdigit() for value in lengths):
        return 400
    if len(hosts) > 1 or not all(_HOST.fullmatch(host) for host in hosts):
        return 400
    if scope["method"] not in METHODS:
        return 405
    path = scope["path"]
    if not path.isprintable() or "\\" in path or any(p in ("..", ".") for p in path.split("/")):
        return 404
    return None
