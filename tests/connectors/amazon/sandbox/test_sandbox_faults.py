"""Every fault fires when it is switched on, does what its definition says, and is counted."""

import gzip
import http.client
import json
import threading
import time

import pytest

from connectors.amazon.sandbox.app import FAULTS

SKU = "SKU-00010"
SELLERS = "/sellers/v1/marketplaceParticipations"
BROKEN_OFF = (ConnectionError, http.client.HTTPException)


def items(amazon, placed):
    line = amazon.order(placed)["orderItems"][0]
    return [{"orderItemId": line["orderItemId"], "quantity": line["quantityOrdered"]}]


def ids(answer):
    return [order["orderId"] for order in answer.body["orders"]]


def test_the_known_faults_are_those_promised(amazon):
    promised = "01 02 03 04 05 06 07 08 09 11 12 13 14 15 17 18 19 20 21 26 40 41".split()
    assert {f"F{number}" for number in promised} == set(amazon.control("GET", "faults")[1])
    assert len(set(FAULTS)) == len(FAULTS)


@pytest.mark.proves("F01")
def test_a_timeout_before_the_commit_changes_nothing(amazon):
    before = amazon.quantity()
    amazon.token()
    amazon.force("F01")
    with pytest.raises(BROKEN_OFF):
        amazon.patch(SKU, 3)
    assert (amazon.quantity(), amazon.fired("F01")) == (before, 1)


@pytest.mark.proves("F02")
def test_a_timeout_after_the_commit_has_changed_everything(amazon):
    amazon.token()
    amazon.force("F02")
    with pytest.raises(BROKEN_OFF):
        amazon.patch(SKU, 3)
    assert (amazon.quantity(), amazon.fired("F02")) == (3, 1)


@pytest.mark.proves("F03", "F04")
@pytest.mark.parametrize("kind", ["F03", "F04"])
def test_an_answer_breaks_off_in_the_middle(amazon, kind):
    amazon.token()
    amazon.force(kind)
    with pytest.raises(ConnectionError if kind == "F03" else http.client.IncompleteRead):
        amazon.api("GET", SELLERS)
    assert amazon.api("GET", SELLERS).status == 200


@pytest.mark.proves("F05")
def test_too_many_requests_as_documented_without_a_body_and_with_an_absurd_wait(amazon):
    amazon.token()
    amazon.force("F05", 3)
    answers = [amazon.api("GET", SELLERS) for _ in range(3)]
    assert [each.status for each in answers] == [429] * 3
    assert [bool(each.raw) for each in answers] == [True, False, True]
    assert answers[0].code == "QuotaExceeded"
    assert answers[2].headers["retry-after"] == "86400"


@pytest.mark.proves("F06")
def test_server_errors_with_no_odd_or_html_bodies(amazon):
    amazon.token()
    amazon.force("F06", 4)
    answers = [amazon.api("GET", SELLERS) for _ in range(4)]
    assert [each.status for each in answers] == [500, 502, 503, 504]
    assert (answers[0].raw, "errors" in answers[1].body) == (b"", False)
    assert answers[2].raw.startswith(b"<html>")
    assert answers[3].code == "InternalFailure"


@pytest.mark.proves("F06")
def test_the_token_desk_breaks_as_well(amazon):
    amazon.force("F06", 3)
    answers = [amazon.grant() for _ in range(4)]
    assert [each.status for each in answers] == [500, 502, 503, 200]


@pytest.mark.proves("F06")
def test_the_sdk_takes_an_empty_500_for_an_empty_success(amazon, apis):
    """The trap this fault is there for: a hub that trusts the SDK loses orders here."""
    client = apis.orders(amazon)
    amazon.buy()
    amazon.token()
    client.search_orders(lastUpdatedAfter="2026-01-01T00:00:00Z")
    amazon.force("F06")
    assert client.search_orders(lastUpdatedAfter="2026-01-01T00:00:00Z").payload == {}


@pytest.mark.proves("F07")
def test_a_success_that_says_nothing_and_did_nothing(amazon):
    before = amazon.quantity()
    amazon.force("F07", 3)
    answers = [amazon.patch(SKU, 3) for _ in range(3)]
    assert [each.status for each in answers] == [200] * 3
    assert [each.raw[:6] for each in answers] == [b"{}", b"", b"<html>"]
    assert amazon.quantity() == before


@pytest.mark.proves("F08")
def test_part_of_a_feed_is_lost_and_only_the_count_tells(amazon, transfer):
    skus = [f"SKU-{number:05d}" for number in range(10, 14)]
    before = amazon.sandbox.truth()["quantities"]
    amazon.force("F08")
    told = feed_report(amazon, transfer, skus)
    assert (told["issues"], told["summary"]["messagesProcessed"]) == ([], 2)
    now = amazon.sandbox.truth()["quantities"]
    assert [now[sku] for sku in skus] == [1, 1, before[skus[2]], before[skus[3]]]


@pytest.mark.proves("F08")
def test_issues_come_in_another_order_than_the_messages(amazon, transfer):
    told = feed_report(amazon, transfer, ["NOPE-1", "SKU-00010", "NOPE-2"])
    assert [(each["messageId"], each["sku"]) for each in told["issues"]] == [
        (3, "NOPE-2"),
        (1, "NOPE-1"),
    ]


@pytest.mark.proves("F09")
def test_accepted_but_never_applied(amazon, transfer):
    before = amazon.quantity()
    amazon.force("F09")
    assert amazon.patch(SKU, 3).body["status"] == "ACCEPTED"
    assert amazon.shown(SKU) == before
    amazon.force("F09")
    told = feed_report(amazon, transfer, [SKU])
    assert (told["summary"]["messagesAccepted"], amazon.quantity()) == (1, before)


@pytest.mark.proves("F09")
def test_a_confirmation_answered_204_is_dropped(amazon):
    placed = amazon.buy()
    asked = items(amazon, placed)
    amazon.force("F09")
    assert amazon.confirm(placed, orderItems=asked).status == 204
    assert amazon.order(placed)["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"
    assert amazon.confirm(placed, orderItems=asked).status == 204
    assert amazon.order(placed)["fulfillment"]["fulfillmentStatus"] == "SHIPPED"


@pytest.mark.proves("F11", "F12")
@pytest.mark.parametrize(("kind", "notification_ids"), [("F11", 1), ("F12", 2)])
def test_a_notification_comes_twice(amazon, kind, notification_ids):
    placed = amazon.buy()
    amazon.told()
    amazon.force(kind)
    amazon.control("POST", f"orders/{placed}/cancel")
    told = amazon.told()
    assert len({each["NotificationMetadata"]["NotificationId"] for each in told}) == (
        notification_ids
    )
    changes = [each["Payload"] for each in told]
    assert (len(changes), changes[0]) == (2, changes[1])


@pytest.mark.proves("F13")
def test_a_notification_is_overtaken_by_a_later_one(amazon, until):
    amazon.force("F13")
    placed = amazon.buy(paid=False)
    assert amazon.told() == []
    amazon.control("POST", f"orders/{placed}/pay")
    until(lambda: sum(amazon.sandbox.queue.counts()) == 2)
    told = [each["Payload"]["OrderChangeNotification"]["Summary"] for each in amazon.told()]
    assert [each["OrderStatus"] for each in told] == ["Unshipped", "Pending"]


@pytest.mark.proves("F14")
def test_a_notification_is_never_sent(amazon):
    amazon.force("F14")
    amazon.buy()
    assert (amazon.told(), amazon.fired("F14")) == ([], 1)


@pytest.mark.proves("F40")
def test_the_echo_of_our_confirmation_comes_late(amazon, until):
    placed = amazon.buy()
    amazon.told()
    amazon.force("F40")
    amazon.confirm(placed, orderItems=items(amazon, placed))
    assert amazon.told() == []
    until(lambda: sum(amazon.sandbox.queue.counts()) == 1)


@pytest.mark.proves("F15")
def test_a_notification_comes_before_the_order_can_be_read(amazon):
    amazon.force("F15")
    placed = amazon.buy()
    path = f"/orders/2026-01-01/orders/{placed}"
    assert (len(amazon.told()), amazon.api("GET", path).status) == (1, 404)
    assert ids(amazon.search()) == []
    amazon.clock.advance(1)
    assert (amazon.api("GET", path).status, ids(amazon.search())) == (200, [placed])


@pytest.mark.proves("F17")
def test_an_order_appears_late_and_back_dated(amazon):
    amazon.force("F17")
    placed = amazon.buy()
    assert ids(amazon.search()) == []
    amazon.clock.advance(30)
    (order,) = amazon.search().body["orders"]
    assert (order["orderId"], order["lastUpdatedTime"]) == (placed, "2026-03-01T12:00:00Z")


@pytest.mark.proves("F18")
def test_a_list_omits_what_a_read_by_id_shows(amazon):
    first, second = amazon.buy(), amazon.buy()
    amazon.force("F18")
    assert ids(amazon.search()) == [first]
    assert amazon.order(second)["orderId"] == second
    assert ids(amazon.search()) == [first, second]


@pytest.mark.proves("F19")
def test_an_empty_page_has_a_token_and_the_orders_come_after_it(amazon):
    placed = amazon.buy()
    amazon.force("F19")
    empty = amazon.search()
    assert ids(empty) == []
    token = empty.body["pagination"]["nextToken"]
    assert ids(amazon.search(paginationToken=token)) == [placed]


@pytest.mark.proves("F20")
def test_a_page_token_leads_back_to_the_same_page(amazon):
    placed = amazon.buy()
    amazon.force("F20", 2)
    first = amazon.search()
    token = first.body["pagination"]["nextToken"]
    again = amazon.search(paginationToken=token)
    assert (ids(first), ids(again)) == ([placed], [placed])
    assert again.body["pagination"]["nextToken"] == token
    assert "pagination" not in amazon.search(paginationToken=token).body


@pytest.mark.proves("F21")
def test_a_page_token_expires_early(amazon):
    amazon.buy()
    amazon.buy()
    token = amazon.search(maxResultsPerPage=1).body["pagination"]["nextToken"]
    amazon.force("F21")
    expired = amazon.search(paginationToken=token)
    assert (expired.status, "expired" in expired.text) == (400, True)


@pytest.mark.proves("F26")
def test_an_access_token_expires_in_the_middle_of_things(amazon):
    amazon.token()
    amazon.clock.advance(1)
    amazon.force("F26")
    answer = amazon.api("GET", SELLERS)
    assert (answer.status, "expired" in answer.text) == (403, True)
    assert amazon.api("GET", SELLERS).status == 403
    amazon.tokens.clear()
    assert amazon.api("GET", SELLERS).status == 200


@pytest.mark.proves("F41")
def test_a_read_after_our_write_is_stale(amazon):
    before = amazon.quantity()
    amazon.patch(SKU, 3)
    amazon.force("F41")
    assert (amazon.shown(SKU), amazon.shown(SKU), amazon.quantity()) == (before, 3, 3)


def test_a_long_poll_holds_nobody_up_and_ends_when_a_message_comes(start_amazon):
    amazon = start_amazon(in_real_time=True)
    sqs, found = amazon.sqs(), []

    def wait():
        asked = {"QueueUrl": amazon.queue_url, "WaitTimeSeconds": 5}
        found.extend(sqs.receive_message(**asked)["Messages"])

    waiting = threading.Thread(target=wait)
    began = time.monotonic()
    waiting.start()
    assert amazon.api("GET", SELLERS).status == 200
    amazon.buy()
    waiting.join(5)
    assert (len(found), time.monotonic() - began < 4) == (1, True)


def feed_report(amazon, transfer, skus):
    kind = "application/json"
    made = amazon.api("POST", "/feeds/2021-06-30/documents", None, {"contentType": kind}).body
    entry = {"fulfillment_channel_code": "DEFAULT", "quantity": 1}
    change = {"op": "replace", "path": "/attributes/fulfillment_availability", "value": [entry]}
    same = {"operationType": "PATCH", "productType": "PRODUCT", "patches": [change]}
    messages = [{"messageId": at, "sku": sku} | same for at, sku in enumerate(skus, 1)]
    header = {"sellerId": amazon.seller, "version": "2.0"}
    raw = json.dumps({"header": header, "messages": messages}).encode()
    transfer("PUT", made["url"], content=raw, headers={"content-type": kind})
    asked = {"feedType": "JSON_LISTINGS_FEED", "marketplaceIds": ["ATVPDKIKX0DER"]}
    asked["inputFeedDocumentId"] = made["feedDocumentId"]
    feed_id = amazon.api("POST", "/feeds/2021-06-30/feeds", None, asked).body["feedId"]
    result = amazon.api("GET", f"/feeds/2021-06-30/feeds/{feed_id}").body["resultFeedDocumentId"]
    found = amazon.api("GET", f"/feeds/2021-06-30/documents/{result}").body
    return json.loads(gzip.decompress(transfer("GET", found["url"]).content))
