"""Coming back after weeks: nothing is lost within the horizon, what is lost is never hidden."""

from dataclasses import replace
from datetime import timedelta

import pytest

DAY = 86_400.0


def _away(hub, days, horizon=10.0):
    hub.manifests["shop-a"] = replace(hub.manifests["shop-a"], order_horizon_days=horizon)
    hub.clock.advance(days * DAY)


def _gaps(hub):
    hub.storage.record_profiles(hub.profiles.values())
    return hub.storage.reports.account("shop-a")["gaps"]


def _instant(at):
    return at.isoformat().replace("+00:00", "Z")


def test_after_an_absence_within_the_horizon_every_order_comes_in(any_hub):
    shop = any_hub.open_shop()
    _away(any_hub, 5)
    orders = [shop.buy(("TEE", 1)) for _ in range(3)]
    _away(any_hub, 4)
    any_hub.settle()
    assert all(any_hub.find_order(one) for one in orders)
    assert _gaps(any_hub) == []
    assert any_hub.metrics.counts["gaps"] == 0


def test_what_the_channel_shows_no_more_is_a_gap_kept_for_good_and_told_once(any_hub):
    any_hub.open_shop()
    read_at = any_hub.feed().drained_at
    _away(any_hub, 12)
    now = any_hub.clock.now() + timedelta(seconds=0.1)
    any_hub.take_in()
    (gap,) = _gaps(any_hub)
    assert gap == {
        "since": _instant(read_at),
        "until": _instant(now - timedelta(days=10)),
        "found_at": _instant(now),
    }
    assert any_hub.feed().since == now - timedelta(days=10) + timedelta(hours=1)
    any_hub.settle()
    assert any_hub.feed().drained_at >= now
    any_hub.take_in()
    assert len(_gaps(any_hub)) == 1
    assert any_hub.metrics.counts["gaps"] == 1


@pytest.mark.proves("F47")
@pytest.mark.parametrize("is_after", [False, True])
def test_a_crash_while_the_gap_is_noted_neither_hides_nor_doubles_it(any_hub, is_after):
    any_hub.open_shop()
    _away(any_hub, 12)
    any_hub.crash_at(1, is_after=is_after)
    with pytest.raises(any_hub.Crash):
        any_hub.run("ingest")
    any_hub.settle()
    assert len(_gaps(any_hub)) == 1


@pytest.mark.proves("F47")
def test_a_long_gap_is_read_page_by_page_and_a_crash_costs_one_page(any_hub):
    shop = any_hub.open_shop(catalogue={"TEE": 500}, options={"page_size": 4})
    _away(any_hub, 4)
    orders = [shop.buy(("TEE", 1)) for _ in range(20)]
    any_hub.clock.advance(60)
    any_hub.crash_at(4)
    with pytest.raises(any_hub.Crash):
        any_hub.run("ingest")
    begun = any_hub.feed()
    assert begun.pass_started_at is not None
    read_before = begun.orders_read
    assert 0 < read_before < 20
    any_hub.run("ingest")
    done = any_hub.feed()
    assert done.pass_started_at is None
    assert read_before < done.orders_read
    any_hub.settle()
    assert all(any_hub.find_order(one) for one in orders)


def test_a_pass_left_alone_beyond_the_horizon_is_judged_anew(any_hub):
    shop = any_hub.open_shop(catalogue={"TEE": 500}, options={"page_size": 4})
    _away(any_hub, 8)
    for _ in range(12):
        shop.buy(("TEE", 1))
    any_hub.clock.advance(60)
    any_hub.crash_at(3)
    with pytest.raises(any_hub.Crash):
        any_hub.run("ingest")
    _away(any_hub, 3)
    any_hub.settle()
    assert len(_gaps(any_hub)) == 1


def test_the_first_back_fill_shows_its_progress(any_hub):
    shop = any_hub.connect(catalogue={"TEE": 500}, options={"page_size": 5})
    for _ in range(12):
        shop.buy(("TEE", 1))
    any_hub.clock.advance(1)
    any_hub.storage.record_profiles(any_hub.profiles.values())
    any_hub.run("ingest")
    reading = any_hub.storage.reports.account("shop-a")["reading"]
    (shown,) = [one for one in reading if one["feed"] == "open"]
    assert (shown["orders_read"], shown["is_finished"]) == (5, False)
    for _ in range(10):
        any_hub.run("ingest")
    reading = any_hub.storage.reports.account("shop-a")["reading"]
    read = {one["feed"]: (one["orders_read"], one["is_finished"]) for one in reading}
    assert (read["open"], read["history"]) == ((12, True), (12, True))
