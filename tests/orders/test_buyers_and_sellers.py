"""What buyers ask for and sellers answer, through the hub, at the channels' sandboxes over HTTP."""

import pytest

from oms_sync.domain.shipment import Package
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.orders import release
from oms_sync.flows.commands.write_backs import Refund, correct, refund

SKU = "TEE RED M"
ASKED = "channel:cancellation_requested"
ASKERS = pytest.mark.parametrize("market", ["amazon", "ebay"], indirect=True)


def sold(market, units=2):
    """A paid order the hub knows and reserved; answers its id at the channel."""
    own = market.account("own", SKU)
    placed = market.place((SKU, units))
    market.advance(2)
    market.take_in("own", market.read(placed))
    assert sum(market.hub.line(placed, "own").held.values()) == units
    return placed, own


def look_again(market, placed):
    market.advance(200)
    return market.take_in("own", market.read(placed))


def holds(market, placed):
    return market.hub.holds(placed, "own")


def asked(market, units=2):
    placed, _ = sold(market, units)
    market.advance(2)
    market.driver.request_cancellation(placed)
    look_again(market, placed)
    assert holds(market, placed) == [ASKED]
    return placed


def shown(hub, placed):
    return hub.storage.reports.order(hub.order(placed, "own").order_id)


def decline(market, placed):
    order = market.hub.order(placed, "own")
    return release(market.hub.command, order.order_id, reason="it is packed already")


@pytest.mark.proves("I-30")
@ASKERS
def test_a_buyers_wish_is_declined_and_the_order_packed_and_confirmed(market):
    hub, placed = market.hub, asked(market)
    released = decline(market, placed)
    assert (released.is_declined, released.is_told) == (True, market.name == "ebay")
    look_again(market, placed)
    assert holds(market, placed) == [], "the same request still stands at the channel"
    shipment = hub.ship(placed, "1Z999AA10123456784", account="own")
    market.work("push_tracking", lambda: hub.push_of(shipment)["state"] == "confirmed")
    look_again(market, placed)
    assert hub.order(placed, "own").state.value == "closed"
    assert market.driver.fulfilments(placed) == 1


@pytest.mark.proves("I-30")
@pytest.mark.parametrize("market", ["ebay"], indirect=True)
@pytest.mark.parametrize("fault", [None, "F02"])
def test_a_no_is_told_to_a_channel_that_wants_to_hear_it(market, fault):
    hub, placed = market.hub, asked(market)
    decline(market, placed)
    if fault:
        market.driver.sandbox.store.faults.force(fault)
    (kind,) = [one["kind"] for one in shown(hub, placed)["write_backs"]]
    assert kind == "decline"
    market.work("write_back", lambda: shown(hub, placed)["write_backs"][0]["state"] == "confirmed")
    look_again(market, placed)
    order = hub.order(placed, "own")
    assert (order.declined, order.holds, order.state.value) == (None, (), "open")


@pytest.mark.parametrize("market", ["ebay"], indirect=True)
def test_a_wish_that_was_refused_there_and_comes_again_holds_again(market):
    placed = asked(market)
    decline(market, placed)
    market.driver.sandbox.post_order.reject(placed)
    look_again(market, placed)
    assert market.hub.order(placed, "own").declined is None
    market.driver.request_cancellation(placed)
    look_again(market, placed)
    assert holds(market, placed) == [ASKED]


@pytest.mark.parametrize("market", ["ebay"], indirect=True)
def test_a_refund_without_an_amount_leaves_out_the_tax_the_channel_pays_itself(market):
    hub = market.hub
    placed, _ = sold(market)
    facts = hub.order(placed, "own").known.facts
    assert facts.tax_remitted is not None
    assert facts.tax_remitted.amount > 0
    write = refund(hub.command, hub.order(placed, "own").order_id, Refund(reason="returned"))
    assert write.wish.amount == facts.total - facts.tax_remitted

    def state():
        (told,) = hub.storage.reports.order(write.order_id)["write_backs"]
        assert told["state"] != "refused", told["error"]
        return told["state"]

    market.work("write_back", lambda: state() == "confirmed")
    (given,) = market.session.read_refunds(placed)
    assert given.amount == write.wish.amount
    with pytest.raises(CommandRefused, match=r"up to 0\.00"):
        refund(hub.command, write.order_id, Refund(reason="returned", amount="0.01"))


@pytest.mark.parametrize("market", ["amazon"], indirect=True)
def test_a_correction_with_more_packages_is_refused_before_anything_changes(market):
    hub = market.hub
    placed, _ = sold(market)
    shipment = hub.ship(placed, "1Z999AA10123456784", account="own")
    market.work("push_tracking", lambda: hub.push_of(shipment)["state"] == "confirmed")
    two = [Package(carrier="ups", tracking_number=f"1Z999AA1012345679{n}") for n in (1, 2)]
    with pytest.raises(CommandRefused, match=r"told of 1 packages.*give 1, not 2"):
        correct(hub.command, shipment.shipment_id, two)
    shown = hub.storage.reports.order(shipment.order_id)
    assert [len(one["packages"]) for one in shown["shipments"]] == [1]
    assert shown["write_backs"] == []
    correct(hub.command, shipment.shipment_id, two[:1])
