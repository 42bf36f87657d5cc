"""Attacks on the webhook endpoint over bare sockets: sizes, slowness, odd requests."""

import contextlib
import gzip
import time

import pytest

from oms_sync.web import limits, webhooks

BODY = b'{"id": 4711, "note": "caf\xc3\xa9"}'
SIGNATURE = "x-signature"


def _is_untouched(served) -> bool:
    return served.writer.stored == []


# --- sizes and encodings -------------------------------------------------------------------------


@pytest.mark.proves("A15")
@pytest.mark.parametrize("length", [webhooks.BODY_BYTES_MAX + 1, 10**12, 10**40])
def test_a_declared_length_over_the_cap_is_413_before_a_byte_is_read(served, raw_request, length):
    answer = served.send(raw_request("/webhooks/shop-a", b"", length=length))
    assert answer.status in (413, 400)  # a number no reader can hold is no request at all
    assert answer.is_closed
    assert served.webhook.calls == 0


@pytest.mark.proves("A15")
def test_an_endless_body_without_a_length_is_413_at_the_cap(served):
    head = b"POST /webhooks/shop-a HTTP/1.1\r\nhost: hub\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    with served.connect() as connection:
        connection.sendall(head)
        try:
            while sent < 4 * webhooks.BODY_BYTES_MAX:
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass  # closed on us, as it should be
    assert _wait(lambda: served.metrics.outcomes() == {("shop-a", "too_large"): 1})
    assert served.webhook.calls == 0


@pytest.mark.proves("A15")
def test_a_body_of_the_cap_is_taken(served):
    body = b"x" * webhooks.BODY_BYTES_MAX
    assert served.post("shop-a", body).status == 200


@pytest.mark.proves("A15")
def test_a_body_shorter_than_declared_is_408_at_the_deadline(serve, raw_request):
    served = serve(body_seconds=0.3)
    begun = time.monotonic()
    answer = served.send(raw_request("/webhooks/shop-a", BODY, length=1000) + BODY)
    assert (answer.status, answer.is_closed) == (408, True)
    assert time.monotonic() - begun < 3
    assert served.webhook.calls == 0


@pytest.mark.proves("A16")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
def test_an_encoded_body_is_415_and_never_unpacked(served, encoding):
    bomb = gzip.compress(b"\0" * 1_000_000)
    answer = served.post("shop-a", bomb, headers=[f"content-encoding: {encoding}"])
    assert answer.status == 415
    assert served.webhook.calls == 0


@pytest.mark.proves("I-33")
def test_bodies_held_at_once_are_bounded_and_the_rest_is_asked_to_come_again(served, monkeypatch):
    monkeypatch.setattr(webhooks, "READING_BYTES_MAX", 10_000)
    assert served.post("shop-a", b"x" * 20_000).status == 503
    assert served.post("shop-a", b"x" * 5_000).status == 200
    assert served.post("shop-a", b"x" * 9_000).status == 200, "what was read is given back"


# --- slow and idle -------------------------------------------------------------------------------


@pytest.mark.proves("A17")
def test_slow_bodies_are_cut_off_and_health_still_answers(serve, raw_request, in_threads):
    served = serve(body_seconds=0.5)

    def drip(_: int) -> int:
        with served.connect() as connection:
            connection.sendall(raw_request("/webhooks/shop-a", b"", length=1000))
            for _ in range(100):
                try:
                    connection.sendall(b"x")
                except OSError:
                    break
                time.sleep(0.02)
            try:
                return int((connection.recv(100) or b"HTTP/1.1 000 ").split()[1])
            except OSError:
                return 0

    begun = time.monotonic()
    answers = in_threads(40, drip)
    assert set(answers) <= {408, 0}
    assert 408 in answers
    assert time.monotonic() - begun < 8
    assert served.get("/livez").status == 200


@pytest.mark.proves("A17")
@pytest.mark.parametrize("start", [b"", b"POST /webhooks/shop-a HTT"], ids=["silent", "begun"])
def test_headers_that_do_not_come_in_time_close_the_connection(serve, start):
    served = serve(header_seconds=0.3)
    begun = time.monotonic()
    with served.connect() as connection:
        connection.sendall(start)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100) == b""
    assert time.monotonic() - begun < 3


@pytest.mark.proves("A17")
def test_headers_dripped_byte_by_byte_do_not_prolong_the_deadline(serve):
    served = serve(header_seconds=0.4)
    begun = time.monotonic()
    with served.connect() as connection, contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"P")
            time.sleep(0.02)
    assert time.monotonic() - begun < 3


@pytest.mark.proves("A17")
def test_the_deadline_holds_also_for_a_second_request_on_the_same_connection(
    serve, raw_request, read
):
    served = serve(header_seconds=0.3)
    with served.connect() as connection:
        connection.sendall(raw_request("/livez", b"", method="GET"))
        assert read(connection).status == 200
        connection.sendall(b"GET /livez HT")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100) == b""
        assert time.monotonic() - begun < 3


@pytest.mark.proves("A18")
def test_many_idle_connections_make_room_for_one_that_speaks(serve):
    served = serve(connections_max=20, header_seconds=30)
    idle = [served.connect() for _ in range(300)]
    try:
        for _ in range(5):
            assert served.get("/livez").status == 200
        assert served.post("shop-a", BODY).status == 200
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.proves("I-33")
def test_when_every_connection_is_busy_a_new_one_is_asked_to_come_again(serve, raw_request):
    served = serve(connections_max=2)
    busy = [served.connect() for _ in range(2)]
    try:
        for connection in busy:
            connection.sendall(raw_request("/webhooks/shop-a", b"", length=10) + b"x")
        time.sleep(0.2)
        answer = served.send(b"")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    finally:
        for connection in busy:
            connection.close()


# --- odd requests --------------------------------------------------------------------------------


@pytest.mark.proves("A19")
@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked",
        b"transfer-encoding: chunked\r\ncontent-length: 5",
        b"content-length: 5\r\ncontent-length: 6",
        b"content-length: +5",
        b"content-length: 5, 5, 6",
        b"content-length: -1",
        b"transfer-encoding: xchunked",
        b"transfer-encoding: chunked, identity",
        b"transfer-encoding : chunked",
        b"content-length: 5\rx-smuggled: 1",  # a bare CR
        b"x-odd: a\x00b\r\ncontent-length: 5",
        b" x-folded: 1\r\ncontent-length: 5",
        b"host: another\r\ncontent-length: 5",
    ],
)
def test_a_request_two_readers_may_read_differently_is_refused_and_ends_the_connection(
    served, head
):
    smuggled = b"GET /livez HTTP/1.1\r\nhost: hub\r\n\r\n"
    raw = b"POST /webhooks/shop-a HTTP/1.1\r\nhost: hub\r\n" + head + b"\r\n\r\n"
    with served.connect() as connection:
        connection.sendall(raw + b"0\r\n\r\n" + smuggled)
        answers = b""
        try:
            while chunk := connection.recv(65536):
                answers += chunk
        except ConnectionError:
            pass
    assert answers.count(b"HTTP/1.1 ") == 1, "nothing after it was taken for a request"
    assert answers.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert _is_untouched(served)


@pytest.mark.proves("A20")
def test_header_floods_are_refused(served, raw_request):
    many = [f"x-{number}: {'a' * 100}" for number in range(5_000)]
    assert served.send(raw_request("/webhooks/shop-a", b"", many)).status in (400, 431, 0)
    long = ["x-long: " + "a" * limits.HEADER_BYTES_MAX * 4]
    assert served.send(raw_request("/webhooks/shop-a", b"", long)).status in (400, 431, 0)
    assert served.post("shop-a", BODY).status == 200, "the next one is served"


@pytest.mark.proves("A21")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/webhooks/../livez", 404),
        ("/webhooks/..%2flivez", 404),
        ("/webhooks/%2e%2e/livez", 404),
        ("/webhooks/shop-a%00", 404),
        ("/webhooks/shop-a\\x", 404),
        ("/webhooks/shop-a/", 404),
        ("/webhooks/", 404),
        ("/webhooks", 404),
        ("/webhooks/shop-a/more", 404),
        ("/WEBHOOKS/shop-a", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
        ("/webhooks/SHOP-A", 401),
        ("/webhooks/%F0%9F%98%80", 401),
    ],
)
def test_odd_paths_reach_nothing(served, raw_request, path, status):
    lines = ["x-signature: wrong"]
    assert served.send(raw_request(path, BODY, lines) + BODY).status == status
    assert _is_untouched(served)


@pytest.mark.proves("A21")
@pytest.mark.parametrize(
    "method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "post", "QWERTY"]
)
def test_other_methods_are_405(served, raw_request, method):
    answer = served.send(raw_request("/webhooks/shop-a", b"", method=method))
    assert answer.status == 405
    assert _is_untouched(served)


@pytest.mark.proves("A21")
def test_what_is_no_http_at_all_is_refused(served):
    for raw in (b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n\r\nQUIT\r\n\r\n", b"{}\r\n\r\n"):
        assert served.send(raw + b"\r\n\r\n").status in (400, 0)
    assert served.post("shop-a", BODY).status == 200


def test_a_client_that_leaves_in_the_middle_costs_nothing(served, raw_request):
    for _ in range(20):
        with served.connect() as connection:
            connection.sendall(raw_request("/webhooks/shop-a", b"", length=1000) + b"x")
    assert _wait(lambda: sum(served.metrics.outcomes().values()) == 20)
    assert served.post("shop-a", BODY).status == 200


def test_a_pipelined_second_delivery_is_stored_too(served, raw_request):
    from base64 import b64encode
    from hashlib import sha256
    from hmac import new

    signature = b64encode(new(b"first secret", BODY, sha256).digest()).decode()
    one = raw_request("/webhooks/shop-a", BODY, [f"{SIGNATURE}: {signature}"]) + BODY
    served.send(one + one)
    assert _wait(lambda: len(served.writer.stored) == 2)


def _wait(is_so) -> bool:
    deadline = time.monotonic() + 5
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
