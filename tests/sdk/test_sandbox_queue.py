"""A sandbox's queue: at least once, invisible for a while, forgotten when nobody comes."""

from datetime import timedelta

import pytest

from oms_sync.sdk.sandbox import FaultSwitches, SandboxOptions
from oms_sync.sdk.sandbox_queue import RETENTION, BadHandle, Queue
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.testing import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def queue(clock):
    options = SandboxOptions(skus=0)
    return Queue(Store(options, FaultSwitches((), seed=1, stream="q"), clock.now))


def test_a_message_is_invisible_until_its_time_is_up(queue, clock):
    queue.send("hello")
    (first,) = queue.receive(10, 30)
    assert (queue.receive(10, 30), queue.counts()) == ([], (0, 1))
    clock.advance(30)
    (again,) = queue.receive(10, 30)
    assert (again["Body"], again["MessageId"]) == ("hello", first["MessageId"])
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    assert again["attributes"]["ApproximateReceiveCount"] == "2"


def test_only_the_newest_handle_deletes(queue, clock):
    queue.send("hello")
    (first,) = queue.receive(1, 30)
    clock.advance(30)
    (again,) = queue.receive(1, 30)
    queue.delete(first["ReceiptHandle"])
    assert queue.counts() == (0, 1)
    queue.delete(again["ReceiptHandle"])
    queue.delete(again["ReceiptHandle"])
    assert queue.counts() == (0, 0)


@pytest.mark.parametrize("handle", ["", "not base64!", "aGVsbG8=", "/w=="])
def test_a_text_that_is_no_handle_is_refused(queue, handle):
    with pytest.raises(BadHandle):
        queue.delete(handle)


def test_a_message_in_flight_can_be_shown_again_at_once(queue):
    queue.send("hello")
    (first,) = queue.receive(1, 30)
    assert queue.hide(first["ReceiptHandle"], 0)
    assert not queue.hide(first["ReceiptHandle"], 5)
    assert len(queue.receive(1, 30)) == 1


def test_no_more_than_asked_for_is_delivered_oldest_first(queue):
    for number in range(3):
        queue.send(str(number))
    assert [each["Body"] for each in queue.receive(2, 30)] == ["0", "1"]


def test_what_nobody_fetches_is_given_up(queue, clock):
    queue.send("old")
    clock.advance(RETENTION / timedelta(seconds=1))
    queue.send("new")
    assert [each["Body"] for each in queue.receive(10, 30)] == ["new"]
    assert queue.dropped == 1


def test_a_full_queue_gives_up_its_oldest(queue, monkeypatch):
    monkeypatch.setattr("oms_sync.sdk.sandbox_queue.MESSAGES_MAX", 2)
    for number in range(3):
        queue.send(str(number))
    assert [each["Body"] for each in queue.receive(10, 30)] == ["1", "2"]
    assert queue.dropped == 1


def test_one_answer_looks_at_so_many_messages_and_no_more(queue, monkeypatch):
    monkeypatch.setattr("oms_sync.sdk.sandbox_queue.SCAN_MAX", 1)
    queue.send("busy")
    queue.send("waiting")
    assert [each["Body"] for each in queue.receive(10, 30)] == ["busy"]
    assert queue.receive(10, 30) == []
