"""Tokens by the client-credentials grant: stored first, one refresher, renewed early."""

import threading
from types import SimpleNamespace

import pytest

from connectors.shopify.settings import ShopifySettings
from connectors.shopify.tokens import Credentials
from connectors.shopify.wire import Wire
from oms_sync.sdk import (
    AuthFailed,
    BadPayload,
    Priority,
)
from oms_sync.sdk.testing import FakeClock, MemoryTokens

GOOD = {"data": {"order": {"refunds": []}}}


def _read(client):
    return client.run("AllRefunds", {"id": "gid://shopify/Order/1"}, priority=Priority.READ)


class SharedTokens(MemoryTokens):
    """A store several processes share, with the order of what happened."""

    def __init__(self, happened):
        super().__init__()
        self.happened = happened
        self.lock = threading.Lock()

    def save(self, fields):
        self.happened.append(("saved", fields["access_token"]))
        super().save(fields)

    def locked(self):
        return self.lock


@pytest.fixture
def granting(scripted):
    happened: list = []
    store, clock = SharedTokens(happened), FakeClock()

    def grant(handler):
        if handler.path.endswith("access_token"):
            token = f"t{sum(path.endswith('access_token') for path, _, _ in scripted.asked)}"
            return (200, {}, {"access_token": token, "scope": "", "expires_in": 1000})
        happened.append(("used", handler.headers["X-Shopify-Access-Token"]))
        return (200, {}, GOOD)

    scripted.answers = [grant]
    settings = ShopifySettings(shop="shop-a", client_id="id", client_secret="secret-canary")

    def make():
        request = SimpleNamespace(settings=settings, clock=clock, tokens=store)
        return Credentials(request, scripted.url, Wire(clock))

    return make, clock, happened


def _grants(scripted):
    return sum(path.endswith("access_token") for path, _, _ in scripted.asked)


@pytest.mark.proves("I-35")
def test_a_granted_token_is_stored_before_it_is_used(granting, make_client):
    make, _, happened = granting
    _read(make_client(credentials=make()))
    assert happened == [("saved", "t1"), ("used", "t1")]


@pytest.mark.proves("I-35", "F28")
def test_many_threads_and_two_processes_ask_for_one_token(granting, scripted, make_client):
    make, _, _ = granting
    clients = [make_client(credentials=credentials) for credentials in [make()] * 4 + [make()] * 4]
    threads = [threading.Thread(target=_read, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _grants(scripted) == 1


def test_a_token_is_renewed_before_it_ends(granting, scripted, make_client):
    make, clock, _ = granting
    credentials = make()
    client = make_client(credentials=credentials)
    _read(client)
    clock.advance(800)
    _read(client)
    assert _grants(scripted) == 1
    clock.advance(101)  # a tenth of its life is left
    _read(client)
    assert _grants(scripted) == 2
    assert credentials.expires_at > clock.now()


@pytest.mark.proves("F26")
def test_a_token_refused_too_early_is_renewed_once(granting, scripted, make_client):
    make, _, _ = granting
    grant = scripted.answers[0]

    def refuse_the_first(handler):
        if handler.headers["X-Shopify-Access-Token"] == "t1":
            return (401, {}, {"errors": "expired"})
        return grant(handler)

    scripted.answers = [refuse_the_first]
    assert _read(make_client(credentials=make())).fields == GOOD["data"]
    assert _grants(scripted) == 2


@pytest.mark.proves("F29")
def test_a_revoked_app_is_auth_failed(granting, scripted, make_client):
    make, _, _ = granting
    scripted.answers = [(400, {}, {"error": "invalid_client"})]
    with pytest.raises(AuthFailed) as raised:
        _read(make_client(credentials=make()))
    assert "secret-canary" not in str(raised.value)


@pytest.mark.parametrize("answer", [{}, {"access_token": ""}, {"access_token": "t"}, []])
def test_a_grant_without_token_is_bad_payload(answer, granting, scripted, make_client):
    make, _, _ = granting
    scripted.answers = [(200, {}, answer)]
    with pytest.raises(BadPayload):
        _read(make_client(credentials=make()))
