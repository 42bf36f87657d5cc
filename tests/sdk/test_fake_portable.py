"""The fake channel changes ids and moves lines, and what is on sale stays as it is."""

from random import Random

import pytest

from oms_sync.sdk import OrderFeed
from oms_sync.sdk.fake import FakeChannel, FakeOptions, FakeRefusal
from oms_sync.sdk.fake_portable import present_id
from oms_sync.sdk.fake_ports import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def shop(clock):
    options = FakeOptions(has_portable_lines=True, late_seconds=0.0)
    return FakeChannel(clock=clock, chance=Random(1), options=options, catalogue={"TEE": 9})


def listed(shop, clock):
    page = shop.session().read_orders(OrderFeed.CHANGES, None, clock.now().replace(year=2000))
    return [raw.channel_order_id for raw in page.orders]


def test_a_paid_order_has_another_id_and_answers_to_both(shop, clock):
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    paid = shop.pay(unpaid)
    assert shop.manifest.has_portable_lines
    assert listed(shop, clock) == [paid] != [unpaid]
    session = shop.session()
    answers = session.read_orders_by_id([unpaid, paid])
    assert [one.channel_order_id for one in answers] == [unpaid, paid]
    sights = [session.parse_order(one.payload, clock.now()) for one in answers]
    assert {one.channel_order_id for one in sights} == {paid}
    assert [line.channel_line_id for line in sights[0].lines] == [f"{unpaid}-1"]
    assert shop.quantities() == {"TEE": 7}
    assert shop.sold() == {"TEE": 2}
    assert shop.buy(("TEE", 1)) not in (unpaid, paid)
    made = shop.fulfil_at_channel(unpaid, tracking_number="T1")
    assert [one.channel_shipment_id for one in session.read_shipments(unpaid)] == [made]
    shop.delete(unpaid)
    assert session.read_orders_by_id([paid])[0].is_gone


def test_a_channel_may_forget_former_ids(clock):
    options = FakeOptions(has_portable_lines=True, late_seconds=0.0, answers_former_ids=False)
    shop = FakeChannel(clock=clock, chance=Random(1), options=options, catalogue={"TEE": 9})
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    shop.pay(unpaid)
    assert shop.session().read_orders_by_id([unpaid])[0].is_gone


def test_unpaid_orders_become_one_wholly_or_in_part(shop, clock):
    one, two, three = (shop.buy(("TEE", 1), is_paid=False) for _ in range(3))
    both = shop.combine(one, two)
    assert [line.channel_line_id for line in shop.order(both).lines] == [f"{one}-1", f"{two}-1"]
    assert shop.order(one) == shop.order(two) == shop.order(both)
    assert listed(shop, clock) == [three, both]
    some = shop.combine(both, three, channel_line_ids={f"{one}-1"})
    assert set(listed(shop, clock)) == {both, three, some}
    assert [len(shop.order(each).lines) for each in (both, three, some)] == [1, 1, 1]
    assert shop.quantities() == {"TEE": 6}
    assert shop.sold() == {"TEE": 3}
    shop.faults.force("F41")
    (stale,) = shop.session().read_orders_by_id([some])
    assert shop.session().parse_order(stale.payload, clock.now()).channel_order_id == some


def test_only_several_unpaid_orders_can_be_combined(shop):
    paid, unpaid = shop.buy(("TEE", 1)), shop.buy(("TEE", 1), is_paid=False)
    for orders in ((unpaid,), (paid, unpaid)):
        with pytest.raises(FakeRefusal, match="unpaid"):
            shop.combine(*orders)


def test_an_order_of_a_channel_without_portable_lines_keeps_its_id(clock):
    shop = FakeChannel(clock=clock, chance=Random(1), catalogue={"TEE": 9})
    order = shop.buy(("TEE", 1), is_paid=False)
    assert shop.pay(order) == order


def test_the_search_for_the_present_id_ends():
    assert present_id({"A": "B", "B": "C"}, "A") == "C"
    assert present_id({"A": "B", "B": "A"}, "A") == "A"
