"""The vendor's own SDK, unmodified, against the sandbox."""

import pytest
from ebaysdk.exception import ConnectionError as ApiError
from ebaysdk.trading import Connection

SKU = "TEE RED M"


def connection(seller, **more):
    wanted = {"appid": "", "devid": "", "certid": "", "siteid": "0", "compatibility": "1423"}
    wanted |= {"domain": f"127.0.0.1:{seller.options.port}", "config_file": None}
    wanted |= {"iaf_token": seller.tokens["user"], "warnings": False}
    made = Connection(**(wanted | more))
    made.config.set("https", False, force=True)
    return made


def test_the_unmodified_sdk_reads_orders(seller):
    order_id = seller.buy((SKU, 2))
    made = connection(seller)
    # a dictionary is written in alphabetical order, which is not the schema's
    reply = made.execute("GetOrders", {"NumberOfDays": 1, "DetailLevel": "ReturnAll"})
    order = reply.reply.OrderArray.Order[0]
    assert order.OrderID == order_id
    assert order.TransactionArray.Transaction[0].QuantityPurchased == "2"
    assert order.Total._currencyID == "USD"


@pytest.mark.parametrize("prefix", ["", "/ebay"])
def test_a_path_in_front_of_the_address_is_fine(seller, prefix):
    made = connection(seller, uri=f"{prefix}/ws/api.dll")
    assert made.execute("GetUser", {}).reply.User.Status == "Confirmed"


def test_the_sdk_revises_and_completes(seller):
    order_id = seller.buy((SKU, 1))
    node = {"InventoryStatus": {"ItemID": seller.item(SKU), "Quantity": 17}}
    assert connection(seller).execute("ReviseInventoryStatus", node).reply.Ack == "Success"
    assert seller.left(SKU) == 17
    package = {"ShippingCarrierUsed": "UPS", "ShipmentTrackingNumber": "1Z1"}
    body = {"OrderID": order_id, "Shipment": {"ShipmentTrackingDetails": package}}
    assert connection(seller).execute("CompleteSale", body).reply.Ack == "Success"
    assert seller.truth()["orders"][order_id]["lines"][0]["quantity_shipped"] == 1


def test_a_refusal_becomes_the_sdks_own_error(seller):
    made = connection(seller)
    with pytest.raises(ApiError, match="never ends"):
        made.execute("ReviseInventoryStatus", {"InventoryStatus": {"Quantity": "never ends"}})
    assert made.response_codes() == [37]


def test_the_sdks_default_level_of_2013_is_refused(seller):
    with pytest.raises(ApiError, match="837"):
        connection(seller, compatibility="837").execute("GetUser", {})
