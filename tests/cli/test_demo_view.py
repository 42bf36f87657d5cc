"""What the demo shows: whole on 100 columns, plain in a pipe, never steered by a channel's text."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from oms_sync.cli.demo_statement import ChannelComparison, Comparison, Statement
from oms_sync.cli.demo_view import (
    ChannelRow,
    Scene,
    StockRow,
    open_view,
    panel,
    plain_line,
    show_statement,
    sparkline,
)


def _scene(**changes) -> Scene:
    wanted = {
        "phase": "selling",
        "elapsed_seconds": 12.3,
        "seconds": 60.0,
        "address": "http://127.0.0.1:8080",
        "database": "SQLite",
        "channels": [
            ChannelRow(account="shop-us", placed=30, refused=2, pushes=40),
            ChannelRow(account="shop-eu", placed=28, refused=1, pushes=41, is_out=True),
        ],
        "stock": [
            StockRow(sku="TEE RED M", initial=4, left=0, offered={"shop-us": 0, "shop-eu": 1}),
            StockRow(sku="MUG-☕", initial=80, left=61, offered={"shop-us": 61, "shop-eu": 61}),
        ],
        "orders_in_hub": 57,
        "skus_sold_out": 1,
        "shipments": 20,
        "lags": [50.0, 400.0, 90.0],
        "faults": {"F01": 2, "F09": 0},
    }
    return Scene(**(wanted | changes))


def _drawn(scene: Scene) -> str:
    file = io.StringIO()
    Console(file=file, width=120, highlight=False, markup=False).print(panel(scene))
    return file.getvalue()


def test_the_panel_shows_every_channel_sku_fault_and_the_address_within_100_columns():
    text = _drawn(_scene())
    shown = ("shop-us", "shop-eu", "TEE RED M", "out of reach", "90 ms", "F01×2", "12 of 60 s")
    assert [part for part in shown if part not in text] == []
    assert "57 orders in the hub   20 shipments   1 SKUs sold out" in text
    assert "http://127.0.0.1:8080/readyz" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_three_channels_and_many_faults_still_fit_100_columns_uncut():
    accounts = ("amazon-us", "ebay-us", "shop-us")
    scene = _scene(
        channels=[
            ChannelRow(account=a, placed=12_345, refused=99, pushes=23_456) for a in accounts
        ],
        stock=[
            StockRow(sku=f"SKU-{n:05d}", initial=9, left=n, offered=dict.fromkeys(accounts, n))
            for n in range(6)
        ],
        lags=[1_000.0 * (n % 7) for n in range(60)],
        faults={f"F{number:02d}": number * 3 for number in range(1, 30)},
    )
    lines = _drawn(scene).splitlines()
    assert max(len(line) for line in lines) <= 100
    assert "…" not in "".join(lines)
    assert "F29×87" in "".join(lines)
    assert "half within 3000 · 95 % 6000 ms" in "".join(lines)


def test_the_panel_can_be_drawn_before_anything_happened():
    text = _drawn(_scene(lags=[], faults={}, seconds=None, channels=[], stock=[]))
    assert "no sale has reached" in text
    assert "Ctrl-C" in text


def test_a_skus_text_cannot_steer_the_terminal():
    row = StockRow(sku="TEE\x1b[2J\n[red]", initial=1, left=1, offered={})
    assert "\x1b" not in _drawn(_scene(stock=[row], channels=[]))


def test_a_plain_line_says_it_all_in_one_line():
    line = plain_line(_scene())
    assert "\n" not in line
    for part in ("shop-us 30 orders, 40 pushes", "in hub 57", "shipped 20", "lag 90 ms"):
        assert part in line
    assert "lag –" in plain_line(_scene(lags=[]))


def test_a_pipe_gets_plain_lines_at_most_once_a_second():
    file = io.StringIO()
    with open_view(file) as view:
        for tenth in range(25):
            view.show(_scene(elapsed_seconds=tenth / 10))
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([0.0, 0.0], "▁▁"),
        ([1.0, 4.0, 8.0], "▁▄█"),
    ],
)
def test_a_sparkline_rises_to_the_highest_value(values, bars):
    assert sparkline(values) == bars


def test_a_sparkline_shows_the_newest_values_only():
    assert len(sparkline([1.0] * 500)) == 48


def _statement(**changes: int) -> Statement:
    counts = {
        "orders_placed": 9,
        "orders_in_hub": 9,
        "orders_lost": 0,
        "orders_doubled": 0,
        "listings_total": 80,
        "listings_drifted": 0,
        "shipments_made": 5,
        "shipments_confirmed": 5,
        "units_oversold": 1,
        "units_short": 1,
    }
    return Statement(
        seed=1,
        plan_hash="ab",
        comparison=Comparison(channels={}, **(counts | changes)),
        skus_sold_out=4,
        propagation_ms={"p50": 80.0, "p95": 300.0, "p99": None},
        faults_fired={},
        settled_seconds=1.0,
    )


def _of_channel(**changes: int) -> ChannelComparison:
    counts = {
        "orders_placed": 4,
        "orders_in_hub": 4,
        "orders_missing": 0,
        "orders_differing": 0,
        "orders_doubled": 0,
        "purchases_refused": 1,
        "units_sold": 6,
        "listings": 40,
        "listings_drifted": 0,
        "shipments_made": 2,
        "shipments_confirmed": 2,
    }
    return ChannelComparison(**(counts | changes), calls={})


def test_the_statement_says_what_each_channel_says_by_itself():
    channels = {"amazon-us": _of_channel(), "ebay-us": _of_channel(orders_placed=31)}
    statement = _statement()
    text = _shown(replace(statement, comparison=replace(statement.comparison, channels=channels)))
    heading = next(line for line in text.splitlines() if "closing statement" in line)
    assert heading.split() == "closing statement amazon-us ebay-us all channels hub".split()
    orders = next(line for line in text.splitlines() if line.split()[:1] == ["orders"])
    assert orders.split() == ["orders", "4", "31", "9", "9", "✓"]


def _shown(statement: Statement) -> str:
    file = io.StringIO()
    show_statement(statement, file)
    return file.getvalue()


def test_a_clean_statement_says_so():
    text = _shown(_statement())
    assert "Clean:" in text
    assert "✗" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"orders_lost": 1},
        {"orders_doubled": 1},
        {"listings_drifted": 2},
        {"shipments_confirmed": 4},
        {"units_short": 0},
    ],
)
def test_a_statement_that_is_not_clean_marks_where(change):
    statement = _statement(**change)
    text = _shown(statement)
    assert not statement.is_clean
    assert "NOT clean" in text
    assert text.count("✗") >= 2  # the row and the sentence
