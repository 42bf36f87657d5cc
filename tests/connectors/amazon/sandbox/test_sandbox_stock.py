"""Offered quantities: sales lower them, patches and feeds set them later, FBA is not ours."""

import gzip
import json

import pytest

SKU = "SKU-00010"
HERE = "ATVPDKIKX0DER"
KIND = "application/json; charset=UTF-8"


def put(amazon, transfer, messages, **header):
    """Upload a feed document and queue it; gives the feed id."""
    head = {"sellerId": amazon.seller, "version": "2.0"} | header
    raw = json.dumps({"header": head, "messages": messages}).encode()
    return queue(amazon, transfer, raw)


def queue(amazon, transfer, raw, kind="JSON_LISTINGS_FEED"):
    made = document(amazon)
    sent = transfer("PUT", made["url"], content=raw, headers={"content-type": KIND})
    assert sent.status_code == 200
    asked = {"feedType": kind, "marketplaceIds": [HERE]}
    asked["inputFeedDocumentId"] = made["feedDocumentId"]
    answer = amazon.api("POST", "/feeds/2021-06-30/feeds", None, asked)
    assert answer.status == 202, answer.raw
    return answer.body["feedId"]


def document(amazon):
    asked = {"contentType": KIND}
    return amazon.api("POST", "/feeds/2021-06-30/documents", None, asked).body


def feed(amazon, feed_id):
    return amazon.api("GET", f"/feeds/2021-06-30/feeds/{feed_id}").body


def report(amazon, transfer, feed_id):
    result = feed(amazon, feed_id)["resultFeedDocumentId"]
    found = amazon.api("GET", f"/feeds/2021-06-30/documents/{result}").body
    return json.loads(gzip.decompress(transfer("GET", found["url"]).content))


def message(number, sku, quantity, **changes):
    entry = {"fulfillment_channel_code": "DEFAULT", "quantity": quantity}
    change = {"op": "replace", "path": "/attributes/fulfillment_availability", "value": [entry]}
    made = {"messageId": number, "sku": sku, "operationType": "PATCH", "productType": "PRODUCT"}
    return made | {"patches": [change]} | changes


def test_a_sale_lowers_the_offer_and_what_is_not_there_is_not_sold(amazon):
    amazon.control("PUT", f"quantities/{SKU}", {"quantity": 2})
    amazon.buy(SKU, 2)
    assert (amazon.shown(SKU), amazon.quantity()) == (0, 0)
    assert amazon.listing(SKU, "summaries")["summaries"][0]["status"] == ["DISCOVERABLE"]
    line = {"lines": [{"channel_sku": SKU, "quantity": 1}]}
    assert amazon.control("POST", "orders", line)[0] == 409
    told = amazon.sandbox.truth()
    assert (told["sold"][SKU], told["refused"][0]["reason"]) == (2, "sold_out")


def test_accepted_is_applied_after_the_lag_and_overwrites_a_sale_in_between(start_amazon):
    amazon = start_amazon(lag_seconds=30)
    amazon.control("PUT", f"quantities/{SKU}", {"quantity": 9})
    assert amazon.patch(SKU, 5).body["status"] == "ACCEPTED"
    amazon.buy(SKU, 1)
    assert amazon.shown(SKU) == 8
    amazon.clock.advance(31)
    assert (amazon.shown(SKU), amazon.quantity()) == (5, 5)
    changes = amazon.control("GET", "changes")[1]
    assert [(each["quantity"], each["is_hub"]) for each in changes[-2:]] == [(8, False), (5, True)]


@pytest.mark.parametrize(
    ("quantity", "more"),
    [
        (-1, {}),
        ("5", {}),
        (True, {}),
        (5, {"fulfillment_channel_code": "AMAZON_NA"}),
        (5, {"colour": "red"}),
        (5, {"marketplace_id": "A1PA6795UKMFR9"}),
    ],
)
def test_a_bad_quantity_is_invalid_at_status_200(amazon, quantity, more):
    before = amazon.quantity()
    answer = amazon.patch(SKU, quantity, **more)
    assert (answer.status, answer.body["status"]) == (200, "INVALID")
    assert answer.body["issues"][0]["severity"] == "ERROR"
    assert answer.body["issues"][0]["attributeNames"] == ["fulfillment_availability"]
    assert amazon.quantity() == before


def test_an_unknown_sku_is_invalid_and_other_attributes_are_not_served(amazon):
    assert amazon.patch("NOPE", 5).body["issues"][0]["code"] == "13013"
    change = {"op": "replace", "path": "/attributes/item_name", "value": [{"value": "x"}]}
    body = {"productType": "PRODUCT", "patches": [change]}
    assert amazon.patch_with(SKU, body).body["status"] == "INVALID"


def test_a_preview_applies_nothing(amazon):
    before = amazon.quantity()
    entry = {"fulfillment_channel_code": "DEFAULT", "quantity": 3}
    change = {"op": "merge", "path": "/attributes/fulfillment_availability", "value": [entry]}
    body = {"productType": "PRODUCT", "patches": [change]}
    more = {"mode": "VALIDATION_PREVIEW", "includedData": "identifiers"}
    answer = amazon.patch_with(SKU, body, **more).body
    assert (answer["status"], "issues" in answer, amazon.quantity()) == ("VALID", False, before)
    assert answer["identifiers"][0]["asin"].startswith("B0")


@pytest.mark.parametrize(
    "body",
    [
        {"productType": "PRODUCT"},
        {"productType": "PRODUCT", "patches": []},
        {"productType": "", "patches": [{"op": "replace", "path": "/x"}]},
        {"productType": "PRODUCT", "patches": [{"op": "move", "path": "/x"}]},
        {"productType": "PRODUCT", "patches": [{"op": "replace"}]},
        {"productType": "PRODUCT", "patches": [{"op": "replace", "path": "/x", "from": "/y"}]},
        {"productType": "PRODUCT", "patches": [{"op": "add", "path": "/x"}], "attributes": {}},
    ],
)
def test_a_misshapen_patch_is_refused(amazon, body):
    answer = amazon.patch_with(SKU, body)
    assert (answer.status, answer.code) == (400, "InvalidInput")


def test_a_quantity_for_an_fba_listing_flips_it_and_is_noted(amazon):
    sku = "FBA-00002"
    shown = amazon.listing(sku)["fulfillmentAvailability"]
    assert shown == [{"fulfillmentChannelCode": "AMAZON_NA"}]
    assert amazon.patch(sku, 4).body["status"] == "ACCEPTED"
    flipped = amazon.listing(sku)["fulfillmentAvailability"]
    assert flipped == [{"fulfillmentChannelCode": "DEFAULT", "quantity": 4}]
    (noted,) = amazon.sandbox.truth()["forbidden_writes"]
    assert (noted["reason"], noted["channel_sku"]) == ("quantity_for_fba", sku)
    assert sku not in amazon.sandbox.truth()["quantities"]


def test_listings_are_searched_by_sku_and_paged(amazon):
    path = f"/listings/2021-08-01/items/{amazon.seller}"
    asked = {"marketplaceIds": HERE, "identifiersType": "SKU", "identifiers": f"{SKU},00042,NOPE"}
    found = amazon.api("GET", path, asked | {"includedData": "fulfillmentAvailability"}).body
    assert {each["sku"] for each in found["items"]} == {SKU, "00042"}
    skus, token = [], None
    for _ in range(10):
        query = {"marketplaceIds": HERE, "pageSize": 20, "sortBy": "sku"}
        page = amazon.api("GET", path, query | ({"pageToken": token} if token else {})).body
        skus += [each["sku"] for each in page["items"]]
        token = page.get("pagination", {}).get("nextToken")
        if token is None:
            break
    assert len(skus) == len(set(skus)) == page["numberOfResults"] == 42
    missing = amazon.api("GET", path, {"marketplaceIds": HERE, "identifiers": SKU})
    assert missing.status == 400
    assert amazon.api("GET", path, {"marketplaceIds": HERE, "identifiersType": "UPC"}).status == 400
    many = ",".join(f"S{number}" for number in range(21))
    asked = {"marketplaceIds": HERE, "identifiersType": "SKU", "identifiers": many}
    assert amazon.api("GET", path, asked).status == 400


def test_another_sellers_listings_are_denied(amazon):
    path = f"/listings/2021-08-01/items/AOTHERSELLER1/{SKU}"
    assert amazon.api("GET", path, {"marketplaceIds": HERE}).status == 403


def test_a_feed_tells_what_became_of_each_message(amazon, transfer):
    bad = message(9, SKU, -1)
    partial = {
        "messageId": 5,
        "sku": "00042",
        "operationType": "PARTIAL_UPDATE",
        "productType": "PRODUCT",
        "attributes": {
            "fulfillment_availability": [{"fulfillment_channel_code": "DEFAULT", "quantity": 8}]
        },
    }
    odd = message(7, SKU, 1, colour="red")
    delete = {"messageId": 8, "sku": SKU, "operationType": "DELETE"}
    made = put(amazon, transfer, [message(3, SKU, 6), bad, partial, odd, delete])
    told = report(amazon, transfer, made)
    assert told["header"] == {"sellerId": amazon.seller, "version": "2.0", "feedId": made}
    assert {each["messageId"] for each in told["issues"]} == {7, 8, 9}
    assert told["summary"]["messagesAccepted"] == 2
    assert (amazon.quantity(), amazon.quantity("00042")) == (6, 8)
    assert amazon.sandbox.truth()["forbidden_writes"][0]["reason"] == "destructive_feed"


def test_a_feed_takes_its_time_and_can_be_cancelled_while_queued(start_amazon, transfer):
    amazon = start_amazon(lag_seconds=60)
    made, other = (put(amazon, transfer, [message(1, SKU, n)]) for n in (6, 7))
    path = f"/feeds/2021-06-30/feeds/{other}"
    assert feed(amazon, made)["processingStatus"] == "IN_QUEUE"
    assert amazon.api("DELETE", path).status == 200
    amazon.clock.advance(40)
    assert feed(amazon, made)["processingStatus"] == "IN_PROGRESS"
    assert amazon.api("DELETE", f"/feeds/2021-06-30/feeds/{made}").status == 400
    amazon.clock.advance(21)
    assert feed(amazon, made)["processingStatus"] == "DONE"
    assert feed(amazon, other)["processingStatus"] == "CANCELLED"
    assert amazon.quantity() == 6


@pytest.mark.parametrize(
    "raw",
    [
        b"no JSON",
        b"[]",
        b'{"header": {}, "messages": []}',
        b'{"header": {"sellerId": "SOMEBODY", "version": "2.0"}, "messages": [{"messageId": 1}]}',
    ],
)
def test_an_unreadable_feed_is_fatal_without_a_report(amazon, transfer, raw):
    told = feed(amazon, queue(amazon, transfer, raw))
    assert (told["processingStatus"], "resultFeedDocumentId" in told) == ("FATAL", False)


def test_twice_the_same_message_id_is_fatal(amazon, transfer):
    made = put(amazon, transfer, [message(1, SKU, 6), message(1, "00042", 6)])
    assert feed(amazon, made)["processingStatus"] == "FATAL"


def test_a_retired_feed_type_is_taken_in_and_fatal(amazon, transfer):
    made = queue(amazon, transfer, b"<xml/>", "POST_INVENTORY_AVAILABILITY_DATA")
    assert feed(amazon, made)["processingStatus"] == "FATAL"


def test_an_upload_address_is_good_for_five_minutes_and_one_content_type(amazon, transfer):
    url = document(amazon)["url"]
    wrong = transfer("PUT", url, content=b"x", headers={"content-type": "text/plain"})
    assert (wrong.status_code, b"<Code>SignatureDoesNotMatch" in wrong.content) == (403, True)
    forged = transfer("PUT", url + "0", content=b"x", headers={"content-type": KIND})
    assert forged.status_code == 403
    amazon.clock.advance(301)
    late = transfer("PUT", url, content=b"x", headers={"content-type": KIND})
    assert (late.status_code, b"expired" in late.content) == (403, True)
    assert transfer("GET", url).status_code == 403


def test_feeds_are_listed_by_type_and_status(amazon, transfer):
    made = [put(amazon, transfer, [message(1, SKU, n)]) for n in (1, 2, 3)]
    path = "/feeds/2021-06-30/feeds"
    asked = {"feedTypes": "JSON_LISTINGS_FEED", "pageSize": 2}
    first = amazon.api("GET", path, asked).body
    second = amazon.api("GET", path, {"nextToken": first["nextToken"]}).body
    found = [each["feedId"] for each in first["feeds"] + second["feeds"]]
    assert found == made[::-1]
    assert "nextToken" not in second
    both = {"nextToken": first["nextToken"], "pageSize": 2}
    assert amazon.api("GET", path, both).status == 400
    open_ones = asked | {"processingStatuses": "IN_QUEUE,IN_PROGRESS"}
    assert amazon.api("GET", path, open_ones).body["feeds"] == []
    assert amazon.api("GET", path, asked | {"processingStatuses": "BAD"}).status == 400
    assert amazon.api("GET", path, {"pageSize": 2}).status == 400


@pytest.mark.parametrize(
    "change",
    [
        {"feedType": "POST_NOTHING"},
        {"feedType": "FeedType.JSON_LISTINGS_FEED"},
        {"marketplaceIds": ["A1PA6795UKMFR9"]},
        {"marketplaceIds": []},
        {"inputFeedDocumentId": "made-up"},
        {"colour": "red"},
    ],
)
def test_a_wrong_feed_is_refused(amazon, change):
    asked = {"feedType": "JSON_LISTINGS_FEED", "marketplaceIds": [HERE]}
    asked["inputFeedDocumentId"] = document(amazon)["feedDocumentId"]
    answer = amazon.api("POST", "/feeds/2021-06-30/feeds", None, asked | change)
    assert (answer.status, answer.code) == (400, "InvalidInput")


def test_a_report_shows_the_moment_it_was_made(start_amazon, transfer):
    amazon = start_amazon(lag_seconds=60)
    asked = {"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA", "marketplaceIds": [HERE]}
    made = amazon.api("POST", "/reports/2021-06-30/reports", None, asked).body["reportId"]
    path = f"/reports/2021-06-30/reports/{made}"
    assert amazon.api("GET", path).body["processingStatus"] == "IN_PROGRESS"
    amazon.clock.advance(61)
    told = amazon.api("GET", path).body
    found = amazon.api("GET", f"/reports/2021-06-30/documents/{told['reportDocumentId']}").body
    assert b"\t" in transfer("GET", found["url"]).content
    bad = asked | {"reportType": "GET_EVERYTHING"}
    assert amazon.api("POST", "/reports/2021-06-30/reports", None, bad).status == 400
