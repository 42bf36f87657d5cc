"""The pairs of what is asked by path: notifications, the older reads of orders, the books."""

import json
from decimal import Decimal

import httpx
import pytest

from connectors.amazon.orders_v0 import newer
from oms_sync.sdk import ChannelError, Priority

NOTIFICATIONS, ORDERS = "notifications-api-model/notifications", "orders-api-model/ordersV0"
FINANCES = "finances-api-model/financesV0"
#: our operation → model, its name there, and its path
USED = {
    "getSubscription": (NOTIFICATIONS, "getSubscription", "/notifications/v1/subscriptions/x"),
    "createSubscription": (
        NOTIFICATIONS,
        "createSubscription",
        "/notifications/v1/subscriptions/x",
    ),
    "getOrderV0": (ORDERS, "getOrder", "/orders/v0/orders/x"),
    "getOrderItems": (ORDERS, "getOrderItems", "/orders/v0/orders/x/orderItems"),
    "listFinancialEventsByOrderId": (
        FINANCES,
        "listFinancialEventsByOrderId",
        "/finances/v0/orders/x/financialEvents",
    ),
}


@pytest.mark.off_contract("a pair's own ids and bodies are not what is asked about here")
@pytest.mark.parametrize("operation", USED)
def test_every_pair_does_what_its_status_says(operation, pairs, amazon, open_client, example):
    model, name, path = USED[operation]
    found = pairs(model, name)
    assert found
    for number, (status, response) in enumerate(found, start=1):
        example("amazon pair", f"{operation} {number}")
        amazon.on(operation, httpx.Response(status, json=response))
        words = {"method": "POST"} if operation.startswith("create") else {}
        if status < 300:
            answer = open_client().ask(operation, path, priority=Priority.READ, **words)
            exact = json.loads(json.dumps(response), parse_float=Decimal)
            assert answer.fields == exact, "numbers are never floats"
        else:
            with pytest.raises(ChannelError):
                open_client().ask(operation, path, priority=Priority.READ, **words)


def test_orders_of_the_older_api_become_newer_ones(pairs):
    found = [body["payload"] for status, body in pairs(ORDERS, "getOrder") if status == 200]
    (lines,) = (
        body["payload"]["OrderItems"]
        for status, body in pairs(ORDERS, "getOrderItems")
        if status == 200
    )
    assert found
    for order in found:
        made = newer(order, lines)
        assert made["orderId"] == order["AmazonOrderId"]
        assert made["fulfillment"]["fulfilledBy"] in ("MERCHANT", "AMAZON")
        assert [one["quantityOrdered"] for one in made["orderItems"]] == [
            one["QuantityOrdered"] for one in lines
        ]
