"""What the sandbox refuses, in the channel's own shape."""

from datetime import UTC, datetime, timedelta

import pytest

SKU = "TEE RED M"


@pytest.mark.parametrize(
    ("call", "body", "code"),
    [
        ("GeteBayOfficialTime", "", 2),  # decommissioned
        ("getOrders", "", 2),  # the case of a name matters
        ("GetUser", "<Colour>red</Colour>", 5),
        ("GetOrders", "<NumberOfDays>1</NumberOfDays><SKU>A</SKU>", 5),
        ("GetOrders", "<Pagination><Size>1</Size></Pagination>", 5),
        ("GetUser", "<UserID>A&B</UserID>", 5),  # nobody escaped it
        ("GetUser", "<ItemID><b/></ItemID>", 5),
        ("GetOrders", "<OrderStatus>Lost</OrderStatus>", 37),
        ("GetOrders", "<NumberOfDays>some</NumberOfDays>", 37),
        ("GetOrders", "<NumberOfDays>31</NumberOfDays>", 37),
        ("GetOrders", "<ModTimeFrom>2026-01-01 00:00</ModTimeFrom>", 37),
        ("GetOrders", "", 10009),
        ("CompleteSale", "<OrderID>1</OrderID><Shipped>True</Shipped>", 37),  # no xs:boolean
        ("GetMyeBaySelling", "<SoldList><Include>true</Include></SoldList>", 37),
    ],
)
def test_what_the_contract_does_not_know_is_refused_inside_a_200(seller, call, body, code):
    answer = seller.trading(call, body)
    assert (answer.ack, answer.codes) == ("Failure", [code])
    assert answer.texts("Errors/SeverityCode") == ["Error"]
    assert answer.root.tag == f"{call}Response"


def test_a_doctype_and_a_foreign_namespace_are_refused(seller):
    headers = {"X-EBAY-API-CALL-NAME": "GetUser", "X-EBAY-API-COMPATIBILITY-LEVEL": "1423"}
    headers["X-EBAY-API-IAF-TOKEN"] = seller.tokens["user"]
    for body in (b'<!DOCTYPE a [<!ENTITY b "c">]><GetUserRequest/>', b"<GetUserRequest/>"):
        status, _, raw = seller.send("POST", "/ws/api.dll", body, headers)
        assert (status, b"<ErrorCode>5</ErrorCode>" in raw) == (200, True)


@pytest.mark.parametrize("level", ["940", "", "new"])
def test_a_compatibility_level_below_the_lowest_is_refused(seller, level):
    headers = {"X-EBAY-API-COMPATIBILITY-LEVEL": level}
    assert seller.trading("GetUser", **headers).codes == [21]


def test_order_of_elements_is_looked_at_only_when_asked(seller):
    body = "<NumberOfDays>1</NumberOfDays><DetailLevel>ReturnAll</DetailLevel>"
    assert seller.trading("GetOrders", body).ack == "Success"
    seller.sandbox.trading.is_strict = True
    assert seller.trading("GetOrders", body).codes == [5]
    body = "<DetailLevel>ReturnAll</DetailLevel><NumberOfDays>1</NumberOfDays>"
    assert seller.trading("GetOrders", body).ack == "Success"


def test_unknown_and_expired_tokens_have_numbers_of_their_own(start_seller):
    moment = [datetime(2026, 11, 1, tzinfo=UTC)]
    seller = start_seller(token_seconds=60, now=lambda: moment[0])
    assert seller.trading("GetUser").ack == "Success"
    token = {"X-EBAY-API-IAF-TOKEN": seller.tokens["application"]}
    assert seller.trading("GetUser", **token).codes == [931]
    assert seller.trading("GetUser", **{"X-EBAY-API-IAF-TOKEN": "nobody's"}).codes == [931]
    moment[0] += timedelta(seconds=61)
    assert seller.trading("GetUser").codes == [932]
    assert seller.rest("GET", "/sell/inventory/v1/offer")[0] == 401
    seller.renew()
    assert seller.trading("GetUser").ack == "Success"


def test_a_token_lives_two_hours_at_most(seller):
    refresh = seller.sandbox.account_entry()["settings"]["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    status, granted = seller.grant(form)
    assert (status, granted["expires_in"]) == (200, 7200)
    assert "refresh_token" not in granted  # it does not rotate


@pytest.mark.parametrize(
    ("form", "pair", "status", "error"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "old"}, None, 400, "invalid_grant"),
        ({"grant_type": "client_credentials"}, None, 400, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "all"}, None, 400, "invalid_scope"),
        ({"grant_type": "password"}, None, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "some:body", 401, "invalid_client"),
    ],
)
def test_the_token_desk_refuses(seller, form, pair, status, error):
    answered, told = seller.grant(form, pair)
    assert (answered, told["error"]) == (status, error)


def test_a_consent_taken_back_ends_every_user_token(seller):
    seller.sandbox.tokens.are_revoked = True
    assert seller.trading("GetUser").codes == [931]
    refresh = seller.sandbox.account_entry()["settings"]["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert seller.grant(form) == (400, seller.grant(form)[1])
    assert seller.grant(form)[1]["error"] == "invalid_grant"


def test_nothing_lives_at_other_addresses(seller):
    assert seller.send("GET", "/ws/api.dll")[0] == 404
    assert seller.send("POST", "/sell/inventory/v1/nothing", {})[0] == 404


def test_five_thousand_calls_a_day_and_not_one_more(start_seller):
    moment = [datetime(2026, 11, 1, 12, tzinfo=UTC)]
    seller = start_seller(now=lambda: moment[0])
    seller.sandbox.limits._used["tradingapi", "tradingapi"] = 4_999
    seller.sandbox.limits._day = "2026-11-01"
    assert seller.trading("GetUser").ack == "Success"
    assert seller.trading("GetUser").codes == [518]
    path = "/developer/analytics/v1_beta/rate_limit/"
    told = seller.rest("GET", path, token="application")[2]["rateLimits"]
    trading = next(each for each in told if each["apiName"] == "tradingapi")
    rate = next(each for each in trading["resources"] if each["name"] == "GetOrders")["rates"][0]
    assert (rate["limit"], rate["remaining"], rate["timeWindow"]) == (5_000, 0, 86_400)
    assert rate["reset"] == "2026-11-02T08:00:00.000Z"  # midnight at the Pacific coast
    moment[0] = datetime(2026, 11, 2, 8, tzinfo=UTC)
    seller.renew()
    assert seller.trading("GetUser").ack == "Success"


def test_without_limits_the_analytics_call_says_so(start_seller):
    seller = start_seller(limits_published=False)
    query = "?api_context=tradingapi"
    path = "/developer/analytics/v1_beta/user_rate_limit/"
    status, _, told = seller.rest("GET", path + query)
    assert status == 200
    assert [each["apiName"] for each in told["rateLimits"]] == ["tradingapi"]
    assert told["rateLimits"][0]["resources"][0]["rates"][0]["limit"] >= 1_000_000
    assert seller.rest("GET", path, token="application")[0] == 403


def test_bursts_of_revisions_are_blocked_for_a_while(start_seller):
    moment = [datetime(2026, 11, 1, 12, tzinfo=UTC)]
    seller = start_seller(now=lambda: moment[0])
    limits, item = seller.sandbox.limits, seller.item(SKU)
    limits._revisions.extend([moment[0]] * 6_000)
    assert seller.revise((item, None, 5)).codes == [518]
    moment[0] += timedelta(seconds=14)
    assert seller.revise((item, None, 5)).codes == [518]
    moment[0] += timedelta(seconds=2)
    assert seller.revise((item, None, 5)).ack == "Success"
