"""Counts, adjustments, receipts and safety stock: movements with reasons, shortage where due."""

from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.domain.values import parse_sku
from oms_sync.flows.commands import stock
from oms_sync.flows.commands.context import BadFile, CommandRefused
from oms_sync.flows.commands.csv_rows import BYTES_MAX
from oms_sync.flows.commands.stock_files import export_stock, import_stock

TEE, MUG = parse_sku("TEE"), parse_sku("MUG-☕")


def count(bench, sku=TEE, units=10, *, location="main", at=None):
    return stock.set_count(
        bench.context, sku, location=location, units=units, reason="count", at=at
    )


def test_a_first_count_makes_a_quantity_out_of_nothing(bench):
    booked = count(bench)
    level = bench.level("TEE")
    assert (level.is_counted, level.on_hand, level.sequence) == (True, 10, 1)
    assert booked.is_new_sku
    assert not count(bench, units=10).is_new_sku
    assert bench.level("TEE").sequence == 2, "a count that confirms the books is a fact, too"


def test_a_count_of_zero_counts(bench):
    count(bench, units=0)
    assert bench.level("TEE").is_counted


@pytest.mark.proves("I-19")
def test_a_count_carries_the_time_it_was_true(bench):
    count(bench, units=10)
    bench.clock.sleep(3600)
    counted_at = bench.clock.now()
    bench.clock.sleep(600)
    stock.adjust(bench.context, TEE, location="main", delta=-3, reason="broken")
    booked = count(bench, units=8, at=counted_at)
    assert booked.on_hand == 5, "three of the eight counted have left since"
    assert bench.level("TEE").on_hand == 5


def test_a_count_of_the_future_or_from_before_more_left_is_refused(bench):
    with pytest.raises(CommandRefused, match="future"):
        count(bench, at=bench.clock.now() + timedelta(seconds=1))
    count(bench, units=10)
    early = bench.clock.now()
    bench.clock.sleep(60)
    stock.adjust(bench.context, TEE, location="main", delta=-9, reason="sold by hand")
    with pytest.raises(CommandRefused, match="count again"):
        count(bench, units=2, at=early)


def test_a_count_older_than_the_last_one_is_refused_and_changes_nothing(bench):
    early = bench.clock.now()
    bench.clock.sleep(60)
    count(bench, units=240)
    bench.clock.sleep(60)
    with pytest.raises(CommandRefused, match="the newer one stands"):
        count(bench, units=20, at=early)
    assert bench.level("TEE").on_hand == 240


@pytest.mark.proves("I-14", "I-13")
def test_a_count_below_what_is_reserved_makes_the_newest_orders_short(bench):
    count(bench, units=5)
    old = bench.add_order("1", {"TEE": 3}, placed_at=datetime(2026, 4, 1, tzinfo=UTC))
    new = bench.add_order("2", {"TEE": 2}, placed_at=datetime(2026, 4, 2, tzinfo=UTC))
    bench.reserve()
    booked = count(bench, units=4)
    assert booked.units_short == 1
    level = bench.level("TEE")
    assert (level.on_hand, level.reserved) == (4, 4)
    assert (bench.order(old).lines[0].held, bench.order(old).lines[0].quantity_short) == (
        {"main": 3},
        0,
    )
    assert (bench.order(new).lines[0].held, bench.order(new).lines[0].quantity_short) == (
        {"main": 1},
        1,
    )
    assert ("reserve", "shop-a") in bench.wakes


def test_an_order_short_at_one_location_is_filled_from_another_by_the_next_reserve(bench):
    count(bench, units=2)
    count(bench, units=5, location="annex")
    order_id = bench.add_order("1", {"TEE": 2})
    bench.reserve()
    count(bench, units=0)
    bench.reserve()
    assert bench.order(order_id).lines[0].held == {"annex": 2}
    assert bench.order(order_id).lines[0].quantity_short == 0


def test_supply_wakes_reserve_only_while_orders_are_short(bench):
    count(bench, units=1)
    assert ("reserve", "shop-a") not in bench.wakes
    order_id = bench.add_order("1", {"TEE": 2})
    bench.reserve()
    bench.wakes.clear()
    stock.receive(bench.context, TEE, location="main", units=4, reason="delivery")
    assert ("reserve", "shop-a") in bench.wakes
    bench.reserve()
    assert bench.order(order_id).lines[0].quantity_short == 0


def test_what_was_never_counted_is_neither_adjusted_nor_received(bench):
    for act in (
        lambda: stock.adjust(bench.context, TEE, location="main", delta=1, reason="x"),
        lambda: stock.receive(bench.context, TEE, location="main", units=1, reason="x"),
    ):
        with pytest.raises(CommandRefused, match="never counted; count it first"):
            act()


@pytest.mark.parametrize(
    ("delta", "reason"),
    [
        (-11, "too much"),  # below zero
        (0, "changes nothing"),
    ],
)
def test_an_adjustment_that_cannot_be_is_refused(bench, delta, reason):
    count(bench, units=10)
    with pytest.raises(CommandRefused, match=reason):
        stock.adjust(bench.context, TEE, location="main", delta=delta, reason="x")
    assert bench.level("TEE").on_hand == 10


def test_an_unknown_location_is_refused_naming_the_known_ones(bench):
    with pytest.raises(CommandRefused, match="annex, main"):
        count(bench, location="moon")


def test_safety_stock_needs_a_known_sku_and_is_kept(bench):
    with pytest.raises(CommandRefused, match="count it first"):
        stock.set_safety_stock(bench.context, TEE, location="main", units=2, reason="x")
    count(bench)
    stock.set_safety_stock(bench.context, TEE, location="main", units=2, reason="x")
    assert bench.level("TEE").safety_stock == 2


def test_an_import_counts_every_row_and_sets_safety_stock(bench):
    text = '﻿sku,location,on_hand,safety_stock\n"MUG-☕",main,7,1\nTEE,annex,3,\n'
    done = import_stock(bench.context, text.encode(), file="s.csv")
    assert [(one.sku, one.on_hand) for one in done.booked] == [(MUG, 7), (TEE, 3)]
    assert bench.level("MUG-☕").safety_stock == 1
    assert bench.level("TEE", "annex").on_hand == 3


BAD_ROWS = [
    (b"sku,location,on_hand\n,main,1\n", "s.csv:2: sku is empty"),
    (b"sku,location,on_hand\nA,main,1.5\n", "s.csv:2: on_hand must be a whole number"),
    ("sku,location,on_hand\nA,main,\uff11\n".encode(), "s.csv:2: on_hand must be a whole number"),
    (b"sku,location,on_hand\nA,main,-1\n", "s.csv:2: on_hand must be a whole number"),
    (b"sku,location,on_hand\nA,main,99999999999\n", "s.csv:2: on_hand must be"),
    (b"sku,location,on_hand\nA,moon,1\n", "s.csv:2: there is no location 'moon'"),
    (b"sku,location,on_hand\nA,main,1\nA,main,2\n", "s.csv:3: A at main stands already in line 2"),
    (b"sku,location,on_hand\nA,main\n", "s.csv:2: 2 cells where the header has 3"),
    (b'sku,location,on_hand\n"A\nB",main,1\nC,main,x\n', "s.csv:2: a SKU cannot hold control"),
    (b"sku,location,on_hand,on_hand\nA,main,1,2\n", "s.csv:1: columns twice: on_hand"),
    (b"sku;location;on_hand\nA;main;1\n", "s.csv:1: columns unknown"),
    (b"sku,location\nA,main\n", "s.csv:1: columns missing: on_hand"),
    (b"", "s.csv:1: columns missing"),
    (b"sku,location,on_hand\nA\xff,main,1\n", "s.csv:2: not UTF-8"),
    (b"sku,location,on_hand\nA\x00,main,1\n", "s.csv:2: NUL"),
    (b'sku,location,on_hand\n"A,main,1\n', "not CSV"),
    (b"x" * (BYTES_MAX + 1), "more than"),
]


@pytest.mark.proves("A24", "A44")
@pytest.mark.parametrize(("content", "complaint"), BAD_ROWS)
def test_a_bad_row_is_named_and_nothing_changes(bench, nothing_changed, content, complaint):
    count(bench)
    assert nothing_changed()
    with pytest.raises(BadFile) as refusal:
        import_stock(bench.context, content, file="s.csv")
    assert complaint in str(refusal.value)
    assert nothing_changed()


def test_good_rows_are_imported_when_bad_ones_are_to_be_skipped(bench):
    content = b"sku,location,on_hand\nA,main,1\nB,moon,1\nC,main,x\n"
    done = import_stock(bench.context, content, file="s.csv", skip_bad=True)
    assert [one.sku for one in done.booked] == ["A"]
    assert sorted(fault.line for fault in done.skipped) == [3, 4]


@pytest.mark.proves("A40")
def test_an_export_is_harmless_to_spreadsheets_and_reads_back_the_same(bench):
    skus = ["=1+1", "+A", "-B", "@C", "'=D", "''", 'NAIL 6"', "A,B", "\uff1dE"]
    for number, text in enumerate(skus):
        count(bench, parse_sku(text), units=number)
    stocks = [
        {
            "sku": sku,
            "locations": [{"code": "main", "counted": True, "on_hand": n, "safety_stock": 0}],
        }
        for n, sku in enumerate(skus)
    ]
    text = "".join(export_stock(stocks))
    assert '"=' not in text.replace("\"'=", "")
    done = import_stock(bench.context, text.encode(), file="s.csv")
    assert [(one.sku, one.on_hand) for one in done.booked] == [(s, n) for n, s in enumerate(skus)]
    assert not any(one.is_new_sku for one in done.booked)


def test_uncounted_stock_is_not_exported(bench):
    place = {"code": "main", "counted": False, "on_hand": 0, "safety_stock": 0}
    assert list(export_stock([{"sku": "A", "locations": [place]}])) == [
        '"sku","location","on_hand","safety_stock"\n'
    ]
