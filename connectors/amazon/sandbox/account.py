"""Sellers and Notifications: who the seller is, and where changes of orders are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from connectors.amazon.sandbox.answers import (
    BODY_EXTRAS,
    Refused,
    answer,
    fields,
    invalid,
    not_found,
)
from connectors.amazon.sandbox.marketplace import MARKETPLACES, marketplace
from connectors.amazon.sandbox.routes import Request
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

ORDER_CHANGE: Final = "ORDER_CHANGE"
TYPES: Final = (ORDER_CHANGE, "FEED_PROCESSING_FINISHED", "REPORT_PROCESSING_FINISHED")
VERSION: Final = "1.0"
DESTINATIONS_MAX: Final = 10
NAME_MAX: Final = 256
_EXTRAS: Final[dict[str, type]] = dict.fromkeys(BODY_EXTRAS, object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Who hears of one type of notification, and where."""

    id: str
    destination_id: str
    version: str = VERSION
    #: what is filtered away, empty for nothing
    directive: Mapping[str, Any] = field(default_factory=dict)


class Account:
    """Resolvers; the queue of the account entry is subscribed to ORDER_CHANGE from the start."""

    def __init__(self, store: Store, queue_arn: str) -> None:
        self._store, self._arn = store, queue_arn
        first = minted_id(store, "subscription")
        #: marketplaces the seller sells in no more
        self.left: set[str] = set()
        #: (name, ARN) by destination id
        self.destinations: dict[str, tuple[str, str]] = {}
        destination = self._destination("oms-sync", queue_arn)
        self.subscriptions = {ORDER_CHANGE: Subscription(id=first, destination_id=destination)}

    def _destination(self, name: str, arn: str) -> str:
        made = minted_id(self._store, "destination")
        self.destinations[made] = (name, arn)
        return made

    def told(self, kind: str) -> Subscription | None:
        """The subscription that writes `kind` to our queue, None where nothing does."""
        found = self.subscriptions.get(kind)
        if found is None:
            return None
        _, arn = self.destinations.get(found.destination_id, ("", ""))
        return found if arn == self._arn else None

    def participations(self, request: Request) -> Reply:
        request.params()
        name = self._store.options.account
        shown = [
            {
                "marketplace": marketplace(each),
                "storeName": name,
                "participation": {
                    "isParticipating": each not in self.left,
                    "hasSuspendedListings": False,
                },
            }
            for each in MARKETPLACES
        ]
        return answer(200, {"payload": shown})

    def subscription(self, request: Request) -> Reply:
        request.params(("payloadVersion",))
        _check_type(request.path[0])
        found = self.subscriptions.get(request.path[0])
        if found is None:
            raise not_found("There is no subscription of this notification type.")
        return answer(200, {"payload": _shown(found)})

    def subscribe(self, request: Request) -> Reply:
        request.params()
        kind = _check_type(request.path[0])
        required: dict[str, type] = {"destinationId": str, "payloadVersion": str}
        body = request.fields(required, {"processingDirective": dict, **_EXTRAS})
        if body["destinationId"] not in self.destinations or body["payloadVersion"] != VERSION:
            raise invalid("The destination or the payload version does not exist.")
        if kind in self.subscriptions:
            message = "A subscription of this notification type exists already."
            raise Refused(409, "Conflict", message)
        made = Subscription(
            id=minted_id(self._store, "subscription"),
            destination_id=body["destinationId"],
            directive=body.get("processingDirective") or {},
        )
        self.subscriptions[kind] = made
        return answer(200, {"payload": _shown(made)})

    def unsubscribe(self, request: Request) -> Reply:
        request.params()
        kind, subscription_id = _check_type(request.path[0]), request.path[1]
        found = self.subscriptions.get(kind)
        if found is None or found.id != subscription_id:
            raise not_found("There is no such subscription.")
        del self.subscriptions[kind]
        return answer(200, {})

    def list_destinations(self, request: Request) -> Reply:
        request.params()
        return answer(200, {"payload": [self._view(each) for each in self.destinations]})

    def create_destination(self, request: Request) -> Reply:
        request.params()
        body = request.fields({"name": str, "resourceSpecification": dict}, _EXTRAS)
        given = fields(body["resourceSpecification"], {"sqs": dict}, {}, at="resourceSpecification")
        arn = fields(given["sqs"], {"arn": str}, {}, at="sqs")["arn"]
        if not arn.startswith("arn:aws:sqs:") or not 0 < len(body["name"]) <= NAME_MAX:
            raise invalid("Invalid name or arn")
        if any(known == arn for _, known in self.destinations.values()):
            raise Refused(409, "Conflict", "A destination of this queue exists already.")
        if len(self.destinations) >= DESTINATIONS_MAX:
            raise invalid("Too many destinations.")
        made = self._destination(body["name"], arn)
        return answer(200, {"payload": self._view(made)})

    def _view(self, destination_id: str) -> dict[str, Any]:
        name, arn = self.destinations[destination_id]
        resource = {"sqs": {"arn": arn}}
        return {"name": name, "destinationId": destination_id, "resource": resource}


def _check_type(kind: str) -> str:
    if kind not in TYPES:
        raise invalid(f"Invalid notification type: {kind}")
    return kind


def _shown(found: Subscription) -> dict[str, Any]:
    directive = {"processingDirective": found.directive} if found.directive else {}
    return {
        "subscriptionId": found.id,
        "payloadVersion": found.version,
        "destinationId": found.destination_id,
        **directive,
    }


def minted_id(store: Store, kind: str) -> str:
    digits = store.secret(f"{kind}/{store.next_id()}")
    return "-".join(digits[a:b] for a, b in pairwise((0, 8, 12, 16, 20, 32)))
