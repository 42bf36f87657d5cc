"""An owner's consent: asked with a state, answered once, and the account runs again."""

from datetime import UTC, datetime

import pytest

from oms_sync.flows.commands import consent
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.records import AccountRecord
from oms_sync.sdk import AccountCheck, AuthFailed

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class _Page:
    """A channel's page: it takes the code `good` with the state it was asked with."""

    def __init__(self):
        self.tokens = []
        self.tried = self.state = ""
        self.shop = "1"

    def consent_url(self, state):
        self.state = state
        return f"https://channel.example/consent?state={state}"

    def redeem(self, answer, state):
        if answer != "good" or state != self.state:
            raise AuthFailed("the answer is refused")
        self.tried = answer

    def trial(self, *, is_adopting=False):
        """Its tokens, tried; `shop` is whose they are, None where nobody can tell."""
        return consent.Trial(
            consent=self,
            check=self._check,
            keep=lambda: self.tokens.append(self.tried),
            is_adopting=is_adopting,
        )

    def _check(self):
        if self.shop is None:
            return None
        return AccountCheck(
            channel_account=f"Shop {self.shop}", channel_account_id=self.shop, channel_time=NOW
        )


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
    consent.answer(bench.context, "shop-a", " good\n", trial=page.trial())
    assert (page.tokens, _health(bench)) == (["good"], ("ok", False))
    assert {("ingest", "shop-a"), ("push_stock", "shop-a")} <= set(bench.wakes)
    with pytest.raises(CommandRefused, match="awaits no answer"):
        consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert page.tokens == ["good"]


def test_an_answer_nobody_asked_for_reaches_no_channel(bench, page):
    with pytest.raises(CommandRefused, match="accounts authorize shop-a"):
        consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert page.tokens == []


def test_an_answer_to_an_earlier_question_is_refused(bench, page):
    consent.ask(bench.context, "shop-a", consent=page)
    earlier, page.state = page.state, ""
    consent.ask(bench.context, "shop-a", consent=page)
    assert page.state != earlier, "every question has a state of its own"
    page.state = earlier
    with pytest.raises(AuthFailed):
        consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert page.tokens == []


def test_an_answer_later_than_an_hour_is_refused(bench, page):
    consent.ask(bench.context, "shop-a", consent=page)
    bench.clock.at += consent.ANSWER_MAX * 1.01
    with pytest.raises(CommandRefused, match="more than an hour"):
        consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert page.tokens == []


def test_a_refused_answer_may_be_given_again(bench, page):
    _record(bench, health="needs_reauth", reason="revoked")
    consent.ask(bench.context, "shop-a", consent=page)
    with pytest.raises(AuthFailed):
        consent.answer(bench.context, "shop-a", "bad", trial=page.trial())
    assert _health(bench) == ("needs_reauth", False)
    consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert _health(bench) == ("ok", False)


def test_new_credentials_do_not_end_a_pause(bench, page):
    _record(bench, health="needs_reauth", reason="revoked", is_paused=True)
    consent.ask(bench.context, "shop-a", consent=page)
    consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert _health(bench) == ("ok", True)


def test_the_owner_may_agree_before_the_hub_ever_ran(bench, page):
    consent.ask(bench.context, "shop-a", consent=page)
    consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert page.tokens == ["good"]
    with bench.storage.open_work() as work:
        assert work.accounts.get("shop-a") is None


def _identity(bench):
    with bench.storage.open_work() as work:
        known = work.upkeep.identity("shop-a")
    return known and (known.channel_account_id, known.channel_account)


@pytest.mark.proves("I-39", "I-35")
def test_another_shops_consent_is_thrown_away_and_the_account_goes_on_as_it_was(bench, page):
    consent.ask(bench.context, "shop-a", consent=page)
    consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert _identity(bench) == ("1", "Shop 1")
    _record(bench, health="needs_reauth", reason="revoked")
    page.shop = "2"
    consent.ask(bench.context, "shop-a", consent=page)
    bench.wakes.clear()
    with pytest.raises(CommandRefused, match=r"open Shop 2 \(2\), .* is Shop 1 \(1\)"):
        consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert page.tokens == ["good"], "those of the other shop were never let in"
    assert (_health(bench), _identity(bench)) == (("needs_reauth", False), ("1", "Shop 1"))
    assert bench.wakes == []
    with pytest.raises(CommandRefused, match="awaits no answer"):
        consent.answer(bench.context, "shop-a", "good", trial=page.trial())


@pytest.mark.proves("I-39")
def test_an_account_becomes_another_shop_only_where_that_is_said(bench, page):
    for shop, is_adopting in (("1", False), ("2", True)):
        page.shop = shop
        consent.ask(bench.context, "shop-a", consent=page)
        trial = page.trial(is_adopting=is_adopting)
        consent.answer(bench.context, "shop-a", "good", trial=trial)
    assert (page.tokens, _identity(bench)) == (["good", "good"], ("2", "Shop 2"))


def test_a_connector_that_cannot_tell_whose_tokens_they_are_gets_them(bench, page):
    page.shop = None
    consent.ask(bench.context, "shop-a", consent=page)
    consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert (page.tokens, _identity(bench)) == (["good"], None)


def test_tokens_that_cannot_be_tried_are_not_kept(bench, page, monkeypatch):
    def fail(_):
        raise AuthFailed("the new tokens are refused")

    monkeypatch.setattr(_Page, "_check", fail)
    consent.ask(bench.context, "shop-a", consent=page)
    with pytest.raises(AuthFailed):
        consent.answer(bench.context, "shop-a", "good", trial=page.trial())
    assert page.tokens == []
