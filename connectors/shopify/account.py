"""The account itself: who we are at the shop, what we may do, and what it tells us unasked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import shopify

from connectors.shopify.client import Client
from oms_sync.sdk import AccountCheck, BadPayload, FixAccount, Priority, Rejected

SCOPES: Final = (
    "read_orders",
    "read_products",
    "read_locations",
    "write_inventory",
    "write_merchant_managed_fulfillment_orders",
)
_WHOLE_BODY: Final = (
    "ORDERS_EDITED ORDERS_DELETE INVENTORY_LEVELS_UPDATE APP_UNINSTALLED "
    "FULFILLMENT_ORDERS_PLACED_ON_HOLD FULFILLMENT_ORDERS_HOLD_RELEASED "
    "FULFILLMENT_ORDERS_MOVED FULFILLMENT_ORDERS_ORDER_ROUTING_COMPLETE"
)
#: topic → the fields of the body we ask for; None takes it whole, for it names no person
TOPICS: Final[Mapping[str, tuple[str, ...] | None]] = {
    **dict.fromkeys(
        "ORDERS_CREATE ORDERS_UPDATED ORDERS_CANCELLED".split(),
        ("id", "admin_graphql_api_id", "updated_at"),
    ),
    **dict.fromkeys(
        "REFUNDS_CREATE FULFILLMENTS_CREATE FULFILLMENTS_UPDATE".split(),
        ("id", "order_id", "created_at", "updated_at"),
    ),
    **dict.fromkeys(_WHOLE_BODY.split()),
}
SUBSCRIPTIONS_FIRST: Final = 100
SUBSCRIPTION_PAGES_MAX: Final = 10


def check(
    client: Client, shop: str, unmapped: Sequence[str], token_expires_at: datetime | None
) -> AccountCheck:
    """Ask the shop who we are; raises FixAccount when it is another shop than configured."""
    answer = client.run("Account", {}, priority=Priority.READ)
    found = answer.fields["shop"]
    if found["myshopifyDomain"] != shop:
        raise FixAccount(
            f"the token opens {found['myshopifyDomain']}, not {shop}: enter the right one"
        )
    scopes = answer.fields["currentAppInstallation"]["accessScopes"]
    granted = shopify.ApiAccess([each["handle"] for each in scopes])
    missing = [each for each in SCOPES if not granted.covers(shopify.ApiAccess(each))]
    warnings = []
    if not granted.covers(shopify.ApiAccess("read_all_orders")):
        warnings.append("without read_all_orders the shop shows the orders of 60 days only")
    if unmapped:
        warnings.append(f"settings.location_ids does not name: {', '.join(unmapped)}")
    return AccountCheck(
        channel_account=found["name"],
        channel_time=answer.at,
        missing_permissions=tuple(missing),
        warnings=tuple(warnings),
        token_expires_at=token_expires_at,
        detail={"shop": found["myshopifyDomain"], "currency": found["currencyCode"]},
    )


def ensure_subscriptions(client: Client, url: str) -> tuple[str, ...]:
    """Make every wanted topic go to `url`: what is there stays, what points elsewhere is turned."""
    present: dict[str, list[Mapping[str, Any]]] = {}
    for each in _subscriptions(client):
        present.setdefault(each["topic"], []).append(each)
    made = []
    for topic, fields in TOPICS.items():
        known = present.get(topic, [])
        if any(each["uri"] == url for each in known):
            continue
        wanted: dict[str, Any] = {"uri": url, "format": "JSON"}
        if fields is not None:
            wanted["includeFields"] = list(fields)
        if known:
            variables = {"id": known[0]["id"], "webhookSubscription": wanted}
            _write(client, "Resubscribe", variables)
        else:
            _write(client, "Subscribe", {"topic": topic, "webhookSubscription": wanted})
            made.append(topic)
    return tuple(made)


def _subscriptions(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    for _ in range(SUBSCRIPTION_PAGES_MAX):
        answer = client.run_sized(
            "Subscriptions", {"after": after}, SUBSCRIPTIONS_FIRST, priority=Priority.READ
        )
        connection = answer.fields["webhookSubscriptions"]
        found += connection["nodes"]
        if not connection["pageInfo"]["hasNextPage"]:
            return found
        after = connection["pageInfo"]["endCursor"]
    raise BadPayload("the shop lists more subscriptions than an app can have")


def _write(client: Client, name: str, variables: Mapping[str, Any]) -> None:
    answer = client.run(name, variables, priority=Priority.READ)
    payload = next(iter(answer.fields.values())) or {}
    errors = payload.get("userErrors")
    if errors:
        message = "; ".join(str(error.get("message")) for error in errors)[:300]
        raise Rejected(f"the shop refuses the webhook subscription: {message}")
