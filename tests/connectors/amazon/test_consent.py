"""Consent: the page to open, the address that comes back, and the token it stands for."""

from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from connectors.amazon import CONNECTOR
from connectors.amazon.consent import open_consent
from oms_sync.sdk import AuthFailed, FixAccount

STATE = "state-of-this-consent"


@pytest.fixture
def consent(seller):
    return CONNECTOR.load_consent()(seller.request())


def _agreed(seller, url):
    """What a browser ends at once the owner has agreed."""
    with httpx.Client(trust_env=False) as browser:
        answer = browser.get(url)
    assert answer.status_code == 302
    return answer.headers["location"]


def test_an_owners_consent_becomes_a_stored_token(seller, consent):
    seller.sandbox.tokens.refresh_token = "Atzr|another"
    with pytest.raises(AuthFailed):
        seller.open().check()
    address = _agreed(seller, consent.consent_url(STATE))
    consent.redeem(address, STATE)
    stored = seller.tokens.load()["refresh_token"]
    assert stored == seller.sandbox.tokens.refresh_token
    assert seller.open().check().channel_account == "seller-a"


def test_a_bare_code_will_do(seller, consent):
    address = _agreed(seller, consent.consent_url(STATE))
    (code,) = parse_qs(urlsplit(address).query)["spapi_oauth_code"]
    consent.redeem(f" {code}\n", STATE)
    assert seller.tokens.load()["refresh_token"] == seller.sandbox.tokens.refresh_token


def test_a_code_is_good_once(seller, consent):
    address = _agreed(seller, consent.consent_url(STATE))
    consent.redeem(address, STATE)
    kept = seller.tokens.load()["refresh_token"]
    with pytest.raises(AuthFailed, match="invalid_grant"):
        consent.redeem(address, STATE)
    assert seller.tokens.load()["refresh_token"] == kept


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"state": "of another"}, "another consent"),
        ({"state": ""}, "another consent"),
        ({"selling_partner_id": "A2OTHERSELLER"}, "A2OTHERSELLER has consented"),
        ({"spapi_oauth_code": " "}, "holds no code"),
        ({"spapi_oauth_code": "x" * 600}, "holds no code"),
    ],
)
def test_an_answer_of_somebody_else_is_refused(words, reason, seller, consent):
    told = {"state": STATE, "selling_partner_id": seller.settings.seller_id}
    address = f"https://localhost/?{urlencode({**told, 'spapi_oauth_code': 'S1', **words})}"
    with pytest.raises(AuthFailed, match=reason):
        consent.redeem(address, STATE)
    assert "refresh_token" not in seller.tokens.load()


@pytest.mark.parametrize("answer", ["", "https://localhost/?error=denied", "error=x", "two words"])
def test_an_answer_without_a_code_says_what_to_paste(answer, consent):
    with pytest.raises(AuthFailed, match="paste the whole address"):
        consent.redeem(answer, STATE)


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({}, "https://sellercentral.amazon.com/apps/authorize/consent?"),
        ({"region": "eu", "marketplace_ids": ("A1F83G8C2ARO7P",)}, "https://sellercentral-europe."),
        (
            {"region": "fe", "marketplace_ids": ("A1VC38T7YXB528",)},
            "https://sellercentral.amazon.co.",
        ),
        (
            {"region": "fe", "marketplace_ids": ("A39IBJ37TRP1C6",)},
            "https://sellercentral.amazon.com.a",
        ),
    ],
)
def test_each_country_has_its_own_page(changes, start, request_for):
    words = {"application_id": "amzn1.sp.solution.1", "redirect_uri": "https://hub.example/back"}
    request = request_for(**words, is_draft_application=True, **changes)
    url = open_consent(request).consent_url("s&t")
    assert url.startswith(start)
    told = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert told == {**words, "state": "s&t", "version": "beta"}


def test_without_the_applications_id_nothing_can_be_asked(request_for):
    with pytest.raises(FixAccount, match="application_id"):
        open_consent(request_for()).consent_url(STATE)


def test_an_account_may_wait_for_its_first_consent(open_session, amazon):
    session = open_session(refresh_token=None)
    with pytest.raises(AuthFailed, match="accounts authorize"):
        session.check()
    assert amazon.asked == []
