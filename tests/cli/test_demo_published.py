"""Published limits in virtual time: what is measured, and the table a merchant reads."""

import io

import pytest

from oms_sync.cli.demo_published import (
    Outlook,
    outlook,
    outlooks_of,
    show_outlooks,
    sources,
)
from oms_sync.cli.demo_virtual import Spent, WatchedGate, measured, open_virtual
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.registry import Registry, load_registry
from oms_sync.sdk import ChannelDown, Priority, RateLimit, RateLimited
from oms_sync.sdk.fake_ports import FakeClock

SLOW = RateLimit(operation="search", capacity=2, refill_per_second=0.5)
QUICK = RateLimit(operation="push", capacity=10, refill_per_second=5)
ANY = RateLimit(operation="*", capacity=100, refill_per_second=100)


def _gate(clock: FakeClock, *limits: RateLimit) -> WatchedGate:
    buckets = RateBuckets(limits, clock=clock, metrics=NullMetrics(), account="virtual")
    return WatchedGate(buckets)


def _spent(**cost: float) -> Spent:
    return Spent(seconds=60.0, calls=dict.fromkeys(cost, 1), cost=cost, throttled=0)


def test_waiting_for_a_bucket_moves_the_clock_and_nothing_else():
    clock = FakeClock()
    gate = _gate(clock, SLOW)
    for _ in range(4):
        gate.spend("search", priority=Priority.READ)
    assert clock.monotonic() == pytest.approx(4.0, abs=0.1)  # two at once, two more at 0.5 a second
    assert gate.calls == {"search": 4}


def test_who_would_wait_too_long_is_sent_away_and_not_counted_as_a_call():
    clock = FakeClock()
    gate = _gate(clock, RateLimit(operation="search", capacity=1, refill_per_second=0.001))
    gate.spend("search", priority=Priority.READ)
    with pytest.raises(RateLimited):
        gate.spend("search", priority=Priority.READ)
    assert gate.calls == {"search": 1}
    assert gate.refusals == 1


def test_points_the_channel_gives_back_were_not_spent():
    gate = _gate(FakeClock(), RateLimit(operation="points", capacity=100, refill_per_second=1))
    gate.spend("points", cost=50, priority=Priority.READ)
    gate.learn("points", available=90, capacity=100, refill_per_second=1)
    assert gate.cost == {"points": 10}


@pytest.mark.parametrize(
    ("cost", "least", "tightest"),
    [
        # within the burst nothing has to wait
        ({"search": 2, "push": 10}, 0.0, "push"),
        # the slower bucket decides, counted from a full one
        ({"search": 12, "push": 20}, 20.0, "search"),
        # an operation without a bucket of its own pours from the common one
        ({"other": 300, "another": 200}, 4.0, "*"),
    ],
)
def test_the_least_time_follows_from_the_fullest_use_of_the_tightest_bucket(cost, least, tightest):
    spent = _spent(**cost)
    limits = (SLOW, QUICK, ANY)
    assert spent.least_seconds(limits) == least
    if least:
        assert spent.tightest(limits).limit.operation == tightest


def test_work_without_limits_takes_no_least_time():
    assert _spent(search=1_000).least_seconds(()) == 0.0
    assert _spent(search=1_000).tightest(()) is None


@pytest.mark.slow
@pytest.mark.parametrize("connector", load_registry().names)
@pytest.mark.proves("I-26")
def test_a_channel_under_published_limits_never_refuses_a_call(connector):
    with open_virtual(load_registry(), connector, skus=30) as account:
        placed = account.place(40)
        pages = measured(account, lambda: account.read_changes(back_seconds=3_600))
        singles = measured(account, lambda: account.read_by_id(placed))
        pushes = measured(account, lambda: account.push(account.listings))
        found, _ = account.read_changes(back_seconds=3_600)
        offered = account.control.truth()["quantities"]
    assert found == set(placed)
    assert [one.throttled for one in (pages, singles, pushes)] == [0, 0, 0]
    assert min(one.calls_total for one in (pages, singles, pushes)) > 0
    assert all(offered[sku] > 0 for _, sku in account.listings)


@pytest.mark.slow
@pytest.mark.parametrize("connector", load_registry().names)
def test_every_channel_has_an_outlook(connector):
    found = outlook(load_registry(), connector, changed=30)
    manifest = load_registry().get(connector).manifest
    assert found.visibility_lag_seconds == manifest.visibility_lag_seconds
    assert found.polled_after_seconds_max >= found.poll_seconds + found.visibility_lag_seconds
    assert found.polled_after_seconds < found.polled_after_seconds_max
    assert found.listings_changed > 0
    assert found.push_calls > 0
    assert found.polls_a_day > 0


def _outlook(**changes) -> Outlook:
    wanted = {
        "connector": "market",
        "label": "Market",
        "told_by": None,
        "poll_seconds": 300.0,
        "visibility_lag_seconds": 120.0,
        "polled_after_seconds": 270.0,
        "polled_after_seconds_max": 420.0,
        "listings_changed": 1_000,
        "push_seconds": 7_500.0,
        "push_calls": 250,
        "push_limited_by": "patch",
        "pushes_per_minute": 300.0,
        "poll_limited_by": "search",
        "polls_a_day": 288.0,
        "polls_a_day_max": 484.0,
    }
    return Outlook(**(wanted | changes))


def _shown(*outlooks: Outlook, missing: tuple[str, ...] = ()) -> str:
    file = io.StringIO()
    show_outlooks(outlooks, missing, file)
    return file.getvalue()


def test_the_table_says_what_a_merchant_waits_for_within_100_columns():
    text = _shown(_outlook(), _outlook(label="Shop", told_by="webhook", push_seconds=0.0))
    lines = text.splitlines()
    row = next(line for line in lines if line.startswith(" Market"))
    for part in ("nothing", "4.5 min / 7 min", "300", "after 2.1 h", "288 of 484"):
        assert part in row
    shop = next(line for line in lines if line.startswith(" Shop"))
    assert "webhook" in shop
    assert "at once" in shop
    assert max(len(line) for line in lines) <= 100
    assert "…" not in text
    assert "\x1b" not in text


def test_a_channel_without_limits_says_so():
    free = _outlook(
        push_limited_by=None, pushes_per_minute=None, poll_limited_by=None, polls_a_day_max=None
    )
    assert "288 of –" in _shown(free)
    assert "no limit bounds pushes" in sources([free])[0]
    assert "the budget of all calls bounds" in sources([_outlook(push_limited_by="*")])[0]


def test_a_channel_that_could_not_be_measured_is_named_with_the_reason():
    def broken(registry: Registry, connector: str) -> Outlook:
        raise ChannelDown("nobody answers")

    found, missing = outlooks_of(load_registry(), ["market"], measure=broken)
    assert found == {}
    assert missing == ["market: not measured with published limits: nobody answers"]
    assert missing[0] in _shown(missing=tuple(missing))
