"""Orders as the sandbox keeps and shows them: windows, pages, lag, status, shipments, FBA."""

import pytest

SKU = "SKU-00010"
OTHER = "SKU-00011"
SINCE = "2026-01-01T00:00:00Z"


def ids(answer):
    assert answer.status == 200, answer.raw
    return [order["orderId"] for order in answer.body["orders"]]


def line_of(amazon, placed):
    return amazon.order(placed)["orderItems"][0]


def items(amazon, placed, quantity):
    return [{"orderItemId": line_of(amazon, placed)["orderItemId"], "quantity": quantity}]


def test_nothing_is_shown_that_was_not_asked_for(amazon):
    placed = amazon.buy()
    bare = amazon.order(placed, "")
    assert set(bare) == {"orderId", "createdTime", "lastUpdatedTime", "salesChannel", "orderItems"}
    assert set(bare["orderItems"][0]) == {"orderItemId", "quantityOrdered", "product"}
    full = amazon.order(placed, "BUYER,RECIPIENT,PROCEEDS,FULFILLMENT,CANCELLATION,PACKAGES")
    assert set(full) - set(bare) == {"buyer", "recipient", "proceeds", "fulfillment"}
    assert full["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"
    assert full["fulfillment"]["shipByWindow"]["latestDateTime"] == "2026-03-03T12:00:00Z"


def test_a_pending_order_has_no_price_and_no_address_until_it_is_paid(amazon):
    placed = amazon.buy(SKU, paid=False)
    included = "BUYER,RECIPIENT,PROCEEDS,FULFILLMENT"
    pending = amazon.order(placed, included)
    assert pending["fulfillment"]["fulfillmentStatus"] == "PENDING"
    assert not {"buyer", "recipient", "proceeds"} & set(pending)
    assert "price" not in pending["orderItems"][0]["product"]
    amazon.control("POST", f"orders/{placed}/pay")
    paid = amazon.order(placed, included)
    assert paid["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"
    assert paid["orderItems"][0]["product"]["price"]["unitPrice"]["currencyCode"] == "USD"
    assert paid["recipient"]["deliveryAddress"]["postalCode"]


def test_a_buyer_asks_for_a_cancellation_and_changes_his_mind(amazon):
    placed = amazon.buy()
    amazon.control("POST", f"orders/{placed}/hold")
    asked = line_of(amazon, placed)["cancellation"]
    assert asked["cancellationRequest"]["requester"] == "BUYER"
    told = amazon.told()[-1]["Payload"]["OrderChangeNotification"]
    assert told["OrderChangeType"] == "BuyerRequestedChange"
    assert told["Summary"]["OrderItems"][0]["IsBuyerRequestedCancel"] is True
    amazon.control("POST", f"orders/{placed}/hold", {"release": True})
    assert "cancellation" not in line_of(amazon, placed)


def test_a_cancelled_order_gives_its_units_back(amazon):
    before, placed = amazon.quantity(), amazon.buy(SKU, 3)
    assert amazon.quantity() == before - 3
    amazon.control("POST", f"orders/{placed}/cancel")
    order = amazon.order(placed)
    assert order["fulfillment"]["fulfillmentStatus"] == "CANCELLED"
    assert order["orderItems"][0]["fulfillment"]["quantityUnfulfilled"] == 0
    assert order["orderItems"][0]["cancellation"]["cancellationExecution"]
    assert amazon.quantity() == before
    assert amazon.confirm(placed, orderItems=items(amazon, placed, 1)).status == 400


def test_units_of_a_line_are_cancelled_but_none_are_added(amazon):
    placed = amazon.buy(SKU, 3)
    fewer = {"lines": [{"channel_sku": SKU, "quantity": 1}]}
    assert amazon.control("POST", f"orders/{placed}/edit", fewer)[0] == 200
    line = line_of(amazon, placed)
    assert (line["quantityOrdered"], line["fulfillment"]["quantityUnfulfilled"]) == (3, 1)
    more = {"lines": [{"channel_sku": OTHER, "quantity": 1}]}
    assert amazon.control("POST", f"orders/{placed}/edit", more)[0] == 422


def test_packages_are_confirmed_one_by_one_and_edited_by_their_reference(amazon):
    placed = amazon.buy(SKU, 3)
    first = amazon.confirm(placed, orderItems=items(amazon, placed, 2))
    assert (first.status, first.raw) == (204, b"")
    assert amazon.order(placed)["fulfillment"]["fulfillmentStatus"] == "PARTIALLY_SHIPPED"
    edit = amazon.confirm(placed, trackingNumber="1Z2", orderItems=items(amazon, placed, 2))
    assert edit.status == 204
    second = {"packageReferenceId": "2", "orderItems": items(amazon, placed, 1)}
    assert amazon.confirm(placed, **second).status == 204
    order = amazon.order(placed)
    assert order["fulfillment"]["fulfillmentStatus"] == "SHIPPED"
    told = {each["packageReferenceId"]: each["trackingNumber"] for each in order["packages"]}
    assert told == {"1": "1Z2", "2": "1Z1"}
    late = amazon.confirm(placed, packageReferenceId="3", orderItems=items(amazon, placed, 1))
    assert (late.status, "Unable to find package" in late.text) == (400, True)
    shipments = amazon.sandbox.truth()["orders"][placed]["shipments"]
    assert [len(each["lines"]) for each in shipments] == [1, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"packageReferenceId": 1}, "packageReferenceId"),
        ({"packageReferenceId": "A1"}, "packageReferenceId"),
        ({"packageReferenceId": "0"}, "packageReferenceId"),
        ({"carrierCode": "Other"}, "carrierName"),
        ({"carrierCode": " "}, "carrierCode"),
        ({"shipDate": "02/21/2022"}, "shipDate"),
        ({"shipDate": "2026-03-02T12:00:00Z"}, "shipDate"),
        ({"orderItems": {"orderItemId": "1", "quantity": 1}}, "orderItems"),
        ({"orderItems": []}, "orderItems"),
        ({"orderItems": [{"orderItemId": "1", "quantity": 1}]}, "OrderItemId is invalid"),
        ({"colour": "red"}, "Unknown field"),
    ],
)
def test_a_wrong_confirmation_is_refused_and_changes_nothing(amazon, change, said):
    placed = amazon.buy(SKU, 1)
    answer = amazon.confirm(placed, **({"orderItems": items(amazon, placed, 1)} | change))
    assert (answer.status, answer.code, said in answer.text) == (400, "InvalidInput", True)
    assert "packages" not in amazon.order(placed)


def test_more_units_than_ordered_cannot_be_shipped(amazon):
    placed = amazon.buy(SKU, 2)
    answer = amazon.confirm(placed, orderItems=items(amazon, placed, 3))
    assert (answer.status, "quantity" in answer.text) == (400, True)


def test_an_order_fulfilled_by_amazon_leaves_the_sellers_stock_alone(amazon, until):
    before = amazon.quantity()
    placed = amazon.buy(SKU, 2, fulfilled_by="channel")
    order = amazon.order(placed, "FULFILLMENT,RECIPIENT")
    assert order["fulfillment"]["fulfilledBy"] == "AMAZON"
    assert "phone" not in order["recipient"]["deliveryAddress"]
    assert amazon.quantity() == before
    told = amazon.sandbox.truth()
    assert (told["sold"][SKU], told["sold_by_channel"][SKU]) == (0, 2)
    assert told["orders"][placed]["fulfilled_by"] == "channel"
    assert amazon.confirm(placed, orderItems=items(amazon, placed, 1)).status == 400
    until(lambda: amazon.order(placed)["fulfillment"]["fulfillmentStatus"] == "SHIPPED")
    summary = amazon.told()[0]["Payload"]["OrderChangeNotification"]["Summary"]
    assert summary["FulfillmentType"] == "AFN"


def test_fba_listings_are_sold_by_amazon_only(amazon):
    line = {"lines": [{"channel_sku": "FBA-00001", "quantity": 1}]}
    assert amazon.control("POST", "orders", line)[0] == 404
    placed = amazon.buy("FBA-00001", 1, fulfilled_by="channel", paid=False)
    assert amazon.order(placed)["fulfillment"]["fulfillmentStatus"] == "PENDING"
    assert amazon.control("POST", f"orders/{placed}/cancel")[0] == 200
    assert amazon.order(placed)["fulfillment"]["fulfillmentStatus"] == "CANCELLED"
    many = {"lines": [{"channel_sku": "FBA-00001", "quantity": 501}], "fulfilled_by": "channel"}
    assert amazon.control("POST", "orders", many)[0] == 409


@pytest.mark.parametrize(
    "query",
    [
        {"createdAfter": SINCE, "lastUpdatedAfter": SINCE},
        {"createdAfter": SINCE, "lastUpdatedBefore": "2026-02-01T00:00:00Z"},
        {"lastUpdatedAfter": "2026-02-01T00:00:00Z", "lastUpdatedBefore": SINCE},
        {"lastUpdatedAfter": "2026-01-01 00:00:00+00:00"},
        {"lastUpdatedAfter": "yesterday"},
        {"lastUpdatedAfter": ""},
        {"fulfillmentStatuses": "CANCELED"},
        {"fulfilledBy": "MFN"},
        {"includedData": "EVERYTHING"},
        {"marketplaceIds": "A1PA6795UKMFR9"},
        {"maxResultsPerPage": "101"},
        {"maxResultsPerPage": "0"},
        {"paginationToken": "made-up"},
        {"orderIds": "1"},
        {"NextToken": "1"},
    ],
)
def test_a_wrong_search_is_refused_in_amazons_shape(amazon, query):
    answer = amazon.search(**query)
    assert (answer.status, answer.code) == (400, "InvalidInput")
    assert set(answer.body["errors"][0]) == {"code", "message", "details"}
    assert "x-amzn-ratelimit-limit" not in answer.headers
    assert answer.headers["x-amzn-requestid"]


def test_a_search_needs_a_beginning(amazon):
    assert amazon.api("GET", "/orders/2026-01-01/orders").status == 400


def test_the_answer_tells_the_end_of_the_window(amazon):
    amazon.clock.advance(0.5)
    assert amazon.search().body["lastUpdatedBefore"] == "2026-03-01T12:00:00Z"
    told = amazon.search(createdAfter=SINCE).body
    assert (told["createdBefore"], told["orders"]) == ("2026-03-01T12:00:00Z", [])
    given = "2026-02-01T00:00:00Z"
    assert amazon.search(lastUpdatedBefore=given).body["lastUpdatedBefore"] == given


@pytest.mark.proves("F23")
def test_the_window_must_end_before_the_lag(start_amazon):
    amazon = start_amazon(lag_seconds=120)
    close = amazon.search(lastUpdatedBefore="2026-03-01T11:58:01Z")
    assert (close.status, "120 seconds" in close.text) == (400, True)
    assert amazon.search(lastUpdatedBefore="2026-03-01T11:58:00Z").status == 200
    assert amazon.search().body["lastUpdatedBefore"] == "2026-03-01T11:58:00Z"


def test_lists_lag_and_an_order_by_its_id_does_not(start_amazon):
    amazon = start_amazon(lag_seconds=120)
    placed = amazon.buy(paid=False)
    assert (ids(amazon.search()), amazon.order(placed)["orderId"]) == ([], placed)
    amazon.clock.advance(121)
    assert ids(amazon.search()) == [placed]
    amazon.control("POST", f"orders/{placed}/pay")
    assert ids(amazon.search()) == []
    assert amazon.order(placed)["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"
    amazon.clock.advance(121)
    assert ids(amazon.search()) == [placed]


def test_pages_hold_every_order_once_and_the_last_has_no_token(amazon):
    placed = [amazon.buy() for _ in range(5)]
    first = amazon.search(maxResultsPerPage=2)
    second = amazon.search(
        maxResultsPerPage=1, paginationToken=first.body["pagination"]["nextToken"]
    )
    third = amazon.search(
        includedData="FULFILLMENT", paginationToken=second.body["pagination"]["nextToken"]
    )
    assert ids(first) + ids(second) + ids(third) == placed
    assert "pagination" not in third.body
    assert third.body["orders"][0]["fulfillment"]


def test_a_page_token_binds_the_other_parameters_and_expires(amazon):
    for _ in range(3):
        amazon.buy()
    token = amazon.search(maxResultsPerPage=1).body["pagination"]["nextToken"]
    changed = amazon.search(paginationToken=token, fulfilledBy="MERCHANT")
    assert (changed.status, "other parameters" in changed.text) == (400, True)
    amazon.clock.advance(24 * 3600 + 1)
    amazon.tokens.clear()
    expired = amazon.search(paginationToken=token)
    assert (expired.status, "expired" in expired.text) == (400, True)


def test_filters_apply(amazon):
    pending, paid = amazon.buy(paid=False), amazon.buy()
    fba = amazon.buy("FBA-00001", fulfilled_by="channel", paid=False)
    assert ids(amazon.search(fulfillmentStatuses="PENDING")) == [pending, fba]
    assert ids(amazon.search(fulfillmentStatuses="UNSHIPPED,SHIPPED")) == [paid]
    assert ids(amazon.search(fulfilledBy="AMAZON")) == [fba]


@pytest.mark.parametrize(
    ("order_id", "status"), [("113-0000000-0000001", 404), ("99", 400), ("1-2-3", 400)]
)
def test_an_order_that_is_not_there(amazon, order_id, status):
    assert amazon.api("GET", f"/orders/2026-01-01/orders/{order_id}").status == status


def test_every_change_of_an_order_is_told_once(amazon):
    placed = amazon.buy(SKU, 2, paid=False)
    amazon.control("POST", f"orders/{placed}/pay")
    amazon.confirm(placed, orderItems=items(amazon, placed, 1))
    amazon.confirm(placed, packageReferenceId="2", orderItems=items(amazon, placed, 1))
    told = [each["Payload"]["OrderChangeNotification"]["Summary"] for each in amazon.told()]
    words = ["Pending", "Unshipped", "PartiallyShipped", "Shipped"]
    assert [each["OrderStatus"] for each in told] == words
    assert [each["OrderItems"][0]["QuantityShipped"] for each in told] == [0, 0, 1, 2]
    assert told[0]["DestinationPostalCode"] is None
