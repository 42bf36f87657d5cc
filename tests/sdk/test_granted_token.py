"""A granted token: asked for once, stored first, renewed early, and never used with other keys."""

import threading
from datetime import timedelta

import pytest

from oms_sync.sdk import AuthFailed, BadPayload
from oms_sync.sdk.granted_token import Grant, GrantedToken, read_grant
from oms_sync.sdk.testing import FakeClock, MemoryTokens

HOUR = 3600


class Channel:
    """Grants numbered tokens, and remembers what it was handed."""

    def __init__(self, seconds=HOUR):
        self.seconds, self.asked = seconds, []

    def grant(self, stored):
        self.asked.append(dict(stored))
        return Grant(token=f"t{len(self.asked)}", seconds=self.seconds)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store():
    return MemoryTokens()


def token_of(store, clock, channel, *, credentials=("id", "secret"), name="access_token"):
    return GrantedToken(
        store, clock, grant=channel.grant, credentials=lambda _: credentials, name=name
    )


@pytest.mark.proves("I-35")
def test_a_token_is_asked_for_once_and_found_in_the_store_by_the_next_process(store, clock):
    channel = Channel()
    one, two = token_of(store, clock, channel), token_of(store, clock, channel)
    assert one.expires_at is None
    assert [one.token(), one.token(), two.token()] == ["t1"] * 3
    assert one.expires_at == two.expires_at == clock.now() + timedelta(seconds=HOUR)
    assert two.fields["access_token"] == "t1"
    assert len(channel.asked) == 1


@pytest.mark.parametrize(("seconds", "early"), [(HOUR, 300), (100, 10)])
def test_a_token_is_renewed_before_it_ends(store, clock, seconds, early):
    token = token_of(store, clock, Channel(seconds))
    assert token.token() == "t1"
    clock.advance(seconds - early - 1)
    assert token.token() == "t1"
    clock.advance(1)
    assert token.token() == "t2"


@pytest.mark.proves("F28")
def test_a_refused_token_is_replaced_once_however_many_were_refused(store, clock):
    channel = Channel()
    one, two = token_of(store, clock, channel), token_of(store, clock, channel)
    refused = one.token()
    two.token()
    assert one.renew(refused) == two.renew(refused) == "t2"


def test_a_token_of_other_credentials_is_never_used(store, clock):
    channel = Channel()
    token_of(store, clock, channel).token()
    assert token_of(store, clock, channel, credentials=("id", "new")).token() == "t2"
    assert "secret" not in "".join(store.load().values())


def test_tokens_of_two_kinds_share_a_store_and_what_else_lies_there_stays(store, clock):
    channel = Channel()
    store.save({"refresh_token": "r1"})
    user = token_of(store, clock, channel, name="user")
    application = token_of(store, clock, channel, name="application")
    assert (user.token(), application.token()) == ("t1", "t2")
    assert channel.asked[0] == {"refresh_token": "r1"}
    assert store.load()["refresh_token"] == "r1"
    assert store.load()["user"] == "t1"


@pytest.mark.proves("I-35")
def test_threads_that_need_a_token_at_once_ask_for_one(store, clock):
    channel = Channel()
    token = token_of(store, clock, channel)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(token.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["t1"] * 8


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"access_token": "t"},
        {"access_token": "", "expires_in": 1},
        {"access_token": "t", "expires_in": "1"},
        {"access_token": "t", "expires_in": True},
        {"access_token": "t", "expires_in": -1},
    ],
)
def test_an_answer_without_a_token_is_no_grant(answer):
    with pytest.raises(BadPayload):
        read_grant(answer)
    assert read_grant({"access_token": "t", "expires_in": 5}) == Grant(token="t", seconds=5)


@pytest.mark.proves("F29", "I-35")
def test_a_proof_asks_for_a_token_although_the_present_one_is_good_once_a_minute(store, clock):
    channel = Channel()
    token, other = token_of(store, clock, channel), token_of(store, clock, channel)
    assert token.token() == "t1"
    clock.advance(59)
    assert (token.prove(), other.prove()) == ("t1", "t1"), "granted a moment ago"
    clock.advance(1)
    assert (token.prove(), other.prove(), other.token()) == ("t2", "t2", "t2")
    assert len(channel.asked) == 2


def test_a_token_stored_without_its_time_proves_nothing(store, clock):
    channel = Channel()
    token_of(store, clock, channel).token()
    kept = store.load()
    store.save({key: text for key, text in kept.items() if not key.endswith("_granted_at")})
    assert token_of(store, clock, channel).token() == "t1"
    assert token_of(store, clock, channel).prove() == "t2"


def test_a_grant_refused_is_told_and_leaves_the_present_token(store, clock):
    channel = Channel()
    token = token_of(store, clock, channel)
    assert token.token() == "t1"

    def refuse(_):
        raise AuthFailed("revoked")

    channel.grant = refuse
    revoked = token_of(store, clock, channel)
    clock.advance(61)
    with pytest.raises(AuthFailed):
        revoked.prove()
    assert revoked.token() == "t1"
