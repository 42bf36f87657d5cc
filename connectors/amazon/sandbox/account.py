"""Sellers and Notifications: who the seller is, and where changes of orders are told."""

from itertools import pairwise
from typing import Any, Final

from connectors.amazon.sandbox.answers import answer, invalid, not_found
from connectors.amazon.sandbox.marketplace import marketplace
from connectors.amazon.sandbox.routes import Request
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

ORDER_CHANGE: Final = "ORDER_CHANGE"
TYPES: Final = (ORDER_CHANGE, "FEED_PROCESSING_FINISHED", "REPORT_PROCESSING_FINISHED")


class Account:
    """Resolvers; the queue of the account entry is subscribed to ORDER_CHANGE from the start."""

    def __init__(self, store: Store, queue_arn: str) -> None:
        self._store = store
        self.subscription_id = minted_id(store, "subscription")
        self._destination: dict[str, Any] = {
            "name": "oms-sync",
            "destinationId": minted_id(store, "destination"),
            "resource": {"sqs": {"arn": queue_arn}},
        }

    def participations(self, request: Request) -> Reply:
        request.params()
        taking_part = {"isParticipating": True, "hasSuspendedListings": False}
        shown = {"marketplace": marketplace(), "storeName": self._store.options.account}
        return answer(200, {"payload": [shown | {"participation": taking_part}]})

    def subscription(self, request: Request) -> Reply:
        request.params(("payloadVersion",))
        if request.path[0] not in TYPES:
            raise invalid(f"Invalid notification type: {request.path[0]}")
        if request.path[0] != ORDER_CHANGE:
            raise not_found("There is no subscription of this notification type.")
        known = {"subscriptionId": self.subscription_id, "payloadVersion": "1.0"}
        known |= {"destinationId": self._destination["destinationId"]}
        return answer(200, {"payload": known})

    def destinations(self, request: Request) -> Reply:
        request.params()
        return answer(200, {"payload": [self._destination]})


def minted_id(store: Store, kind: str) -> str:
    digits = store.secret(f"{kind}/{store.next_id()}")
    return "-".join(digits[a:b] for a, b in pairwise((0, 8, 12, 16, 20, 32)))
