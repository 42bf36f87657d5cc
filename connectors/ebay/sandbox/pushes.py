"""Signed pushes to subscribers: compact JSON, and the faults F11 to F14.

ORDER_CONFIRMATION comes once per line, when the order is paid; it may come again. A buyer who
closes the account at the channel is told of once.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connectors.ebay.sandbox.books import Books, is_gone
from connectors.ebay.sandbox.markup import stamp
from connectors.ebay.sandbox.rest_fulfilment import rest_line_id
from connectors.ebay.sandbox.signing import SigningKey
from oms_sync.sdk.sandbox_records import Line, Order
from oms_sync.sdk.sandbox_wire import Courier, Letter

PAYLOAD: Final = {"format": "JSON", "schemaVersion": "1.0", "deliveryProtocol": "HTTPS"}
CONFIRMATION: Final = "ORDER_CONFIRMATION"
CLOSED: Final = "MARKETPLACE_ACCOUNT_DELETION"


@dataclass(slots=True, kw_only=True, eq=False)
class Destination:
    """Where pushes go."""

    id: str
    name: str
    endpoint: str
    token: str
    status: str

    def shown(self) -> dict[str, Any]:
        config = {"endpoint": self.endpoint, "verificationToken": self.token}
        head = {"destinationId": self.id, "name": self.name, "status": self.status}
        return head | {"deliveryConfig": config}


@dataclass(slots=True, kw_only=True, eq=False)
class Wanted:
    """A subscription."""

    id: str
    topic: str
    destination: Destination
    status: str
    created_at: datetime

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "subscriptionId": self.id,
            "topicId": self.topic,
            "status": self.status,
        }
        shown |= {"destinationId": self.destination.id}
        return shown | {"creationDate": stamp(self.created_at), "payload": dict(PAYLOAD)}


class Pushes:
    """Listens to the store and pushes to whoever wants to hear."""

    def __init__(self, books: Books, courier: Courier) -> None:
        self._books, self._store, self._courier = books, books.store, courier
        self.destinations: dict[str, Destination] = {}
        self.wanted: dict[str, Wanted] = {}
        #: set up by the application's owner, outside the API: neither listed nor ever deleted
        self.configured: list[Wanted] = []
        self.key = SigningKey(books.store.secret("signing-key"))
        #: answers to pushes by HTTP status; 0 where nobody answered
        self.answers: Counter[int] = Counter()
        self._store.listen(self._hear)

    def configure(self, endpoint: str, topics: Iterable[str]) -> None:
        """Subscriptions of the application's own configuration."""
        store = self._store
        destination = Destination(
            id=str(store.next_id()),
            name="configured",
            endpoint=endpoint,
            token=store.secret("verification_token"),
            status="ENABLED",
        )
        self.configured += [
            Wanted(
                id=str(store.next_id()),
                topic=topic,
                destination=destination,
                status="ENABLED",
                created_at=store.second(),
            )
            for topic in topics
        ]

    def _hear(self, fact: str, record: Any, detail: Any) -> None:
        if fact == "order.paid":
            self._confirm(record, [line for line in record.lines if not is_gone(line)])
        elif fact == "order.edited" and record.is_paid:
            self._confirm(record, detail)

    def _confirm(self, order: Order, lines: Iterable[Line]) -> None:
        for wanted in self._listeners(CONFIRMATION):
            for line in lines:
                self._push(wanted, self._fact(order, line))

    def close_account(self, channel_order_id: str) -> dict[str, Any]:
        """Who bought it closes the account at the channel; answers what is said of them."""
        store = self._store
        with store.act():
            order = self._books.order(channel_order_id)
            person = order.buyer["id"]
            fact = {
                "username": f"buyer_{order.number}",
                "userId": store.secret(f"buyer/{person}")[:11],
                "eiasToken": f"nY+{person}seQ==",
            }
            for wanted in self._listeners(CLOSED):
                self._push(wanted, fact)
        return fact

    def _listeners(self, topic: str) -> list[Wanted]:
        by_api = {each.destination.endpoint for each in self.wanted.values()}
        known = [
            *self.wanted.values(),
            *(each for each in self.configured if each.destination.endpoint not in by_api),
        ]
        return [each for each in known if each.topic == topic]

    def _fact(self, order: Order, line: Line) -> dict[str, Any]:
        sheet, store = self._books.sheets[order.id], self._store
        bought = {
            "orderLineItemId": rest_line_id(line),
            "listingId": self._books.line_name(line).partition("-")[0],
            "quantity": sheet.purchased.get(line.id, line.quantity),
        }
        return {
            "user": {"userId": store.secret("user-id")[:11], "username": store.options.account},
            "order": {"orderId": sheet.name, "orderLineItems": [bought]},
        }

    def test(self, wanted: Wanted) -> None:
        """A push with made-up content, as the API's own test sends one."""
        store = self._store
        user = {"userId": store.secret("user-id")[:11], "username": store.options.account}
        line = {"orderLineItemId": "0", "listingId": "0", "quantity": 1}
        order = {"orderId": "00-00000-00000", "orderLineItems": [line]}
        self._courier.post(self._letter(wanted, {"user": user, "order": order}))

    def _push(self, wanted: Wanted, fact: dict[str, Any]) -> None:
        fires, late = self._store.faults.fires, self._store.options.late_seconds
        if fires("F14"):
            return
        after = late if fires("F13") else 0.0
        letter = self._letter(wanted, fact)
        self._courier.post(letter, after_seconds=after)
        if fires("F11"):
            self._courier.post(letter, after_seconds=after)
        if fires("F12"):
            self._courier.post(self._letter(wanted, fact), after_seconds=after)

    def _letter(self, wanted: Wanted, fact: dict[str, Any]) -> Letter:
        store, at = self._store, stamp(self._store.now())
        halves = (store.secret(f"push/{store.next_id()}") for _ in range(2))
        number = "_".join(str(uuid.UUID(hex=half)) for half in halves)
        said = {"notificationId": number, "eventDate": at, "publishDate": at}
        envelope = {
            "metadata": {"topic": wanted.topic, "schemaVersion": "1.0", "deprecated": False},
            "notification": {**said, "publishAttemptCount": 1, "data": fact},
        }
        body = json.dumps(envelope, separators=(",", ":")).encode()
        destination = wanted.destination

        def give_up() -> None:
            destination.status = "MARKED_DOWN"

        def count(status: int) -> None:
            self.answers[status] += 1

        return Letter(
            url=destination.endpoint,
            headers=(
                ("Content-Type", "application/json"),
                ("X-EBAY-SIGNATURE", self.key.header(body)),
            ),
            body=body,
            is_wanted=lambda: wanted.status == destination.status == "ENABLED",
            given_up=give_up,
            answered=count,
        )
