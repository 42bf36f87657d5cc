"""Tokens: one refresher, renewed early, stored before use, of this consent and no other."""

import base64
import threading

import pytest

from connectors.ebay.render import who_we_are
from connectors.ebay.trading import TradingCall
from oms_sync.sdk import AuthFailed, BadPayload, ChannelDown, PermissionMissing, Priority
from oms_sync.sdk.testing import FakeClock, MemoryTokens

USER = "<User><UserID>seller</UserID></User>"
CALL = TradingCall(name="GetUser", body=who_we_are())


class SharedTokens(MemoryTokens):
    """A store several processes share, with the order of what happened."""

    def __init__(self, happened, fields=None):
        super().__init__(fields)
        self.happened = happened
        self.lock = threading.Lock()

    def save(self, fields):
        self.happened.append(("saved", fields.get("user")))
        super().save(fields)

    def locked(self):
        return self.lock


@pytest.fixture
def ready(answers):
    answers(("GetUser", USER))


def _ask(client):
    return client.run(CALL, priority=Priority.READ)


def _used(scripted):
    return [headers["x-ebay-api-iaf-token"] for _, headers, _ in scripted.asked]


@pytest.mark.proves("I-35")
def test_a_token_is_stored_before_it_is_used(scripted, make_client, say):
    happened: list = []

    def answer(handler):
        happened.append(("used", handler.headers["X-EBAY-API-IAF-TOKEN"]))
        return (200, {}, say.answer("GetUser", USER))

    scripted.answers = [answer]
    _ask(make_client(tokens=SharedTokens(happened)))
    used = next(index for index, one in enumerate(happened) if one[0] == "used")
    assert ("saved", happened[used][1]) in happened[:used]


@pytest.mark.proves("F28")
def test_of_many_callers_one_refreshes(scripted, make_client, ready):
    store = SharedTokens([])
    clients = [make_client(tokens=store) for _ in range(2)]
    threads = [threading.Thread(target=_ask, args=(clients[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    granted = [body for _, body in scripted.granted]
    assert len([one for one in granted if b"refresh_token" in one]) == 1
    assert len(set(_used(scripted))) == 1


def test_the_grant_is_asked_for_as_ebay_wants_it(scripted, make_client, ready):
    _ask(make_client())
    headers, body = next(one for one in scripted.granted if b"grant_type=refresh" in one[1])
    assert base64.b64decode(headers["Authorization"].split()[1]) == b"app-1:cert-canary"
    assert body == b"grant_type=refresh_token&refresh_token=refresh-canary"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_the_applications_token_is_asked_for_with_the_base_scope(scripted, make_client, ready):
    _ask(make_client())  # which asks for the call budget first
    bodies = [body for _, body in scripted.granted if b"client_credentials" in body]
    assert bodies == [
        b"grant_type=client_credentials&scope=https%3A%2F%2Fapi.ebay.com%2Foauth%2Fapi_scope"
    ]


def test_a_token_is_renewed_five_minutes_before_it_ends(scripted, make_client, ready):
    clock = FakeClock()
    client = make_client(clock=clock)
    for seconds in (0, 7200 - 301, 2):
        clock.advance(seconds)
        _ask(client)
    first, second, third = _used(scripted)
    assert first == second != third


@pytest.mark.proves("F26")
@pytest.mark.parametrize("code", ["931", "932", "21916013", "21917053"])
def test_a_refused_token_is_renewed_once_and_the_call_replayed(
    code, scripted, make_client, answers, say
):
    answers(("GetUser", say.fault(code), {"ack": "Failure"}), ("GetUser", USER))
    assert _ask(make_client()).root.text("User/UserID") == "seller"
    first, second = _used(scripted)
    assert first != second


@pytest.mark.proves("F29")
def test_a_token_refused_twice_is_auth_failed_and_not_tried_again(
    scripted, make_client, answers, say
):
    answers(("GetUser", say.fault(931), {"ack": "Failure"}))
    with pytest.raises(AuthFailed, match="consent"):
        _ask(make_client())
    assert len(scripted.asked) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, {"error": "invalid_grant"}, AuthFailed, "consent has ended"),
        (401, {"error": "invalid_client"}, AuthFailed, "app_id and cert_id"),
        (400, {"error": "invalid_scope"}, PermissionMissing, "scopes"),
        (400, b"<html>", AuthFailed, "HTTP 400"),
        (503, b"", ChannelDown, "503"),
        (200, {"token": "x"}, BadPayload, "no token"),
        (200, b"<html>", BadPayload, "no token"),
    ],
)
def test_each_refusal_of_a_grant_says_what_to_do(status, body, kind, said, scripted, make_client):
    scripted.grants = lambda _: (status, {}, body)
    with pytest.raises(kind, match=said) as error:
        _ask(make_client())
    assert "canary" not in str(error.value)


def test_a_token_stored_for_another_consent_is_not_used(scripted, make_client, ready):
    store = MemoryTokens()
    _ask(make_client(tokens=store))
    _ask(make_client(tokens=store, settings={"refresh_token": "another-consent"}))
    assert len(set(_used(scripted))) == 2


def test_a_refresh_token_given_later_wins_over_the_file(scripted, make_client, ready):
    _ask(make_client(tokens=MemoryTokens({"refresh_token": "issued-later"})))
    assert any(b"refresh_token=issued-later" in body for _, body in scripted.granted)


def test_what_else_is_stored_stays(scripted, make_client, ready):
    store = MemoryTokens({"refresh_token": "issued-later", "note": "kept"})
    _ask(make_client(tokens=store))
    assert store.load()["note"] == "kept"
    assert store.load()["user"].startswith("user-token")
