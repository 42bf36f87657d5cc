"""Orders through their life: sold, shipped, held, moved, cancelled, refunded."""

import pytest

WORK = """query($id: ID!) { order(id: $id) { displayFulfillmentStatus
  fulfillments { id status trackingInfo { number company } }
  fulfillmentOrders(first: 10) { nodes { id status assignedLocation { location { id } }
  lineItems(first: 10) { nodes { id totalQuantity remainingQuantity } } } } } }"""
SHIP = """mutation($fulfillment: FulfillmentInput!) { fulfillmentCreate(fulfillment: $fulfillment) {
  fulfillment { id status trackingInfo { number } } userErrors { field message } } }"""


def ship(shop, order_id, *, quantity=None, number="T1"):
    work = shop.data(WORK, {"id": order_id})["order"]["fulfillmentOrders"]["nodes"][0]
    group = {"fulfillmentOrderId": work["id"]}
    if quantity is not None:
        line = {"id": work["lineItems"]["nodes"][0]["id"], "quantity": quantity}
        group["fulfillmentOrderLineItems"] = [line]
    tracking = {"company": "UPS", "number": number}
    asked = {"lineItemsByFulfillmentOrder": [group], "trackingInfo": tracking}
    return shop.data(SHIP, {"fulfillment": asked})["fulfillmentCreate"]


def codes(payload):
    return [error["code"] for error in payload["userErrors"]]


def test_a_sale_moves_available_to_committed_and_shipping_takes_it_off_the_shelf(shop):
    before = shop.sandbox.truth()["levels"]["TEE RED M"]["main"]
    order_id = shop.buy("TEE RED M", 3)
    sold = shop.sandbox.truth()["levels"]["TEE RED M"]["main"]
    assert sold["available"] == before["available"] - 3
    assert (sold["committed"], sold["on_hand"]) == (3, before["on_hand"])
    assert ship(shop, order_id, quantity=2)["userErrors"] == []
    partly = shop.sandbox.truth()["levels"]["TEE RED M"]["main"]
    assert (partly["committed"], partly["on_hand"]) == (1, before["on_hand"] - 2)
    order = shop.data(WORK, {"id": order_id})["order"]
    assert order["displayFulfillmentStatus"] == "PARTIALLY_FULFILLED"
    ship(shop, order_id, number="T2")
    truth = shop.sandbox.truth()["orders"][order_id.rpartition("/")[2]]
    numbers = [each["packages"][0]["tracking_number"] for each in truth["shipments"]]
    assert (truth["state"], numbers) == ("closed", ["T1", "T2"])


def test_fulfilling_twice_or_too_much_is_refused(shop):
    order_id = shop.buy("TEE RED M", 2)
    too_much = ship(shop, order_id, quantity=3)
    message = "Invalid fulfillment order line item quantity requested."
    assert too_much["userErrors"] == [{"field": ["fulfillment"], "message": message}]
    assert ship(shop, order_id, quantity=0)["userErrors"][0]["field"][-1] == "quantity"
    ship(shop, order_id)
    again = ship(shop, order_id)
    assert "unfulfillable status= closed" in again["userErrors"][0]["message"]
    assert len(shop.sandbox.truth()["orders"][order_id.rpartition("/")[2]]["shipments"]) == 1


def test_orders_of_two_buyers_do_not_ship_together(shop):
    orders = [shop.buy("TEE RED M"), shop.buy("TEE RED M")]
    nodes = [
        shop.data(WORK, {"id": each})["order"]["fulfillmentOrders"]["nodes"][0] for each in orders
    ]
    groups = [{"fulfillmentOrderId": node["id"]} for node in nodes]
    answer = shop.data(SHIP, {"fulfillment": {"lineItemsByFulfillmentOrder": groups}})
    assert "same order" in answer["fulfillmentCreate"]["userErrors"][0]["message"]


def test_a_cancelled_fulfilment_comes_back_as_new_work(shop):
    order_id = shop.buy("TEE RED M", 2)
    made = ship(shop, order_id)["fulfillment"]["id"]
    cancel = "mutation($id: ID!) { fulfillmentCancel(id: $id) { fulfillment { status } } }"
    assert (
        shop.data(cancel, {"id": made})["fulfillmentCancel"]["fulfillment"]["status"] == "CANCELLED"
    )
    nodes = shop.data(WORK, {"id": order_id})["order"]["fulfillmentOrders"]["nodes"]
    assert [node["status"] for node in nodes] == ["CLOSED", "OPEN"]
    update = """mutation($id: ID!) { fulfillmentTrackingInfoUpdate(fulfillmentId: $id,
        trackingInfoInput: {number: "N"}) { userErrors { message } } }"""
    wrong = shop.data(update, {"id": made})["fulfillmentTrackingInfoUpdate"]["userErrors"]
    assert wrong[0]["message"] == "Fulfillment is cancelled."


def test_holds_split_block_and_release(shop):
    order_id = shop.buy("TEE RED M", 3)
    work = shop.data(WORK, {"id": order_id})["order"]["fulfillmentOrders"]["nodes"][0]
    hold = """mutation($id: ID!, $hold: FulfillmentOrderHoldInput!) {
        fulfillmentOrderHold(id: $id, fulfillmentHold: $hold) { fulfillmentHold { id }
        fulfillmentOrder { status } remainingFulfillmentOrder { status } userErrors { code } } }"""
    line = {"id": work["lineItems"]["nodes"][0]["id"], "quantity": 1}
    asked = {"reason": "OTHER", "handle": "h", "fulfillmentOrderLineItems": [line]}
    held = shop.data(hold, {"id": work["id"], "hold": asked})["fulfillmentOrderHold"]
    assert held["fulfillmentOrder"]["status"] == "ON_HOLD"
    assert held["remainingFulfillmentOrder"]["status"] == "OPEN"
    again = shop.data(hold, {"id": work["id"], "hold": asked})["fulfillmentOrderHold"]
    assert codes(again) == ["DUPLICATE_FULFILLMENT_HOLD_HANDLE"]
    assert "status= on_hold" in ship(shop, order_id)["userErrors"][0]["message"]
    free = """mutation($id: ID!) { fulfillmentOrderReleaseHold(id: $id) {
        fulfillmentOrder { status } } }"""
    freed = shop.data(free, {"id": work["id"]})["fulfillmentOrderReleaseHold"]
    assert freed["fulfillmentOrder"]["status"] == "OPEN"


def test_work_moves_to_another_location_with_its_stock(start_shop):
    shop = start_shop(locations=("main", "east"))
    order_id = shop.buy("TEE RED M", 2)
    work = shop.data(WORK, {"id": order_id})["order"]["fulfillmentOrders"]["nodes"][0]
    east = shop.sandbox.account_entry()["settings"]["location_ids"]["east"]
    move = """mutation($id: ID!, $to: ID!) { fulfillmentOrderMove(id: $id, newLocationId: $to) {
        movedFulfillmentOrder { assignedLocation { location { id } } } userErrors { message } } }"""
    moved = shop.data(move, {"id": work["id"], "to": east})["fulfillmentOrderMove"]
    assert moved["movedFulfillmentOrder"]["assignedLocation"]["location"]["id"] == east
    levels = shop.sandbox.truth()["levels"]["TEE RED M"]
    assert (levels["main"]["committed"], levels["east"]["committed"]) == (0, 2)
    assert levels["east"]["available"] == -2


def test_cancelling_through_the_api_is_a_job(shop, wait):
    order_id = shop.buy("TEE RED M", 2)
    available = shop.item("TEE RED M")["available"]
    cancel = """mutation($id: ID!) { orderCancel(orderId: $id, reason: OTHER, restock: true) {
        job { id done } orderCancelUserErrors { code message } userErrors { message } } }"""
    answer = shop.data(cancel, {"id": order_id})["orderCancel"]
    assert answer["job"]["done"] is False
    job = "query($id: ID!) { job(id: $id) { done } }"
    wait(lambda: shop.data(job, {"id": answer["job"]["id"]})["job"]["done"])
    assert shop.sandbox.truth()["orders"][order_id.rpartition("/")[2]]["state"] == "cancelled"
    assert shop.item("TEE RED M")["available"] == available + 2
    again = shop.data(cancel, {"id": order_id})["orderCancel"]
    assert again["orderCancelUserErrors"][0]["code"] == "INVALID"


@pytest.mark.parametrize(
    ("ships", "kind", "returned"),
    [
        (False, "CANCEL", 2),
        (True, "RETURN", 2),
        (False, "NO_RESTOCK", 0),
        (True, "NO_RESTOCK", 0),
    ],
)
def test_refunds_restock_as_asked(shop, ships, kind, returned):
    order_id = shop.buy("TEE RED M", 2)
    if ships:
        ship(shop, order_id)
    available = shop.item("TEE RED M")["available"]
    lines = "query($id: ID!) { order(id: $id) { lineItems(first: 1) { nodes { id } } } }"
    line = shop.data(lines, {"id": order_id})["order"]["lineItems"]["nodes"][0]["id"]
    refund = """mutation($input: RefundInput!) { refundCreate(input: $input) @idempotent(key: "r") {
        refund { refundLineItems(first: 5) { nodes { restockType restocked quantity } } }
        order { displayFinancialStatus lineItems(first: 1) { nodes { quantity currentQuantity } } }
        userErrors { field message } } }"""
    entry_ = {"lineItemId": line, "quantity": 2, "restockType": kind}
    given = {"input": {"orderId": order_id, "refundLineItems": [entry_]}}
    for _ in range(2):  # the second is a replay
        answer = shop.data(refund, given)["refundCreate"]
    assert answer["order"]["displayFinancialStatus"] == "REFUNDED"
    assert answer["order"]["lineItems"]["nodes"] == [{"quantity": 2, "currentQuantity": 0}]
    assert answer["refund"]["refundLineItems"]["nodes"][0]["restockType"] == kind
    assert shop.item("TEE RED M")["available"] == available + returned
    (told,) = shop.sandbox.truth()["orders"][order_id.rpartition("/")[2]]["lines"]
    back = told["quantity_returned"], told["quantity_cancelled"]
    assert back == ((returned, 0) if ships else (0, 2))
