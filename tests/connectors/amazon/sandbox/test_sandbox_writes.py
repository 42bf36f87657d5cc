"""Order feeds, books, warehouses, subscriptions and consent of the sandbox, as Amazon has them."""

import gzip

import pytest
from lxml import etree

FEEDS = "/feeds/2021-06-30"
HERE = "ATVPDKIKX0DER"
CANCEL, ADJUST = "POST_ORDER_ACKNOWLEDGEMENT_DATA", "POST_PAYMENT_ADJUSTMENT_DATA"
MEDIA = "text/xml; charset=UTF-8"


def _envelope(seller, kind, body, *, message="1"):
    return (
        f"<AmazonEnvelope><Header><DocumentVersion>1.01</DocumentVersion><MerchantIdentifier>"
        f"{seller}</MerchantIdentifier></Header><MessageType>{kind}</MessageType><Message>"
        f"<MessageID>{message}</MessageID><{kind}>{body}</{kind}></Message></AmazonEnvelope>"
    ).encode()


@pytest.fixture
def feed(amazon, transfer):
    """Send a feed; gives its status and its report."""

    def act(kind, content):
        made = amazon.api("POST", f"{FEEDS}/documents", None, {"contentType": MEDIA}).body
        transfer("PUT", made["url"], content=content, headers={"content-type": MEDIA})
        asked = {"feedType": kind, "marketplaceIds": [HERE]}
        asked["inputFeedDocumentId"] = made["feedDocumentId"]
        created = amazon.api("POST", f"{FEEDS}/feeds", None, asked).body
        ended = amazon.api("GET", f"{FEEDS}/feeds/{created['feedId']}").body
        if "resultFeedDocumentId" not in ended:
            return ended["processingStatus"], None
        path = f"{FEEDS}/documents/{ended['resultFeedDocumentId']}"
        packed = transfer("GET", amazon.api("GET", path).body["url"]).content
        return ended["processingStatus"], etree.fromstring(gzip.decompress(packed))

    return act


@pytest.fixture
def report(amazon, feed):
    """Send one message; gives what the report says of it."""

    def act(kind, body, **more):
        name = "OrderAcknowledgement" if kind == CANCEL else "OrderAdjustment"
        status, told = feed(kind, _envelope(amazon.seller, name, body, **more))
        assert status == "DONE"
        return told.findtext("Message/ProcessingReport/Result/ResultDescription") or ""

    return act


def _line(amazon, order_id):
    return amazon.order(order_id)["orderItems"][0]["orderItemId"]


def _cancelled(order_id, line, code="Failure", reason="NoInventory"):
    return (
        f"<AmazonOrderID>{order_id}</AmazonOrderID><StatusCode>{code}</StatusCode><Item>"
        f"<AmazonOrderItemCode>{line}</AmazonOrderItemCode><CancelReason>{reason}</CancelReason>"
        f"</Item>"
    )


def _adjusted(order_id, line, inner, *, action="Refund", reason="CustomerReturn"):
    return (
        f"<AmazonOrderID>{order_id}</AmazonOrderID><ActionType>{action}</ActionType><AdjustedItem>"
        f"<AmazonOrderItemCode>{line}</AmazonOrderItemCode><AdjustmentReason>{reason}"
        f"</AdjustmentReason>{inner}</AdjustedItem>"
    )


def _money(amount, currency="USD"):
    return (
        "<ItemPriceAdjustments><Component><Type>Principal</Type>"
        f'<Amount currency="{currency}">{amount}</Amount></Component></ItemPriceAdjustments>'
    )


def test_an_acknowledgement_of_success_does_nothing(amazon, report):
    order_id = amazon.buy()
    assert report(CANCEL, _cancelled(order_id, _line(amazon, order_id), "Success")) == ""
    assert amazon.order(order_id)["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"code": "Perhaps"}, "neither Success nor Failure"),
        ({"reason": "Rain"}, "'Rain' is unknown"),
        ({"line": "1"}, "has no item 1"),
        ({"order_id": "113-0000000-0000001"}, "does not exist"),
    ],
)
def test_a_cancellation_that_makes_no_sense_is_refused(words, said, amazon, report):
    order_id = amazon.buy()
    told = {"order_id": order_id, "line": _line(amazon, order_id), **words}
    assert said in report(CANCEL, _cancelled(**told))
    assert amazon.order(order_id)["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"


def test_nobody_but_amazon_touches_its_own_orders(amazon, report):
    order_id = amazon.buy("FBA-00001", fulfilled_by="channel")
    assert "fulfilled by Amazon" in report(CANCEL, _cancelled(order_id, _line(amazon, order_id)))


@pytest.mark.parametrize(
    ("count", "reason", "said"),
    [
        ("3", "NoInventory", "not what is open"),
        ("0", "NoInventory", "not what is open"),
        ("x", "NoInventory", "not what is open"),
        ("1", "PriceError", "cancels no units"),
    ],
)
def test_units_are_cancelled_only_as_far_as_they_are_open(count, reason, said, amazon, report):
    order_id = amazon.buy("SKU-00010", 2)
    inner = f"<QuantityCancelled>{count}</QuantityCancelled>"
    line = _line(amazon, order_id)
    assert said in report(ADJUST, _adjusted(order_id, line, inner, action="Cancel", reason=reason))


@pytest.mark.parametrize(
    ("money", "said"),
    [
        (_money("0.001"), "no amount"),
        (_money("-1.00"), "no amount"),
        (_money("NaN"), "no amount"),
        (_money("x"), "no amount"),
        (_money("1.00", "EUR"), "must be in USD"),
        (_money("100000.00"), "more than is left"),
        ("", "nothing"),
    ],
)
def test_only_money_that_was_paid_goes_back(money, said, amazon, report):
    order_id = amazon.buy("SKU-00010", 1)
    line = _line(amazon, order_id)
    assert amazon.confirm(order_id, orderItems=[{"orderItemId": line, "quantity": 1}]).status == 204
    assert said in report(ADJUST, _adjusted(order_id, line, money))
    assert amazon.control("GET", "truth")[1]["orders"][order_id]["refunds"] == []


def test_the_books_show_a_refund_to_its_seller_and_nobody_pays_twice(amazon, report):
    order_id = amazon.buy("SKU-00010", 1)
    line = _line(amazon, order_id)
    amazon.confirm(order_id, orderItems=[{"orderItemId": line, "quantity": 1}])
    path = f"/finances/v0/orders/{order_id}/financialEvents"
    assert amazon.api("GET", path).body["payload"]["FinancialEvents"] == {"RefundEventList": []}
    assert report(ADJUST, _adjusted(order_id, line, _money("1.00"))) == ""
    (event,) = amazon.api("GET", path).body["payload"]["FinancialEvents"]["RefundEventList"]
    (row,) = event["ShipmentItemAdjustmentList"]
    amount = row["ItemChargeAdjustmentList"][0]["ChargeAmount"]
    assert (row["OrderItemId"], amount["CurrencyAmount"]) == (line, -1.0)


@pytest.mark.parametrize(
    "content",
    [
        b"no xml",
        b"<AmazonEnvelope/>",
        _envelope("A1OTHERSELLER", "OrderAcknowledgement", ""),
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hosts">]>'
        b"<AmazonEnvelope>&e;</AmazonEnvelope>",
    ],
)
def test_an_unreadable_feed_ends_fatal_without_a_report(content, feed):
    assert feed(CANCEL, content) == ("FATAL", None)


def test_warehouses_tell_what_can_be_sold(amazon):
    amazon.buy("FBA-00001", 2, fulfilled_by="channel")
    asked = {"granularityType": "Marketplace", "granularityId": HERE, "marketplaceIds": HERE}
    path = "/fba/inventory/v1/summaries"
    payload = amazon.api("GET", path, {**asked, "details": "true"}).body["payload"]
    units = {
        each["sellerSku"]: each["inventoryDetails"]["fulfillableQuantity"]
        for each in payload["inventorySummaries"]
    }
    assert units == {"FBA-00001": 498, "FBA-00002": 500}
    short = amazon.api("GET", path, {**asked, "sellerSkus": "FBA-00002"}).body["payload"]
    (one,) = short["inventorySummaries"]
    assert "inventoryDetails" not in one
    assert amazon.api("GET", path, {"marketplaceIds": HERE}).status == 400


def test_a_subscription_is_made_once_and_taken_back_by_its_id(amazon):
    base = "/notifications/v1"
    kind = f"{base}/subscriptions/FEED_PROCESSING_FINISHED"
    known = amazon.api("GET", f"{base}/destinations", is_grantless=True).body["payload"]
    wanted = {"destinationId": known[0]["destinationId"], "payloadVersion": "1.0"}
    made = amazon.api("POST", kind, None, wanted).body["payload"]
    assert amazon.api("POST", kind, None, wanted).status == 409
    assert amazon.api("POST", kind, None, {**wanted, "destinationId": "x"}).status == 400
    path = f"{kind}/{made['subscriptionId']}"
    assert amazon.api("DELETE", path).status == 403, "it takes the application's token"
    assert amazon.api("DELETE", path, is_grantless=True).status == 200
    assert amazon.api("DELETE", path, is_grantless=True).status == 404
    arn = known[0]["resource"]["sqs"]["arn"]
    again = {"name": "x", "resourceSpecification": {"sqs": {"arn": arn}}}
    assert amazon.api("POST", f"{base}/destinations", None, again, is_grantless=True).status == 409


def test_a_code_of_consent_is_good_once(amazon):
    settings = amazon.settings
    words = f"application_id={settings['application_id']}&state=s"
    answer = amazon.send("GET", f"/apps/authorize/consent?{words}")
    code = answer.headers["location"].rpartition("=")[2]
    asked = {"grant_type": "authorization_code", "code": code}
    assert amazon.grant(**asked).status == 200
    assert amazon.grant(**asked).body["error"] == "invalid_grant"
    assert amazon.grant().body["error"] == "invalid_grant", "the consent of before is over"
    assert amazon.send("GET", "/apps/authorize/consent?application_id=x&state=s").status == 400
