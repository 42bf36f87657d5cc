"""How a sandbox misbehaves on the wire and sends webhooks: standard library only.

`answer` plays the network faults around one request; `Courier` runs what happens later and posts
webhooks with retries from a bounded pool, so that no request waits for a slow hub.
"""

import asyncio
import contextlib
import http.client
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from oms_sync.sdk.seeding import SandboxOptions

REQUEST_BYTES_MAX: Final = 2_000_000
RETRIES_MAX: Final = 8
WORKERS_MAX: Final = 8
PENDING_MAX: Final = 20_000
POST_SECONDS_MAX: Final = 5.0
STATUS_OK: Final = range(200, 300)

#: the network faults `answer` plays; a sandbox lists them among its own
WIRE_FAULTS: Final = ("F01", "F02", "F03", "F04", "F05", "F06")

Message = MutableMapping[str, Any]


class Receive(Protocol):
    """ASGI's receive."""

    async def __call__(self) -> Message:
        """The next message."""
        ...


class Send(Protocol):
    """ASGI's send."""

    async def __call__(self, message: Message) -> None:
        """Send one message."""
        ...


class Switches(Protocol):
    """What `answer` needs of the fault switches."""

    def fires(self, kind: str) -> bool:
        """Whether the fault happens at this chance."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One complete HTTP answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


#: what F05 answers in turn unless a sandbox words it itself: Retry-After honest, missing, absurd
_THROTTLED: Final = tuple(
    Reply(
        status=429,
        body=b'{"errors": "Exceeded the calls this app may make. Slow down."}',
        headers=(("content-type", "application/json"), *extra),
    )
    for extra in ((("retry-after", "1.0"),), (), (("retry-after", "86400"),))
)
_BROKEN: Final = tuple(
    Reply(
        status=status,
        body=b"<html><body>Something went wrong. Try again later.</body></html>",
        headers=(("content-type", "text/html"),),
    )
    for status in (500, 502, 503, 504)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, ready to be worked off: `work` commits and gives the reply."""

    work: Callable[[], Reply]
    #: F02 (timeout after commit) has a chance only where something is committed
    is_write: bool
    #: told True while a committed answer hangs, False when it is dropped
    hanging: Callable[[bool], None] = lambda _: None


class Wire:
    """Plays F01 to F06 around requests; which variant of F05 and F06 comes goes round.

    `throttled` and `broken` are the vendor's own variants, if it has some.
    """

    def __init__(
        self,
        faults: Switches,
        options: SandboxOptions,
        *,
        throttled: Sequence[Reply] = (),
        broken: Sequence[Reply] = (),
    ) -> None:
        self._faults, self._options = faults, options
        self._throttled = itertools.cycle(throttled or _THROTTLED)
        self._broken = itertools.cycle(broken or _BROKEN)

    async def answer(self, call: Call, receive: Receive, send: Send) -> None:
        """Answer one request, or let it time out, break off, be throttled or fail."""
        fires, hang_seconds = self._faults.fires, self._options.hang_seconds
        refusal = self._refusal()
        if refusal is not None:
            await send_reply(send, refusal)
            return
        if fires("F01"):
            await asyncio.sleep(hang_seconds)
            await _cut_off(receive, resets=True)
            return
        reply = call.work()
        if call.is_write and fires("F02"):
            call.hanging(True)
            await asyncio.sleep(hang_seconds)
            call.hanging(False)
            await _cut_off(receive, resets=True)
        elif fires("F03"):
            await _send_half(send, reply)
            await _cut_off(receive, resets=True)
        elif fires("F04"):
            await _send_half(send, reply)
            await _cut_off(receive, resets=False)
        else:
            await send_reply(send, reply)

    def _refusal(self) -> Reply | None:
        if self._faults.fires("F06"):
            return next(self._broken)
        if self._faults.fires("F05"):
            return next(self._throttled)
        return None


async def read_request(receive: Receive, *, bytes_max: int = REQUEST_BYTES_MAX) -> bytes | None:
    """The request's body, None when it is over `bytes_max` or the caller hung up."""
    transport = _transport(receive)
    if transport is not None:
        # asyncio does this only for sockets made with an explicit protocol; without it, every
        # answer on a kept connection waits 40 ms for the acknowledgement of its own headers
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = bytearray()
    while len(body) <= bytes_max:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
    return None


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a whole reply."""
    await send(_start(reply))
    await send({"type": "http.response.body", "body": reply.body})


async def _send_half(send: Send, reply: Reply) -> None:
    await send(_start(reply))
    half = reply.body[: len(reply.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    await asyncio.sleep(0.02)  # let the half go out before the connection ends


def _start(reply: Reply) -> Message:
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


def _transport(receive: Receive) -> Any:
    """The connection below: uvicorn's `receive` is a method of the object that holds it."""
    return getattr(getattr(receive, "__self__", None), "transport", None)


async def _cut_off(receive: Receive, *, resets: bool) -> None:
    """End the connection under the server's feet: ASGI itself has no word for that."""
    transport = _transport(receive)
    if transport is None:
        raise ConnectionResetError("this server gives no way to drop a connection: use uvicorn")
    if resets:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass  # the server says so once, as soon as the transport is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One webhook to be posted until it is answered 2xx or the retries are used up."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    #: whether it still should be sent, asked before every try
    is_wanted: Callable[[], bool] = lambda: True
    given_up: Callable[[], None] = lambda: None
    #: told the HTTP status of every try; 0 where nobody answered
    answered: Callable[[int], None] = lambda _: None


class Courier:
    """Things that happen later, inside the sandbox's lifespan and no longer than that."""

    def __init__(self, options: SandboxOptions) -> None:
        self._gap_seconds = options.retry_gap_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        #: letters never sent because too many were waiting or the sandbox was not running
        self.dropped = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work for as long as the context is open; then forget what was still to be done."""
        self._loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(WORKERS_MAX, thread_name_prefix="sandbox-post") as pool:
            self._pool = pool
            try:
                yield
            finally:
                self._loop = None
                for timer in self._timers:
                    timer.cancel()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in a while; at once when the sandbox is not running. From any thread."""
        if self._loop is None:
            act()
        else:
            self._loop.call_soon_threadsafe(self._arm, seconds, act)

    def post(self, letter: Letter, *, after_seconds: float = 0.0) -> None:
        """Send a letter in the background. From any thread."""
        if self._loop is None or len(self._tasks) >= PENDING_MAX:
            self.dropped += 1
        else:
            self.later(after_seconds, lambda: self._begin(letter))

    def _arm(self, seconds: float, act: Callable[[], None]) -> None:
        if self._loop is None:
            return  # the sandbox stopped between the call and now
        if seconds <= 0:
            act()
            return

        def ring() -> None:
            self._timers.discard(timer)
            act()

        timer = self._loop.call_later(seconds, ring)
        self._timers.add(timer)

    def _begin(self, letter: Letter) -> None:
        task = asyncio.get_running_loop().create_task(self._send(letter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, letter: Letter) -> None:
        loop = asyncio.get_running_loop()
        for retry in range(RETRIES_MAX + 1):
            if retry:
                await asyncio.sleep(self._gap_seconds * 2 ** (retry - 1))
            if not letter.is_wanted():
                return
            if await loop.run_in_executor(self._pool, _post, letter):
                return
        letter.given_up()


def _post(letter: Letter) -> bool:
    parts = urlsplit(letter.url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = parts.path or "/"
    with contextlib.closing(make(parts.netloc, timeout=POST_SECONDS_MAX)) as connection:
        try:
            query = f"?{parts.query}" if parts.query else ""
            connection.request("POST", target + query, letter.body, dict(letter.headers))
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 0  # counted by the caller as one more failed try
    letter.answered(status)
    return status in STATUS_OK
