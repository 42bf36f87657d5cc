"""The hardened client over real sockets: every layer of refusal, and nothing global."""

import json
import threading

import pytest
import shopify

from connectors.shopify.documents import documents
from connectors.shopify.faults import CostTooHigh
from oms_sync.sdk import (
    AuthFailed,
    BadPayload,
    Bug,
    ChannelDown,
    FixAccount,
    OutcomeUnknown,
    PermissionMissing,
    Priority,
    RateLimited,
    Rejected,
)
from oms_sync.sdk.testing import OpenGate

READ = Priority.READ
GOOD = {"data": {"order": {"refunds": []}}}
COST = {
    "requestedQueryCost": 120,
    "throttleStatus": {"maximumAvailable": 2000, "currentlyAvailable": 20, "restoreRate": 100},
}


def _read(client):
    return client.run("AllRefunds", {"id": "gid://shopify/Order/1"}, priority=READ)


def _write(client):
    return client.run(
        "Fulfil", {"fulfillment": {"lineItemsByFulfillmentOrder": []}}, priority=Priority.WRITE
    )


def _error(code, *, path=None, message="no"):
    error = {"message": message, "extensions": {"code": code}}
    return error | ({"path": path} if path else {})


def test_a_document_goes_to_its_shop_with_its_token_and_version(scripted, make_client):
    scripted.answers = [(200, {"Date": "Mon, 02 Nov 2026 09:00:00 GMT"}, GOOD)]
    answer = _read(make_client(prefix="/shop-a"))
    path, headers, body = scripted.asked[0]
    assert path == "/shop-a/admin/api/2026-10/graphql.json"
    assert headers["X-Shopify-Access-Token"] == "shpat_canary"
    sent = json.loads(body)
    assert sent["operationName"] == "AllRefunds"
    assert sent["variables"] == {"id": "gid://shopify/Order/1"}
    assert answer.fields == GOOD["data"]
    assert answer.at.isoformat() == "2026-11-02T09:00:00+00:00"


@pytest.mark.proves("F05", "F06", "F07", "I-26")
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, ChannelDown),
        (401, AuthFailed),
        (402, FixAccount),
        (403, PermissionMissing),
        (404, FixAccount),
        (418, Bug),
        (423, FixAccount),
        (429, RateLimited),
        (430, RateLimited),
        (500, ChannelDown),
        (503, ChannelDown),
    ],
)
def test_each_status_says_what_to_do(status, error, scripted, make_client):
    location = {"Location": scripted.url + "/elsewhere"} if status == 302 else {}
    scripted.answers = [(status, location, {"errors": "no"})]
    with pytest.raises(error):
        _read(make_client())
    assert len(scripted.asked) == 1, "nothing is followed or tried again"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2.0", 2.0), ("0", 0.0), (None, None), ("soon", None), ("1e400", None), ("9" * 30, None)],
)
def test_retry_after_is_read_when_it_is_a_number(header, seconds, scripted, make_client):
    scripted.answers = [(429, {"Retry-After": header} if header else {}, {})]
    with pytest.raises(RateLimited) as raised:
        _read(make_client())
    assert raised.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("errors", "error"),
    [
        ([_error("THROTTLED")], RateLimited),
        ([_error("INTERNAL_SERVER_ERROR")], ChannelDown),
        ([_error("SHOP_INACTIVE")], FixAccount),
        ([_error("ACCESS_DENIED", path=["order"])], PermissionMissing),
        ([_error("RESOURCE_NOT_FOUND")], Rejected),
        ([_error("INVALID_VARIABLE")], Bug),
        ([_error("MAX_COST_EXCEEDED")], CostTooHigh),
        (["what"], BadPayload),
        ("[API] Invalid API key or access token", PermissionMissing),
    ],
)
@pytest.mark.proves("F07")
def test_errors_inside_a_200_count(errors, error, scripted, make_client):
    scripted.answers = [(200, {}, {"data": None, "errors": errors})]
    with pytest.raises(error):
        _read(make_client())


def test_being_throttled_says_how_long_the_bucket_takes(scripted, make_client):
    answer = {"data": None, "errors": [_error("THROTTLED")], "extensions": {"cost": COST}}
    scripted.answers = [(200, {}, answer)]
    gate = OpenGate()
    with pytest.raises(RateLimited) as raised:
        _read(make_client(gate=gate))
    assert raised.value.retry_after_seconds == 1.0
    assert gate.learnt == {"graphql": (20.0, 2000.0, 100.0)}


def test_the_cost_of_a_document_is_learnt(scripted, make_client):
    spent = []

    class Gate(OpenGate):
        def spend(self, operation, *, cost=1, priority):
            spent.append((operation, cost, priority))

    scripted.answers = [(200, {}, GOOD | {"extensions": {"cost": COST}})]
    client = make_client(gate=Gate())
    _read(client)
    _read(client)
    assert spent[1] == ("graphql", 120.0, READ)
    assert spent[0][1] < 120.0


def test_a_withheld_part_is_no_failure_and_a_withheld_object_is_one(scripted, make_client):
    part = _error("ACCESS_DENIED", path=["order", "refunds", 0, "note"])
    scripted.answers = [(200, {}, GOOD | {"errors": [part]})]
    assert _read(make_client()).withheld == ("order.refunds.0.note",)
    for data, path in (
        ({"nodes": [None]}, ["nodes", 0, "note"]),
        ({"order": None}, ["order", "refunds", 0, "note"]),
    ):
        part = _error("ACCESS_DENIED", path=path)
        scripted.answers = [(200, {}, {"data": data, "errors": [part]})]
        with pytest.raises(PermissionMissing, match="note"):
            _read(make_client())


def test_an_object_that_is_gone_is_not_lost_to_what_is_withheld_of_another(scripted, make_client):
    part = _error("ACCESS_DENIED", path=["nodes", 1, "customer"])
    answer = {"data": {"nodes": [None, {"id": 1, "customer": None}]}, "errors": [part]}
    scripted.answers = [(200, {}, answer)]
    assert _read(make_client()).fields["nodes"][0] is None


def test_a_search_the_shop_ignored_is_refused(scripted, make_client):
    warning = {"search": [{"path": ["orders"], "warnings": [{"code": "invalid_field"}]}]}
    scripted.answers = [(200, {}, GOOD | {"extensions": warning})]
    with pytest.raises(BadPayload, match="invalid_field"):
        _read(make_client())


@pytest.mark.proves("A22", "A24", "A25", "F43")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": {"a": 1, "a": 2}}',
        b'{"data": {"a": NaN}}',
        b'{"data": {"a": 1e999}}',
        b'{"data": ' + b"[" * 100_000,
        b'{"data": {"a": ' + b"9" * 5000 + b"}}",
        b'\xff{"data": {}}',
    ],
)
def test_an_answer_that_is_none_is_bad_payload(body, scripted, make_client):
    scripted.answers = [(200, {}, body)]
    with pytest.raises(BadPayload):
        _read(make_client())


def test_a_page_of_html_is_a_broken_channel(scripted, make_client):
    scripted.answers = [(200, {"Content-Type": "text/html"}, b"<html>Back soon</html>")]
    with pytest.raises(ChannelDown):
        _read(make_client())
    with pytest.raises(OutcomeUnknown):
        _write(make_client())


@pytest.mark.proves("F03", "F04")
def test_half_an_answer_is_lost(scripted, make_client):
    whole = json.dumps(GOOD).encode()
    scripted.answers = [(200, {"Content-Length": str(len(whole) + 10)}, whole)]
    with pytest.raises(ChannelDown):
        _read(make_client())
    with pytest.raises(OutcomeUnknown):
        _write(make_client())


@pytest.mark.proves("F02")
@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_broken_answer_to_a_write_leaves_it_unknown(status, scripted, make_client):
    scripted.answers = [(status, {}, b"")]
    with pytest.raises(OutcomeUnknown):
        _write(make_client())


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": None},
        {"data": {"fulfillmentCreate": {"fulfillment": None}}, "errors": [{"message": "odd"}]},
        {"data": {"fulfillmentCreate": {}}, "errors": [{"extensions": {"code": "NOT_FOUND"}}]},
        {"data": {"fulfillmentCreate": {}}, "errors": ["odd"]},
        b"{",
        b"\xff",
    ],
)
def test_an_answer_nobody_understands_leaves_a_write_unknown(body, scripted, make_client):
    scripted.answers = [(200, {}, body)]
    with pytest.raises(OutcomeUnknown):
        _write(make_client())


@pytest.mark.parametrize(
    ("error", "kind"), [(_error("RESOURCE_NOT_FOUND"), Rejected), (_error("BAD_REQUEST"), Bug)]
)
def test_a_refusal_without_a_result_is_certain(error, kind, scripted, make_client):
    scripted.answers = [(200, {}, {"data": {"fulfillmentCreate": None}, "errors": [error]})]
    with pytest.raises(kind) as raised:
        _write(make_client())
    assert not isinstance(raised.value, OutcomeUnknown)


def test_an_endless_answer_leaves_a_write_unknown(scripted, make_client, monkeypatch):
    monkeypatch.setattr("connectors.shopify.wire.ANSWER_BYTES_MAX", 100)
    scripted.answers = [(200, {}, b"x" * 1000)]
    with pytest.raises(OutcomeUnknown, match="longer than 100"):
        _write(make_client())


def test_a_write_that_never_left_is_not_unknown(make_client, scripted):
    client = make_client()
    scripted.server.shutdown()
    scripted.server.server_close()
    with pytest.raises(ChannelDown) as raised:
        _write(client)
    assert not isinstance(raised.value, OutcomeUnknown)


@pytest.mark.proves("F43")
def test_an_endless_answer_is_cut_off(scripted, make_client, monkeypatch):
    monkeypatch.setattr("connectors.shopify.wire.ANSWER_BYTES_MAX", 100)
    scripted.answers = [(200, {}, b" " * 1000)]
    with pytest.raises(BadPayload, match="longer"):
        _read(make_client())


@pytest.mark.proves("F01", "F10")
def test_a_shop_that_does_not_answer_is_given_up(scripted, make_client, monkeypatch):
    monkeypatch.setattr("connectors.shopify.wire.TIMEOUT_SECONDS", 0.05)
    release = threading.Event()

    def stall(_):
        release.wait(5)
        return (200, {}, GOOD)

    scripted.answers = [stall]
    with pytest.raises(ChannelDown):
        _read(make_client())
    with pytest.raises(OutcomeUnknown):
        _write(make_client())
    release.set()


@pytest.mark.proves("F50", "A36")
def test_no_proxy_and_no_redirect_is_obeyed(scripted, make_client, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    scripted.answers = [(302, {"Location": scripted.url + "/elsewhere"}, b"")]
    with pytest.raises(ChannelDown):
        _read(make_client())
    assert [path for path, _, _ in scripted.asked] == ["/admin/api/2026-10/graphql.json"]


def test_a_shadow_account_sends_no_write_at_all(scripted, make_client):
    scripted.answers = [(200, {}, GOOD)]
    client = make_client(may_write=False)
    writes = [one for one in documents().values() if one.is_write]
    assert len(writes) == 10
    for document in writes:
        with pytest.raises(Rejected, match="shadow"):
            client.run(document.name, {}, priority=Priority.WRITE)
    assert scripted.asked == []


def test_a_shop_that_fell_back_to_another_version_stops_the_account(scripted, make_client):
    scripted.answers = [(200, {"X-Shopify-API-Version": "2027-04"}, GOOD)]
    client = make_client()
    _read(client)  # what was asked was answered, and may have been a write
    with pytest.raises(FixAccount, match="2027-04"):
        _read(client)
    assert len(scripted.asked) == 1


def test_a_document_too_dear_is_asked_for_half_and_remembered(scripted, make_client):
    def weigh(handler):
        first = json.loads(scripted.asked[-1][2])["variables"]["first"]
        dear = {"data": None, "errors": [_error("MAX_COST_EXCEEDED")]}
        return (200, {}, dear if first > 10 else {"data": {"orders": {}}})

    scripted.answers = [weigh]
    client = make_client()
    for _ in range(2):
        client.run_sized("OrdersByChange", {"query": "", "after": None}, 50, priority=READ)
    sizes = [json.loads(body)["variables"]["first"] for _, _, body in scripted.asked]
    assert sizes == [50, 25, 12, 6, 6]


def test_a_single_object_too_dear_is_an_error(scripted, make_client):
    scripted.answers = [(200, {}, {"data": None, "errors": [_error("MAX_COST_EXCEEDED")]})]
    with pytest.raises(CostTooHigh):
        make_client().run_sized("OrdersByChange", {"query": "id:1"}, 4, priority=READ)


@pytest.mark.proves("I-39")
def test_two_accounts_never_mix_and_nothing_global_is_touched(scripted, make_client):
    def echo(_):
        asked = [headers["X-Shopify-Access-Token"] for _, headers, _ in scripted.asked]
        return (200, {}, {"data": {"token": asked[-1]}})

    scripted.answers = [echo]
    before = (dict(shopify.ShopifyResource.get_headers()), shopify.ShopifyResource.get_site())
    clients = {name: make_client(token=name, prefix=f"/{name}") for name in "ab"}

    def call(name):
        for _ in range(20):
            _read(clients[name])

    threads = [threading.Thread(target=call, args=(name,)) for name in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = {(path[1], headers["X-Shopify-Access-Token"]) for path, headers, _ in scripted.asked}
    assert pairs == {("a", "a"), ("b", "b")}
    assert len(scripted.asked) == 80
    assert before == (
        dict(shopify.ShopifyResource.get_headers()),
        shopify.ShopifyResource.get_site(),
    )
