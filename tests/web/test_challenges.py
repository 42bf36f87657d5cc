"""A channel asks by GET whether the address is ours; keys the channel hands out; its refusals."""

import hashlib
import threading
import time

import pytest

from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.sessions import AccountWiring
from oms_sync.sdk import Capability, ChallengeAnswer, ChannelDown, Manifest
from oms_sync.web import verifiers
from oms_sync.web.verifiers import KeyedVerifier, Verifier, verifiers_of

BODY = b'{"id": 4711}'
URL = "https://hub.example/webhooks/asks"
TOKEN = "a verification token"


class Asking:
    """A webhook part of a channel that asks challenges; its own `verify` knows no key."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict]] = []
        self.answer = self.proof

    def verify(self, settings, headers, body) -> bool:
        return False

    def topic(self, headers) -> str:
        return "orders/changed"

    def answer_challenge(self, settings, url, query):
        self.asked.append((url, dict(query)))
        return self.answer(settings, url, query)

    @staticmethod
    def proof(settings, url, query):
        code = query.get("challenge_code")
        if not code:
            return None
        digest = hashlib.sha256(f"{code}{settings['token']}{url}".encode()).hexdigest()
        return ChallengeAnswer(body=b'{"challengeResponse": "%s"}' % digest.encode())


class Keyed:
    """What is opened for an account: it verifies with a key it has to ask for."""

    def __init__(self) -> None:
        self.does = lambda headers, body: headers.get("x-signature") == "genuine"

    def verify(self, settings, headers, body) -> bool:
        return self.does(headers, body)


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.fixture
def keyed() -> Keyed:
    return Keyed()


@pytest.fixture
def opened() -> list[int]:
    return []


@pytest.fixture
def with_asking(served, asking, keyed, opened):
    """The shared listener with one more account, `asks`, refusing by 412."""

    def open_part():
        opened.append(1)
        return keyed

    served.verifiers["asks"] = Verifier(
        webhook=asking,
        settings={"token": TOKEN},
        keyed=KeyedVerifier("asks", open_part),
        refusal_status=412,
        url=URL,
    )
    return served


def deliver(served, signature, account="asks", body=BODY, request=None):
    return served.send(request(f"/webhooks/{account}", body, [f"x-signature: {signature}"]) + body)


# --- challenges ----------------------------------------------------------------------------------


def test_a_challenge_is_answered_for_the_address_as_it_was_registered(with_asking, asking):
    answer = with_asking.get("/webhooks/asks?challenge_code=a%20b%2Bc")
    digest = hashlib.sha256(f"a b+c{TOKEN}{URL}".encode()).hexdigest()
    assert (answer.status, answer.body) == (200, b'{"challengeResponse": "%s"}' % digest.encode())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert asking.asked == [(URL, {"challenge_code": "a b+c"})]
    assert with_asking.writer.stored == []
    assert with_asking.metrics.outcomes() == {("asks", "challenged"): 1}


@pytest.mark.proves("A21")
@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/asks",
        "/webhooks/asks?",
        "/webhooks/asks?challenge_code=",
        "/webhooks/asks?challenge=1",
        "/webhooks/asks?challenge_code=1&challenge_code=2",
        "/webhooks/asks?challenge_code=%ff%fe",
        "/webhooks/asks?challenge_code=" + "9" * verifiers.QUERY_BYTES_MAX,
        "/webhooks/asks?challenge_code=1" + "&a=" * (verifiers.QUERY_FIELDS_MAX + 1),
        "/webhooks/shop-a?challenge_code=1",
        "/webhooks/nobody?challenge_code=1",
        "/webhooks/ASKS?challenge_code=1",
    ],
)
def test_every_other_get_is_refused_alike_whoever_is_asked_for(with_asking, path):
    answer = with_asking.get(path)
    plain = with_asking.get("/webhooks/nobody")
    assert (answer.status, answer.body, answer.is_closed) == (405, b"", True)
    unlike = {"date"}
    assert {k: v for k, v in answer.headers.items() if k not in unlike} == {
        k: v for k, v in plain.headers.items() if k not in unlike
    }


def test_no_challenge_is_answered_for_an_address_that_was_never_registered(with_asking, asking):
    with_asking.verifiers["asks"] = Verifier(webhook=asking, settings={"token": TOKEN})
    assert with_asking.get("/webhooks/asks?challenge_code=1").status == 405
    assert asking.asked == []


@pytest.mark.proves("A58")
def test_a_part_that_stumbles_over_a_challenge_is_a_refusal_not_a_5xx(with_asking, asking):
    def broken(*_):
        raise RecursionError("deep")

    asking.answer = broken
    assert with_asking.get("/webhooks/asks?challenge_code=1").status == 405


@pytest.mark.parametrize(
    "answer",
    [
        ChallengeAnswer(body=b"<script>alert(1)</script>", media_type="text/html"),
        ChallengeAnswer(body=b"{}", media_type="application/json\r\nset-cookie: a=b"),
        ChallengeAnswer(body=b"x" * (verifiers.CHALLENGE_BYTES_MAX + 1)),
    ],
    ids=["markup", "header", "huge"],
)
def test_an_answer_a_browser_would_run_or_that_is_endless_is_not_given(with_asking, asking, answer):
    asking.answer = lambda *_: answer
    assert with_asking.get("/webhooks/asks?challenge_code=<script>").status == 405


@pytest.mark.proves("A21")
@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_challenge_by_another_method_is_405(with_asking, asking, raw_request, method):
    path = "/webhooks/asks?challenge_code=1"
    assert with_asking.send(raw_request(path, b"", method=method)).status == 405
    assert asking.asked == []


# --- keys ----------------------------------------------------------------------------------------


@pytest.mark.proves("I-03")
def test_a_delivery_verified_with_a_key_of_the_channels_is_stored(with_asking, opened, raw_request):
    for _ in range(3):
        assert deliver(with_asking, "genuine", request=raw_request).status == 200
    assert [one.body for one in with_asking.writer.stored] == [BODY] * 3
    assert with_asking.writer.stored[0].topic == "orders/changed"
    assert opened == [1], "it is opened once"


@pytest.mark.proves("A01", "A02", "A03", "A04", "A14")
@pytest.mark.parametrize("signature", ["", "wrong", "A" * 10_000, "\xe9\xff"])
def test_what_the_channel_did_not_sign_is_answered_as_that_channel_wants(
    with_asking, raw_request, signature
):
    answer = deliver(with_asking, signature, request=raw_request)
    assert (answer.status, answer.body, answer.is_closed) == (412, b"", True)
    assert with_asking.writer.stored == []
    assert with_asking.metrics.outcomes() == {("asks", "refused"): 1}
    assert deliver(with_asking, signature, "nobody", request=raw_request).status == 401


@pytest.mark.proves("A58")
def test_a_verifier_that_raises_is_a_refusal_and_one_that_answers_yes_has_not_said_so(
    with_asking, keyed, raw_request
):
    def broken(headers, body):
        raise ValueError("no JSON in the signature")

    keyed.does = broken
    assert deliver(with_asking, "genuine", request=raw_request).status == 412
    keyed.does = lambda headers, body: "yes"
    assert deliver(with_asking, "genuine", request=raw_request).status == 412
    assert with_asking.writer.stored == []


@pytest.mark.proves("I-03", "F06")
def test_a_delivery_whose_key_cannot_be_had_is_asked_for_again(with_asking, keyed, raw_request):
    genuine = keyed.does

    def down(headers, body):
        raise ChannelDown("503")

    keyed.does = down
    for _ in range(3):
        answer = deliver(with_asking, "genuine", request=raw_request)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
    assert with_asking.writer.stored == []
    assert with_asking.metrics.outcomes() == {("asks", "postponed"): 3}
    keyed.does = genuine
    assert deliver(with_asking, "genuine", request=raw_request).status == 200


def test_an_outage_of_the_keys_is_said_once_and_so_is_its_end(keyed, run_verifying, captured):
    genuine = keyed.does

    def down(headers, body):
        raise ChannelDown("503")

    keyed.does = down
    verifier = KeyedVerifier("asks", lambda: keyed)
    for _ in range(3):
        with pytest.raises(verifiers.NotVerified):
            run_verifying(verifier, "genuine")
    keyed.does = genuine
    for _ in range(2):
        assert run_verifying(verifier, "genuine")
    assert [one["event"] for one in captured] == ["webhook.postponed", "webhook.recovered"]


def test_a_verifier_that_cannot_be_opened_yet_is_opened_later(keyed, run_verifying):
    tries = []

    def open_part():
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no application token yet")
        return keyed

    verifier = KeyedVerifier("asks", open_part)
    for _ in range(2):
        with pytest.raises(verifiers.NotVerified):
            run_verifying(verifier, "genuine")
    assert run_verifying(verifier, "genuine")
    assert not run_verifying(verifier, "wrong")
    assert len(tries) == 3


@pytest.mark.proves("I-39", "A17")
def test_a_channel_that_hands_out_no_key_keeps_no_other_account_waiting(
    with_asking, keyed, raw_request, in_threads, monkeypatch
):
    monkeypatch.setattr(verifiers, "VERIFY_SECONDS_MAX", 0.3)
    monkeypatch.setattr(verifiers, "VERIFY_WAITING_MAX", 6)
    gate = threading.Event()
    keyed.does = lambda headers, body: gate.wait(10)
    begun = time.monotonic()
    slow = in_threads(10, lambda _: deliver(with_asking, "x", request=raw_request).status)
    assert set(slow) == {503}
    assert time.monotonic() - begun < 3
    large = b"x" * (verifiers.INLINE_BYTES_MAX + 1)
    assert with_asking.post("shop-a", large).status == 200
    assert with_asking.post("shop-a", BODY).status == 200
    gate.set()
    keyed.does = lambda headers, body: True
    deadline = time.monotonic() + 5
    while deliver(with_asking, "x", request=raw_request).status != 200:
        assert time.monotonic() < deadline, "who gave up is forgotten"


def test_a_pure_part_may_ask_for_patience_too(served):
    def down(*_):
        raise ChannelDown("later")

    served.webhook.verify = down
    assert served.post("shop-a", BODY).status == 503
    assert served.post("shop-a", b"x" * (verifiers.INLINE_BYTES_MAX + 1)).status == 503


# --- from wirings --------------------------------------------------------------------------------


def test_the_route_knows_what_the_wiring_says(asking, keyed):
    def wiring(*capabilities, **more):
        manifest = Manifest(
            id="fake",
            label="Fake",
            capabilities=frozenset(capabilities),
            webhook_refusal_status=412,
            webhook_headers=("x-topic",),
        )
        gate = RateBuckets((), clock=SystemClock(), metrics=None, account="x")
        return AccountWiring(
            profile=None, manifest=manifest, open=lambda: None, gate=gate, webhook=asking, **more
        )

    hooks = Capability.RECEIVE_WEBHOOKS
    found = verifiers_of(
        {
            "asks": wiring(hooks, open_webhook=lambda: keyed, webhook_url=URL),
            "polls": wiring(Capability.PULL_NOTIFICATIONS),
            "plain": wiring(hooks),
        }
    )
    assert set(found) == {"asks", "plain"}
    assert (found["asks"].refusal_status, found["asks"].url) == (412, URL)
    assert found["asks"].headers == ("x-topic",)
    assert found["asks"].keyed is not None
    assert (found["plain"].keyed, found["plain"].url) == (None, None)
