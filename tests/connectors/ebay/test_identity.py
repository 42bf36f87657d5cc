"""Who we are: the seller behind the credentials, known for good, and when the consent ends."""

from datetime import UTC, datetime

import pytest

from oms_sync.sdk import BadPayload
from oms_sync.sdk.testing import MemoryTokens

USER = (
    "<User><EIASToken>eias-7</EIASToken><Email>seller@shop.example</Email>"
    "<UserID>seller</UserID></User>"
)
BARE = "<User><UserID>seller</UserID></User>"
OTHER = "<User><EIASToken>eias-8</EIASToken><UserID>another</UserID></User>"
ENDS_AT = "2027-09-01T12:00:00+00:00"
CAN = ("GetUserPreferences", "<OutOfStockControlPreference>true</OutOfStockControlPreference>")
CANNOT = ("GetUserPreferences", "<OutOfStockControlPreference>false</OutOfStockControlPreference>")


@pytest.fixture
def consented():
    """Tokens as a consent leaves them."""
    tokens = MemoryTokens()
    tokens.save({"refresh_token": "r", "refresh_token_expires_at": ENDS_AT})
    return tokens


def test_the_check_tells_who_we_are_and_what_time_it_is_there(answers, make_session, consented):
    answers(CAN, ("GetUser", USER, {"at": "2026-03-01T12:00:07.000Z"}))
    check = make_session(tokens=consented).check()
    assert (check.channel_account, check.channel_account_id) == ("seller", "eias-7")
    assert check.token_expires_at == datetime.fromisoformat(ENDS_AT)
    assert check.channel_time == datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
    assert check.warnings == ()
    assert check.detail["compatibility_level"] == "1423"


def test_the_check_warns_of_what_will_not_work(answers, make_session):
    answers(CANNOT, ("GetUser", USER))
    warnings = make_session(settings={"verification_token": None}).check().warnings
    assert any("out-of-stock control" in one for one in warnings)
    assert any("verification_token" in one for one in warnings)


def test_a_seller_stays_the_same_one_under_a_new_name(answers, make_session):
    renamed = USER.replace(">seller<", ">other-name<")
    answers(CAN, ("GetUser", USER), ("GetUser", renamed))
    session = make_session()
    first, second = session.check(), session.check()
    assert first.channel_account != second.channel_account
    assert first.channel_account_id == second.channel_account_id


@pytest.mark.parametrize("order", [(USER, BARE), (BARE, USER)])
def test_a_seller_stays_the_same_one_though_the_token_is_not_always_shown(
    order, answers, make_session, consented
):
    told = []
    for user in order:
        answers(CAN, ("GetUser", user))
        told.append(make_session(tokens=consented).check().channel_account_id)
    assert told[0] == told[1] == ("eias-7" if order[0] == USER else "seller")


def test_another_seller_is_another_one_whoever_was_here_before(answers, make_session, consented):
    for user, told in ((USER, "eias-7"), (OTHER, "eias-8")):
        answers(CAN, ("GetUser", user))
        assert make_session(tokens=consented).check().channel_account_id == told


def test_a_seller_ebay_shows_no_token_of_is_known_by_the_user_id(answers, make_session):
    answers(CAN, ("GetUser", BARE))
    assert make_session().check().channel_account_id == "seller"


def test_the_check_warns_while_nobody_knows_when_the_consent_ends(answers, make_session):
    answers(CAN, ("GetUser", USER))
    check = make_session().check()
    assert check.token_expires_at is None
    (warning,) = check.warnings
    assert "oms-sync accounts authorize ebay-a" in warning


def test_an_answer_that_names_nobody_is_bad_payload(answers, make_session):
    answers(CAN, ("GetUser", "<User/>"))
    with pytest.raises(BadPayload):
        make_session().check()
