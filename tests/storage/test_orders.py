"""Orders come back exactly as they were stored, once, and their reservations with them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.cancel_requests import Declined
from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import Hold, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.values import ChannelRef, Money, Sku
from oms_sync.flows.records import StoredLine
from oms_sync.storage import codec
from oms_sync.storage.columns import from_micros


def load(storage, *order_ids):
    with storage.open_work() as work:
        return work.orders.load(order_ids)


def test_an_order_comes_back_exactly_as_it_was_stored(storage, build, clock):
    order = build.order(
        "1001",
        facts={
            "total": Money(Decimal("10.125"), "USD"),
            "tax": Money.parse("120", "JPY"),
            "is_test": False,
            "ship_by": clock.now() + timedelta(microseconds=1),
            "channel_holds": ("fraud review",),
            "tax_remitted": Money.parse("20", "JPY"),
            "import_tax_number": "IM1234567890",
            "buyer_note": "Ring twice\n李",
        },
        holds=(Hold(code="manual", since=clock.now(), actor="cli:anna", detail="asks"),),
        payload_key="abc",
        declined=Declined(
            channel_order_id="1001",
            version=Version(clock.now(), clock.now() + timedelta(microseconds=1)),
            lines=frozenset({"line-1", "line-2"}),
        ),
    )
    build.stored(order)
    assert load(storage, order.order_id) == {order.order_id: order}
    with storage.open_work() as work:
        assert work.orders.lock([order.order_id]) == {order.order_id: order}
        assert work.orders.lock_by_channel_ids("shop-a", ["1001", "nope"]) == {"1001": order}
        assert work.orders.ids_by_channel_ids("shop-a", ["1001", "nope"]) == {
            "1001": order.order_id
        }
        assert work.orders.lock_by_channel_ids("shop-b", ["1001"]) == {}
        assert work.orders.lock([]) == work.orders.load([]) == {}


@pytest.mark.proves("I-07")
def test_merged_knowledge_keeps_the_version_of_every_field(storage, build, clock):
    order = build.order("1001")
    later = Version(clock.now() + timedelta(seconds=5), clock.now())
    news = OrderSight(
        channel_order_id="1001", version=later, facts=OrderFacts(channel_status="paid")
    )
    merged = replace(order, known=merge(order.known, first_sight("shop-a", news)))
    assert merged.known.versions
    build.stored(merged)
    assert load(storage, order.order_id)[order.order_id].known == merged.known


@pytest.mark.proves("I-02", "F38")
def test_a_doubled_channel_order_id_is_refused_by_the_database(storage, build):
    build.stored(build.order("1001"))
    with pytest.raises(RuleBroken), storage.open_work() as work:
        work.orders.add([build.order("1001")])
    build.stored(build.order("1001", account="shop-b"))  # the same id at another account is fine


@pytest.mark.proves("I-02")
def test_a_line_holds_one_reservation_per_location(storage, build, tamper):
    order = build.order("1001")
    build.counted("MUG", 5)
    build.stored(order)
    build.reserved(order.order_id)
    with pytest.raises(RuleBroken):
        tamper(
            "INSERT INTO reservations (line_id, location, sku, units) "
            "VALUES (:line, 'main', 'MUG', 1)",
            line=order.lines[0].line_id,
        )


def test_saving_keeps_what_reservation_booked_and_adds_new_lines(storage, build, clock):
    build.counted("MUG", 5)
    order = build.order("1001", units=3)
    build.stored(order)
    build.reserved(order.order_id)
    stale = replace(order, state=OrderState.HELD, is_reserve_due=True, payload_key="new")
    stale = replace(
        stale, lines=(replace(order.lines[0], sku=Sku("CUP"), taken_booked=3, listing_id="l1"),)
    )
    with storage.open_work() as work:
        work.orders.save([stale])
        work.commit()
    found = load(storage, order.order_id)[order.order_id]
    assert found.lines[0].held == {"main": 3}
    assert (found.lines[0].sku, found.lines[0].taken_booked) == ("CUP", 3)
    assert (found.state, found.payload_key) == (OrderState.HELD, "new")
    first = order.known.lines[0]
    second = replace(first, line=replace(first.line, channel_line_id="line-2"))
    grown = replace(
        found,
        known=replace(found.known, lines=(first, second)),
        lines=(*found.lines, StoredLine(line_id="late", channel_line_id="line-2")),
    )
    with storage.open_work() as work:
        work.orders.save([grown])
        work.commit()
    assert load(storage, order.order_id)[order.order_id] == grown


def test_orders_due_for_reservation_come_oldest_first(storage, build, clock):
    orders = []
    for number in range(3):
        orders.append(build.order(str(number), is_reserve_due=number != 1))
        clock.advance(-60)
    build.stored(*orders, build.order("other", account="shop-b"))
    with storage.open_work() as work:
        due = work.orders.lock_reserve_due("shop-a", 10)
        assert list(due) == [orders[2].order_id, orders[0].order_id]
        assert due[orders[0].order_id] == {line.sku for line in orders[0].lines}
        assert len(work.orders.lock_reserve_due("shop-a", 1)) == 1


def test_short_orders_of_any_account_come_oldest_first(storage, build, clock):
    newer = build.order("1", units=2)
    clock.advance(-60)
    older = build.order("2", units=2, account="shop-b")
    build.stored(newer, older)
    build.counted("MUG", 1)
    build.reserved(newer.order_id)
    build.reserved(older.order_id)
    with storage.open_work() as work:
        found = work.orders.short_order_ids([Sku("MUG"), Sku("CUP")], 10)
        assert found == [older.order_id, newer.order_id]
        assert work.orders.short_order_ids([Sku("CUP")], 10) == []
        assert work.orders.short_order_ids([], 10) == []


def test_filling_writes_only_lines_whose_stock_is_locked(storage, build):
    build.counted("MUG", 5)
    order = build.order("1", units=2)
    build.stored(order)
    filled = replace(order, lines=(replace(order.lines[0], held={"main": 2}),))
    with storage.open_work() as work:
        work.orders.save_filled([filled])
        work.commit()
    assert load(storage, order.order_id)[order.order_id].lines[0].held == {}
    with storage.open_work() as work:
        work.stock.lock([Sku("MUG")])
        work.orders.save_filled([filled])
        work.commit()
    assert load(storage, order.order_id)[order.order_id].lines[0].held == {"main": 2}


@pytest.mark.proves("I-08")
def test_unmapped_lines_are_found_once_a_listing_has_their_sku(storage, build):
    by_id = build.order("1", sku=None, channel_listing_id="channel-l1", channel_sku=None)
    by_sku = build.order("2", sku=None, channel_sku="MUG")
    lost = build.order("3", sku=None, channel_sku="NOWHERE")
    torn = build.order("4", sku=None, channel_sku="TORN")
    build.stored(by_id, by_sku, lost, torn)
    with storage.open_work() as work:
        assert work.orders.ids_with_unmapped_lines("shop-a", 10) == []
    build.listed("l1", sku="MUG")
    build.listed("l2", sku="ONE", channel_sku="TORN")
    build.listed("l3", sku="TWO", channel_sku="TORN")
    with storage.open_work() as work:
        found = work.orders.ids_with_unmapped_lines("shop-a", 10)
        assert found == [by_id.order_id, by_sku.order_id]
        assert work.orders.ids_with_unmapped_lines("shop-b", 10) == []


@pytest.mark.proves("A26")
def test_characters_no_database_holds_are_kept_in_the_facts(storage, build):
    order = build.order("1", sku="MUG", channel_sku="M\0UG", facts={"channel_status": "\ud800"})
    build.stored(order)
    assert load(storage, order.order_id)[order.order_id] == order


def test_a_subject_is_the_buyer_where_the_channel_names_one(storage, build, keys):
    from oms_sync.storage.vault import subject_id

    one, two = build.order("1", buyer_id="b-1"), build.order("2", buyer_id="b-1")
    nobody, elsewhere = build.order("3"), build.order("4", buyer_id="b-1", account="shop-b")
    ids = [subject_id(keys, one.known, one.order_id) for one in (one, two, nobody, elsewhere)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    build.stored(one, two, nobody, elsewhere)
    assert load(storage, two.order_id)[two.order_id] == two


@pytest.mark.proves("I-10")
@given(
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_any_amount_survives_storing(amount, currency):
    money = Money(amount, currency)
    version = Version(from_micros(1), from_micros(2))
    sight = OrderSight(channel_order_id="1", version=version, facts=OrderFacts(total=money))
    known = first_sight("shop-a", sight)
    read = codec.read_order(
        ChannelRef(account="shop-a", channel_order_id="1"), version, codec.write_facts(known), None
    )
    assert read(()).facts.total == money
