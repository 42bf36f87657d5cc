"""Latency from the channels' change logs: what counts as seen, and what must not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.cli.demo_propagation import Change, Propagation, percentiles

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _change(account: str, at_ms: int, quantity: int, delta: int, *, is_hub=False) -> Change:
    return Change(
        account=account,
        at=NOON + timedelta(milliseconds=at_ms),
        sku="TEE",
        quantity=quantity,
        delta=delta,
        is_hub=is_hub,
    )


def _told(*changes: Change, units: int = 10) -> Propagation:
    told = Propagation({"TEE": units}, ("us", "eu"))
    told.feed(changes)
    return told


def test_a_sale_is_seen_with_the_hubs_first_lower_quantity_elsewhere():
    told = _told(_change("us", 0, 9, -1), _change("eu", 120, 9, -1, is_hub=True))
    assert told.measured == [120.0]
    assert told.pushes == {"us": 0, "eu": 1}
    assert told.left("TEE") == 9


def test_a_push_that_was_decided_before_the_sale_does_not_show_it():
    told = _told(
        _change("us", 0, 9, -1),
        _change("us", 90, 8, -1),
        _change("eu", 100, 9, -1, is_hub=True),  # knows the first sale only
        _change("eu", 300, 8, -1, is_hub=True),
    )
    assert told.measured == [100.0, 210.0]


def test_a_channels_own_sale_does_not_pass_for_news_from_elsewhere():
    told = _told(
        _change("us", 0, 9, -1),
        _change("eu", 50, 9, -1),  # its own sale: still does not know of the other
        _change("eu", 200, 8, -1, is_hub=True),
        _change("us", 250, 8, -1, is_hub=True),
    )
    assert told.measured == [200.0, 200.0]


def test_the_last_unit_sold_twice_leaves_nothing_to_wait_for_but_an_empty_shop():
    told = _told(_change("us", 0, 0, -1), _change("eu", 10, 0, -1), units=1)
    told.finish(NOON + timedelta(seconds=60))
    assert told.measured == []
    assert told.left("TEE") == -1
    assert told.sold_out == {"TEE"}


def test_units_that_come_back_make_earlier_sales_immeasurable():
    told = _told(
        _change("us", 0, 8, -2),
        _change("us", 10, 10, 2),
        _change("eu", 100, 9, -1, is_hub=True),
    )
    told.finish(NOON + timedelta(seconds=60))
    assert told.measured == []


def test_a_sale_that_never_shows_counts_until_the_end():
    told = _told(_change("us", 0, 9, -1))
    told.finish(NOON + timedelta(seconds=60))
    assert told.measured == [60_000.0]


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([], {"p50": None, "p95": None, "p99": None}),
        ([7.0], {"p50": 7.0, "p95": 7.0, "p99": 7.0}),
        ([float(n) for n in range(100, 0, -1)], {"p50": 50.0, "p95": 95.0, "p99": 99.0}),
        ([3.0, 1.0, 2.0], {"p50": 2.0, "p95": 3.0, "p99": 3.0}),
    ],
)
def test_percentiles_are_values_that_were_measured(measured, expected):
    assert percentiles(measured) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_rise(measured):
    found = percentiles(measured)
    assert found["p50"] <= found["p95"] <= found["p99"] <= round(max(measured), 1)
