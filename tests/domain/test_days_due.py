"""Which days of an account should have their certificate, and why one has none."""

from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.domain.certificate import PROVED_DAYS, days_due, why_refused

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _due(*, days, now=NOON, read_days=30):
    connected_at = now - timedelta(days=days)
    read_since = connected_at - timedelta(days=read_days)
    found = days_due(connected_at=connected_at, read_since=read_since, now=now)
    return [str(day) for day in found]


def test_yesterday_is_due_and_so_is_every_day_since_the_connection():
    assert _due(days=2) == ["2026-02-27", "2026-02-28"]


def test_shortly_after_midnight_yesterday_may_still_come_in():
    assert _due(days=2, now=datetime(2026, 3, 1, 1, 59, tzinfo=UTC)) == ["2026-02-27"]
    assert _due(days=2, now=datetime(2026, 3, 1, 2, 0, tzinfo=UTC))[-1] == "2026-02-28"


@pytest.mark.parametrize(("days", "count"), [(0, 0), (1, 1), (90, PROVED_DAYS)])
def test_days_before_the_connection_and_those_long_gone_are_not_asked_for(days, count):
    assert len(_due(days=days)) == count


def test_a_first_day_read_from_its_midst_on_is_not_asked_for():
    assert _due(days=1, read_days=0) == []


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ([], "refused: see its figures"),
        (["1", "2", "3"], "refused: 1, 2, 3"),
        (["1", "2", "3", "4", "5"], "refused: 1, 2, 3 and 2 more"),
    ],
)
def test_a_refusal_names_its_first_orders(orders, words):
    assert why_refused({"differences": [{"channel_order_id": one} for one in orders]}) == words
