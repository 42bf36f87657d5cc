"""The unmodified SDK and boto3 work against the sandbox, oddities and all."""

import gzip
import io
import json

import pytest
from botocore.exceptions import ClientError
from sp_api.auth.exceptions import AuthorizationError
from sp_api.base.exceptions import SellingApiNotFoundException

HERE = "ATVPDKIKX0DER"
SKU = "SKU-00010"
AWKWARD = ["00042", "TEE RED M", 'NAIL 6" BOX', "MUG-☕", "O'BRIEN, LARGE", "A/B+C%20", "ÄPFEL-1"]


def test_orders_are_searched_and_read(amazon, apis):
    placed = amazon.buy(SKU, 2)
    client = apis.orders(amazon)
    found = client.search_orders(
        lastUpdatedAfter="2026-01-01T00:00:00Z",
        marketplaceIds=[HERE],
        includedData=["FULFILLMENT", "CANCELLATION"],
        fulfillmentStatuses=["UNSHIPPED"],
        fulfilledBy=["MERCHANT"],
        maxResultsPerPage=50,
    )
    assert [order["orderId"] for order in found.payload["orders"]] == [placed]
    assert found.rate_limit == "1000.0"
    order = client.get_order(placed, includedData=["FULFILLMENT", "RECIPIENT"]).payload["order"]
    assert order["orderItems"][0]["product"]["sellerSku"] == SKU
    assert order["recipient"]["deliveryAddress"]["countryCode"] == "US"


def test_search_tolerates_what_the_sdk_adds_when_no_marketplace_is_named(amazon, apis):
    placed = amazon.buy()
    found = apis.orders(amazon).search_orders(lastUpdatedAfter="2026-01-01T00:00:00Z")
    assert found.payload["orders"][0]["orderId"] == placed


def test_a_shipment_is_confirmed(amazon, apis):
    placed = amazon.buy(SKU, 2)
    line = amazon.order(placed)["orderItems"][0]["orderItemId"]
    package = {
        "packageReferenceId": "77",
        "carrierCode": "Other",
        "carrierName": "Pigeon Post",
        "shippingMethod": "Express",
        "trackingNumber": "P-1",
        "shipDate": "2026-03-01T11:00:00Z",
        "orderItems": [{"orderItemId": line, "quantity": 2}],
    }
    client = apis.shipments(amazon)
    answer = client.confirm_shipment(placed, marketplaceId=HERE, packageDetail=package)
    assert answer.payload == {"status_code": 204}
    shown = amazon.order(placed)
    assert shown["fulfillment"]["fulfillmentStatus"] == "SHIPPED"
    assert shown["packages"][0]["carrier"] == "Pigeon Post"
    assert shown["packages"][0]["packageReferenceId"] == "77"


@pytest.mark.parametrize("sku", AWKWARD)
def test_listings_are_patched_and_read_whatever_their_sku(amazon, apis, sku):
    client = apis.listings(amazon)
    change = {
        "op": "replace",
        "path": "/attributes/fulfillment_availability",
        "value": [{"fulfillment_channel_code": "DEFAULT", "quantity": 7}],
    }
    body = {"productType": "PRODUCT", "patches": [change]}
    answer = client.patch_listings_item(amazon.seller, sku, marketplaceIds=[HERE], body=body)
    assert (answer.payload["status"], answer.payload["issues"]) == ("ACCEPTED", [])
    shown = client.get_listings_item(
        amazon.seller, sku, marketplaceIds=[HERE], includedData=["fulfillmentAvailability"]
    )
    entry = {"fulfillmentChannelCode": "DEFAULT", "quantity": 7}
    assert shown.payload["fulfillmentAvailability"] == [entry]
    assert amazon.quantity(sku) == 7


def test_an_unknown_sku_is_not_found(amazon, apis):
    with pytest.raises(SellingApiNotFoundException):
        apis.listings(amazon).get_listings_item(amazon.seller, "NOPE", marketplaceIds=[HERE])


def test_a_feed_goes_from_upload_to_report(amazon, apis):
    client = apis.feeds(amazon)
    document = {
        "header": {"sellerId": amazon.seller, "version": "2.0", "issueLocale": "en_US"},
        "messages": [_message(1, SKU, 5), _message(2, "NOPE", 5)],
    }
    file = io.BytesIO(json.dumps(document).encode())
    kind = "application/json; charset=UTF-8"
    _, made = client.submit_feed("JSON_LISTINGS_FEED", file, kind, marketplaceIds=[HERE])
    feed = client.get_feed(made.payload["feedId"]).payload
    assert feed["processingStatus"] == "DONE"
    report = json.loads(client.get_feed_document(feed["resultFeedDocumentId"]))
    assert report["summary"]["messagesInvalid"] == 1
    assert [(issue["messageId"], issue["code"]) for issue in report["issues"]] == [(2, "13013")]
    assert amazon.quantity(SKU) == 5


def test_only_the_metadata_of_a_result_document_can_be_asked_for(amazon, apis, transfer):
    client = apis.feeds(amazon)
    document = {
        "header": {"sellerId": amazon.seller, "version": "2.0"},
        "messages": [_message(1, SKU, 5)],
    }
    empty = client.create_feed_document(None, "application/json").payload
    body = json.dumps(document).encode()
    sent = transfer("PUT", empty["url"], content=body, headers={"content-type": "application/json"})
    assert sent.status_code == 200
    made = client.create_feed(
        "JSON_LISTINGS_FEED", empty["feedDocumentId"], marketplaceIds=[HERE]
    ).payload
    result = client.get_feed(made["feedId"]).payload["resultFeedDocumentId"]
    found = client._request(f"/feeds/2021-06-30/documents/{result}", add_marketplace=False).payload
    assert found["compressionAlgorithm"] == "GZIP"
    raw = transfer("GET", found["url"]).content
    assert json.loads(gzip.decompress(raw))["summary"]["messagesAccepted"] == 1
    listed = client.get_feeds(feedTypes="JSON_LISTINGS_FEED", pageSize=10).payload["feeds"]
    assert [each["feedId"] for each in listed] == [made["feedId"]]


def test_the_listings_report_is_downloaded(amazon, apis, transfer):
    client = apis.reports(amazon)
    made = client.create_report(reportType="GET_MERCHANT_LISTINGS_ALL_DATA", marketplaceIds=[HERE])
    report = client.get_report(made.payload["reportId"]).payload
    assert report["processingStatus"] == "DONE"
    found = client.get_report_document(report["reportDocumentId"]).payload
    text = transfer("GET", found["url"]).content.decode()
    header, *rows = (line.split("\t") for line in text.splitlines())
    table = {row[header.index("seller-sku")]: dict(zip(header, row, strict=True)) for row in rows}
    assert table[SKU]["quantity"] == str(amazon.quantity(SKU))
    assert table[SKU]["fulfillment-channel"] == "DEFAULT"
    assert (table["FBA-00001"]["fulfillment-channel"], table["FBA-00001"]["quantity"]) == (
        "AMAZON_NA",
        "",
    )


def test_the_seller_and_the_subscription_are_known(amazon, apis):
    taking_part = apis.sellers(amazon).get_marketplace_participation().payload
    assert taking_part[0]["marketplace"]["id"] == HERE
    client = apis.notifications(amazon)
    subscription = client.get_subscription("ORDER_CHANGE").payload
    destinations = client.get_destinations().payload
    assert subscription["destinationId"] == destinations[0]["destinationId"]


def test_a_revoked_authorisation_is_invalid_grant(amazon, apis):
    amazon.sandbox.tokens.are_revoked = True
    with pytest.raises(AuthorizationError) as raised:
        apis.sellers(amazon).get_marketplace_participation()
    assert raised.value.error_code == "invalid_grant"


def test_boto3_receives_and_deletes(amazon):
    placed = amazon.buy()
    sqs = amazon.sqs()
    asked = {"QueueUrl": amazon.queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
    (message,) = sqs.receive_message(**asked, AttributeNames=["All"])["Messages"]
    told = json.loads(message["Body"])["Payload"]["OrderChangeNotification"]
    assert (told["AmazonOrderId"], told["SellerId"]) == (placed, amazon.seller)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    sqs.delete_message(QueueUrl=amazon.queue_url, ReceiptHandle=message["ReceiptHandle"])
    amazon.clock.advance(60)
    assert "Messages" not in sqs.receive_message(QueueUrl=amazon.queue_url)


def test_boto3_sees_a_message_again_that_was_not_deleted(amazon):
    amazon.buy()
    sqs, url = amazon.sqs(), amazon.queue_url
    (first,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=20)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    amazon.clock.advance(21)
    (again,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=20)["Messages"]
    assert (again["MessageId"], again["Body"]) == (first["MessageId"], first["Body"])
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    sqs.change_message_visibility(
        QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=0
    )
    (third,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert third["MessageId"] == first["MessageId"]
    done = sqs.delete_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "good", "ReceiptHandle": third["ReceiptHandle"]},
            {"Id": "bad", "ReceiptHandle": "nonsense"},
        ],
    )
    assert [each["Id"] for each in done["Successful"]] == ["good"]
    assert [each["Code"] for each in done["Failed"]] == ["ReceiptHandleIsInvalid"]
    known = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert known["ApproximateNumberOfMessages"] == "0"


def test_boto3_finds_the_queue_by_name(amazon):
    name = amazon.queue_url.rpartition("/")[2]
    assert amazon.sqs().get_queue_url(QueueName=name)["QueueUrl"] == amazon.queue_url
    with pytest.raises(ClientError, match="NonExistentQueue"):
        amazon.sqs().get_queue_url(QueueName="other")


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_access_key_id": "AKIAOTHER"}, "InvalidClientTokenId"),
        ({"aws_secret_access_key": "other"}, "SignatureDoesNotMatch"),
    ],
)
def test_other_keys_do_not_open_the_queue(amazon, keys, code):
    with pytest.raises(ClientError, match=code):
        amazon.sqs(**keys).receive_message(QueueUrl=amazon.queue_url)


def _message(number, sku, quantity):
    entry = {"fulfillment_channel_code": "DEFAULT", "quantity": quantity}
    change = {"op": "replace", "path": "/attributes/fulfillment_availability", "value": [entry]}
    made = {"messageId": number, "sku": sku, "operationType": "PATCH", "productType": "PRODUCT"}
    return made | {"patches": [change]}
