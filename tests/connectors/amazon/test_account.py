"""Settings, the seller's tokens, and who we are at Amazon."""

from datetime import timedelta

import httpx
import pytest
from pydantic import ValidationError

from connectors.amazon import CONNECTOR
from oms_sync.sdk import ChannelDown, FixAccount, Priority, RetryLater
from oms_sync.sdk.testing import FakeClock, MemoryTokens

US, CANADA = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"


def _sells(*marketplaces, name="Example Shop", **participation):
    taking_part = {"isParticipating": True, "hasSuspendedListings": False, **participation}
    return {
        "payload": [
            {
                "marketplace": {"id": one, "name": f"Amazon {one}"},
                "storeName": name,
                "participation": taking_part,
            }
            for one in marketplaces
        ]
    }


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("SP_API_DEFAULT_MARKETPLACE", "DE"), ("AWS_ENV", "SANDBOX")]
)
def test_an_environment_that_overrides_the_settings_is_refused(name, value, settings, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=f"the environment sets {name}"):
        settings()


def test_credentials_in_the_environment_are_not_used(amazon, open_client, monkeypatch):
    for name in ("SP_API_REFRESH_TOKEN", "LWA_APP_ID", "LWA_CLIENT_SECRET"):
        monkeypatch.setenv(name, "foreign")
    amazon.on("searchOrders", {"orders": []})
    open_client().run("searchOrders", marketplaceIds=["M"], priority=Priority.READ)
    assert b"foreign" not in amazon.of("token")[0].body
    assert b"canary-refresh" in amazon.of("token")[0].body


@pytest.mark.parametrize(
    "changes",
    [
        {"region": "us"},
        {"marketplace_ids": ()},
        {"marketplace_ids": tuple(f"A{n}" for n in range(51))},
        {"seller_id": "a b"},
        {"bulk_threshold": -1},
        {"visibility_lag_seconds": -1},
        {"unknown": 1},
        {"notifications": {"queue_url": "x"}},
    ],
)
def test_settings_that_mean_nothing_are_refused(changes, settings):
    with pytest.raises(ValidationError):
        settings(**changes)


def test_the_defaults_are_amazons(settings):
    plain = settings()
    fields = {name: value for name, value in plain if name != "visibility_lag_seconds"}
    again = type(plain).model_validate(fields)
    assert (again.visibility_lag_seconds, again.bulk_threshold) == (120, 100)
    assert CONNECTOR.manifest_for(plain).visibility_lag_seconds == 0
    assert CONNECTOR.manifest.poll_seconds == 300


def test_secrets_are_masked(settings):
    assert "canary" not in repr(settings())


# --- tokens --------------------------------------------------------------------------------------


def _ask(client):
    return client.run("searchOrders", marketplaceIds=["M"], priority=Priority.READ)


@pytest.mark.proves("I-35", "B-24")
def test_a_token_is_stored_before_it_is_used_and_shared(amazon, open_client):
    amazon.on("searchOrders", {"orders": []})
    tokens, clock = MemoryTokens(), FakeClock()
    _ask(open_client(tokens=tokens, clock=clock))
    assert tokens.load()["access_token"] == "Atza|canary-1"
    _ask(open_client(tokens=tokens, clock=clock))
    assert amazon.counts["token"] == 1, "another session of the account asks for none"


def test_a_token_is_renewed_before_it_ends(amazon, open_client):
    amazon.on("searchOrders", {"orders": []})
    clock = FakeClock()
    client = open_client(clock=clock)
    _ask(client)
    clock.advance(3200)
    _ask(client)
    assert amazon.counts["token"] == 1
    clock.advance(200)
    _ask(client)
    assert amazon.counts["token"] == 2
    assert client.tokens.expires_at == clock.now() + timedelta(hours=1)


def test_a_consent_given_later_wins_over_the_file_and_is_kept(amazon, open_client):
    amazon.on("searchOrders", {"orders": []})
    tokens = MemoryTokens()
    tokens.save({"refresh_token": "Atzr|canary-later"})
    _ask(open_client(tokens=tokens))
    assert b"canary-later" in amazon.of("token")[0].body
    assert tokens.load()["refresh_token"] == "Atzr|canary-later"


def test_new_credentials_never_meet_an_old_token(amazon, open_client):
    amazon.on("searchOrders", {"orders": []})
    tokens, clock = MemoryTokens(), FakeClock()
    _ask(open_client(tokens=tokens, clock=clock))
    _ask(open_client(tokens=tokens, clock=clock, refresh_token="Atzr|canary-new"))
    _ask(open_client(tokens=tokens, clock=clock, lwa_client_id="amzn1.other"))
    assert amazon.counts["token"] == 3


def test_more_sellers_than_the_sdks_cache_holds_ask_once_each(amazon, open_client):
    """The SDK forgets beyond ten, and would ask for a token with every call."""
    amazon.on("searchOrders", {"orders": []})
    clients = [open_client(refresh_token=f"Atzr|{n}") for n in range(12)]
    for client in clients + clients:
        _ask(client)
    assert amazon.counts["token"] == 12


# --- check ---------------------------------------------------------------------------------------


def test_the_check_says_who_we_are_and_what_time_it_is(amazon, open_session):
    amazon.headers = {"date": "Sun, 01 Mar 2026 12:07:00 GMT"}
    amazon.on("getMarketplaceParticipations", _sells(US))
    clock = FakeClock()
    told = open_session(clock=clock).check()
    assert told.channel_account == "Example Shop"
    assert told.channel_time.isoformat() == "2026-03-01T12:07:00+00:00"
    assert told.token_expires_at == clock.now() + timedelta(hours=1)
    assert (told.missing_permissions, told.warnings) == ((), ())
    assert told.detail["seller"] == "A1EXAMPLESELLER"


def test_a_marketplace_the_seller_left_is_a_warning(amazon, open_session):
    amazon.on("getMarketplaceParticipations", _sells(US, hasSuspendedListings=True))
    told = open_session(marketplace_ids=(US, CANADA)).check()
    assert [warning.partition(":")[0] for warning in told.warnings] == [
        f"the seller does not sell in {CANADA}",
        f"listings in Amazon {US} are suspended",
    ]


@pytest.mark.parametrize("answer", [_sells(CANADA), _sells(US, isParticipating=False), _sells()])
def test_a_seller_without_the_configured_marketplaces_needs_an_operator(
    answer, amazon, open_session
):
    amazon.on("getMarketplaceParticipations", answer)
    with pytest.raises(FixAccount, match="does not sell in"):
        open_session().check()


def test_an_empty_answer_is_no_seller_without_marketplaces(amazon, open_session):
    amazon.on("getMarketplaceParticipations", httpx.Response(200, json={}))
    with pytest.raises(ChannelDown):
        open_session().check()


def test_an_answer_of_another_shape_is_an_error_of_the_contract(amazon, open_session):
    from oms_sync.sdk import BadPayload

    amazon.on("getMarketplaceParticipations", {"payload": [{"marketplace": {}}]})
    with pytest.raises(BadPayload):
        open_session().check()


# --- whose token it is ---------------------------------------------------------------------------


def test_the_seller_of_the_settings_is_proven_by_one_of_its_listings(amazon, open_session):
    amazon.on("getMarketplaceParticipations", _sells(US))
    told = open_session().check()
    assert told.channel_account_id == "A1EXAMPLESELLER"
    (asked,) = amazon.of("searchListingsItems")
    assert asked.url.path.endswith("/A1EXAMPLESELLER")
    assert asked.query == {
        "marketplaceIds": US,
        "includedData": "summaries",
        "pageSize": "1",
    }


@pytest.mark.parametrize("status", [400, 403, 404])
def test_the_token_of_another_seller_needs_an_operator(status, amazon, open_session):
    amazon.on("getMarketplaceParticipations", _sells(US))
    refusal = {"errors": [{"code": "Unauthorized", "message": "no"}]}
    amazon.on("searchListingsItems", httpx.Response(status, json=refusal))
    with pytest.raises(FixAccount, match="enter as seller_id the merchant token of the seller"):
        open_session().check()


def test_a_marketplace_that_refuses_listings_accuses_no_seller(amazon, open_session):
    amazon.on(
        "getMarketplaceParticipations",
        {"payload": [*_sells(US)["payload"], *_sells(CANADA)["payload"]]},
    )
    amazon.on("searchListingsItems", 403, 403, {"numberOfResults": 0, "items": []})
    told = open_session(marketplace_ids=(US, CANADA)).check()
    assert told.channel_account_id == "A1EXAMPLESELLER"
    places = [asked.query["marketplaceIds"] for asked in amazon.of("searchListingsItems")]
    assert places[-1] == CANADA


def test_the_sandbox_knows_one_seller_alone(seller):
    seller.settings = seller.settings.model_copy(update={"seller_id": "A1SOMEBODYELSE"})
    with pytest.raises(FixAccount, match="listings of seller A1SOMEBODYELSE"):
        seller.open().check()


@pytest.mark.parametrize("answer", [500, 429, httpx.ReadTimeout("late")])
def test_trouble_at_amazon_accuses_nobody(answer, amazon, open_session):
    amazon.on("getMarketplaceParticipations", _sells(US))
    amazon.on("searchListingsItems", answer)
    with pytest.raises(RetryLater):
        open_session().check()
