"""An owner's consent: asked with a state, answered once, and the account runs again."""

import pytest

from oms_sync.flows.commands import consent
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.records import AccountRecord
from oms_sync.sdk import AuthFailed


class _Page:
    """A channel's page: it takes the code `good` with the state it was asked with."""

    def __init__(self):
        self.tokens = []
        self.state = ""

    def consent_url(self, state):
        self.state = state
        return f"https://channel.example/consent?state={state}"

    def redeem(self, answer, state):
        if answer != "good" or state != self.state:
            raise AuthFailed("the answer is refused")
        self.tokens.append(answer)


@pytest.fixture
def page():
    return _Page()


def _record(bench, **changes):
    with bench.storage.open_work() as work:
        work.accounts.put(AccountRecord(name="shop-a", connector="fake", **changes))
        work.commit()


def _health(bench):
    with bench.storage.open_work() as work:
        record = work.accounts.get("shop-a")
    return record.health, record.is_paused


@pytest.mark.proves("F29")
def test_an_answer_lets_the_account_run_and_is_good_once(bench, page):
    _record(bench, health="needs_reauth", reason="revoked")
    url = consent.ask(bench.context, "shop-a", consent=page)
    assert page.state in url
    consent.answer(bench.context, "shop-a", " good\n", consent=page)
    assert (page.tokens, _health(bench)) == (["good"], ("ok", False))
    assert {("ingest", "shop-a"), ("push_stock", "shop-a")} <= set(bench.wakes)
    with pytest.raises(CommandRefused, match="awaits no answer"):
        consent.answer(bench.context, "shop-a", "good", consent=page)
    assert page.tokens == ["good"]


def test_an_answer_nobody_asked_for_reaches_no_channel(bench, page):
    with pytest.raises(CommandRefused, match="accounts authorize shop-a"):
        consent.answer(bench.context, "shop-a", "good", consent=page)
    assert page.tokens == []


def test_an_answer_to_an_earlier_question_is_refused(bench, page):
    consent.ask(bench.context, "shop-a", consent=page)
    earlier, page.state = page.state, ""
    consent.ask(bench.context, "shop-a", consent=page)
    assert page.state != earlier, "every question has a state of its own"
    page.state = earlier
    with pytest.raises(AuthFailed):
        consent.answer(bench.context, "shop-a", "good", consent=page)
    assert page.tokens == []


def test_an_answer_later_than_an_hour_is_refused(bench, page):
    consent.ask(bench.context, "shop-a", consent=page)
    bench.clock.at += consent.ANSWER_MAX * 1.01
    with pytest.raises(CommandRefused, match="more than an hour"):
        consent.answer(bench.context, "shop-a", "good", consent=page)
    assert page.tokens == []


def test_a_refused_answer_may_be_given_again(bench, page):
    _record(bench, health="needs_reauth", reason="revoked")
    consent.ask(bench.context, "shop-a", consent=page)
    with pytest.raises(AuthFailed):
        consent.answer(bench.context, "shop-a", "bad", consent=page)
    assert _health(bench) == ("needs_reauth", False)
    consent.answer(bench.context, "shop-a", "good", consent=page)
    assert _health(bench) == ("ok", False)


def test_new_credentials_do_not_end_a_pause(bench, page):
    _record(bench, health="needs_reauth", reason="revoked", is_paused=True)
    consent.ask(bench.context, "shop-a", consent=page)
    consent.answer(bench.context, "shop-a", "good", consent=page)
    assert _health(bench) == ("ok", True)


def test_the_owner_may_agree_before_the_hub_ever_ran(bench, page):
    consent.ask(bench.context, "shop-a", consent=page)
    consent.answer(bench.context, "shop-a", "good", consent=page)
    assert page.tokens == ["good"]
    with bench.storage.open_work() as work:
        assert work.accounts.get("shop-a") is None
