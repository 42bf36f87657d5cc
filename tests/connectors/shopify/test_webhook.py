"""Webhooks: what is genuine, what it is about, and what is refused."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors.shopify.parse import parse_order
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.webhook import COMPLIANCE, WEBHOOK
from oms_sync.sdk import BadPayload, Hint, HintKind

SEEN_AT = datetime(2026, 11, 2, tzinfo=UTC)
VECTOR = (b'{"id":820982911946154508}', "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=")


def _settings(present="hush", previous=None, client=None):
    return SimpleNamespace(
        webhook_secret=SecretStr(present) if present else None,
        webhook_secret_previous=SecretStr(previous) if previous else None,
        client_secret=SecretStr(client) if client else None,
    )


def _hint(topic, body):
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WEBHOOK.read_hint({"x-shopify-topic": topic}, encoded)


def test_the_published_vector_is_genuine_under_both_spellings():
    body, signature = VECTOR
    for name in ("x-shopify-hmac-sha256", "shopify-hmac-sha256"):
        assert WEBHOOK.verify(_settings(), {name: signature}, body)


@pytest.mark.proves("A06")
def test_the_previous_secret_is_accepted_until_it_is_taken_away():
    body, signature = VECTOR
    headers = {"x-shopify-hmac-sha256": signature}
    assert WEBHOOK.verify(_settings("new", "hush"), headers, body)
    assert not WEBHOOK.verify(_settings("new"), headers, body)


def test_the_apps_client_secret_signs_where_no_other_is_entered():
    body, signature = VECTOR
    headers = {"x-shopify-hmac-sha256": signature}
    assert WEBHOOK.verify(_settings(None, client="hush"), headers, body)
    assert not WEBHOOK.verify(_settings(None), headers, body)


@pytest.mark.proves("A01", "A02", "A03", "A04", "A05")
@pytest.mark.parametrize(
    "signature",
    ["", "é", "A" * 10_000, "not base64", "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0J=", "\udcff"],
)
def test_a_wrong_signature_is_refused(signature):
    assert not WEBHOOK.verify(_settings(), {"x-shopify-hmac-sha256": signature}, VECTOR[0])
    assert not WEBHOOK.verify(_settings(), {}, VECTOR[0])
    changed = VECTOR[0] + b" "
    assert not WEBHOOK.verify(_settings(), {"x-shopify-hmac-sha256": VECTOR[1]}, changed)


@pytest.mark.parametrize(
    ("topic", "body", "expected"),
    [
        ("orders/create", {"id": 7}, Hint(kind=HintKind.ORDER, object_id="7")),
        ("Orders/Updated", {"id": 7}, Hint(kind=HintKind.ORDER, object_id="7")),
        ("orders/delete", {"id": 7}, Hint(kind=HintKind.ORDER_DELETED, object_id="7")),
        (
            "orders/edited",
            {"order_edit": {"order_id": 7}},
            Hint(kind=HintKind.ORDER, object_id="7"),
        ),
        ("refunds/create", {"id": 1, "order_id": 7}, Hint(kind=HintKind.ORDER, object_id="7")),
        ("fulfillments/update", {"order_id": 7}, Hint(kind=HintKind.ORDER, object_id="7")),
        # fulfilment orders name no order: poll
        (
            "fulfillment_orders/placed_on_hold",
            {"fulfillment_order": {"id": "gid://shopify/FulfillmentOrder/1"}},
            Hint(kind=HintKind.ORDERS),
        ),
        (
            "inventory_levels/update",
            {"inventory_item_id": 5, "available": -2},
            Hint(kind=HintKind.LISTING, object_id="gid://shopify/InventoryItem/5", quantity=-2),
        ),
        (
            "inventory_levels/update",
            {"inventory_item_id": 5, "available": None},
            Hint(kind=HintKind.LISTING, object_id="gid://shopify/InventoryItem/5"),
        ),
        ("app/uninstalled", {"id": 1}, Hint(kind=HintKind.ACCOUNT)),
        ("orders/risk_assessment_changed", {"order_id": 7}, Hint(kind=HintKind.NOTHING)),
        # of returns some topics hold the order, some name it, and one says nothing
        (
            "returns/approve",
            {"id": 1, "order": {"id": 7}},
            Hint(kind=HintKind.ORDER, object_id="7"),
        ),
        ("returns/close", {"id": 1, "order_id": 7}, Hint(kind=HintKind.ORDER, object_id="7")),
        ("returns/process", {}, Hint(kind=HintKind.ORDERS)),
        (
            "reverse_fulfillment_orders/dispose",
            {"id": 1, "dispositions": []},
            Hint(kind=HintKind.ORDERS),
        ),
        ("something/new", {"id": 1}, Hint(kind=HintKind.NOTHING)),
    ],
)
def test_each_topic_says_what_to_look_at(topic, body, expected):
    assert _hint(topic, body) == expected


@pytest.mark.proves("A13", "A24", "A25")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"id": "7"}',
        b'{"id": true}',
        b'{"id": -7}',
        b'{"id": 1.5}',
        b'{"id": NaN}',
        b'{"id": 1e999}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"id": 1, "id": 2}',
        b"[" * 100_000,
        '{"id": "\uff17"}'.encode(),
    ],
)
def test_a_body_without_a_plain_id_is_bad_payload(body):
    with pytest.raises(BadPayload):
        _hint("orders/updated", body)


@pytest.mark.parametrize("quantity", [True, 1.5, "3", 10**12])
def test_a_quantity_that_is_none_is_bad_payload(quantity):
    with pytest.raises(BadPayload):
        _hint("inventory_levels/update", {"inventory_item_id": 5, "available": quantity})


@pytest.mark.parametrize("topic", sorted(COMPLIANCE))
def test_a_request_about_personal_data_is_taken_in_signed_and_changes_nothing(topic, sign):
    body = json.dumps({"shop_id": 1, "shop_domain": "shop-a.myshopify.com"}).encode()
    headers = sign("hush", body, topic)
    assert WEBHOOK.verify(_settings(), headers, body)
    assert not WEBHOOK.verify(_settings("another"), headers, body)
    assert WEBHOOK.topic(headers) == topic
    assert WEBHOOK.read_hint(headers, body) == Hint(kind=HintKind.NOTHING)


def test_a_buyer_who_asks_to_be_forgotten_is_named_as_their_orders_name_them(recordings, tables):
    payload = (recordings / "order-paid.json").read_bytes()
    buyer = parse_order(payload, SEEN_AT, tables=tables, locations=frozenset()).facts.buyer
    asked = _redact(customer={"id": 8001, "email": "ada@shop.example"})
    hint = _hint("customers/redact", asked)
    assert hint == Hint(kind=HintKind.ERASURE, object_id=buyer.channel_buyer_id)


@pytest.mark.parametrize("asked", [{}, {"customer": None}, {"customer": {"email": "a@b.example"}}])
def test_a_request_to_forget_nobody_is_bad_payload(asked):
    with pytest.raises(BadPayload):
        _hint("customers/redact", _redact(**asked))


def _redact(**fields):
    return {"shop_id": 1, "shop_domain": "a.myshopify.com", "orders_to_redact": [5001], **fields}


@pytest.mark.parametrize("missing", ["shop_domain", "orders_to_redact"])
def test_another_body_of_the_shop_under_this_topic_forgets_nobody(missing):
    # Topics are not signed: an order's body names a customer, too.
    body = _redact(customer={"id": 8001})
    del body[missing]
    with pytest.raises(BadPayload, match="no request to forget"):
        _hint("customers/redact", body)


@pytest.mark.parametrize(
    ("domain", "is_taken"),
    [("demo.myshopify.com", True), ("DEMO.myshopify.com", True), ("other.myshopify.com", False)],
)
def test_a_buyer_of_another_shop_of_the_same_app_is_not_ours_to_forget(domain, is_taken, sign):
    settings = ShopifySettings(shop="demo", access_token="t", webhook_secret="hush")
    for topic, wanted in (("customers/redact", is_taken), ("orders/create", True)):
        body = json.dumps(_redact(customer={"id": 8001}, shop_domain=domain)).encode()
        assert WEBHOOK.verify(settings, sign("hush", body, topic), body) is wanted


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}"])
def test_a_genuine_request_to_forget_that_cannot_be_read_is_for_people(body, sign):
    settings = ShopifySettings(shop="demo", access_token="t", webhook_secret="hush")
    headers = sign("hush", body, "customers/redact")
    assert WEBHOOK.verify(settings, headers, body) is True
    with pytest.raises(BadPayload):
        WEBHOOK.read_hint(headers, body)


@given(st.binary(max_size=200), st.sampled_from(["orders/create", "inventory_levels/update"]))
def test_whatever_the_bytes_are_the_only_error_is_bad_payload(body, topic):
    try:
        hint = _hint(topic, body)
    except BadPayload:
        return
    assert hint.object_id
