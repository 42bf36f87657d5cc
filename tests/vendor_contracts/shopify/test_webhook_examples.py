"""Every webhook body the vendor or its shops showed is a hint, or says that it is none."""

import gzip
import json

import pytest

from connectors.shopify.webhook import WEBHOOK
from oms_sync.sdk import HintKind

#: resources whose bodies are about something we follow → what they may be
FOLLOWED = {
    "orders": {HintKind.ORDER, HintKind.ORDER_DELETED, HintKind.NOTHING},
    "refunds": {HintKind.ORDER},
    "fulfillments": {HintKind.ORDER},
    "inventory_levels": {HintKind.LISTING, HintKind.NOTHING},
}


def _bodies(root):
    for path in sorted((root / "webhooks" / "metadatas").rglob("*.json")):
        body = json.loads(path.read_text("utf-8")).get("response")
        yield path, f"{path.parent.name}/{path.stem}", body
    for path in sorted((root / "webhook-exemplars").rglob("*.json*")):
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        body = json.loads(text)
        yield path, _topic(path.parent.name, body), body


def _topic(resource, body):
    """An exemplar's topic is not recorded, only its resource: its fields tell."""
    for field, topic in (
        ("order_edit", "orders/edited"),
        ("risk_level", "orders/risk_assessment_changed"),
    ):
        if field in body:
            return topic
    return f"{resource}/{'create' if resource == 'refunds' else 'update'}".replace(
        "orders/update", "orders/updated"
    )


def test_every_example_is_a_hint_of_its_kind_and_names_its_object(specs, example, fingerprint):
    seen = {}
    for path, topic, body in _bodies(specs / "shopify"):
        if not isinstance(body, dict):
            continue
        hint = WEBHOOK.read_hint({"x-shopify-topic": topic}, json.dumps(body).encode())
        example("shopify webhook", str(path))
        fingerprint(f"shopify {path.relative_to(specs)}", (topic, hint.kind, hint.object_id))
        resource = topic.partition("/")[0]
        seen.setdefault(resource, []).append(hint.kind)
        assert hint.kind in FOLLOWED.get(resource, set(HintKind)), topic
        if hint.kind not in (HintKind.NOTHING, HintKind.ORDERS, HintKind.ACCOUNT):
            assert hint.object_id, topic
        if hint.kind is HintKind.ORDER and resource == "orders" and "id" in body:
            # the numbers of documented bodies were rounded on their way: only one of both is right
            assert hint.object_id in (str(body["id"]), body.get("admin_graphql_api_id")), topic
    assert sum(map(len, seen.values())) > 50
    assert seen.keys() >= FOLLOWED.keys()


@pytest.mark.parametrize("topic", ["orders/create", "refunds/create", "inventory_levels/update"])
def test_the_documented_body_of_a_topic_we_subscribe_to_is_acted_on(topic, specs):
    path = specs / "shopify/webhooks/metadatas/2026-07" / f"{topic}.json"
    body = json.loads(path.read_text("utf-8"))["response"]
    hint = WEBHOOK.read_hint({"x-shopify-topic": topic}, json.dumps(body).encode())
    assert hint.kind is not HintKind.NOTHING
