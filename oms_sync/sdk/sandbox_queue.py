"""A message queue of a sandbox: at least once, invisible while being worked on, no wire format."""

import base64
import binascii
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from oms_sync.sdk.sandbox_store import Store

MESSAGES_MAX: Final = 100_000
RETENTION: Final = timedelta(days=4)
VISIBILITY_SECONDS: Final = 30
#: messages looked at for one answer
SCAN_MAX: Final = 5_000


@dataclass(slots=True, kw_only=True, eq=False)
class Message:
    """One message waiting to be deleted."""

    id: str
    body: str
    sent_at: datetime
    visible_at: datetime
    delivered: int = 0
    first_at: datetime | None = None


class BadHandle(Exception):
    """The text is no receipt of any queue."""


class Queue:
    """Messages in the order they came; every method is safe from any thread.

    Every delivery gives another receipt; only the newest one deletes. Example:
    `queue.send("hello"); queue.receive(10, 30)[0]["Body"]`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._messages: OrderedDict[str, Message] = OrderedDict()
        #: messages given up because nobody fetched them
        self.dropped = 0

    def send(self, body: str) -> None:
        """Put a message in; when the queue is full, the oldest one is given up."""
        store = self._store
        with store.lock:
            if len(self._messages) >= MESSAGES_MAX:
                self._messages.popitem(last=False)
                self.dropped += 1
            digits = store.secret(f"message/{store.next_id()}")
            made = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
            now = store.now()
            self._messages[made] = Message(id=made, body=body, sent_at=now, visible_at=now)

    def receive(self, most: int, visibility_seconds: int) -> list[dict[str, Any]]:
        """Up to `most` visible messages, which then are invisible for a while."""
        with self._store.lock:
            now = self._store.now()
            self._expire(now)
            found: list[Message] = []
            for scanned, message in enumerate(self._messages.values()):
                if len(found) >= most or scanned >= SCAN_MAX:
                    break
                if message.visible_at <= now:
                    found.append(message)
            return [self._deliver(each, now, visibility_seconds) for each in found]

    def _expire(self, now: datetime) -> None:
        while self._messages:
            oldest = next(iter(self._messages.values()))
            if now - oldest.sent_at < RETENTION:
                return
            self._messages.popitem(last=False)
            self.dropped += 1

    def _deliver(self, message: Message, now: datetime, seconds: int) -> dict[str, Any]:
        message.delivered += 1
        message.first_at = message.first_at or now
        message.visible_at = now + timedelta(seconds=seconds)
        receipt = base64.b64encode(f"{message.id} {message.delivered}".encode()).decode()
        return {
            "MessageId": message.id,
            "ReceiptHandle": receipt,
            "MD5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
            "Body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.delivered),
                "ApproximateFirstReceiveTimestamp": _milliseconds(message.first_at),
                "SentTimestamp": _milliseconds(message.sent_at),
            },
        }

    def delete(self, receipt: str) -> None:
        """Forget a message; with the receipt of an earlier delivery nothing happens, silently."""
        with self._store.lock:
            message = self._find(receipt)
            if message is not None:
                del self._messages[message.id]

    def hide(self, receipt: str, seconds: int) -> bool:
        """Show the message again in so many seconds; False when it is not in flight."""
        with self._store.lock:
            message, now = self._find(receipt), self._store.now()
            if message is None or message.visible_at <= now:
                return False
            message.visible_at = now + timedelta(seconds=seconds)
            return True

    def _find(self, receipt: str) -> Message | None:
        """The message whose newest delivery the receipt stands for."""
        try:
            made, _, delivered = base64.b64decode(receipt, validate=True).decode().partition(" ")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadHandle(receipt) from error
        if not delivered.isdecimal():
            raise BadHandle(receipt)
        message = self._messages.get(made)
        return message if message and message.delivered == int(delivered) else None

    def counts(self) -> tuple[int, int]:
        """How many messages are visible, and how many in flight."""
        with self._store.lock:
            now = self._store.now()
            visible = sum(1 for each in self._messages.values() if each.visible_at <= now)
            return visible, len(self._messages) - visible


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
