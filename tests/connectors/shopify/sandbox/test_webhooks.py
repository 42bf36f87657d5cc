"""Deliveries: signed, retried, doubled on demand, and ended when nobody answers."""

import base64
import hashlib
import hmac
import json

import pytest

from connectors.shopify.webhook import WEBHOOK
from oms_sync.sdk import HintKind

SUBSCRIBE = """mutation($topic: WebhookSubscriptionTopic!, $uri: String!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: {uri: $uri, format: JSON}) {
  webhookSubscription { id topic uri } userErrors { field message } } }"""
LISTED = "{ webhookSubscriptions(first: 50) { nodes { id topic uri } } }"


@pytest.fixture
def ship_all(shop):
    def ship(order_id):
        work = shop.sandbox.store.order(order_id).work[0]
        group = {"fulfillmentOrderId": f"gid://shopify/FulfillmentOrder/{work.id}"}
        given = {"fulfillment": {"lineItemsByFulfillmentOrder": [group]}}
        shop.sandbox.hands["fulfillmentCreate"](given)

    return ship


def subscribe(shop, hub, *topics):
    for topic in topics:
        answer = shop.data(SUBSCRIBE, {"topic": topic, "uri": hub.url})
        assert answer["webhookSubscriptionCreate"]["userErrors"] == []


def test_a_delivery_is_signed_with_the_apps_secret_and_rest_shaped(shop, hub, wait):
    subscribe(shop, hub, "ORDERS_CREATE", "ORDERS_PAID", "INVENTORY_LEVELS_UPDATE")
    order_id = shop.buy("TEE RED M", 2)
    wait(lambda: len(hub.received) == 3)
    secret = shop.sandbox.account_entry()["settings"]["webhook_secret"].encode()
    for headers, body in hub.received:
        signature = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
        assert headers["x-shopify-hmac-sha256"] == signature
        assert headers["x-shopify-shop-domain"] == "shop-sandbox.myshopify.com"
        assert headers["x-shopify-api-version"] == "2026-10"
        assert headers["x-shopify-triggered-at"].endswith("Z")
    by_topic = {h["x-shopify-topic"]: (h, json.loads(b)) for h, b in hub.received}
    headers, order = by_topic["orders/create"]
    assert (order["admin_graphql_api_id"], order["financial_status"]) == (order_id, "paid")
    assert order["line_items"][0]["quantity"] == 2
    assert (
        by_topic["inventory_levels/update"][1]["available"] == shop.item("TEE RED M")["available"]
    )
    event_ids = {headers["x-shopify-event-id"] for headers, _ in hub.received}
    webhook_ids = {headers["x-shopify-webhook-id"] for headers, _ in hub.received}
    assert (len(event_ids), len(webhook_ids)) == (1, 3)


def test_a_deleted_order_and_goods_come_back_are_told_of(shop, hub, wait, ship_all):
    subscribe(shop, hub, "ORDERS_DELETE", "REVERSE_FULFILLMENT_ORDERS_DISPOSE")
    kept, deleted = (shop.buy("TEE RED M", 1).rpartition("/")[2] for _ in range(2))
    ship_all(kept)
    shop.sandbox.merchant.take_back(kept, "TEE RED M", 1, {"RESTOCKED": 1})
    shop.sandbox.merchant.delete(deleted)
    wait(lambda: len(hub.received) == 2)
    bodies = {headers["x-shopify-topic"]: json.loads(body) for headers, body in hub.received}
    assert bodies["orders/delete"] == {"id": int(deleted)}
    (done,) = bodies["reverse_fulfillment_orders/dispose"]["dispositions"]
    assert (done["type"], done["quantity"]) == ("restocked", 1)


def test_a_closed_return_names_its_order_whose_own_time_did_not_move(shop, hub, wait, ship_all):
    subscribe(shop, hub, "RETURNS_CLOSE")
    sold = shop.buy("TEE RED M", 1).rpartition("/")[2]
    ship_all(sold)
    changed_at = shop.sandbox.store.order(sold).updated_at
    shop.sandbox.merchant.take_back(sold, "TEE RED M", 1, {"RESTOCKED": 1})
    shop.sandbox.merchant.close_return(sold)
    wait(lambda: hub.received)
    ((headers, body),) = hub.received
    hint = WEBHOOK.read_hint(headers, body)
    assert (hint.kind, hint.object_id) == (HintKind.ORDER, sold)
    assert shop.sandbox.store.order(sold).updated_at == changed_at


def test_every_topic_a_hub_wants_is_sent(shop, hub, wait):
    topics = "CREATE UPDATED CANCELLED EDITED PAID".split()
    subscribe(shop, hub, *[f"ORDERS_{topic}" for topic in topics], "REFUNDS_CREATE")
    order = shop.buy("TEE RED M", 3, paid=False).rpartition("/")[2]
    for act, body in (
        ("pay", {}),
        ("edit", {"lines": [{"channel_sku": "TEE RED M", "quantity": 2}]}),
        ("refund", {"lines": [{"channel_sku": "TEE RED M", "quantity": 1}]}),
        ("cancel", {}),
    ):
        assert shop.control("POST", f"orders/{order}/{act}", body)[0] == 200
    named = {"create", "updated", "cancelled", "edited", "paid"}
    wait(lambda: {f"orders/{t}" for t in named} | {"refunds/create"} == set(hub.topics()))
    edited = next(b for h, b in hub.received if h["x-shopify-topic"] == "orders/edited")
    assert json.loads(edited)["order_edit"]["line_items"]["removals"][0]["delta"] == 1


def test_a_failed_delivery_is_tried_again_with_the_same_id_and_body(shop, hub, wait):
    subscribe(shop, hub, "ORDERS_CREATE")
    hub.answers[:] = [500, 503]
    shop.buy("TEE RED M")
    wait(lambda: len(hub.received) == 3)
    assert len({body for _, body in hub.received}) == 1
    assert len({headers["x-shopify-webhook-id"] for headers, _ in hub.received}) == 1


def test_after_eight_failed_retries_the_subscription_is_gone(start_shop, hub, wait):
    shop = start_shop(retry_gap_seconds=0.001)
    subscribe(shop, hub, "ORDERS_CREATE")
    hub.answers[:] = [500] * 9
    shop.buy("TEE RED M")
    wait(lambda: shop.data(LISTED)["webhookSubscriptions"]["nodes"] == [])
    assert len(hub.received) == 9


def test_subscriptions_are_listed_changed_deleted_and_never_doubled(shop, hub, wait):
    subscribe(shop, hub, "ORDERS_CREATE")
    answer = shop.data(SUBSCRIBE, {"topic": "ORDERS_CREATE", "uri": hub.url})
    message = "Address for this topic has already been taken"
    assert answer["webhookSubscriptionCreate"]["userErrors"][0]["message"] == message
    made = shop.data(LISTED)["webhookSubscriptions"]["nodes"][0]["id"]
    change = """mutation($id: ID!, $uri: String!) { webhookSubscriptionUpdate(id: $id,
        webhookSubscription: {uri: $uri}) {
        webhookSubscription { uri } userErrors { message } } }"""
    moved = shop.data(change, {"id": made, "uri": hub.url + "/new"})["webhookSubscriptionUpdate"]
    assert moved["webhookSubscription"]["uri"] == hub.url + "/new"
    delete = """mutation($id: ID!) { webhookSubscriptionDelete(id: $id) {
        deletedWebhookSubscriptionId userErrors { message } } }"""
    gone = shop.data(delete, {"id": made})["webhookSubscriptionDelete"]
    assert gone["deletedWebhookSubscriptionId"] == made
    again = shop.data(delete, {"id": made})["webhookSubscriptionDelete"]["userErrors"]
    assert again == [{"message": "Webhook subscription does not exist"}]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "Address can't be blank"),
        ("http://shop.example.com/hook", "Address protocol http:// is not supported"),
        ("kafka:topic", "Address is invalid"),
    ],
)
def test_bad_addresses_are_refused(shop, uri, message):
    answer = shop.data(SUBSCRIBE, {"topic": "ORDERS_CREATE", "uri": uri})
    error = answer["webhookSubscriptionCreate"]["userErrors"][0]
    assert error == {"field": ["webhookSubscription", "callbackUrl"], "message": message}


def test_a_known_hub_is_subscribed_from_the_start_and_not_listed(start_shop, hub, wait):
    shop = start_shop(account="shop-a", public_hub=hub.url.removesuffix("/webhooks/shop-a"))
    assert shop.data(LISTED)["webhookSubscriptions"]["nodes"] == []
    shop.buy("TEE RED M")
    wait(lambda: "orders/create" in hub.topics())
    assert set(hub.topics()) <= {"orders/create", "orders/paid", "inventory_levels/update"}


def test_an_api_subscription_replaces_the_configured_one(start_shop, hub, wait):
    shop = start_shop(account="shop-a", public_hub=hub.url.removesuffix("/webhooks/shop-a"))
    subscribe(shop, hub, "ORDERS_CREATE")
    shop.buy("TEE RED M")
    wait(lambda: len(hub.received) == 3)
    assert sorted(hub.topics()) == ["inventory_levels/update", "orders/create", "orders/paid"]
