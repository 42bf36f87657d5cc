"""The hardened client: every silent failure of the SDK is an error, and nothing leaks."""

import threading

import httpx
import pytest

from connectors.amazon import CONNECTOR
from connectors.amazon.client import Client
from connectors.amazon.faults import Denied, NotFound, Refused
from connectors.amazon.wire import ANSWER_BYTES_MAX, gunzip
from oms_sync.sdk import (
    AuthFailed,
    BadPayload,
    ChannelDown,
    OutcomeUnknown,
    PermissionMissing,
    Priority,
    RateLimited,
    Rejected,
)
from oms_sync.sdk.testing import OpenGate

READ, WRITE = Priority.READ, Priority.WRITE
HTML = b"<html><body>Service Unavailable</body></html>"
ORDER_ID = "111-0000000-0000001"


def _search(client):
    return client.run("searchOrders", marketplaceIds=["ATVPDKIKX0DER"], priority=READ)


def _confirm(client):
    package = {
        "packageReferenceId": "1",
        "carrierCode": "UPS",
        "trackingNumber": "1Z1",
        "shipDate": "2026-03-01T12:00:00Z",
        "orderItems": [{"orderItemId": "1", "quantity": 1}],
    }
    body = {"marketplaceId": "M", "packageDetail": package}
    return client.run("confirmShipment", ORDER_ID, **body, priority=WRITE)


def _errors(code, message="no", details=""):
    return {"errors": [{"code": code, "message": message, "details": details}]}


def _reply(status, body=b"", kind="application/json", **headers):
    return httpx.Response(status, content=body, headers={"content-type": kind, **headers})


def test_a_call_goes_to_its_region_with_the_sellers_token(amazon, open_client):
    amazon.on("searchOrders", {"orders": []})
    _search(open_client(region="eu", marketplace_ids=("A1F83G8C2ARO7P",)))
    asked = amazon.of("searchOrders")[0]
    assert asked.url.host == asked.headers["host"] == "sellingpartnerapi-eu.amazon.com"
    assert asked.headers["x-amz-access-token"] == "Atza|canary-1"
    assert amazon.asked[0].url.host == "api.amazon.com"


def test_a_token_that_ends_while_a_call_waits_for_its_budget_is_renewed_within_the_call(
    amazon, open_client, clock
):
    class Slow(OpenGate):
        def spend(self, operation, *, cost=1, priority):
            clock.advance(4000)

    amazon.on("confirmShipment", 204)
    _confirm(open_client(gate=Slow(), clock=clock))
    assert amazon.counts == {"token": 2, "confirmShipment": 1}


def test_an_endpoint_takes_every_host_and_the_host_header_is_whole(amazon, open_client):
    amazon.on("searchOrders", {"orders": []})
    _search(open_client(endpoint="http://127.0.0.1:8123"))
    assert {str(one.url.copy_with(query=None, path="/")) for one in amazon.asked} == {
        "http://127.0.0.1:8123/"
    }
    assert {one.headers["host"] for one in amazon.asked} == {"127.0.0.1:8123"}


@pytest.mark.proves("F05", "F06", "F07", "I-26", "B-17")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        # the SDK takes every one of these for an empty success
        (_reply(429), RateLimited),
        (_reply(500), ChannelDown),
        (_reply(503, HTML, "text/html"), ChannelDown),
        (_reply(502, b'{"message": "Internal server error"}'), ChannelDown),
        (_reply(504, b"null"), ChannelDown),
        (_reply(403, b'{"message": null}'), PermissionMissing),
        (_reply(400, b'{"errors": []}'), Refused),
        (_reply(302, b"", location="https://example.com"), ChannelDown),
        (_reply(200), ChannelDown),
        (_reply(200, b"{}"), ChannelDown),
        (_reply(200, HTML, "text/html"), ChannelDown),
        (_reply(200, b"null"), ChannelDown),
        (_reply(200, b"[]"), ChannelDown),
        (_reply(200, b'{"orders": null}'), ChannelDown),
        # and at these it breaks in ways of its own
        (_reply(400, b'{"errors": {"code": "X", "message": "y"}}'), Refused),
        (_reply(200, b'{"orders": ['), BadPayload),
        (_reply(200, b"\xff\xfe"), BadPayload),
        (_reply(200, b'{"orders": [], "orders": []}'), BadPayload),
        (_reply(200, b"[" * 100_000), BadPayload),
        # what is documented
        (httpx.Response(400, json=_errors("InvalidInput")), Refused),
        (httpx.Response(401, json=_errors("Unauthorized")), PermissionMissing),
        (httpx.Response(404, json=_errors("NotFound")), NotFound),
        (httpx.Response(415, json=_errors("UnsupportedMediaType")), Refused),
        (httpx.Response(422, json=_errors("Unprocessable")), Refused),
        (httpx.Response(429, json=_errors("QuotaExceeded")), RateLimited),
        (httpx.Response(500, json=_errors("InternalFailure")), ChannelDown),
        (httpx.Response(200, json=_errors("InternalFailure")), ChannelDown),
        (httpx.Response(200, json=_errors("QuotaExceeded")), RateLimited),
    ],
)
def test_no_failed_read_passes_for_an_empty_success(answer, error, amazon, open_client):
    amazon.on("searchOrders", answer)
    with pytest.raises(error):
        _search(open_client())


@pytest.mark.proves("F02", "F06", "I-22")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_reply(500), OutcomeUnknown),
        (_reply(503, HTML, "text/html"), OutcomeUnknown),
        (httpx.Response(500, json=_errors("InternalFailure")), OutcomeUnknown),
        (_reply(200, HTML, "text/html"), OutcomeUnknown),
        (httpx.ReadTimeout("late"), OutcomeUnknown),
        (httpx.RemoteProtocolError("cut"), OutcomeUnknown),
        # these never reached Amazon, or Amazon did nothing
        (httpx.ConnectError("refused"), ChannelDown),
        (httpx.ConnectTimeout("late"), ChannelDown),
        (_reply(429), RateLimited),
        (_reply(307, b"", location="/x"), ChannelDown),
        (httpx.Response(400, json=_errors("InvalidInput")), Rejected),
        (httpx.Response(404, json=_errors("NotFound")), Rejected),
    ],
)
def test_a_write_without_a_whole_answer_is_unknown(answer, error, amazon, open_client):
    amazon.on("confirmShipment", answer)
    with pytest.raises(error) as raised:
        _confirm(open_client())
    assert amazon.counts["confirmShipment"] == 1, "nothing is tried again here"
    if error is not OutcomeUnknown:
        assert not isinstance(raised.value, OutcomeUnknown)


def test_a_confirmation_is_answered_by_204_without_a_body(amazon, open_client):
    amazon.on("confirmShipment", 204)
    assert _confirm(open_client()).fields == {}


def test_the_request_id_stands_in_the_message(amazon, open_client):
    answer = httpx.Response(500, headers={"x-amzn-RequestId": "abc-123"}, json=_errors("X"))
    amazon.on("searchOrders", answer)
    with pytest.raises(ChannelDown, match="abc-123"):
        _search(open_client())


@pytest.mark.proves("F10", "F43")
def test_an_answer_is_bounded_in_size_and_time(amazon, open_client, request_for):
    amazon.on("searchOrders", _reply(200, b" " * (ANSWER_BYTES_MAX + 1)))
    with pytest.raises(BadPayload, match="more than"):
        _search(open_client())

    request = request_for()

    class Slow(httpx.SyncByteStream):
        def __iter__(self):
            for _ in range(100):
                request.clock.advance(1)
                yield b" "

    def answer(asked):
        if asked.url.path.endswith("token"):
            return amazon(asked)
        return httpx.Response(200, stream=Slow())

    client = Client(request, inner=httpx.MockTransport(answer))
    with pytest.raises(ChannelDown, match="too long"):
        _search(client)
    client.close()


@pytest.mark.proves("A16")
def test_a_packed_answer_never_grows_beyond_its_bound():
    import gzip

    assert gunzip(gzip.compress(b"a" * 50) + gzip.compress(b"b"), 100) == b"a" * 50 + b"b"
    for packed in (gzip.compress(b"a" * 101), gzip.compress(b"a" * 50)[:-9], b"no gzip"):
        with pytest.raises(BadPayload):
            gunzip(packed, 100)


def test_an_answer_in_an_unknown_encoding_is_refused(amazon, open_client):
    amazon.on("searchOrders", _reply(200, b"x", **{"content-encoding": "br"}))
    with pytest.raises((BadPayload, ChannelDown)):
        _search(open_client())


# --- tokens --------------------------------------------------------------------------------------


@pytest.mark.proves("F26", "I-35")
def test_an_expired_token_is_renewed_once_and_the_call_repeated(amazon, open_client):
    amazon.on("token", *({"access_token": f"Atza|{n}", "expires_in": 3600} for n in (1, 2)))
    amazon.on(
        "searchOrders",
        httpx.Response(403, json=_errors("Unauthorized", details="The access token has expired.")),
        {"orders": []},
    )
    assert _search(open_client()).fields == {"orders": []}
    sent = [one.headers["x-amz-access-token"] for one in amazon.of("searchOrders")]
    assert sent == ["Atza|1", "Atza|2"]


def test_a_403_that_stays_is_a_missing_role(amazon, open_client):
    amazon.on("searchOrders", httpx.Response(403, json=_errors("Unauthorized")))
    with pytest.raises(Denied):
        _search(open_client())
    assert amazon.counts == {"token": 2, "searchOrders": 2}


@pytest.mark.proves("F29")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            httpx.Response(400, json={"error": "invalid_grant", "error_description": "x"}),
            AuthFailed,
        ),
        (httpx.Response(401, json={"error": "invalid_client"}), AuthFailed),
        (httpx.Response(400, json={"error": "unauthorized_client"}), AuthFailed),
        (httpx.Response(400, json={"error": "invalid_request"}), ChannelDown),
        # the SDK would raise an error of its JSON parser
        (_reply(500, HTML, "text/html"), ChannelDown),
        (_reply(400, HTML, "text/html"), ChannelDown),
        (_reply(200, HTML, "text/html"), ChannelDown),
        (_reply(200, b"[]"), ChannelDown),
        (_reply(200, b"{}"), BadPayload),
        (_reply(429), RateLimited),
        (httpx.ReadTimeout("late"), ChannelDown),
    ],
)
def test_login_with_amazon_says_what_to_do(answer, error, amazon, open_client):
    amazon.on("token", answer)
    with pytest.raises(error):
        _search(open_client())
    assert amazon.counts == {"token": 1}


@pytest.mark.proves("F28", "B-23")
def test_a_cold_start_of_many_threads_asks_for_one_token(amazon, open_client):
    amazon.on("searchOrders", {"orders": []})
    client, barrier, failed = open_client(), threading.Barrier(8), []

    def work():
        barrier.wait()
        try:
            _search(client)
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert amazon.counts == {"token": 1, "searchOrders": 8}


def test_each_thread_has_its_own_client_of_each_api(open_client):
    client, found = open_client(), []
    for _ in range(2):
        thread = threading.Thread(target=lambda: found.append(client._api("orders")))
        thread.start()
        thread.join()
    found += [client._api("orders"), client._api("orders")]
    assert len({id(api) for api in found}) == 3
    assert found[2] is found[3]
    assert type(client._api("orders")) is not type(client._api("orders_v0"))


# --- limits --------------------------------------------------------------------------------------


class Learner(OpenGate):
    def __init__(self):
        super().__init__()
        self.learnt, self.spent = [], []

    def spend(self, operation, *, cost=1, priority):
        self.spent.append(operation)

    def learn(self, operation, **words):
        self.learnt.append((operation, words))


def test_every_operation_has_its_published_bucket(amazon, open_client):
    from connectors.amazon.client import _OPERATIONS

    limits = {each.operation: each for each in CONNECTOR.manifest.rate_limits}
    assert set(limits) == set(_OPERATIONS)
    found = limits["searchOrders"]
    assert (found.capacity, found.refill_per_second) == (20, 0.0056)


def test_the_header_corrects_the_published_rate_once(amazon, open_client):
    gate = Learner()
    amazon.headers = {"x-amzn-RateLimit-Limit": "0.5"}
    amazon.on("searchOrders", {"orders": []})
    client = open_client(gate=gate)
    for _ in range(3):
        _search(client)
    assert gate.spent == ["searchOrders"] * 3
    assert gate.learnt == [
        ("searchOrders", {"available": 0.5, "capacity": 20.0, "refill_per_second": 0.5})
    ]


@pytest.mark.parametrize("header", ["", "soon", "-1", "0", "1e9", "9" * 30])
def test_a_senseless_rate_changes_nothing(header, amazon, open_client):
    gate = Learner()
    amazon.headers = {"x-amzn-RateLimit-Limit": header}
    amazon.on("searchOrders", {"orders": []})
    _search(open_client(gate=gate))
    assert gate.learnt == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("3", 3.0), ("soon", None), ("86400", 600.0)],
)
def test_being_throttled_waits_as_long_as_the_bucket_takes(header, seconds, amazon, open_client):
    gate = Learner()
    amazon.on("searchOrders", _reply(429, **({"retry-after": header} if header else {})))
    with pytest.raises(RateLimited) as raised:
        _search(open_client(gate=gate))
    assert raised.value.retry_after_seconds == seconds
    # whatever rate another session learnt stays: the gate says how long
    assert gate.learnt == [("searchOrders", {"available": 0.0})]


def test_being_throttled_after_a_rate_was_learnt_keeps_it(amazon, open_client):
    gate = Learner()
    client = open_client(gate=gate)
    amazon.headers = {"x-amzn-RateLimit-Limit": "0.5"}
    amazon.on("searchOrders", {"orders": []}, _reply(429))
    _search(client)
    with pytest.raises(RateLimited) as raised:
        _search(client)
    assert raised.value.retry_after_seconds == 2.0
    assert gate.learnt[-1] == (
        "searchOrders",
        {"available": 0.0, "capacity": 20.0, "refill_per_second": 0.5},
    )
