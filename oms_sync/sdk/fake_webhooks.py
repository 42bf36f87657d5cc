"""Webhooks of the fake channel: what it sends, and the pure half of receiving it.

A delivery is signed with HMAC-SHA256 over the body alone; its headers prove nothing.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from oms_sync.sdk.errors import BadPayload
from oms_sync.sdk.fake_faults import FakeFaults
from oms_sync.sdk.messages import ChallengeAnswer, Hint, HintKind, RawOrder

FAKE_TOPICS: Final = ("listings/update", "orders/delete", "orders/update")
_KINDS: Final = {
    "buyers/forget": HintKind.ERASURE,
    "listings/update": HintKind.LISTING,
    "orders/delete": HintKind.ORDER_DELETED,
    "orders/shown": HintKind.ORDER,
    "orders/update": HintKind.ORDER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSettings:
    """The fake connector's settings; every secret is kept out of `repr`."""

    #: the FakeChannel behind the account
    channel: Any = field(default=None, repr=False)
    token: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    #: the secret before the last change, accepted as long as it stands here
    webhook_secret_previous: str = field(default="", repr=False)
    #: what challenges are answered with; empty answers none
    verification_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeDelivery:
    """One webhook on its way; header names are lower case."""

    headers: Mapping[str, str]
    body: bytes
    due_at: datetime


def sign(secret: str, body: bytes) -> str:
    """The signature of `body`, as the channel writes it into its header."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


class FakeWebhookPart:
    """The pure half of receiving the fake channel's webhooks. A `sdk.WebhookPart`."""

    def verify(self, settings: FakeSettings, headers: Mapping[str, str], body: bytes) -> bool:
        """True when a live secret of the account signed `body`."""
        given = headers.get("x-fake-signature", "").encode(errors="replace")
        secrets = (settings.webhook_secret, settings.webhook_secret_previous)
        # Every secret is compared, so that the time taken does not tell which one matched.
        matches = [hmac.compare_digest(sign(one, body).encode(), given) for one in secrets if one]
        return any(matches)

    def topic(self, headers: Mapping[str, str]) -> str:
        """The topic the headers name."""
        return headers.get("x-fake-topic", "")

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> Hint:
        """What to look at; an unknown topic is about nothing we follow."""
        kind = _KINDS.get(self.topic(headers), HintKind.NOTHING)
        if kind is HintKind.NOTHING:
            return Hint(kind=kind)
        try:
            document = json.loads(body)
            object_id, quantity = document["id"], document.get("quantity")
            order = document.get("order")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadPayload(f"the webhook cannot be read: {error!r}") from error
        if not isinstance(object_id, str) or not isinstance(quantity, int | None):
            raise BadPayload("the webhook names nothing that could be looked at")
        shown = None
        if order is not None:
            shown = RawOrder(channel_order_id=object_id, payload=json.dumps(order).encode())
        return Hint(kind=kind, object_id=object_id, quantity=quantity, order=shown)

    def answer_challenge(
        self, settings: FakeSettings, url: str, query: Mapping[str, str]
    ) -> ChallengeAnswer | None:
        """Prove with the account's token that `url` is ours; None without a challenge."""
        code, token = query.get("challenge_code"), settings.verification_token
        if not code or not token:
            return None
        proof = hashlib.sha256(f"{code}{token}{url}".encode(errors="replace")).hexdigest()
        return ChallengeAnswer(body=json.dumps({"proof": proof}).encode())


WEBHOOK: Final = FakeWebhookPart()
"""The part as a connector record names it."""


class FakeMail:
    """The webhooks a fake channel has sent and nobody has taken yet."""

    def __init__(self, faults: FakeFaults, *, late_seconds: float) -> None:
        #: topics somebody subscribed to; others are not sent
        self.topics: set[str] = set()
        #: where the subscriptions point
        self.url = ""
        self._faults = faults
        self._late = timedelta(seconds=late_seconds)
        self._secret = ""
        self._waiting: list[FakeDelivery] = []
        self._sent = 0

    def use_secret(self, secret: str) -> None:
        """Sign with `secret` from now on."""
        self._secret = secret

    def send(
        self, topic: str, object_id: str, *, at: datetime, quantity: int | None = None
    ) -> None:
        """Send one webhook at `at`, as well or badly as the knobs say."""
        if topic not in self.topics or self._faults.fires("F14"):
            return
        document = {"id": object_id, "at": at.isoformat(), "quantity": quantity}
        body = json.dumps(document, sort_keys=True).encode()
        delivery = FakeDelivery(
            headers={
                "x-fake-topic": topic,
                "x-fake-delivery": self._delivery_id(),
                "x-fake-signature": sign(self._secret, body),
            },
            body=body,
            due_at=at + self._late if self._faults.fires("F13") else at,
        )
        self._waiting.append(delivery)
        if self._faults.fires("F11"):
            self._waiting.append(delivery)
        if self._faults.fires("F12"):
            headers = {**delivery.headers, "x-fake-delivery": self._delivery_id()}
            self._waiting.append(replace(delivery, headers=headers))

    def take(self, *, until: datetime) -> tuple[FakeDelivery, ...]:
        """Everything due by `until`, in the order in which it is due; it is not given again."""
        due = [one for one in self._waiting if one.due_at <= until]
        self._waiting = [one for one in self._waiting if one.due_at > until]
        return tuple(sorted(due, key=lambda one: one.due_at))

    def _delivery_id(self) -> str:
        self._sent += 1
        return f"delivery-{self._sent:06d}"
