"""Talking to a sandbox: idle connections that were closed, refusals, and a sandbox that is down."""

import socket
import threading

import pytest

from oms_sync.cli.demo_control import Refused, SandboxControl, SandboxDown
from oms_sync.sdk.seeding import Purchase


class OneShotServer:
    """Answers one request a connection, says keep-alive, and hangs up."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self._answers = list(answers)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for status, body in self._answers:
            connection, _ = self._listening.accept()
            with connection:
                self.requests.append(_request(connection))
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall((head + body).encode())

    def close(self) -> None:
        self._thread.join(5)
        self._listening.close()


def _request(connection: socket.socket) -> bytes:
    """A whole request: headers and as much body as they announce."""
    raw = connection.recv(65_536)
    head, _, body = raw.partition(b"\r\n\r\n")
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65_536)
    return head + body


def test_an_idle_connection_the_sandbox_closed_is_opened_anew():
    server = OneShotServer((200, "{}"), (200, '{"orders": {}}'))
    control = SandboxControl("shop", server.url)
    assert control.truth() == {}
    assert control.truth() == {"orders": {}}
    control.close()
    server.close()
    assert len(server.requests) == 2


def test_a_refusal_says_why():
    server = OneShotServer((409, '{"reason": "sold_out"}'))
    control = SandboxControl("shop", server.url)
    with pytest.raises(Refused) as refused:
        control.place(Purchase(lines=(("TEE", 1),)))
    control.close()
    server.close()
    assert (refused.value.reason, refused.value.status) == ("sold_out", 409)
    assert b'"channel_sku": "TEE"' in server.requests[0]


def test_a_sandbox_that_fails_or_is_away_is_named():
    server = OneShotServer((500, "oh"))
    control = SandboxControl("shop", server.url)
    with pytest.raises(SandboxDown, match="shop: GET /_sandbox/truth answered 500"):
        control.truth()
    server.close()
    control.close()
    with pytest.raises(SandboxDown, match=r"shop at http://127\.0\.0\.1"):
        control.truth()
