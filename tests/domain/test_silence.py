"""When an account is too quiet, and what nobody can read any more."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.silence import (
    NOT_RECONCILED_SECONDS,
    OVERDUE_KINDS,
    SWEEP_SECONDS_MAX,
    Overdue,
    Pace,
    Pulse,
    SilenceKind,
    history_left,
    lost_stretch,
    overdue_before,
    overdue_count,
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
        # a sweep that reads page by page is slow and not silent, until it lasts for two days
        ({"swept_at": _ago(hours=9), "sweep_began_at": _ago(hours=8)}, {}, {"not_reconciled"}),
        (
            {
                "swept_at": _ago(hours=9),
                "sweep_began_at": _ago(hours=8),
                "sweep_page_at": _ago(hours=2),
            },
            {},
            set(),
        ),
        (
            {
                "swept_at": _ago(hours=60),
                "sweep_began_at": _ago(hours=49),
                "sweep_page_at": _ago(hours=1),
            },
            {},
            {"not_reconciled"},
        ),
        # one just begun has no page yet; one put off for its length is not due yet
        ({"swept_at": _ago(hours=9), "sweep_began_at": _ago(minutes=1)}, {}, set()),
        ({"swept_at": _ago(hours=9), "sweep_due_at": _ago(hours=-3)}, {}, set()),
        ({"swept_at": _ago(hours=9), "sweep_due_at": _ago(hours=1)}, {}, set()),
        ({"swept_at": _ago(hours=9), "sweep_due_at": _ago(hours=2.1)}, {}, {"not_reconciled"}),
        ({"unshipped": Overdue(since=_ago(hours=-3), count=1)}, {}, {"not_shipped"}),
        ({"unshipped": Overdue(since=NOW, count=1)}, {"reads_orders": False}, set()),
        ({"unpaid": Overdue(since=_ago(days=6), count=1, units=2)}, {}, {"not_paid"}),
        ({"untold": Overdue(since=_ago(hours=2), count=1)}, {}, set()),
        ({"untold": Overdue(since=NOW, count=1)}, {"pushes_tracking": True}, {"not_told"}),
        ({"refused": Overdue(since=NOW, count=1)}, {"pushes_tracking": True}, {"not_told"}),
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


def _reasons(**pulse: object) -> dict[SilenceKind, str]:
    pace = Pace(**{**_of(_pace()), "pushes_tracking": True})
    found = silences(Pulse(**{**FRESH, **pulse}), pace, now=NOW)
    return {kind: one.reason for kind, one in found.items()}


def _of(pace: Pace) -> dict[str, object]:
    return {name: getattr(pace, name) for name in Pace.__dataclass_fields__}


@pytest.mark.proves("I-29", "I-41")
def test_what_is_overdue_is_told_with_its_number_and_its_remedy():
    unshipped = Overdue(since=NOW + timedelta(hours=1), count=1)
    (reason,) = _reasons(unshipped=unshipped).values()
    assert reason.startswith("1 order to ship within 4 hours or late already")
    assert "2026-03-01 13:00 UTC" in reason
    (reason,) = _reasons(unpaid=Overdue(since=NOW, count=2, units=7)).values()
    assert reason.startswith("2 orders unpaid for more than 5 days hold 7 units")
    assert "orders cancel --reason" in reason
    both = {"untold": Overdue(since=NOW, count=2), "refused": Overdue(since=NOW, count=1)}
    (reason,) = _reasons(**both).values()
    assert reason.startswith("3 shipments the channel does not show, 1 of them refused")


_WAITING = st.none() | st.builds(
    Overdue,
    since=st.integers(0, 100).map(lambda hours: _ago(hours=hours)),
    count=st.integers(1, 5),
)


@given(unshipped=_WAITING, untold=_WAITING, refused=_WAITING, unpaid=_WAITING)
def test_exactly_what_is_overdue_is_an_alarm_counted_in_full(unshipped, untold, refused, unpaid):
    kept = {"unshipped": unshipped, "untold": untold, "refused": refused, "unpaid": unpaid}
    pulse = Pulse(**{**FRESH, **kept})
    found = silences(pulse, Pace(**{**_of(_pace()), "pushes_tracking": True}), now=NOW)
    told = [one for one in (untold, refused) if one is not None]
    assert (SilenceKind.NOT_SHIPPED in found) is (unshipped is not None)
    assert (SilenceKind.NOT_TOLD in found) is bool(told)
    assert (SilenceKind.NOT_PAID in found) is (unpaid is not None)
    counted = sum(overdue_count(pulse, kind) for kind in OVERDUE_KINDS)
    assert counted == sum(one.count for one in kept.values() if one is not None)
    if told:
        assert found[SilenceKind.NOT_TOLD].since == min(one.since for one in told)
    if unshipped:
        assert found[SilenceKind.NOT_SHIPPED].since == unshipped.since - timedelta(hours=4)


def test_orders_are_late_four_hours_ahead_and_unpaid_ones_only_after_days():
    ago = {kind.value: NOW - overdue_before(kind, NOW) for kind in OVERDUE_KINDS}
    assert ago == {
        "not_shipped": timedelta(hours=-4),
        "not_told": timedelta(hours=1),
        "not_paid": timedelta(days=5),
    }


@given(
    took=st.floats(0, SWEEP_SECONDS_MAX - 1),
    page=st.floats(0, 1),
    waited=st.floats(0, 1),
    period=st.floats(60, 7200),
)
def test_a_sweep_that_moves_or_is_not_yet_due_is_never_a_silence(took, page, waited, period):
    """However long it takes: while pages come within the limit, and until twice its time is up."""
    pace = Pace(**{**_of(_pace()), "reconcile_seconds": period})
    limit = max(NOT_RECONCILED_SECONDS, 3 * period)
    began = _ago(seconds=took)
    moving = {"sweep_began_at": began, "sweep_page_at": max(began, _ago(seconds=page * limit))}
    resting = {"sweep_due_at": NOW + timedelta(seconds=took * waited)}
    for sweep in (moving, resting):
        pulse = Pulse(**{**FRESH, "swept_at": _ago(days=30), **sweep})
        assert SilenceKind.NOT_RECONCILED not in silences(pulse, pace, now=NOW)
