"""Stores webhook deliveries durably, many in one commit, outside the event loop.

The only way a delivery becomes a 2xx: the commit that holds it has returned. What does not fit the
queue is refused, never dropped after it was taken.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Final

import structlog

from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import NewMessage

log = structlog.get_logger()

QUEUE_MAX: Final = 2_000
#: bodies waiting for their commit, together
QUEUE_BYTES_MAX: Final = 32_000_000
BATCH_MAX: Final = 200
STOP_SECONDS_MAX: Final = 10.0


class Overloaded(Exception):
    """More deliveries wait for the disk than the hub may hold; the channel tries again."""


class NotStored(Exception):
    """The commit failed; nothing of the delivery was kept."""


Stored = Future[None]


class InboxWriter:
    """One thread that commits what the webhook route was handed."""

    def __init__(self, open_work: Callable[[], AbstractContextManager[UnitOfWork]]) -> None:
        self._open_work = open_work
        self._queue: queue.Queue[tuple[NewMessage, Stored] | None] = queue.Queue(QUEUE_MAX)
        self._lock = threading.Lock()
        self._bytes = 0
        self._is_stopped = False
        self._is_failing = False
        self._thread = threading.Thread(target=self._work, name="inbox-writer", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what was taken, then end."""
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(STOP_SECONDS_MAX)

    def put(self, message: NewMessage) -> Stored:
        """Take a delivery; the future ends when it is durable, with NotStored when it is not.

        Raises Overloaded when the queue is full or the hub is stopping.
        """
        stored: Stored = Future()
        with self._lock:
            if self._is_stopped or self._bytes + len(message.body) > QUEUE_BYTES_MAX:
                raise Overloaded("the webhook queue is full")
            try:
                self._queue.put_nowait((message, stored))
            except queue.Full as error:
                raise Overloaded("the webhook queue is full") from error
            self._bytes += len(message.body)
        return stored

    def _work(self) -> None:
        is_over = False
        while not is_over:
            batch, is_over = self._take()
            if batch:
                self._store(batch)
                with self._lock:
                    self._bytes -= sum(len(message.body) for message, _ in batch)

    def _take(self) -> tuple[list[tuple[NewMessage, Stored]], bool]:
        """What waits, at least one; True when the writer is to end after it."""
        first = self._queue.get()
        if first is None:
            return [], True
        batch = [first]
        while len(batch) < BATCH_MAX:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return batch, True
            batch.append(following)
        return batch, False

    def _store(self, batch: Sequence[tuple[NewMessage, Stored]]) -> None:
        error = self._try_commit([message for message, _ in batch])
        if error is None:
            _end(batch, None)
        elif len(batch) == 1:
            _end(batch, error)
        else:
            self._store_singly(batch)

    def _store_singly(self, batch: Sequence[tuple[NewMessage, Stored]]) -> None:
        """One bad delivery must not refuse its neighbours; two bad ones in a row are an outage."""
        failures = 0
        for number, one in enumerate(batch):
            error = self._try_commit([one[0]])
            _end([one], error)
            failures = failures + 1 if error else 0
            if failures > 1:
                _end(batch[number + 1 :], error)
                return

    def _try_commit(self, messages: Sequence[NewMessage]) -> Exception | None:
        try:
            with self._open_work() as work:
                work.inbox.add(messages)
                for account in sorted({message.account for message in messages}):
                    work.wake("ingest", account)
                work.commit()
        except Exception as error:
            if not self._is_failing:
                log.exception("inbox.refused", reason=str(error))
            self._is_failing = True
            return error
        if self._is_failing:
            log.info("inbox.recovered")
        self._is_failing = False
        return None


def _end(batch: Sequence[tuple[NewMessage, Stored]], error: Exception | None) -> None:
    for _, stored in batch:
        if not stored.set_running_or_notify_cancel():
            continue  # its request gave up waiting; the delivery comes again
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(NotStored(str(error)))
