"""What the sandbox answers fits the vendor's own models; runs where they are at hand."""

import gzip
import json

import contract_amazon_feeds as feeds
import pytest
from contract_shapes import Shapes

SKU = "SKU-00010"
HERE = "ATVPDKIKX0DER"


@pytest.fixture
def model(specs):
    def read(name):
        (path,) = (specs / "amazon").rglob(name)
        return Shapes(document=json.loads(path.read_text("utf-8")))

    return read


@pytest.fixture
def check(model):
    def act(body, name, definition):
        shapes = model(name)
        found = list(shapes.problems(body, {"$ref": f"#/definitions/{definition}"}))
        assert found == []

    return act


def test_the_check_itself_finds_what_does_not_fit(model):
    body = {"orders": [{"orderId": 1, "colour": "red"}]}
    shapes = model("orders_2026-01-01.json")
    found = list(shapes.problems(body, {"$ref": "#/definitions/SearchOrdersResponse"}))
    assert len(found) == 6


def test_orders_fit(amazon, check):
    included = "BUYER,RECIPIENT,PROCEEDS,CANCELLATION,FULFILLMENT,PACKAGES"
    placed = [amazon.buy(paid=False), amazon.buy(SKU, 2), amazon.buy(), amazon.buy()]
    amazon.buy("FBA-00001", fulfilled_by="channel")
    amazon.control("POST", f"orders/{placed[2]}/hold")
    amazon.control("POST", f"orders/{placed[3]}/cancel")
    line = amazon.order(placed[1])["orderItems"][0]["orderItemId"]
    items = [{"orderItemId": line, "quantity": 1}]
    assert amazon.confirm(placed[1], shippingMethod="Ground", orderItems=items).status == 204
    answer = amazon.search(includedData=included, maxResultsPerPage=4)
    check(answer.body, "orders_2026-01-01.json", "SearchOrdersResponse")
    for each in placed:
        shown = {"order": amazon.order(each, included)}
        check(shown, "orders_2026-01-01.json", "GetOrderResponse")
    check(amazon.search(colour="red").body, "orders_2026-01-01.json", "ErrorList")


def test_listings_fit(amazon, check):
    included = "summaries,issues,offers,fulfillmentAvailability,productTypes"
    name = "listingsItems_2021-08-01.json"
    for sku in (SKU, "FBA-00001"):
        check(amazon.listing(sku, included), name, "Item")
    path = f"/listings/2021-08-01/items/{amazon.seller}"
    found = amazon.api("GET", path, {"marketplaceIds": HERE, "includedData": included}).body
    check(found, name, "ItemSearchResults")
    for quantity in (3, -3):
        check(amazon.patch(SKU, quantity).body, name, "ListingsItemSubmissionResponse")


def test_feeds_and_their_reports_fit(amazon, transfer, check, model):
    name, kind = "feeds_2021-06-30.json", "application/json"
    made = amazon.api("POST", "/feeds/2021-06-30/documents", None, {"contentType": kind}).body
    check(made, name, "CreateFeedDocumentResponse")
    entry = {"fulfillment_channel_code": "DEFAULT", "quantity": -1}
    change = {"op": "replace", "path": "/attributes/fulfillment_availability", "value": [entry]}
    message = {"messageId": 1, "sku": SKU, "operationType": "PATCH", "productType": "PRODUCT"}
    header = {"sellerId": amazon.seller, "version": "2.0"}
    raw = json.dumps({"header": header, "messages": [message | {"patches": [change]}]}).encode()
    transfer("PUT", made["url"], content=raw, headers={"content-type": kind})
    asked = {"feedType": "JSON_LISTINGS_FEED", "marketplaceIds": [HERE]}
    asked["inputFeedDocumentId"] = made["feedDocumentId"]
    created = amazon.api("POST", "/feeds/2021-06-30/feeds", None, asked).body
    check(created, name, "CreateFeedResponse")
    feed = amazon.api("GET", f"/feeds/2021-06-30/feeds/{created['feedId']}").body
    check(feed, name, "Feed")
    listed = amazon.api("GET", "/feeds/2021-06-30/feeds", {"feedTypes": "JSON_LISTINGS_FEED"}).body
    check(listed, name, "GetFeedsResponse")
    path = f"/feeds/2021-06-30/documents/{feed['resultFeedDocumentId']}"
    found = amazon.api("GET", path).body
    check(found, name, "FeedDocument")
    report = json.loads(gzip.decompress(transfer("GET", found["url"]).content))
    schema = model("listings-feed-processing-report-schema-v2.json")
    assert list(schema.problems(report, schema.document)) == []
    assert report["issues"]


def test_reports_and_the_account_fit(amazon, check):
    asked = {"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA", "marketplaceIds": [HERE]}
    made = amazon.api("POST", "/reports/2021-06-30/reports", None, asked).body
    check(made, "reports_2021-06-30.json", "CreateReportResponse")
    report = amazon.api("GET", f"/reports/2021-06-30/reports/{made['reportId']}").body
    check(report, "reports_2021-06-30.json", "Report")
    path = f"/reports/2021-06-30/documents/{report['reportDocumentId']}"
    check(amazon.api("GET", path).body, "reports_2021-06-30.json", "ReportDocument")
    sellers = amazon.api("GET", "/sellers/v1/marketplaceParticipations").body
    check(sellers, "sellers.json", "GetMarketplaceParticipationsResponse")
    told = amazon.api("GET", "/notifications/v1/subscriptions/ORDER_CHANGE").body
    check(told, "notifications.json", "GetSubscriptionResponse")
    known = amazon.api("GET", "/notifications/v1/destinations", is_grantless=True).body
    check(known, "notifications.json", "GetDestinationsResponse")


def test_notifications_fit(amazon, model):
    placed = [amazon.buy(paid=False), amazon.buy(), amazon.buy(SKU, fulfilled_by="channel")]
    amazon.control("POST", f"orders/{placed[1]}/hold")
    amazon.control("POST", f"orders/{placed[0]}/cancel")
    schema = model("OrderChangeNotification.json")
    told = amazon.told()
    assert len(told) >= 5
    for each in told:
        assert list(schema.problems(each, schema.document)) == []


def test_reports_of_order_feeds_have_the_published_shape(amazon, transfer):
    order_id = amazon.buy()
    line = amazon.order(order_id)["orderItems"][0]["orderItemId"]
    body = (
        f"<AmazonEnvelope><Header><DocumentVersion>1.01</DocumentVersion><MerchantIdentifier>"
        f"{amazon.seller}</MerchantIdentifier></Header><MessageType>OrderAcknowledgement"
        f"</MessageType><Message><MessageID>1</MessageID><OrderAcknowledgement><AmazonOrderID>"
        f"{order_id}</AmazonOrderID><StatusCode>Failure</StatusCode><Item><AmazonOrderItemCode>"
        f"{line}</AmazonOrderItemCode><CancelReason>NoInventory</CancelReason></Item>"
        f"</OrderAcknowledgement></Message></AmazonEnvelope>"
    ).encode()
    assert list(feeds.feed_problems(body)) == []
    for has_error in (False, True):
        asked = {"contentType": feeds.MEDIA}
        made = amazon.api("POST", "/feeds/2021-06-30/documents", None, asked).body
        transfer("PUT", made["url"], content=body, headers={"content-type": feeds.MEDIA})
        asked = {"feedType": "POST_ORDER_ACKNOWLEDGEMENT_DATA", "marketplaceIds": [HERE]}
        asked["inputFeedDocumentId"] = made["feedDocumentId"]
        created = amazon.api("POST", "/feeds/2021-06-30/feeds", None, asked).body
        ended = amazon.api("GET", f"/feeds/2021-06-30/feeds/{created['feedId']}").body
        path = f"/feeds/2021-06-30/documents/{ended['resultFeedDocumentId']}"
        report = gzip.decompress(transfer("GET", amazon.api("GET", path).body["url"]).content)
        assert list(feeds.report_problems(report)) == []
        assert (b"<ResultCode>Error</ResultCode>" in report) is has_error


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"NoInventory", b"Rain", "CancelReason: 'Rain'"),
        (b"<StatusCode>Failure</StatusCode>", b"", "StatusCode is there 0 times"),
        (b"<MessageID>1</MessageID>", b"<Colour/>", "does not belong there"),
        (b"1.01", b"9", "DocumentVersion"),
        (b"</Item>", b"", "no XML"),
    ],
)
def test_an_order_feed_of_another_shape_is_found(old, new, found):
    body = (
        b"<AmazonEnvelope><Header><DocumentVersion>1.01</DocumentVersion><MerchantIdentifier>A"
        b"</MerchantIdentifier></Header><MessageType>OrderAcknowledgement</MessageType><Message>"
        b"<MessageID>1</MessageID><OrderAcknowledgement><AmazonOrderID>1</AmazonOrderID>"
        b"<StatusCode>Failure</StatusCode><Item><AmazonOrderItemCode>1</AmazonOrderItemCode>"
        b"<CancelReason>NoInventory</CancelReason></Item></OrderAcknowledgement></Message>"
        b"</AmazonEnvelope>"
    )
    assert list(feeds.feed_problems(body)) == []
    assert any(found in each for each in feeds.feed_problems(body.replace(old, new)))
