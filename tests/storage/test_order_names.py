"""Orders with several ids: found by any of them or by a line, and no id or line names two."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.order import OrderState
from oms_sync.domain.shipment import Package, Shipment, ShipmentLine
from oms_sync.domain.values import ChannelRef
from oms_sync.flows.records import AccountRecord


@pytest.fixture
def portable(build):
    """Makes a stored order whose one line has an id of its own."""

    def make(name, *, account="shop-a", **more):
        order = build.order(name, account=account, names=(name,), **more)
        line_id = f"line of {name}"
        known = order.known.lines[0]
        known = replace(known, line=replace(known.line, channel_line_id=line_id))
        order = replace(
            order,
            known=replace(order.known, lines=(known,)),
            lines=(replace(order.lines[0], channel_line_id=line_id),),
        )
        with build.storage.open_work() as work:
            work.orders.add([order])
            work.orders.save_names(account, fresh={name: order.order_id}, moved={})
            work.commit()
        return order

    return make


def named(storage, *names, lines=(), account="shop-a"):
    with storage.open_work() as work:
        found = work.orders.lock_by_names(account, list(names), list(lines))
    return {one.order_id: one for one in found}


def test_an_order_is_found_by_any_id_and_by_any_line(storage, portable):
    one, two = portable("A"), portable("B")
    portable("A2", account="shop-b")
    with storage.open_work() as work:
        work.orders.save_names("shop-a", fresh={"A-old": one.order_id}, moved={})
        work.commit()
    one = replace(one, names=("A", "A-old"))
    assert named(storage, "A") == named(storage, "A-old") == {one.order_id: one}
    assert named(storage, lines=["line of A"]) == {one.order_id: one}
    both = {one.order_id: one, two.order_id: two}
    assert named(storage, "A-old", "nobody", lines=["line of B", "nobody's"]) == both
    assert named(storage, "A", lines=["line of A"], account="shop-b") == {}
    assert named(storage) == {}
    with storage.open_work() as work:
        assert work.orders.ids_by_channel_ids("shop-a", ["A-old", "B"]) == {
            "A-old": one.order_id,
            "B": two.order_id,
        }


@pytest.mark.proves("I-02")
def test_an_id_names_one_order_by_a_constraint_of_the_database(storage, portable):
    one, two = portable("A"), portable("B")
    with pytest.raises(RuleBroken), storage.open_work() as work:
        work.orders.save_names("shop-a", fresh={"A": two.order_id}, moved={})
    with pytest.raises(RuleBroken), storage.open_work() as work:
        work.orders.rename([replace(two, known=replace(two.known, ref=one.known.ref))], {})
    portable("A", account="shop-b")  # the same id at another account is fine


@pytest.mark.proves("I-02")
def test_a_line_id_names_one_line_by_a_constraint_where_lines_are_portable(
    storage, build, portable
):
    one = portable("A")
    twin = replace(
        build.order("B", names=("B",)),
        known=replace(one.known, ref=ChannelRef(account="shop-a", channel_order_id="B")),
        lines=(replace(one.lines[0], line_id="another"),),
    )
    with pytest.raises(RuleBroken), storage.open_work() as work:
        work.orders.add([twin])
    # Where ids of lines count in their order only, nothing stands against it.
    build.stored(replace(twin, names=()))


def test_two_orders_may_change_their_ids_in_a_ring(storage, portable):
    one, two = portable("A"), portable("B")
    swapped = [
        replace(one, known=replace(one.known, ref=two.known.ref)),
        replace(two, known=replace(two.known, ref=one.known.ref)),
    ]
    with storage.open_work() as work:
        work.orders.rename(swapped, {})
        moved = {"B": one.order_id, "A": two.order_id}
        work.orders.save_names("shop-a", fresh={}, moved=moved)
        work.commit()
    found = named(storage, "A", "B")
    ids = {key: order.known.ref.channel_order_id for key, order in found.items()}
    assert ids == {one.order_id: "B", two.order_id: "A"}
    assert [found[one.order_id].names, found[two.order_id].names] == [("B",), ("A",)]


@pytest.mark.proves("I-02", "I-13")
def test_a_line_moves_with_everything_booked_for_it(storage, build, portable):
    build.counted("MUG", 5)
    one, two = portable("A", units=2), portable("B", units=1)
    build.reserved(one.order_id, two.order_id)
    shipment = Shipment(
        shipment_id="s-1",
        order_id=two.order_id,
        account="shop-a",
        channel_order_id="B",
        lines=(
            ShipmentLine(line_id=two.lines[0].line_id, channel_line_id="line of B", quantity=1),
        ),
        packages=(Package(carrier="ups"),),
        shipped_at=build.clock.now(),
    )
    with storage.open_work() as work:
        work.shipments.add(shipment, at=build.clock.now())
        before = work.orders.load([two.order_id])[two.order_id].lines
        work.orders.rename([], {two.order_id: one.order_id})
        work.orders.move_lines({two.lines[0].line_id: one.order_id})
        work.orders.save_names("shop-a", fresh={}, moved={"B": one.order_id})
        moved = replace(shipment, order_id=one.order_id, channel_order_id="A")
        work.shipments.readdress([moved])
        work.commit()
    (found,) = named(storage, "B").values()
    assert found.order_id == one.order_id
    assert found.lines[1:] == before
    assert [line.held for line in found.lines] == [{"main": 2}, {"main": 1}]
    with storage.open_work() as work:
        assert work.shipments.of_orders([one.order_id, two.order_id]) == [moved]
        assert work.shipments.of_orders([]) == []
        holders = work.stock.holders(found.lines[0].sku, "main")
        shell = work.orders.load([two.order_id])[two.order_id]
    assert {(order_id, units) for _, order_id, _, units in holders} == {
        (one.order_id, 2),
        (one.order_id, 1),
    }
    assert (shell.lines, shell.merged_into, shell.state) == (
        (),
        one.order_id,
        OrderState.CANCELLED,
    )
    assert not shell.is_reserve_due
    assert storage.reports.verify_ledger()["ok"]
    # What is merged is no order any more: its id names the other, and lists leave it out.
    assert [order["id"] for order in storage.reports.orders()] == [one.order_id]
    assert storage.reports.resolve_order("shop-a:B") == one.order_id
    assert storage.reports.order("shop-a:B")["aliases"] == ["B"]
    assert storage.reports.order(two.order_id)["merged_into"] == one.order_id
    assert storage.reports.counts()["orders"] == {"open": 1}
    with storage.open_work() as work:
        assert work.orders.lock_by_channel_ids("shop-a", ["A", "B"]).keys() == {"A"}


def test_a_past_explanation_names_the_order_that_has_the_lines_now(storage, build, portable):
    build.counted("MUG", 5)
    one, two = portable("A", units=2), portable("B", units=1)
    build.reserved(one.order_id, two.order_id)
    at = build.clock.now()
    with storage.open_work() as work:
        work.orders.rename([], {two.order_id: one.order_id})
        work.orders.move_lines({two.lines[0].line_id: one.order_id})
        work.commit()
    build.clock.advance(60)
    for asked in (None, at):
        terms = storage.reports.explain("MUG", at=asked)["terms"]
        (reserved,) = [term for term in terms if term["amount"] == -3]
        assert reserved["cause"] == "at main: 1 order: shop-a:A ×3"


def test_locking_an_account_reads_it(storage):
    record = AccountRecord(name="shop-a", connector="fake")
    with storage.open_work() as work:
        assert work.accounts.lock("shop-a") is None
        work.accounts.put(record)
        assert work.accounts.lock("shop-a") == record
        work.commit()


def test_what_was_merged_before_goes_along_with_the_next_merge(storage, portable):
    one, two, three = portable("A"), portable("B"), portable("C")
    for merged in ({three.order_id: two.order_id}, {two.order_id: one.order_id}):
        with storage.open_work() as work:
            work.orders.rename([], merged)
            work.commit()
    with storage.open_work() as work:
        found = work.orders.load([two.order_id, three.order_id])
    assert {order.merged_into for order in found.values()} == {one.order_id}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_orders_without_several_ids_cost_no_row_more(storage, build):
    build.stored(build.order("1"))
    with storage._database.read() as transaction:
        assert transaction.row(text("SELECT count(*) FROM order_names"))[0] == 0
        assert transaction.row(text("SELECT portable_in FROM order_lines"))[0] is None
