import itertools
import threading
import time
import uuid
from datetime import UTC

import pytest

from oms_sync.runtime import clock as module
from oms_sync.runtime.clock import SystemClock, SystemIds
from oms_sync.sdk import Clock, Ids


@pytest.mark.proves("I-36")
def test_now_is_aware_and_in_utc():
    clock: Clock = SystemClock()
    assert clock.now().tzinfo is UTC


def test_the_monotonic_clock_never_goes_back():
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_sleep_waits():
    clock = SystemClock()
    began = time.monotonic()
    clock.sleep(0.05)
    assert time.monotonic() - began >= 0.045


def test_sleep_of_nothing_or_less_returns_at_once():
    began = time.monotonic()
    SystemClock().sleep(0)
    SystemClock().sleep(-5)
    assert time.monotonic() - began < 0.5


def test_sleep_ends_when_the_hub_is_stopping():
    stopping = threading.Event()
    clock = SystemClock(stopping)
    timer = threading.Timer(0.05, stopping.set)
    timer.start()
    began = time.monotonic()
    clock.sleep(30)
    assert time.monotonic() - began < 5
    timer.join()


def test_ids_are_26_lower_case_characters_and_sort_by_making():
    ids: Ids = SystemIds()
    made = [ids.new() for _ in range(5_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {26}
    assert set("".join(made)) <= set("0123456789abcdefghjkmnpqrstvwxyz")


def test_ids_of_later_milliseconds_sort_after_those_of_another_process():
    first = SystemIds().new()
    time.sleep(0.003)
    assert SystemIds().new() > first


@pytest.mark.proves("F31")
def test_ids_keep_growing_when_the_wall_clock_steps_back(monkeypatch):
    readings = itertools.chain([2_000_000_000_000_000_000], itertools.repeat(10**18))
    monkeypatch.setattr(module.time, "time_ns", lambda: next(readings))
    ids = SystemIds()
    made = [ids.new() for _ in range(50)]
    assert made == sorted(set(made))


def test_threads_never_share_an_id():
    ids, made = SystemIds(), []
    threads = [
        threading.Thread(target=lambda: made.extend(ids.new() for _ in range(500)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2_000


def test_uuids_are_random_and_well_formed():
    first, second = SystemIds().uuid(), SystemIds().uuid()
    assert uuid.UUID(first).version == 4
    assert first != second


def test_chance_lies_in_the_half_open_unit_interval():
    ids = SystemIds()
    drawn = [ids.random() for _ in range(1_000)]
    assert all(0 <= each < 1 for each in drawn)
    assert len(set(drawn)) > 900
