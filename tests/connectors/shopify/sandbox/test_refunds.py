"""Refunds of the sandbox keep the vendor's rules: payments, currencies, shipping, keys."""

from decimal import Decimal

import pytest

REFUND = """mutation($input: RefundInput!, $key: String!) {
  refundCreate(input: $input) @idempotent(key: $key) {
    refund { id totalRefundedSet { shopMoney { amount } presentmentMoney { amount currencyCode } }
      transactions(first: 5) { nodes { kind status parentTransaction { id } } } }
    userErrors { field message } } }"""
PAID = """query($id: ID!) { order(id: $id) { transactions(first: 5) { id kind status
  amountSet { shopMoney { amount } presentmentMoney { amount } } } } }"""


@pytest.fixture
def refund(shop):
    def send(order_id, amount, *, key="k", **more):
        (payment, *_) = shop.data(PAID, {"id": order_id})["order"]["transactions"]
        part = {"orderId": order_id, "parentId": payment["id"], "gateway": "shopify_payments"}
        entry = part | {"kind": more.pop("kind", "REFUND"), "amount": amount}
        entry["parentId"] = more.pop("parent", entry["parentId"])
        given = {"orderId": order_id, "transactions": [entry], **more}
        return shop.data(REFUND, {"input": given, "key": key})["refundCreate"]

    return send


def test_a_paid_order_shows_its_payment_and_what_went_back(shop, refund):
    order_id = shop.buy("TEE RED M", 2)
    made = refund(order_id, "1.00")["refund"]
    (back,) = made["transactions"]["nodes"]
    assert (back["kind"], back["status"]) == ("REFUND", "SUCCESS")
    kinds = [each["kind"] for each in shop.data(PAID, {"id": order_id})["order"]["transactions"]]
    assert kinds == ["SALE", "REFUND"]
    assert made["totalRefundedSet"]["shopMoney"]["amount"] == "1.0"


def test_an_unpaid_order_has_no_payment(shop):
    order_id = shop.buy("TEE RED M", paid=False)
    assert shop.data(PAID, {"id": order_id})["order"]["transactions"] == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"amount": "9999"}, "greater than net payment"),
        ({"amount": "1", "kind": "SALE"}, "must refund a payment"),
        ({"amount": "1", "parent": "gid://shopify/OrderTransaction/1"}, "must refund a payment"),
        ({"amount": "1", "shipping": {"amount": "1"}}, "paid for shipping"),
    ],
)
def test_money_that_is_not_there_does_not_go_back(more, message, shop, refund):
    order_id = shop.buy("TEE RED M")
    answer = refund(order_id, more.pop("amount"), **more)
    assert message in answer["userErrors"][0]["message"]
    assert shop.sandbox.store.order(order_id).refunds == []


def test_the_same_key_gives_the_first_refund_again(shop, refund):
    order_id = shop.buy("TEE RED M", 3)
    first = refund(order_id, "1.00", key="one")
    assert refund(order_id, "1.00", key="one") == first
    refund(order_id, "1.00", key="two")
    assert len(shop.sandbox.store.order(order_id).refunds) == 2


def test_an_order_paid_in_another_currency_is_refunded_in_that_and_says_so(shop, refund):
    shop.sandbox.merchant.shown_currency, shop.sandbox.merchant.rate = "EUR", Decimal("0.5")
    order_id = shop.buy("TEE RED M")
    assert "presentment" in refund(order_id, "1.00", key="a")["userErrors"][0]["message"]
    made = refund(order_id, "1.00", key="b", currency="EUR")["refund"]["totalRefundedSet"]
    assert made["presentmentMoney"] == {"amount": "1.0", "currencyCode": "EUR"}
    assert made["shopMoney"]["amount"] == "2.0"
