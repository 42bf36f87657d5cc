"""Hold, release, refetch; orders from files and into files."""

import csv
import io

import pytest

from oms_sync.domain.order import OrderState
from oms_sync.domain.values import parse_sku
from oms_sync.flows.commands import orders, stock
from oms_sync.flows.commands.context import BadFile, CommandRefused
from oms_sync.flows.commands.order_files import export_orders, import_orders
from oms_sync.flows.manual import MANUAL

HEADER = "order,placed_at,currency,sku,quantity,unit_price,name,address1,country,cancelled\n"


def count(bench, sku="TEE", units=10):
    stock.set_count(bench.context, parse_sku(sku), location="main", units=units, reason="count")


def rows(*lines):
    return (HEADER + "\n".join(lines) + "\n").encode()


def manual_orders(bench):
    with bench.storage.open_work() as work:
        ids = work.orders.ids_by_channel_ids(MANUAL, ["B2B-1", "B2B-2"])
        return {
            order.known.ref.channel_order_id: order
            for order in work.orders.load(list(ids.values())).values()
        }


def test_a_hold_keeps_the_reservation_and_says_who_and_why(bench):
    count(bench)
    order_id = bench.add_order()
    bench.reserve()
    orders.hold(bench.context, order_id, reason="call the buyer")
    order = bench.order(order_id)
    assert order.state is OrderState.HELD
    assert [(one.code, one.actor, one.detail) for one in order.holds] == [
        ("manual", "cli:anna", "call the buyer")
    ]
    assert order.lines[0].held == {"main": 2}
    with pytest.raises(CommandRefused, match="held already"):
        orders.hold(bench.context, order_id, reason="again")


def test_a_release_takes_ones_own_hold_off(bench):
    order_id = bench.add_order()
    orders.hold(bench.context, order_id, reason="x")
    assert orders.release(bench.context, order_id) == orders.Released(
        state=OrderState.OPEN, remaining=()
    )
    assert bench.order(order_id).state is OrderState.OPEN
    with pytest.raises(CommandRefused, match="not held, it is open"):
        orders.release(bench.context, order_id)


def test_holds_of_others_are_not_released_but_explained(bench):
    order_id = bench.add_order()
    with bench.storage.open_work() as work:
        from dataclasses import replace

        from oms_sync.domain.order import Hold

        order = work.orders.lock([order_id])[order_id]
        held = tuple(
            Hold(code=code, since=bench.clock.now(), actor="hub")
            for code in ("unmapped_sku", "channel:fraud")
        )
        work.orders.save([replace(order, holds=held, state=OrderState.HELD)])
        work.commit()
    with pytest.raises(CommandRefused, match=r"listings link.*the channel lets go"):
        orders.release(bench.context, order_id)
    orders.hold(bench.context, order_id, reason="x")
    released = orders.release(bench.context, order_id)
    assert released.state is OrderState.HELD
    assert len(released.remaining) == 2


def test_an_order_that_is_over_is_not_held(bench):
    order_id = bench.add_order(state=OrderState.CANCELLED)
    with pytest.raises(CommandRefused, match="cancelled, there is nothing to hold"):
        orders.hold(bench.context, order_id, reason="x")


def test_a_refetch_arms_a_read_of_known_and_unknown_orders(bench):
    order_id = bench.add_order("1")
    assert orders.refetch(bench.context, [order_id, "shop-a:1", "shop-b:gid://x/Order/9"]) == 2
    with bench.storage.open_work() as work:
        due = {
            account: [
                one.channel_order_id
                for one in work.rereads.due(account, at=bench.clock.now(), limit=9)
            ]
            for account in ("shop-a", "shop-b")
        }
    assert due == {"shop-a": ["1"], "shop-b": ["gid://x/Order/9"]}
    assert ("ingest", "shop-b") in bench.wakes


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nobody:1", "there is no account 'nobody'"),
        ("shop-a:", "names no order"),
        ("unknown", "there is no order 'unknown'"),
        ("manual:1", "import the file again"),
    ],
)
def test_a_refetch_of_what_cannot_be_read_is_refused(bench, name, complaint):
    with pytest.raises(CommandRefused, match=complaint):
        orders.refetch(bench.context, [name])


@pytest.mark.proves("I-42")
def test_orders_from_a_file_become_orders_once(bench):
    count(bench)
    count(bench, "MUG")
    content = rows(
        "B2B-1,2026-04-30T09:00:00Z,EUR,TEE,2,9.50,Zoë Müller,Hauptstr. 1,DE,",
        "B2B-1,2026-04-30T09:00:00Z,EUR,MUG,1,4.00,,,,",
        "B2B-1,2026-04-30T09:00:00Z,EUR,TEE,1,9.50,,,,",
        "B2B-2,2026-04-30T10:00:00Z,JPY,MUG,1,400,,,,",
    )
    done = import_orders(bench.context, content, file="b2b.csv")
    assert (done.orders, done.accepted) == (2, 2)
    assert ("normalise", MANUAL) in bench.wakes
    bench.normalise()
    bench.reserve(MANUAL)
    found = manual_orders(bench)
    first = found["B2B-1"]
    assert sorted((line.sku, sum(line.held.values())) for line in first.lines) == [
        ("MUG", 1),
        ("TEE", 1),
        ("TEE", 2),
    ]
    assert first.known.facts.total is not None
    assert first.known.facts.total.text() == "32.50"
    assert first.known.facts.recipient is not None
    assert first.known.facts.recipient.name == "Zoë Müller"
    assert first.state is OrderState.OPEN
    again = import_orders(bench.context, content, file="b2b.csv")
    assert again.accepted == 0
    bench.normalise()
    bench.reserve(MANUAL)
    assert bench.level("TEE").reserved == 3


def test_a_later_file_changes_or_cancels_an_order(bench):
    count(bench)
    row = "B2B-1,2026-04-30T09:00:00Z,EUR,TEE,{},9.50,,,,{}"
    for units, cancelled in ((5, ""), (2, "no"), (2, "yes")):
        import_orders(bench.context, rows(row.format(units, cancelled)), file="b2b.csv")
        bench.clock.sleep(60)
        bench.normalise()
        bench.reserve(MANUAL)
        assert bench.level("TEE").reserved == (0 if cancelled == "yes" else units)
    assert manual_orders(bench)["B2B-1"].state is OrderState.CANCELLED


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("B2B-2,2026-04-30T09:00:00Z,EUR,CUP,1,,,,,", "o.csv:3: nobody knows the SKU 'CUP'"),
        ("B2B-2,2026-04-30,EUR,TEE,1,,,,,", "o.csv:3: placed_at must be a time with its zone"),
        ("B2B-2,2026-04-30T09:00:00Z,euro,TEE,1,,,,,", "o.csv:3: 'EURO' is not an ISO 4217"),
        ("B2B-2,2026-04-30T09:00:00Z,JPY,TEE,1,9.5,,,,", "o.csv:3: 9.5 is finer than JPY"),
        ("B2B-2,2026-04-30T09:00:00Z,EUR,TEE,1,NaN,,,,", "o.csv:3: unit_price must be an amount"),
        ("B2B-2,2026-04-30T09:00:00Z,EUR,TEE,1,,,,Germany,", "o.csv:3: country must be two"),
        ("B2B-2,2026-04-30T09:00:00Z,EUR,TEE,1,,,,,maybe", "o.csv:3: cancelled must be yes, no"),
        ("B2B-1,2026-05-01T09:00:00Z,EUR,TEE,1,,,,,", "o.csv:3: placed_at differs from an earlier"),
        (",2026-04-30T09:00:00Z,EUR,TEE,1,,,,,", "o.csv:3: order is empty"),
    ],
)
def test_a_bad_row_is_named_and_its_order_left_out_whole(bench, nothing_changed, line, complaint):
    count(bench)
    good = "B2B-1,2026-04-30T09:00:00Z,EUR,TEE,1,,,,,"
    assert nothing_changed()
    with pytest.raises(BadFile) as refusal:
        import_orders(bench.context, rows(good, line), file="o.csv")
    assert complaint in str(refusal.value)
    assert nothing_changed()
    done = import_orders(bench.context, rows(good, line), file="o.csv", skip_bad=True)
    assert done.orders == (0 if line.startswith("B2B-1") else 1)


LINE = {
    "line_id": "l1",
    "channel_line_id": "c1",
    "channel_sku": "TEE",
    "sku": "TEE",
    "title": "=cmd|' /C calc'!A0",
    "quantity_ordered": 2,
    "quantity_cancelled": 0,
    "quantity_reserved": 2,
    "quantity_short": 0,
    "quantity_shipped": 0,
    "quantity_returned": 0,
    "unit_price": "10.00",
}
ORDER = {
    "id": "o1",
    "account": "shop-a",
    "channel_order_id": "1001",
    "channel_order_number": "#1001",
    "state": "open",
    "placed_at": "2026-05-01T11:00:00Z",
    "ship_by": None,
    "currency": "USD",
    "total": "20.00",
    "lines": [LINE, {**LINE, "line_id": "l2"}],
    "recipient": {"name": "@Zoë", "address": {"lines": ["1 Main St", "Apt 2"], "country": "US"}},
    "buyer": {"email": "zoe@example.com"},
}


@pytest.mark.proves("A40")
def test_an_export_has_one_inert_row_a_line_and_no_person(bench):
    text = "".join(export_orders([ORDER], is_revealed=False))
    found = list(csv.DictReader(io.StringIO(text)))
    assert [row["line_id"] for row in found] == ["l1", "l2"]
    assert found[0]["title"] == "'=cmd|' /C calc'!A0"
    assert (found[0]["order_id"], found[0]["ship_by"]) == ("o1", "")
    assert "Zo" not in text
    assert "zoe@" not in text


def test_a_revealed_export_has_the_people(bench):
    text = "".join(export_orders([ORDER], is_revealed=True))
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["recipient_name"] == "'@Zoë"
    assert (row["address"], row["country"]) == ("1 Main St\nApt 2", "US")
    assert row["buyer_email"] == "zoe@example.com"
