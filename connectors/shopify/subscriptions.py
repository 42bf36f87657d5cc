"""What the shop tells us unasked: wanted subscriptions compared with those that are there."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from connectors.shopify.client import Client
from connectors.shopify.writes import result, words
from oms_sync.sdk import BadPayload, PermissionMissing, Priority, Rejected

_WHOLE_BODY: Final = (
    "ORDERS_EDITED ORDERS_DELETE INVENTORY_LEVELS_UPDATE APP_UNINSTALLED APP_SCOPES_UPDATE "
    "FULFILLMENT_ORDERS_PLACED_ON_HOLD FULFILLMENT_ORDERS_HOLD_RELEASED "
    "FULFILLMENT_ORDERS_MOVED FULFILLMENT_ORDERS_ORDER_ROUTING_COMPLETE "
    "FULFILLMENT_ORDERS_SPLIT FULFILLMENT_ORDERS_MERGED FULFILLMENT_ORDERS_CANCELLED "
    "FULFILLMENT_ORDERS_RESCHEDULED FULFILLMENT_ORDERS_SCHEDULED_FULFILLMENT_ORDER_READY "
    "REVERSE_FULFILLMENT_ORDERS_DISPOSE RETURNS_CLOSE"
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
    "RETURNS_APPROVE": ("id", "order"),
    **dict.fromkeys(_WHOLE_BODY.split()),
}
#: topics that need a scope an app may lack: what they tell is also read with the order
OPTIONAL: Final = frozenset(
    (
        "REVERSE_FULFILLMENT_ORDERS_DISPOSE",
        "RETURNS_APPROVE",
        "FULFILLMENTS_CREATE",
        "FULFILLMENTS_UPDATE",
    )
)
SUBSCRIPTIONS_FIRST: Final = 100
SUBSCRIPTION_PAGES_MAX: Final = 10


def ensure(client: Client, url: str) -> tuple[str, ...]:
    """Make every wanted topic go to `url`: what is there stays, an old address of ours is turned.

    A subscription to another path is somebody else's and left alone.
    Answers the topics whose news may have been missed: made anew, or turned back to us. A topic
    the shop refuses keeps no other from being made; then the refusal is raised.
    """
    present: dict[str, list[Mapping[str, Any]]] = {}
    for each in _subscriptions(client):
        if urlsplit(each["uri"]).path == urlsplit(url).path:
            present.setdefault(each["topic"], []).append(each)
    made: list[str] = []
    refused: list[Rejected] = []
    for topic, fields in TOPICS.items():
        known = present.get(topic, [])
        wanted = {"uri": url, "format": "JSON", "includeFields": list(fields or ())}
        if any(_is_as_wanted(each, wanted) for each in known):
            continue
        if known:
            chosen = next((each for each in known if each["uri"] == url), known[0])
            variables = {"id": chosen["id"], "webhookSubscription": {**wanted, "filter": ""}}
            _write(client, "Resubscribe", "webhookSubscriptionUpdate", variables)
            made.append(topic)
        else:
            made += _subscribe(client, topic, wanted, refused)
    if refused:
        raise refused[0]
    return tuple(made)


def _is_as_wanted(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """The same address, every field asked for there, and nothing filtered away."""
    fields, asked = set(present["includeFields"] or ()), set(wanted["includeFields"])
    has_all = not fields or (bool(asked) and asked <= fields)
    return present["uri"] == wanted["uri"] and has_all and not present["filter"]


def _subscribe(
    client: Client, topic: str, wanted: Mapping[str, Any], refused: list[Rejected]
) -> tuple[str, ...]:
    """The topic, made; nothing where the app lacks its scope, which the account's check says."""
    try:
        variables = {"topic": topic, "webhookSubscription": wanted}
        _write(client, "Subscribe", "webhookSubscriptionCreate", variables)
    except PermissionMissing:
        return ()
    except Rejected as error:
        refused += [] if topic in OPTIONAL else [error]
        return ()
    return (topic,)


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


def _write(client: Client, document: str, name: str, variables: Mapping[str, Any]) -> None:
    answer = client.run(document, variables, priority=Priority.READ)
    payload = result(answer.fields, name)
    if payload["userErrors"]:
        raise Rejected(f"the shop refuses the webhook subscription: {words(payload)}")
