"""CompleteSale: targets, tracking sets that replace each other, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest

SKU, OTHER = "TEE RED M", "00042"
ORDER = "OrderArray/Order"
LINE = f"{ORDER}/TransactionArray/Transaction"


def packages(*numbers, carrier="UPS"):
    details = "".join(
        f"<ShipmentTrackingDetails><ShippingCarrierUsed>{carrier}</ShippingCarrierUsed>"
        f"<ShipmentTrackingNumber>{number}</ShipmentTrackingNumber></ShipmentTrackingDetails>"
        for number in numbers
    )
    return f"<Shipment>{details}</Shipment>"


def complete(seller, target, body, **headers):
    name = "OrderLineItemID" if target.count("-") == 1 else "OrderID"
    return seller.trading("CompleteSale", f"{body}<{name}>{target}</{name}>", **headers)


def lines_of(seller, order_id):
    return seller.by_id(order_id).texts(f"{LINE}/OrderLineItemID")


def shipped(seller, order_id):
    order = seller.truth()["orders"][order_id]
    return [
        (each["lines"][0]["channel_sku"], [one["tracking_number"] for one in each["packages"]])
        for each in order["shipments"]
    ]


def test_tracking_marks_a_line_and_the_order_waits_for_the_others(seller):
    order_id = seller.buy((SKU, 2), (OTHER, 1))
    first, second = lines_of(seller, order_id)
    assert complete(seller, first, packages("1ZA")).ack == "Success"
    shown = seller.by_id(order_id)
    assert len(shown.texts(f"{LINE}/ShippedTime")) == 1
    assert shown.text(f"{ORDER}/ShippedTime") is None
    path = f"{LINE}/ShippingDetails/ShipmentTrackingDetails/ShipmentTrackingNumber"
    assert shown.texts(path) == ["1ZA"]
    assert complete(seller, second, packages("1ZB")).ack == "Success"
    assert seller.by_id(order_id).text(f"{ORDER}/ShippedTime") is not None
    truth = seller.truth()["orders"][order_id]
    assert truth["state"] == "closed"
    assert [line["quantity_shipped"] for line in truth["lines"]] == [2, 1]
    assert shipped(seller, order_id) == [(SKU, ["1ZA"]), (OTHER, ["1ZB"])]


def test_a_new_set_of_packages_replaces_the_old_one(seller):
    order_id = seller.buy((SKU, 2))
    (line,) = lines_of(seller, order_id)
    complete(seller, line, packages("1ZA"))
    complete(seller, line, packages("1ZA", "1ZB"))
    assert shipped(seller, order_id) == [(SKU, ["1ZA"]), (SKU, ["1ZB"])]  # told one after another
    complete(seller, line, packages("1ZC", "1ZD"))
    assert shipped(seller, order_id) == [(SKU, ["1ZC", "1ZD"])]
    assert complete(seller, line, "<Shipment/>").ack == "Success"
    assert shipped(seller, order_id) == []
    assert seller.by_id(order_id).text(f"{LINE}/ShippedTime") is not None
    assert complete(seller, line, "<Shipped>false</Shipped>").ack == "Success"
    assert seller.by_id(order_id).text(f"{LINE}/ShippedTime") is None
    assert seller.act(order_id, "cancel")[0] == 200


def test_a_whole_order_and_a_line_by_its_old_names(seller):
    unpaid = seller.buy((SKU, 1), (OTHER, 1), paid=False)
    seller.act(unpaid, "pay")
    assert complete(seller, f"{unpaid}", packages("1ZA")).ack == "Success"
    (paid,) = seller.by_id(unpaid).texts(f"{ORDER}/OrderID")
    assert shipped(seller, paid) == [(SKU, ["1ZA"]), (OTHER, ["1ZA"])]
    item, _, transaction = lines_of(seller, paid)[0].partition("-")
    target = f"<ItemID>{item}</ItemID><TransactionID>{transaction}</TransactionID>"
    body = target + packages("1ZB")
    assert seller.trading("CompleteSale", body).ack == "Success"
    assert shipped(seller, paid) == [(OTHER, ["1ZA"]), (SKU, ["1ZB"])]


def test_an_order_can_be_marked_as_paid(seller):
    unpaid = seller.buy((SKU, 1), paid=False)
    complete(seller, unpaid, "<Paid>true</Paid>")
    assert seller.by_id(unpaid).text(f"{ORDER}/OrderStatus") == "Completed"
    assert complete(seller, unpaid, "<Paid>false</Paid>").codes == [37]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (packages("1Z 23"), 37),  # letters and digits only
        (packages(""), 37),
        (packages("1ZA", carrier=""), 37),
        (packages("1ZA", carrier="Größe"), 37),
        ("<Shipment><ShippedTime>2999-01-01T00:00:00.000Z</ShippedTime></Shipment>", 37),
    ],
)
def test_bad_shipments_are_refused_and_change_nothing(seller, body, code):
    order_id = seller.buy((SKU, 1))
    assert complete(seller, order_id, body).codes == [code]
    assert seller.truth()["orders"][order_id]["lines"][0]["quantity_shipped"] == 0


def test_some_sites_take_any_carrier(seller):
    order_id = seller.buy((SKU, 1))
    body = packages("1ZA", carrier="Brief &amp; Co.")
    assert complete(seller, order_id, body).codes == [37]
    assert complete(seller, order_id, body, **{"X-EBAY-API-SITEID": "3"}).ack == "Success"


def test_a_number_belongs_to_the_order_that_used_it_first(seller):
    one, two = seller.buy((SKU, 1)), seller.buy((SKU, 1))
    complete(seller, one, packages("1ZA"))
    assert complete(seller, two, packages("1ZA")).codes == [21916964]
    assert complete(seller, one, packages("1ZA")).ack == "Success"


def test_unknown_targets_and_cancelled_orders_are_refused(seller):
    assert complete(seller, "12-00000-00000", "<Shipped>true</Shipped>").codes == [21917327]
    assert complete(seller, "110-220", "<Shipped>true</Shipped>").codes == [21917327]
    assert seller.trading("CompleteSale", "<Shipped>true</Shipped>").codes == [37]
    order_id = seller.buy((SKU, 1))
    seller.act(order_id, "cancel")
    assert complete(seller, order_id, "<Shipped>true</Shipped>").codes == [21917328]


def test_a_shipped_order_cannot_be_cancelled_by_hand(seller):
    order_id = seller.buy((SKU, 1))
    complete(seller, order_id, packages("1ZA"))
    assert seller.act(order_id, "cancel") == (409, {"reason": "already_shipped"})


def test_rest_shows_an_order_that_is_paid(seller):
    unpaid = seller.buy((SKU, 2), paid=False)
    path = f"/sell/fulfillment/v1/order/{unpaid}"
    assert seller.rest("GET", path)[2]["errors"][0]["errorId"] == 32100
    seller.act(unpaid, "pay")
    status, _, order = seller.rest("GET", path)
    (paid,) = seller.truth()["orders"]
    assert (status, order["orderId"], order["orderPaymentStatus"]) == (200, paid, "PAID")
    assert order["lineItems"][0]["quantity"] == 2
    assert order["lineItems"][0]["lineItemId"] not in lines_of(seller, paid)
    seller.act(paid, "cancel")
    assert seller.rest("GET", path)[2]["cancelStatus"]["cancelState"] == "CANCELED"


def test_a_shipped_time_may_lie_up_to_three_days_ahead(start_seller):
    now = datetime(2026, 11, 1, tzinfo=UTC)
    seller = start_seller(now=lambda: now)
    order_id = seller.buy((SKU, 1))
    for days, code in ((4, [37]), (3, [])):
        at = (now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        body = f"<Shipped>true</Shipped><Shipment><ShippedTime>{at}</ShippedTime></Shipment>"
        assert complete(seller, order_id, body).codes == code
