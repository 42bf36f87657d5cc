"""The seller's consent: eBay's page, the code it sends the browser away with, the token stored."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from connectors.ebay import CONNECTOR
from connectors.ebay.consent import SCOPES
from oms_sync.sdk import AuthFailed, FixAccount


@pytest.fixture
def consent(seller):
    return CONNECTOR.load_consent()(seller.request())


def _browse(url):
    """Where the browser ends after the seller agreed, or declined."""
    answer = httpx.get(url)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def test_an_account_without_a_token_works_once_the_seller_has_consented(seller, consent):
    seller.settings = seller.settings.model_copy(update={"refresh_token": None})
    with pytest.raises(AuthFailed, match="oms-sync accounts authorize"):
        seller.open().check()
    ended_at = _browse(consent.consent_url("state-1"))
    assert httpx.get(ended_at).status_code == 200
    consent.redeem(ended_at, "state-1")
    check = seller.open().check()
    ends_in = check.token_expires_at - seller.now()
    assert timedelta(days=540) < ends_in < timedelta(days=550)


def test_the_page_is_asked_for_with_the_redirect_name_and_every_scope(seller, consent):
    url = urlsplit(consent.consent_url("s"))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert query == {
        "client_id": seller.settings.app_id,
        "redirect_uri": seller.settings.ru_name,
        "response_type": "code",
        "scope": " ".join(SCOPES),
        "state": "s",
        "prompt": "login",
    }
    production = CONNECTOR.load_consent()(replace(seller.request(), endpoint=None))
    assert production.consent_url("s").startswith("https://auth.ebay.com/oauth2/authorize?")


def test_the_code_alone_is_enough_and_is_good_once(seller, consent):
    code = parse_qs(urlsplit(_browse(consent.consent_url("s"))).query)["code"][0]
    consent.redeem(code, "s")
    assert seller.tokens.load()["refresh_token"] == seller.sandbox.tokens.refresh_token
    with pytest.raises(AuthFailed, match="consent anew"):
        consent.redeem(code, "s")


@pytest.mark.parametrize("shape", ["code={}&expires_in=299&state=s", "{}"])
def test_a_code_copied_out_of_the_address_works_as_it_stands_there(seller, consent, shape):
    query = urlsplit(_browse(consent.consent_url("s"))).query
    coded = next(one for one in query.split("&") if one.startswith("code=")).removeprefix("code=")
    assert "%" in coded
    consent.redeem(shape.format(coded), "s")
    assert seller.tokens.load()["refresh_token"] == seller.sandbox.tokens.refresh_token


def test_an_answer_to_another_question_is_refused(seller, consent):
    ended_at = _browse(consent.consent_url("somebody-elses"))
    with pytest.raises(AuthFailed, match="another question"):
        consent.redeem(ended_at, "mine")
    assert "refresh_token" not in seller.tokens.load()


def test_a_seller_who_declines_lets_nobody_in(seller, consent):
    seller.sandbox.tokens.declines = True
    with pytest.raises(AuthFailed, match="declined"):
        consent.redeem(_browse(consent.consent_url("s")), "s")


@pytest.mark.parametrize("answer", ["", "https://example.com/?state=s&expires_in=299"])
def test_an_answer_without_a_code_is_told(consent, answer):
    with pytest.raises(AuthFailed, match=r"empty|no code"):
        consent.redeem(answer, "s")


def test_a_code_that_came_too_late_is_refused(seller, consent):
    ended_at = _browse(consent.consent_url("s"))
    seller.advance(300)
    with pytest.raises(AuthFailed, match="consent anew"):
        consent.redeem(ended_at, "s")


def test_a_new_consent_replaces_one_taken_back(seller, consent):
    session = seller.open()
    session.check()
    seller.sandbox.tokens.are_revoked = True
    with pytest.raises(AuthFailed):
        session.check()
    consent.redeem(_browse(consent.consent_url("s")), "s")
    assert session.check().channel_account == seller.account


@pytest.mark.proves("F29")
def test_a_revoked_consent_is_noticed_while_the_access_token_still_opens(seller):
    """eBay lets a token live out its two hours; only asking for the next one shows the end."""
    session = seller.open()
    session.check()
    seller.sandbox.tokens.refresh_token = "taken back"
    seller.advance(61)
    assert session.read_orders_by_id(["12-12345-12345"]) is not None
    with pytest.raises(AuthFailed, match="revoked"):
        session.check()


def test_without_the_redirect_name_the_remedy_is_named(seller):
    seller.settings = seller.settings.model_copy(update={"ru_name": None})
    with pytest.raises(FixAccount, match=r"settings\.ru_name"):
        CONNECTOR.load_consent()(seller.request())
