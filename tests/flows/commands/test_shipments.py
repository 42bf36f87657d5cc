"""Shipping: what leaves consumes its reservation, once, and the channel is told."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from oms_sync.domain.errors import ShipmentRefused
from oms_sync.domain.order import OrderState
from oms_sync.domain.shipment import Package
from oms_sync.domain.values import parse_sku
from oms_sync.flows.commands import orders, stock
from oms_sync.flows.commands.context import BadFile, CommandRefused
from oms_sync.flows.commands.shipment_files import import_shipments
from oms_sync.flows.commands.shipments import Dispatch, ship
from oms_sync.flows.manual import MANUAL

BOX = (Package(carrier="ups", tracking_number="1Z1"),)
HEADER = "order,sku,quantity,carrier,tracking,service,shipped_at\n"


def count(bench, units, sku="TEE", location="main"):
    stock.set_count(bench.context, parse_sku(sku), location=location, units=units, reason="count")


def pushes(bench, account="shop-a"):
    with bench.storage.open_work() as work:
        return work.shipments.lock_due(account, at=bench.clock.now(), limit=100)


def numbers(bench, sku="TEE", location="main"):
    level = bench.level(sku, location)
    return level.on_hand, level.reserved


@pytest.mark.proves("I-16")
def test_a_whole_order_leaves_and_its_reservation_with_it(bench):
    count(bench, 10)
    order_id = bench.add_order(lines={"TEE": 2})
    bench.reserve()
    bench.wakes.clear()
    shipment = ship(bench.context, order_id, Dispatch(packages=BOX))
    assert numbers(bench) == (8, 0)
    order = bench.order(order_id)
    assert order.state is OrderState.CLOSED
    assert (order.lines[0].held, order.lines[0].shipped_here) == ({}, 2)
    assert [push.shipment for push in pushes(bench)] == [shipment]
    assert {("push_tracking", "shop-a"), ("reserve", "shop-a")} <= set(bench.wakes)
    bench.reserve()
    assert numbers(bench) == (8, 0), "the ledger saw these units leave once"


def test_a_part_is_shipped_and_the_rest_stays_reserved(bench):
    count(bench, 10)
    order_id = bench.add_order(lines={"TEE": 3})
    bench.reserve()
    ship(bench.context, order_id, Dispatch(packages=BOX, lines={"TEE": 1}))
    assert numbers(bench) == (9, 2)
    assert bench.order(order_id).state is OrderState.OPEN
    ship(bench.context, order_id, Dispatch(packages=BOX))
    assert numbers(bench) == (7, 0)
    assert bench.order(order_id).state is OrderState.CLOSED


def test_several_packages_are_one_shipment(bench):
    count(bench, 10)
    order_id = bench.add_order()
    bench.reserve()
    two = (*BOX, Package(carrier="ups", tracking_number="1Z2"))
    assert ship(bench.context, order_id, Dispatch(packages=two)).packages == two


def test_units_the_channel_saw_shipped_before_are_other_units(bench):
    count(bench, 10)
    order_id = bench.add_order(lines={"TEE": 3})
    bench.reserve()
    ship(bench.context, order_id, Dispatch(packages=BOX, lines={"TEE": 2}))
    with pytest.raises(ShipmentRefused, match="has 1 open units, not 2"):
        ship(bench.context, order_id, Dispatch(packages=BOX, lines={"TEE": 2}))
    assert bench.order(order_id).lines[0].shipped_here == 2


@pytest.mark.proves("I-30")
@pytest.mark.parametrize(
    ("facts", "lines", "complaint"),
    [
        ({"state": OrderState.PENDING}, {}, "only an open order"),
        ({"state": OrderState.CANCELLED}, {}, "only an open order"),
        ({"fulfilled_by": "channel"}, {}, "ships this order itself"),
        ({}, {"TEE": 3}, "has 2 open units, not 3"),
        ({}, {"CUP": 1}, "has no line 'CUP'; its lines: TEE"),
        ({}, {"TEE": 0}, "at least one unit"),
    ],
)
def test_what_may_not_leave_is_refused_and_nothing_changes(
    bench, nothing_changed, facts, lines, complaint
):
    count(bench, 10)
    order_id = bench.add_order(lines={"TEE": 2}, **facts)
    bench.reserve()
    assert nothing_changed()
    with pytest.raises(ShipmentRefused, match=complaint):
        ship(bench.context, order_id, Dispatch(packages=BOX, lines=lines))
    assert nothing_changed()


def test_a_held_order_does_not_leave(bench):
    count(bench, 10)
    order_id = bench.add_order()
    bench.reserve()
    orders.hold(bench.context, order_id, reason="fraud?")
    with pytest.raises(ShipmentRefused, match="held: manual"):
        ship(bench.context, order_id, Dispatch(packages=BOX))


def test_a_shipment_of_the_future_or_without_a_package_is_refused(bench):
    count(bench, 10)
    order_id = bench.add_order()
    late = datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(ShipmentRefused, match="future"):
        ship(bench.context, order_id, Dispatch(packages=BOX, shipped_at=late))
    with pytest.raises(ShipmentRefused, match="at least one package"):
        ship(bench.context, order_id, Dispatch(packages=()))
    with pytest.raises(CommandRefused, match="there is no order"):
        ship(bench.context, "nonsense", Dispatch(packages=BOX))


@pytest.mark.proves("I-14")
def test_short_units_leave_only_when_they_were_found(bench):
    count(bench, 1)
    order_id = bench.add_order(lines={"TEE": 3})
    bench.reserve()
    with pytest.raises(ShipmentRefused, match=r"2 of 3 units are short.*--found"):
        ship(bench.context, order_id, Dispatch(packages=BOX))
    ship(bench.context, order_id, Dispatch(packages=BOX, is_found=True))
    assert numbers(bench) == (0, 0)
    assert bench.level("TEE").sequence == 5, "count, reserve, ship, found, ship"
    assert bench.order(order_id).lines[0].quantity_short == 0


def test_found_units_of_a_sku_nobody_counted_leave_no_trace_in_the_books(bench):
    order_id = bench.add_order(lines={"TEE": 1})
    bench.reserve()
    with pytest.raises(ShipmentRefused, match="short"):
        ship(bench.context, order_id, Dispatch(packages=BOX))
    ship(bench.context, order_id, Dispatch(packages=BOX, is_found=True))
    count(bench, 5)
    bench.reserve()
    assert numbers(bench) == (5, 0)


def test_units_reserved_at_several_places_leave_from_the_best_first(bench):
    count(bench, 1)
    count(bench, 5, location="annex")
    order_id = bench.add_order(lines={"TEE": 3})
    bench.reserve()
    ship(bench.context, order_id, Dispatch(packages=BOX, lines={"TEE": 2}))
    assert (numbers(bench), numbers(bench, location="annex")) == ((0, 0), (4, 1))


def test_nobody_has_to_be_told_of_an_order_taken_by_hand(bench):
    count(bench, 5)
    order_id = bench.add_order(account=MANUAL)
    bench.reserve(MANUAL)
    ship(bench.context, order_id, Dispatch(packages=BOX))
    assert pushes(bench, MANUAL) == []


def rows(*lines):
    return (HEADER + "\n".join(lines) + "\n").encode()


@pytest.mark.proves("I-42")
def test_a_file_imported_twice_ships_once(bench):
    count(bench, 10)
    order_id = bench.add_order(lines={"TEE": 2, "MUG": 1})
    count(bench, 10, sku="MUG")
    bench.reserve()
    content = rows(
        "shop-a:1001,TEE,2,ups,1Z1,ground,2026-05-01T10:00:00Z",
        "shop-a:1001,MUG,1,ups,1Z1,ground,2026-05-01T12:00:00+02:00",
    )
    first = import_shipments(bench.context, content, file="w.csv")
    assert [len(one.lines) for one in first.made] == [2], "one package is one shipment"
    again = import_shipments(bench.context, content, file="renamed.csv")
    assert (again.made, again.known) == ((), 1)
    assert numbers(bench) == (8, 0)
    assert bench.order(order_id).state is OrderState.CLOSED
    assert len(pushes(bench)) == 1


def test_packages_without_tracking_are_told_apart_by_their_lines(bench):
    count(bench, 10)
    bench.add_order(lines={"TEE": 3})
    bench.reserve()
    assert (
        len(import_shipments(bench.context, rows("shop-a:1001,TEE,1,dhl,,,"), file="w").made) == 1
    )
    again = import_shipments(bench.context, rows("shop-a:1001,TEE,1,dhl,,,"), file="w")
    assert (again.made, again.known) == ((), 1)
    assert (
        len(import_shipments(bench.context, rows("shop-a:1001,TEE,2,dhl,,,"), file="w").made) == 1
    )


def test_a_package_cannot_change_after_it_was_imported(bench):
    count(bench, 10)
    bench.add_order(lines={"TEE": 3})
    bench.reserve()
    import_shipments(bench.context, rows("shop-a:1001,TEE,1,ups,1Z1,,"), file="w.csv")
    with pytest.raises(BadFile, match="imported before with other units"):
        import_shipments(bench.context, rows("shop-a:1001,TEE,2,ups,1Z1,,"), file="w.csv")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("shop-a:9,TEE,1,ups,1Z,,", "w.csv:3: there is no order 'shop-a:9'"),
        ("nonsense,TEE,1,ups,1Z,,", "w.csv:3: there is no order 'nonsense'"),
        ("shop-a:1001,TEE,9,ups,1Z,,", "w.csv:3: TEE has 1 open units, not 9"),
        ("shop-a:1001,CUP,1,ups,1Z,,", "w.csv:3: the order has no line 'CUP'"),
        ("shop-a:1001,TEE,0,ups,1Z,,", "w.csv:3: quantity must be at least 1"),
        ("shop-a:1001,TEE,1,,1Z,,", "w.csv:3: carrier is empty"),
        ("shop-a:1001,TEE,1,ups,1Z,,2026-05-01T10:00", "w.csv:3: shipped_at must be a time with"),
        ("shop-a:1001,TEE,1,ups,1Z,,2027-05-01T10:00:00Z", "is in the future"),
    ],
)
def test_a_bad_row_is_named_and_nothing_leaves(bench, nothing_changed, line, complaint):
    count(bench, 10)
    bench.add_order(lines={"TEE": 2})
    bench.reserve()
    content = rows("shop-a:1001,TEE,1,ups,1Z0,,", line)
    assert nothing_changed()
    with pytest.raises(BadFile) as refusal:
        import_shipments(bench.context, content, file="w.csv")
    assert complaint in str(refusal.value)
    assert nothing_changed()
    done = import_shipments(bench.context, content, file="w.csv", skip_bad=True)
    assert (len(done.made), len(done.skipped)) == (1, 1)
    assert numbers(bench) == (9, 1)


def test_a_package_with_a_bad_row_is_left_out_whole(bench):
    count(bench, 10)
    bench.add_order(lines={"TEE": 2, "MUG": 1})
    bench.reserve()
    content = rows("shop-a:1001,TEE,2,ups,1Z1,,", "shop-a:1001,MUG,x,ups,1Z1,,")
    assert import_shipments(bench.context, content, file="w.csv", skip_bad=True).made == ()


def test_two_lines_of_one_sku_ship_in_the_orders_own_sequence(bench):
    count(bench, 10)
    order_id = bench.add_order(lines={"TEE": 2, "TEE-2": 2})
    with bench.storage.open_work() as work:
        order = work.orders.lock([order_id])[order_id]
        lines = tuple(replace(line, sku=parse_sku("TEE")) for line in order.lines)
        work.orders.save([replace(order, lines=lines)])
        work.commit()
    bench.reserve()
    shipment = ship(bench.context, order_id, Dispatch(packages=BOX, lines={"TEE": 3}))
    assert [line.quantity for line in shipment.lines] == [2, 1]
    assert numbers(bench) == (7, 1)


def test_units_on_the_shelf_leave_even_before_the_order_was_reserved(bench):
    count(bench, 5)
    order_id = bench.add_order(lines={"TEE": 2})
    ship(bench.context, order_id, Dispatch(packages=BOX))
    bench.reserve()
    assert numbers(bench) == (3, 0)


def test_a_test_order_ships_without_touching_stock(bench):
    count(bench, 5)
    order_id = bench.add_order(lines={"TEE": 2}, is_test=True)
    bench.reserve()
    ship(bench.context, order_id, Dispatch(packages=BOX))
    assert numbers(bench) == (5, 0)
