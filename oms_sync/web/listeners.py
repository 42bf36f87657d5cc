"""Servers on sockets, each in a thread; knows no server library: it is handed the server."""

import socket
import threading
from typing import Final, Protocol

from oms_sync.sdk import Clock

START_SECONDS_MAX: Final = 10.0
LOOK_SECONDS: Final = 0.01
#: what is under way may take this long when a server stops
GRACE_SECONDS: Final = 5


class StartRefused(Exception):
    """A listener cannot start; the message names what to change."""


class Server(Protocol):
    """What is used of an ASGI server."""

    started: bool
    should_exit: bool

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`."""
        ...


class Listener:
    """One server on one address, in a thread of its own. The address is taken when it is made."""

    def __init__(self, server: Server, *, bound: socket.socket, clock: Clock) -> None:
        self._server, self._socket, self._clock = server, bound, clock
        self._host: str = bound.getsockname()[0]
        self.port: int = bound.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name=f"web-{self.port}", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Serve; returns once requests are answered."""
        self._thread.start()
        deadline = self._clock.monotonic() + START_SECONDS_MAX
        while not self._server.started:
            if not self._thread.is_alive() or self._clock.monotonic() > deadline:
                raise StartRefused(f"the listener on {self.url} did not start")
            self._clock.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Answer what is under way, then end."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(GRACE_SECONDS + 2)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


class Listeners:
    """All listeners of a hub."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners

    def start(self) -> None:
        """Start each."""
        for listener in self.listeners:
            listener.start()

    def stop(self) -> None:
        """Stop each."""
        for listener in self.listeners:
            listener.stop()


def bind(host: str, port: int) -> socket.socket:
    """Take the address; port 0 lets the system choose. Raises StartRefused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle off: answers leave at once.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise StartRefused(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another host or port"
        ) from error
    return bound
