"""Group commit: an answer only after the commit, bounded, and one bad delivery refuses no other."""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain

import pytest

from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.web import inbox_writer
from oms_sync.web.inbox_writer import InboxWriter, NotStored, Overloaded

WAIT = 5


def _message(body: bytes = b"{}", account: str = "shop-a") -> NewMessage:
    return NewMessage(
        account=account,
        topic="t",
        source=MessageSource.WEBHOOK,
        body=body,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


class Database:
    """Counts commits; a test may hold it, break it, or make one body poison."""

    def __init__(self) -> None:
        self.commits: list[list[bytes]] = []
        self.woken: list[tuple[str, str]] = []
        self.is_down = False
        self.gate = threading.Event()
        self.gate.set()
        self.opened = 0

    @contextmanager
    def open_work(self):
        assert self.gate.wait(WAIT)
        self.opened += 1
        if self.is_down:
            raise OSError("the database is away")
        yield _Work(self)


class _Work:
    def __init__(self, database: Database) -> None:
        self._database, self.inbox = database, self
        self._added: list[bytes] = []
        self._wakes: list[tuple[str, str]] = []

    def add(self, messages) -> int:
        bodies = [message.body for message in messages]
        if b"poison" in bodies:
            raise ValueError("poison")
        self._added += bodies
        return len(bodies)

    def wake(self, flow, account) -> None:
        self._wakes.append((flow, account))

    def commit(self) -> None:
        self._database.commits.append(self._added)
        self._database.woken += self._wakes


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def writer(database):
    made = InboxWriter(database.open_work)
    made.start()
    yield made
    database.gate.set()
    made.stop()


@pytest.mark.proves("I-03")
def test_the_future_ends_after_the_commit_and_not_before(writer, database):
    database.gate.clear()
    stored = writer.put(_message())
    with pytest.raises(TimeoutError):
        stored.result(0.05)
    assert database.commits == []
    database.gate.set()
    stored.result(WAIT)
    assert database.commits == [[b"{}"]]
    assert database.woken == [("ingest", "shop-a")]


@pytest.mark.proves("I-33")
def test_deliveries_that_wait_are_committed_together(writer, database):
    database.gate.clear()
    first = writer.put(_message(b"0"))
    time.sleep(0.05)  # the writer now stands at the closed gate with the first
    futures = [writer.put(_message(str(n).encode(), f"shop-{n % 3}")) for n in range(1, 200)]
    database.gate.set()
    for future in [first, *futures]:
        future.result(WAIT)
    assert len(database.commits) <= 3
    assert sorted(chain.from_iterable(database.commits)) == sorted(
        str(n).encode() for n in range(200)
    )
    assert {account for _, account in database.woken} >= {"shop-0", "shop-1", "shop-2"}


@pytest.mark.proves("I-34", "F45", "F46")
def test_a_failed_commit_is_told_and_the_next_one_goes_through(writer, database):
    database.is_down = True
    with pytest.raises(NotStored, match="away"):
        writer.put(_message()).result(WAIT)
    database.is_down = False
    writer.put(_message()).result(WAIT)
    assert len(database.commits) == 1


def test_during_an_outage_a_batch_is_not_tried_one_by_one_to_its_end(writer, database):
    database.gate.clear()
    database.is_down = True
    futures = [writer.put(_message()) for _ in range(100)]
    database.gate.set()
    for future in futures:
        with pytest.raises(NotStored):
            future.result(WAIT)
    assert database.opened < 12


@pytest.mark.proves("I-09")
def test_one_bad_delivery_refuses_none_of_its_neighbours(writer, database):
    database.gate.clear()
    first = writer.put(_message(b"first"))
    futures = [writer.put(_message(body)) for body in (b"a", b"poison", b"b")]
    database.gate.set()
    first.result(WAIT)
    with pytest.raises(NotStored):
        futures[1].result(WAIT)
    for future in (futures[0], futures[2]):
        future.result(WAIT)
    assert {b"a", b"b"} <= set(chain.from_iterable(database.commits))


@pytest.mark.proves("I-33")
def test_what_waits_is_bounded_in_number_and_in_bytes(writer, database, monkeypatch):
    monkeypatch.setattr(inbox_writer, "QUEUE_BYTES_MAX", 1_000)
    database.gate.clear()
    taken = [writer.put(_message(b"x" * 300)) for _ in range(3)]
    with pytest.raises(Overloaded):
        writer.put(_message(b"x" * 300))
    database.gate.set()
    for future in taken:
        future.result(WAIT)
    deadline = time.monotonic() + WAIT
    while True:  # the bytes are given back right after the answers
        try:
            writer.put(_message(b"x" * 900)).result(WAIT)
            break
        except Overloaded:
            assert time.monotonic() < deadline


def test_a_full_queue_refuses(database):
    writer = InboxWriter(database.open_work)  # never started: nothing leaves the queue
    for _ in range(inbox_writer.QUEUE_MAX):
        writer.put(_message(b""))
    with pytest.raises(Overloaded):
        writer.put(_message(b""))


def test_stopping_stores_what_was_taken_and_takes_nothing_more(database):
    writer = InboxWriter(database.open_work)
    writer.start()
    database.gate.clear()
    futures = [writer.put(_message()) for _ in range(20)]
    database.gate.set()
    writer.stop()
    assert all(future.done() and not future.exception() for future in futures)
    with pytest.raises(Overloaded):
        writer.put(_message())
    writer.stop()


def test_a_request_that_gave_up_does_not_stop_the_writer(writer, database):
    database.gate.clear()
    writer.put(_message(b"0"))
    given_up = writer.put(_message(b"1"))
    given_up.cancel()
    last = writer.put(_message(b"2"))
    database.gate.set()
    last.result(WAIT)
    assert given_up.cancelled()
