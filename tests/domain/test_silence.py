"""When an account is too quiet, and what nobody can read any more."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.silence import (
    Pace,
    Pulse,
    SilenceKind,
    history_left,
    lost_stretch,
    silences,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FRESH = {"first_connected_at": NOW - timedelta(days=90), "read_at": NOW, "swept_at": NOW}


def _ago(**ago: float) -> datetime:
    return NOW - timedelta(**ago)


def _kinds(pulse: dict, **pace: object) -> set[str]:
    made = Pace(
        **{
            "poll_seconds": 60,
            "reconcile_seconds": 3600,
            "silence_hours": None,
            "order_horizon_days": 60,
            "reads_orders": True,
            "pushes_stock": True,
            **pace,
        }
    )
    return {kind.value for kind in silences(Pulse(**{**FRESH, **pulse}), made, now=NOW)}


@pytest.mark.proves("O-07")
@pytest.mark.parametrize(
    ("pulse", "pace", "expected"),
    [
        ({}, {}, set()),
        ({"read_at": _ago(seconds=600)}, {}, set()),
        ({"read_at": _ago(seconds=601)}, {}, {"not_read"}),
        # one who polls rarely is not silent between two polls
        ({"read_at": _ago(minutes=20)}, {"poll_seconds": 300}, set()),
        # a long pass under way reads, page by page
        ({"read_at": _ago(days=40), "page_at": _ago(seconds=5)}, {}, set()),
        ({"read_at": _ago(days=31)}, {}, {"not_read", "history_ends"}),
        ({"read_at": _ago(days=70)}, {}, {"not_read", "history_ends"}),
        # never read at all counts from the first connection
        ({"read_at": None, "first_connected_at": _ago(minutes=11)}, {}, {"not_read"}),
        ({"last_order_at": _ago(hours=25)}, {}, set()),
        ({"last_order_at": _ago(hours=25)}, {"silence_hours": 24}, {"no_orders"}),
        ({"last_order_at": _ago(hours=23)}, {"silence_hours": 24}, set()),
        # no order ever counts from the first connection
        ({}, {"silence_hours": 24}, {"no_orders"}),
        ({"unannounced": (_ago(hours=2), _ago(hours=1))}, {}, set()),
        ({"unannounced": (_ago(hours=2), _ago(hours=1), NOW)}, {}, {"unannounced"}),
        # announcements may be a little late
        ({"unannounced": (_ago(minutes=14), NOW, NOW)}, {}, set()),
        ({"unpushed_since": _ago(minutes=29)}, {}, set()),
        ({"unpushed_since": _ago(minutes=31)}, {}, {"not_pushed"}),
        ({"unpushed_since": _ago(minutes=31)}, {"pushes_stock": False}, set()),
        ({"swept_at": _ago(hours=4)}, {}, {"not_reconciled"}),
        ({"unwritten_since": _ago(minutes=59)}, {"pushes_stock": False}, set()),
        ({"unwritten_since": _ago(minutes=61)}, {"pushes_stock": False}, {"not_written_back"}),
        # what the channel decides on may take its time
        ({"undecided_since": _ago(days=3)}, {}, set()),
        ({"undecided_since": _ago(days=5)}, {}, {"not_written_back"}),
        ({"swept_at": _ago(hours=4)}, {"reconcile_seconds": 7200}, set()),
        ({"read_at": _ago(days=9)}, {"reads_orders": False}, set()),
    ],
)
def test_each_silence_is_named_once_it_lasts_too_long(pulse, pace, expected):
    assert _kinds(pulse, **pace) == expected


def _pace() -> Pace:
    return Pace(
        poll_seconds=60,
        reconcile_seconds=3600,
        silence_hours=None,
        order_horizon_days=60,
        reads_orders=True,
        pushes_stock=True,
    )


@pytest.mark.parametrize(
    ("days", "words"),
    [(40.5, "in 19 days 12 hours"), (60, "some of it is lost"), (61, "some of it is lost")],
)
def test_the_time_left_before_orders_are_lost_counts_down(days, words):
    pulse = Pulse(**{**FRESH, "read_at": _ago(days=days)})
    assert words in silences(pulse, _pace(), now=NOW)[SilenceKind.HISTORY_ENDS].reason
    assert history_left(pulse, _pace(), now=NOW) == timedelta(days=60 - days)


@given(away=st.floats(0, 200), horizon=st.floats(1, 100), page=st.none() | st.floats(0, 100))
def test_what_is_lost_is_exactly_what_was_unread_and_is_older_than_the_channel_shows(
    away, horizon, page
):
    read_at = NOW - timedelta(days=away)
    page_at = None if page is None else NOW - timedelta(hours=page)
    lost = lost_stretch(read_at, page_at=page_at, horizon_days=horizon, now=NOW)
    oldest_shown = NOW - timedelta(days=horizon)
    is_going_on = page_at is not None and NOW - page_at <= timedelta(minutes=10)
    if read_at >= oldest_shown or is_going_on:
        assert lost is None
    else:
        assert lost == (read_at, oldest_shown)
