"""Timers wake flows: at their periods, when a flow asked for it, and after the clock jumped."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.pipeline import FLOWS
from oms_sync.runtime.schedule import (
    ERASE_SECONDS,
    POLL_SECONDS_MIN,
    RETRY_SECONDS,
    WATCH_SECONDS,
    Schedule,
)
from oms_sync.runtime.tend import TEND
from oms_sync.sdk import Capability


class JumpingClock(SystemClock):
    """The machine's clock, a number of seconds off."""

    offset = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


class Woken:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.changed = threading.Condition()

    def __call__(self, flow: str, account: str) -> None:
        with self.changed:
            self.seen.append((flow, account))
            self.changed.notify_all()

    def wait(self, key: tuple[str, str], times: int = 1) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.seen.count(key) >= times, 5)

    def clear(self) -> None:
        with self.changed:
            self.seen.clear()


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def real_clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def schedule(woken, real_clock, make_wiring):
    made = Schedule(woken, wirings={"shop-a": make_wiring("shop-a")}, clock=real_clock)
    made.start()
    yield made
    made.stop()


def test_every_flow_of_every_account_is_woken_at_the_start_but_not_tended_again(schedule, woken):
    assert {flow for flow, _ in woken.seen} == set(FLOWS)


def test_each_flow_has_the_period_of_its_account(make_wiring, real_clock, woken):
    reader = make_wiring("reader", capabilities=frozenset({Capability.READ_ORDERS}))
    schedule = Schedule(woken, wirings={"reader": reader}, clock=real_clock)
    assert schedule.periods() == {
        ("ingest", "reader"): 60,
        ("normalise", "reader"): RETRY_SECONDS,
        ("reserve", "reader"): RETRY_SECONDS,
        ("reconcile", "reader"): 3600,
        ("watch", "reader"): WATCH_SECONDS,
        ("erase", "reader"): ERASE_SECONDS,
        (TEND, "reader"): 3600,
    }
    assert POLL_SECONDS_MIN == 1


def test_a_flow_is_woken_when_it_asked_for_it(schedule, woken, real_clock):
    woken.clear()
    begun = time.monotonic()
    schedule.at("ingest", "shop-a", real_clock.now() + timedelta(seconds=0.2))
    assert woken.wait(("ingest", "shop-a"))
    assert 0.15 < time.monotonic() - begun < 3


def test_of_several_times_asked_for_the_earliest_counts(schedule, woken, real_clock):
    woken.clear()
    for seconds in (3600, 0.1, 1800):
        schedule.at("ingest", "shop-a", real_clock.now() + timedelta(seconds=seconds))
    assert woken.wait(("ingest", "shop-a"))
    assert woken.seen.count(("ingest", "shop-a")) == 1


def test_a_time_that_is_over_wakes_at_once_and_a_later_one_still_counts(
    schedule, woken, real_clock
):
    woken.clear()
    for _ in range(2):
        schedule.at("ingest", "shop-a", real_clock.now() - timedelta(seconds=5))
        assert woken.wait(("ingest", "shop-a"))
        woken.clear()


def test_times_far_away_or_past_all_calendars_do_no_harm(schedule):
    schedule.at("ingest", "shop-a", datetime.max.replace(tzinfo=UTC))


@pytest.mark.proves("I-36", "F31")
@pytest.mark.parametrize("jump", [timedelta(hours=-3), timedelta(hours=3)])
def test_a_jump_of_the_wall_clock_is_noticed_and_everything_is_woken(
    schedule, woken, real_clock, events, jump
):
    schedule.at("reserve", "shop-a", real_clock.now() + timedelta(hours=1))
    woken.clear()
    schedule.check_clock()
    assert woken.seen == [], "nothing moved"
    real_clock.offset = jump
    schedule.check_clock()
    assert {flow for flow, _ in woken.seen} >= {"ingest", "push_stock", TEND}
    woken.clear()
    schedule.check_clock()
    assert woken.seen == [], "told once"
    (line,) = [line for line in events if line["event"] == "clock.jumped"]
    assert line["seconds"] == pytest.approx(jump.total_seconds(), abs=1)


def test_stopped_timers_wake_nothing(schedule, woken, real_clock):
    schedule.at("ingest", "shop-a", real_clock.now() + timedelta(seconds=0.1))
    schedule.stop()
    woken.clear()
    time.sleep(0.2)
    assert woken.seen == []
