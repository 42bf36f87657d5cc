"""What operators did to an order stays when its id changes or its lines move: holds, shipments."""

from dataclasses import replace

import pytest

from oms_sync.domain.shipment import Package
from oms_sync.flows.commands.orders import hold, release
from oms_sync.flows.commands.shipments import Dispatch, ship
from oms_sync.sdk.fake_orders import render_order
from oms_sync.sdk.fake_portable import Regrouped, rename


def open_shop(hub, **options):
    options = {"has_portable_lines": True, **options}
    return hub.open_shop(catalogue={"TEE": 10, "MUG": 10}, options=options)


def found(hub, channel_order_id):
    """The order any of whose ids this is."""
    with hub.storage.open_work() as work:
        ids = work.orders.ids_by_channel_ids("shop-a", [channel_order_id])
        return work.orders.load(list(ids.values()))[ids[channel_order_id]]


def combined(hub, shop):
    one, two = (shop.buy((sku, 2), is_paid=False) for sku in ("TEE", "MUG"))
    hub.settle()
    return one, two


def asked_for(order):
    """Why operators hold it; the channel was told, and shows a hold of its own beside."""
    return [each.detail for each in order.holds if each.code == "manual"]


def test_an_operators_hold_goes_along(any_hub):
    shop = open_shop(any_hub)
    one, two = combined(any_hub, shop)
    hold(any_hub.command, found(any_hub, two).order_id, reason="call the buyer")
    both = shop.combine(one, two)
    any_hub.settle()
    paid = shop.pay(both)
    any_hub.settle()
    survivor = found(any_hub, paid)
    assert asked_for(survivor) == ["call the buyer"]
    assert survivor.state.value == "held"
    release(any_hub.command, survivor.order_id)
    any_hub.add(render_order(shop.order(paid)), channel_order_id=two)
    any_hub.settle()
    assert found(any_hub, paid).state.value == "open"


def test_an_operators_hold_of_both_stands_once(any_hub):
    shop = open_shop(any_hub)
    one, two = combined(any_hub, shop)
    for name in (one, two):
        hold(any_hub.command, found(any_hub, name).order_id, reason=name)
    both = shop.combine(one, two)
    any_hub.settle()
    assert asked_for(found(any_hub, both)) in ([one], [two])


@pytest.mark.proves("I-28")
def test_a_shipment_goes_with_its_lines_and_is_told_under_the_present_id(any_hub):
    shop = open_shop(any_hub, answers_former_ids=False)
    order = shop.buy(("TEE", 2))
    any_hub.settle()
    shipment = any_hub.ship(order, "1Z1")
    # The id changes before the channel was told.
    shop.books.regroup(replace_id(shop, order, "another-id"))
    any_hub.take_in()
    any_hub.settle()
    after = found(any_hub, "another-id")
    assert any_hub.push_of(shipment)["state"] == "confirmed"
    assert [one.tracking_numbers for one in shop.fulfilments("another-id")] == [("1Z1",)]
    assert (after.lines[0].shipped_here, after.state.value) == (2, "closed")
    assert any_hub.stock("TEE") == (8, 0)


def replace_id(shop, order, new_id):
    return rename(shop.order(order), new_id)


def test_a_shipment_of_an_absorbed_order_is_the_survivors(any_hub):
    shop = open_shop(any_hub)
    one, two = (shop.buy((sku, 2)) for sku in ("TEE", "MUG"))
    any_hub.settle()
    shipped = any_hub.ship(two, "1Z2")
    any_hub.settle()
    parts = [shop.order(each) for each in (one, two)]
    whole = replace(
        parts[1], channel_order_id="whole", lines=tuple(line for p in parts for line in p.lines)
    )
    shop.books.regroup(Regrouped(order=whole, former=(one, two)))
    any_hub.settle()
    survivor = found(any_hub, "whole")
    with any_hub.storage.open_work() as work:
        (moved_shipment,) = work.shipments.of_orders([survivor.order_id])
    assert moved_shipment.shipment_id == shipped.shipment_id
    assert moved_shipment.channel_order_id == "whole"
    assert {line.channel_line_id: line.shipped_here for line in survivor.lines} == {
        f"{one}-1": 0,
        f"{two}-1": 2,
    }
    assert any_hub.stock("MUG") == (8, 0)
    assert any_hub.storage.reports.explain("TEE", at=any_hub.clock.now())["value"] == 8
    rest = Dispatch(packages=(Package(carrier="ups", tracking_number="1Z3"),))
    ship(any_hub.command, survivor.order_id, rest)
    any_hub.settle()
    assert found(any_hub, "whole").state.value == "closed"
