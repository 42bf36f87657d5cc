"""The queue of a fake channel: what it writes there stays until somebody acknowledges it.

A message pulled and not acknowledged comes again, under another receipt, after a while.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from oms_sync.sdk.fake_faults import FakeFaults
from oms_sync.sdk.messages import Notification

FAKE_QUEUE_TOPICS: Final = ("orders/delete", "orders/shown")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    topic: str
    body: bytes
    #: nobody is given it before
    due_at: datetime
    receipt: str = ""


class FakeQueue:
    """Messages between a fake channel and whoever pulls them; its sessions hold the lock."""

    def __init__(
        self, faults: FakeFaults, *, late_seconds: float, redelivery_seconds: float
    ) -> None:
        #: topics the channel writes; taken away, it falls silent and nobody is told
        self.topics: set[str] = set(FAKE_QUEUE_TOPICS)
        self._faults = faults
        self._late = timedelta(seconds=late_seconds)
        self._redelivery = timedelta(seconds=redelivery_seconds)
        self._waiting: list[_Message] = []
        self._given = 0

    def subscribe(self) -> tuple[str, ...]:
        """Write every topic from now on; answers those that were not written."""
        missing = tuple(topic for topic in FAKE_QUEUE_TOPICS if topic not in self.topics)
        self.topics.update(missing)
        return missing

    def put(self, topic: str, document: Mapping[str, Any], *, at: datetime) -> None:
        """The channel writes one message at `at`, as well or badly as the knobs say."""
        if topic not in self.topics or self._faults.fires("F14"):
            return
        due_at = at + self._late if self._faults.fires("F13") else at
        message = _Message(topic=topic, body=json.dumps(document).encode(), due_at=due_at)
        self._waiting.append(message)
        if self._faults.fires("F11"):
            self._waiting.append(message)

    def take(self, *, now: datetime, limit: int) -> tuple[Notification, ...]:
        """What is due, oldest first, each under a new receipt; it stays in the queue."""
        due = sorted((one for one in self._waiting if one.due_at <= now), key=lambda m: m.due_at)
        given = []
        for message in due[:limit]:
            self._given += 1
            receipt = f"receipt-{self._given:06d}"
            self._waiting.remove(message)
            self._waiting.append(replace(message, due_at=now + self._redelivery, receipt=receipt))
            given.append(
                Notification(
                    receipt=receipt,
                    topic=message.topic,
                    body=message.body,
                    headers={"x-fake-topic": message.topic},
                )
            )
        return tuple(given)

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Forget what was given last under these receipts; another one changes nothing."""
        self._waiting = [
            one for one in self._waiting if not one.receipt or one.receipt not in receipts
        ]

    def redeliver(self, *, now: datetime) -> None:
        """Everything not acknowledged is due at once."""
        self._waiting = [replace(one, due_at=min(one.due_at, now)) for one in self._waiting]

    def depth(self) -> int:
        """How many messages nobody acknowledged yet."""
        return len(self._waiting)
