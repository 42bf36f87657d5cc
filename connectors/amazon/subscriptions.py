"""Where Amazon writes notifications: the destination and the subscription, compared and made.

A subscription that goes elsewhere, is of another version or is filtered is made anew.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from connectors.amazon.client import Client
from connectors.amazon.faults import NotFound
from connectors.amazon.settings import QueueSettings
from oms_sync import sdk

#: of what the hub wants to hear only this goes to a queue of SQS
TOPICS: Final = ("ORDER_CHANGE",)
VERSION: Final = "1.0"
PATH: Final = "/notifications/v1/subscriptions/{}"
NAME: Final = "oms-sync"
_ACCOUNT_DIGITS: Final = 12


def subscribe(client: Client, settings: QueueSettings) -> tuple[str, ...]:
    """Have every wanted topic written to the queue; answers those made anew."""
    destination_id = _destination(client, arn_of(settings))
    made = []
    for topic in TOPICS:
        known = _subscription(client, topic)
        if known is not None:
            if _is_good(known, destination_id):
                continue
            _unsubscribe(client, topic, str(known["subscriptionId"]))
        client.ask(
            "createSubscription",
            PATH,
            topic,
            priority=sdk.Priority.READ,
            method="POST",
            destinationId=destination_id,
            payloadVersion=VERSION,
        )
        made.append(topic)
    return tuple(made)


def arn_of(settings: QueueSettings) -> str:
    """The queue's name for Amazon; FixAccount where it cannot be told from the address."""
    if settings.queue_arn:
        return settings.queue_arn
    parts = urlsplit(settings.queue_url).path.strip("/").split("/")
    is_aws = len(parts) == 2 and parts[0].isdecimal()  # noqa: PLR2004 - account and name
    if not is_aws or len(parts[0]) != _ACCOUNT_DIGITS:
        raise sdk.FixAccount(
            "notifications.queue_url does not name an account and a queue: enter queue_arn, which "
            "AWS shows beside the queue"
        )
    return f"arn:aws:sqs:{settings.aws_region}:{parts[0]}:{parts[1]}"


def _destination(client: Client, arn: str) -> str:
    known = _known_destination(client, arn)
    if known is not None:
        return known
    try:
        answer = client.run("createDestination", NAME, arn, priority=sdk.Priority.READ)
    except sdk.Rejected:
        # Somebody else, or a lost answer of ours, was quicker.
        known = _known_destination(client, arn)
        if known is None:
            raise
        return known
    return str(answer.fields["payload"]["destinationId"])


def _known_destination(client: Client, arn: str) -> str | None:
    answer = client.run("getDestinations", priority=sdk.Priority.READ)
    for each in answer.fields["payload"]:
        if (each["resource"].get("sqs") or {}).get("arn") == arn:
            return str(each["destinationId"])
    return None


def _subscription(client: Client, topic: str) -> Mapping[str, Any] | None:
    try:
        answer = client.ask("getSubscription", PATH, topic, priority=sdk.Priority.READ)
    except NotFound:
        return None
    found: Mapping[str, Any] = answer.fields["payload"]
    return found


def _is_good(known: Mapping[str, Any], destination_id: str) -> bool:
    return (
        known["destinationId"] == destination_id
        and known["payloadVersion"] == VERSION
        and not known.get("processingDirective")
    )


def _unsubscribe(client: Client, topic: str, subscription_id: str) -> None:
    try:
        client.ask(
            "deleteSubscriptionById",
            f"{PATH}/{{}}",
            topic,
            subscription_id,
            priority=sdk.Priority.READ,
            method="DELETE",
        )
    except NotFound:
        return  # gone already
