"""Holds and corrected tracking reach the channel."""

from dataclasses import replace

import pytest

from oms_sync.domain.shipment import Package
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.orders import hold, release
from oms_sync.flows.commands.write_backs import correct
from oms_sync.sdk import Capability


@pytest.fixture
def shop(any_hub):
    return any_hub.open_shop()


def sold(hub, shop, units=2, **order):
    placed = shop.buy(("TEE", units), **order)
    hub.settle()
    return placed


def done(shop, kind):
    return [effect for effect in shop.effects if effect.kind == kind]


def without(hub, capability):
    manifest = hub.manifests["shop-a"]
    hub.manifests["shop-a"] = replace(manifest, capabilities=manifest.capabilities - {capability})


def test_a_hold_is_a_hold_at_the_channel_too_and_so_is_its_release(any_hub, shop):
    order = sold(any_hub, shop)
    order_id = any_hub.order(order).order_id
    hold(any_hub.command, order_id, reason="address")
    any_hub.settle()
    assert shop.order(order).holds == ("stopped",)
    assert any_hub.holds(order) == ["manual", "channel:stopped"]
    release(any_hub.command, order_id)
    any_hub.settle()
    assert shop.order(order).holds == ()
    assert (any_hub.holds(order), any_hub.order(order).state.value) == ([], "open")


def test_a_release_takes_the_place_of_a_hold_not_told_yet(any_hub, shop):
    order = sold(any_hub, shop)
    order_id = any_hub.order(order).order_id
    hold(any_hub.command, order_id, reason="address")
    release(any_hub.command, order_id)
    any_hub.settle()
    assert (shop.order(order).holds, done(shop, "held")) == ((), [])


@pytest.mark.parametrize("reason", ["shadow", "unable"])
def test_a_hold_stays_here_where_the_channel_cannot_be_told(hub, reason):
    shop = hub.open_shop()
    order = sold(hub, shop)
    if reason == "shadow":
        hub.profile("shop-a", mode="shadow")
    else:
        without(hub, Capability.HOLD_ORDERS)
    hold(hub.command, hub.order(order).order_id, reason="address")
    hub.settle()
    assert (hub.holds(order), shop.order(order).holds) == (["manual"], ())


def test_corrected_tracking_replaces_the_old_at_the_channel(any_hub, shop):
    order = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    any_hub.settle()
    shop.faults.force("F02")
    correct(any_hub.command, shipment.shipment_id, [Package(carrier="dhl", tracking_number="T2")])
    any_hub.settle()
    (dispatch,) = shop.fulfilments(order)
    assert (dispatch.tracking_numbers, dispatch.carriers) == (("T2",), ("dhl",))
    shown = any_hub.storage.reports.order(shipment.order_id)
    assert shown["shipments"][0]["packages"][0]["tracking_number"] == "T2"
    assert [one["state"] for one in shown["write_backs"]] == ["confirmed"]
    assert shown["timeline"][-1]["name"] == "write_back.confirmed"


def test_tracking_corrected_before_the_channel_was_told_is_told_corrected(any_hub, shop):
    order = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    correct(any_hub.command, shipment.shipment_id, [Package(carrier="ups", tracking_number="T2")])
    any_hub.settle()
    assert [one.tracking_numbers for one in shop.fulfilments(order)] == [("T2",)]


def test_tracking_is_not_corrected_while_the_channel_is_being_told(any_hub, shop):
    order = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    shop.faults.force("F02")
    any_hub.run("push_tracking")
    other = [Package(carrier="ups", tracking_number="T2")]
    with pytest.raises(CommandRefused, match="being told"):
        correct(any_hub.command, shipment.shipment_id, other)
    with pytest.raises(CommandRefused, match="exactly these"):
        correct(any_hub.command, shipment.shipment_id, shipment.packages)
    with pytest.raises(CommandRefused, match="no shipment"):
        correct(any_hub.command, "nothing", other)


def test_a_dispatch_taken_back_meanwhile_is_not_corrected(any_hub, shop):
    order = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    any_hub.settle()
    shop.cancel_fulfilment(order, shop.fulfilments(order)[0].channel_shipment_id)
    correct(any_hub.command, shipment.shipment_id, [Package(carrier="ups", tracking_number="T2")])
    any_hub.settle()
    (write,) = any_hub.storage.reports.order(shipment.order_id)["write_backs"]
    assert (write["state"], write["error"]) == (
        "refused",
        "the channel does not show the dispatch any more",
    )


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        (("T1", "T-9"), "refused"),  # which of them is meant is not guessed
        (("t 1",), "confirmed"),
        (("ELSEWHERE",), "refused"),
    ],
)
def test_a_dispatch_whose_id_the_channel_forgot_is_known_by_its_packages(
    shown, state, any_hub, shop
):
    order = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T-1")
    any_hub.settle()
    (dispatch,) = shop.fulfilments(order)
    renamed = replace(dispatch, channel_shipment_id="another", tracking_numbers=shown)
    shop.books.store(replace(shop.order(order), fulfilments=(renamed,)))
    correct(any_hub.command, shipment.shipment_id, [Package(carrier="ups", tracking_number="T2")])
    any_hub.settle()
    (write,) = any_hub.storage.reports.order(shipment.order_id)["write_backs"]
    assert write["state"] == state
    numbers = [one.tracking_numbers for one in shop.fulfilments(order)]
    assert numbers == [("T2",) if state == "confirmed" else shown]


def test_a_correction_the_channel_took_and_dropped_is_sent_again(any_hub, shop, monkeypatch):
    order = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    any_hub.settle()
    desk = type(shop.desk)
    with monkeypatch.context() as patch:
        patch.setattr(desk, "correct", lambda *_: None)
        other = [Package(carrier="ups", tracking_number="T2")]
        correct(any_hub.command, shipment.shipment_id, other)
        any_hub.run("write_back")
    (write,) = any_hub.storage.reports.order(shipment.order_id)["write_backs"]
    assert (write["state"], write["error"]) == ("sent", "the channel does not show it yet")
    for _ in range(5):
        any_hub.clock.advance(30)
        any_hub.run("write_back")
    assert [one.tracking_numbers for one in shop.fulfilments(order)] == [("T2",)]
    (write,) = any_hub.storage.reports.order(shipment.order_id)["write_backs"]
    assert write["state"] == "confirmed"
