"""What the sandbox refuses, who may come in, and how many calls it takes."""

import pytest

HERE = "ATVPDKIKX0DER"
SELLERS = "/sellers/v1/marketplaceParticipations"
SDK_EXTRAS = {"MarketplaceId": HERE, "MarketplaceIds": HERE, "marketplace_ids": HERE}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/orders/v0/orders/1/buyerInfo", 403),
        ("GET", "/orders/2026-01-01/orders/1/2", 403),
        ("POST", "/orders/2026-01-01/orders", 405),
        ("PUT", "/listings/2021-08-01/items/A/B", 405),
        ("PUT", "/orders/2026-01-01/orders/113-0000000-0000001/cancellation", 403),
        ("GET", "/", 403),
    ],
)
def test_an_unknown_operation_is_refused_in_amazons_shape(amazon, method, path, status):
    answer = amazon.api(method, path)
    assert answer.status == status
    assert set(answer.body["errors"][0]) == {"code", "message", "details"}


def test_what_the_sdk_adds_is_tolerated_by_name_and_nothing_else(amazon):
    assert amazon.api("GET", SELLERS, SDK_EXTRAS | {"marketplaceIds": HERE}).status == 200
    other = amazon.api("GET", SELLERS, {"marketplaceids": HERE})
    assert (other.status, "marketplaceids" in other.text) == (400, True)
    document = {"contentType": "text/plain", "path": "/x", "MarketplaceIds": [HERE]}
    path = "/feeds/2021-06-30/documents"
    assert amazon.api("POST", path, None, document).status == 201
    assert amazon.api("POST", path, None, document | {"size": 1}).status == 400
    assert amazon.api("POST", path, None, {"contentType": 1}).status == 400
    assert amazon.api("POST", path, None, ["contentType"]).status == 400


def test_a_parameter_given_twice_is_refused(amazon):
    answer = amazon.api("GET", f"{SELLERS}?MarketplaceId=a&MarketplaceId=b")
    assert (answer.status, "more than once" in answer.text) == (400, True)


def test_a_body_that_is_no_json_is_refused(amazon):
    headers = {"x-amz-access-token": amazon.token()}
    answer = amazon.send("POST", "/feeds/2021-06-30/documents", b"{", headers)
    assert (answer.status, answer.code) == (400, "InvalidInput")


@pytest.mark.parametrize(
    ("token", "said"),
    [("", "missing"), ("Atza|made-up", "revoked, malformed or invalid")],
)
def test_without_a_good_token_nothing_is_told(amazon, token, said):
    answer = amazon.api("GET", SELLERS, token=token)
    assert (answer.status, answer.code, said in answer.text) == (403, "Unauthorized", True)


def test_tokens_expire(start_amazon):
    amazon = start_amazon(token_seconds=3600)
    assert amazon.grant().body["expires_in"] == 3600
    amazon.token()
    amazon.clock.advance(3601)
    answer = amazon.api("GET", SELLERS)
    assert (answer.status, "expired" in answer.text) == (403, True)
    amazon.tokens.clear()
    assert amazon.api("GET", SELLERS).status == 200


def test_sellers_and_the_application_have_tokens_of_their_own(amazon):
    destinations = "/notifications/v1/destinations"
    assert amazon.api("GET", destinations).status == 403
    assert amazon.api("GET", destinations, is_grantless=True).status == 200
    assert amazon.api("GET", SELLERS, is_grantless=True).status == 403


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"refresh_token": "Atzr|other"}, 400, "invalid_grant"),
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "other"}, 400, "invalid_scope"),
    ],
)
def test_the_token_desk_refuses(amazon, fields, status, code):
    answer = amazon.grant(**fields)
    assert (answer.status, answer.body["error"]) == (status, code)


def test_published_rates_are_kept_per_operation(start_amazon):
    amazon = start_amazon(limits_published=True)
    answers = [amazon.search() for _ in range(21)]
    assert [each.status for each in answers] == [200] * 20 + [429]
    assert answers[0].headers["x-amzn-ratelimit-limit"] == "0.0056"
    assert answers[20].code == "QuotaExceeded"
    assert "x-amzn-ratelimit-limit" not in answers[20].headers
    assert amazon.api("GET", SELLERS).status == 200
    amazon.clock.advance(178)
    assert amazon.search().status == 429
    amazon.clock.advance(1)
    assert amazon.search().status == 200


def test_without_published_limits_the_header_names_a_rate_nobody_waits_for(amazon):
    answers = [amazon.search() for _ in range(25)]
    assert {each.status for each in answers} == {200}
    assert answers[0].headers["x-amzn-ratelimit-limit"] == "1000.0"


def test_other_notification_types_have_no_subscription(amazon):
    path = "/notifications/v1/subscriptions/{}"
    assert amazon.api("GET", path.format("ORDER_CHANGE")).status == 200
    assert amazon.api("GET", path.format("FEED_PROCESSING_FINISHED")).status == 404
    assert amazon.api("GET", path.format("NotificationType.ORDER_CHANGE")).status == 400


def test_calls_are_counted_by_operation(amazon):
    amazon.buy()
    amazon.search()
    amazon.search()
    assert amazon.sandbox.truth()["calls"]["searchOrders"] == 2
