"""Ready is what the checks say, lately; the disk stops intake at its floor; figures are cached."""

from types import SimpleNamespace

import pytest
import structlog

from oms_sync.runtime.metrics import PrometheusMetrics
from oms_sync.sdk.fake_ports import FakeClock
from oms_sync.web import health
from oms_sync.web.figures import GAUGE_SECONDS_MAX, metrics_renderer
from oms_sync.web.health import STALE_SECONDS_MAX, DiskCheck, Readiness


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.proves("O-01")
def test_ready_means_open_and_every_check_well(clock):
    problem: list[str | None] = [None]
    readiness = Readiness({"database": lambda: problem[0]}, clock=clock)
    assert readiness.problems()
    readiness.refresh()
    assert set(readiness.problems()) == {"state"}, "not before the hub says it is up"
    readiness.open()
    assert readiness.problems() == {}
    problem[0] = "away"
    readiness.refresh()
    assert readiness.problems() == {"database": "away"}
    problem[0] = None
    readiness.refresh()
    assert readiness.problems() == {}
    readiness.close()
    assert readiness.problems()


@pytest.mark.proves("O-01", "F45")
def test_an_answer_that_grew_old_is_no_answer(clock):
    readiness = Readiness({}, clock=clock)
    readiness.refresh()
    readiness.open()
    clock.advance(STALE_SECONDS_MAX + 0.1)
    assert set(readiness.problems()) == {"checks"}


def test_each_turn_of_readiness_is_logged_once(clock):
    problem: list[str | None] = [None]
    readiness = Readiness({"database": lambda: problem[0]}, clock=clock)
    readiness.open()
    with structlog.testing.capture_logs() as lines:
        for state in (None, None, "away", "away", None, None):
            problem[0] = state
            readiness.refresh()
    assert [line["event"] for line in lines] == ["hub.ready", "hub.unready", "hub.ready"]


@pytest.mark.proves("O-10", "F46")
def test_the_disk_warns_when_low_and_stops_intake_at_the_floor(tmp_path, monkeypatch):
    free = [500]
    monkeypatch.setattr(
        health.shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0], total=1000)
    )
    disk = DiskCheck(tmp_path, floor_bytes=100)
    assert disk() is None
    with structlog.testing.capture_logs() as lines:
        free[0] = 150
        assert (disk(), disk(), disk.is_above_floor) == (None, None, True)
        assert [line["event"] for line in lines] == ["disk.ran_low"]
    free[0] = 99
    assert "99 bytes free" in (disk() or "")
    assert not disk.is_above_floor
    free[0] = 900
    assert (disk(), disk.is_above_floor) == (None, True)


def test_figures_from_the_database_are_read_seldom_however_often_they_are_asked_for(clock):
    reads = []

    def accounts():
        reads.append(clock.now())
        return [
            {
                "name": "shop-a",
                "cursor_age_seconds": None,
                "listings_behind": len(reads),
                "dead_letters": 3,
                "write_backs_open": 0,
            }
        ]

    render = metrics_renderer(PrometheusMetrics(), accounts, clock=clock)
    for _ in range(5):
        body, content_type = render()
    assert len(reads) == 1
    assert 'oms_sync_listings_behind{account="shop-a"} 1.0' in body.decode()
    assert "oms_sync_cursor_age_seconds{" not in body.decode()
    assert content_type.startswith("text/plain")
    clock.advance(GAUGE_SECONDS_MAX)
    assert 'oms_sync_listings_behind{account="shop-a"} 2.0' in render()[0].decode()
