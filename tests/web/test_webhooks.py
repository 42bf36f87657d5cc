"""The webhook endpoint over real HTTP: the order of its checks, and the attacks on it."""

import json

import pytest

from oms_sync.web import webhooks
from oms_sync.web.inbox_writer import NotStored, Overloaded

BODY = b'{"id": 4711, "note": "caf\xc3\xa9"}'
SIGNATURE = "x-signature"


def _is_untouched(served) -> bool:
    return served.writer.stored == []


@pytest.mark.proves("I-03")
def test_a_genuine_delivery_is_stored_byte_for_byte_and_answered_200(served):
    answer = served.post("shop-a", BODY, headers=["x-topic: orders/create", "x-other: 1"])
    assert answer.status == 200
    (message,) = served.writer.stored
    assert (message.account, message.topic, message.body) == ("shop-a", "orders/create", BODY)
    assert message.headers == {"x-topic": "orders/create"}, "only what the manifest names is kept"
    assert served.metrics.outcomes() == {("shop-a", "stored"): 1}


@pytest.mark.proves("I-03", "I-34", "F45", "O-11")
@pytest.mark.parametrize("error", [NotStored("disk full"), Overloaded("full")])
def test_without_a_commit_there_is_no_2xx_but_503_with_retry_after(served, error):
    if isinstance(error, Overloaded):
        served.writer.refuses = error
    else:
        served.writer.fails = error
    answer = served.post("shop-a", BODY)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    served.writer.refuses = served.writer.fails = None
    assert served.post("shop-a", BODY).status == 200


@pytest.mark.proves("O-10")
def test_below_the_disk_floor_nothing_is_taken_in(served):
    served.is_accepting = False
    assert served.post("shop-a", BODY).status == 503
    assert _is_untouched(served)


@pytest.mark.proves("A01", "A02", "A03", "A14")
@pytest.mark.parametrize(
    "line",
    [
        "",  # none at all
        "x-signature: ",
        "x-signature: AAAA",
        "x-signature: " + "A" * 10_000,
        "x-signature: \xe9\xff\xfe",  # not ASCII
        "x-signature: ====",
        "x-signature: %00",
    ],
)
def test_a_missing_or_wrong_signature_is_401_and_leaves_nothing(served, raw_request, line):
    lines = [line] if line else []
    answer = served.send(raw_request("/webhooks/shop-a", BODY, lines) + BODY)
    assert answer.status == 401
    assert _is_untouched(served)
    assert served.metrics.outcomes() == {("shop-a", "refused"): 1}


@pytest.mark.proves("A04")
def test_one_space_more_in_the_body_is_401(served, raw_request):
    from base64 import b64encode
    from hashlib import sha256
    from hmac import new

    signature = b64encode(new(b"first secret", BODY, sha256).digest()).decode()
    changed = BODY + b" "
    head = raw_request("/webhooks/shop-a", changed, [f"{SIGNATURE}: {signature}"])
    assert served.send(head + changed).status == 401
    assert _is_untouched(served)


def test_a_doubled_signature_header_proves_nothing(served, raw_request):
    lines = [f"{SIGNATURE}: right", f"{SIGNATURE}: wrong"]
    assert served.send(raw_request("/webhooks/shop-a", BODY, lines) + BODY).status == 401


@pytest.mark.proves("A05")
def test_another_accounts_secret_is_401(serve):
    served = serve(secrets={"shop-a": {"live": [b"a secret"]}, "shop-b": {"live": [b"b secret"]}})
    assert served.post("shop-a", BODY, secret=b"b secret").status == 401
    assert _is_untouched(served)


@pytest.mark.proves("A06")
def test_the_old_secret_counts_until_its_grace_is_over(serve):
    served = serve(secrets={"shop-a": {"live": [b"new secret", b"old secret"]}})
    assert served.post("shop-a", BODY, secret=b"old secret").status == 200
    served.secrets["shop-a"]["live"].remove(b"old secret")
    assert served.post("shop-a", BODY, secret=b"old secret").status == 401
    assert served.post("shop-a", BODY, secret=b"new secret").status == 200


@pytest.mark.proves("A08", "A09")
def test_replays_are_answered_2xx_and_left_to_the_inbox_to_collapse(served):
    answers = {
        served.post("shop-a", BODY, headers=[f"x-event: {number}"]).status for number in range(50)
    }
    assert answers == {200}
    assert {message.body for message in served.writer.stored} == {BODY}


@pytest.mark.proves("A11")
def test_one_shops_delivery_under_another_shops_name_is_only_a_hint_for_the_other(serve):
    shared = [b"one app secret for both"]
    served = serve(secrets={"shop-a": {"live": shared}, "shop-b": {"live": shared}})
    assert served.post("shop-b", BODY).status == 200
    (message,) = served.writer.stored
    assert (message.account, message.channel_order_id) == ("shop-b", None)


@pytest.mark.proves("A12", "A13", "A22", "A23", "A24", "A25")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[" * 100_000,  # deep enough to break a recursive parser
        b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}",
        b'{"quantity": NaN, "quantity": 1e999}',
        b"\x00\xff\xfe" * 100,
    ],
    ids=["empty", "no json", "deep", "wide", "odd numbers", "binary"],
)
def test_what_is_authentic_is_taken_whatever_it_says(served, body):
    answer = served.post("shop-a", body, headers=["x-topic: of/another/age"])
    assert answer.status == 200
    assert served.writer.stored[0].body == body


def test_topics_and_headers_are_kept_plain_and_short(served):
    served.post("shop-a", BODY, headers=["x-topic: a\tb" + "c" * 500, "x-event: \xe9v"])
    (message,) = served.writer.stored
    assert message.topic == ("ab" + "c" * 500)[: webhooks.TOPIC_LENGTH_MAX - 1]
    assert message.headers["x-event"] == "v"


def test_an_unknown_account_and_a_bad_signature_are_answered_alike(served):
    unknown = served.post("nobody", BODY, secret=b"any")
    refused = served.post("shop-a", BODY, secret=b"wrong")
    assert (unknown.status, unknown.body) == (refused.status, refused.body) == (401, b"")
    drop = {"date"}
    assert {k: v for k, v in unknown.headers.items() if k not in drop} == {
        k: v for k, v in refused.headers.items() if k not in drop
    }
    assert served.metrics.outcomes() == {("unknown", "refused"): 1, ("shop-a", "refused"): 1}


@pytest.mark.proves("A58")
def test_a_verifier_that_raises_is_a_refusal_not_a_5xx(served):
    def broken(*_):
        raise RecursionError("deep")

    served.webhook.verify = broken
    assert served.post("shop-a", BODY).status == 401
    assert _is_untouched(served)


def test_a_verifier_that_answers_something_true_has_not_said_yes(served):
    served.webhook.verify = lambda *_: "yes"
    assert served.post("shop-a", BODY).status == 401


# --- health --------------------------------------------------------------------------------------


@pytest.mark.proves("O-01")
def test_health_answers_in_json(served):
    assert json.loads(served.get("/livez").body) == {"alive": True}
    assert json.loads(served.get("/readyz").body) == {"ready": True, "failing": []}
    served.readiness.close()
    unready = served.get("/readyz")
    assert (unready.status, json.loads(unready.body)["ready"]) == (503, False)
