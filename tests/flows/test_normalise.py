"""Normalise: what was read becomes one order, and what cannot be understood stays alone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.errors import ShipmentRefused
from oms_sync.flows import normalise
from oms_sync.sdk import OrderFeed
from oms_sync.sdk.fake_orders import render_order
from oms_sync.sdk.fake_session import FakeSession


class Translating(FakeSession):
    """A session whose translation of orders goes through `turn`."""

    turn = None

    def parse_order(self, payload, seen_at):
        return self.turn(super().parse_order(payload, seen_at))


def translate(hub, turn, account="shop-a"):
    channel = hub.channels[account]
    session = Translating(channel, channel.request())
    session.turn = turn
    hub.sessions[account] = session


def only_skus(sight):
    """Lines that name a SKU and no listing."""
    return replace(sight, lines=tuple(replace(one, channel_listing_id=None) for one in sight.lines))


# --- once, and the newest wins -------------------------------------------------------------------


@pytest.mark.proves("I-02", "I-07", "F11", "F13")
def test_old_and_repeated_sights_change_nothing(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 1))
    old = render_order(shop.order(order))
    any_hub.settle()
    any_hub.clock.advance(60)
    shop.edit(order, {"TEE": 3})
    any_hub.settle()
    before, events = any_hub.order(order), any_hub.events(order)
    assert [one["name"] for one in events].count("order.changed") == 1
    for body in (old, old, render_order(shop.order(order))):
        any_hub.add(body, channel_order_id=order)
        any_hub.settle()
    after = any_hub.order(order)
    assert (after.known.facts, after.lines) == (before.known.facts, before.lines)
    assert any_hub.events(order) == events
    assert any_hub.filled(order) == (3, 0)


@pytest.mark.proves("I-40")
def test_every_change_of_an_order_is_told_with_its_state_and_holds(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 1))
    any_hub.settle()
    shop.hold(order, "fraud_review")
    any_hub.settle()
    assert any_hub.holds(order) == ["channel:fraud_review"]
    assert any_hub.order(order).state.value == "held"
    shop.release(order)
    any_hub.settle()
    assert any_hub.order(order).state.value == "open"
    told = [
        (one["name"], one["detail"]["state"], one["detail"]["holds"])
        for one in any_hub.events(order)
        if one["name"] in ("order.imported", "order.changed")
    ]
    assert told == [
        ("order.imported", "open", ""),
        ("order.changed", "held", "channel:fraud_review"),
        ("order.changed", "open", ""),
    ]


def test_a_hold_keeps_the_time_it_began(hub):
    shop = hub.open_shop()
    order = shop.buy(("TEE", 2))
    hub.settle()
    shop.hold(order)
    hub.settle()
    (hold,) = hub.order(order).holds
    shop.edit(order, {"TEE": 1})
    hub.settle()
    assert hub.order(order).holds == (hold,)
    assert hold.actor == "channel"


def test_many_messages_are_folded_in_batches_and_a_draining_hub_stops_between_them(hub):
    shop = hub.open_shop(catalogue={"TEE": 300}, options={"page_size": 50})
    orders = [shop.buy(("TEE", 1)) for _ in range(120)]
    hub.clock.advance(5)
    hub.run("ingest")
    hub.is_stopping = lambda: True
    assert hub.run("normalise").done == 100
    assert hub.run("reserve").done == 100
    hub.is_stopping = lambda: False
    assert hub.run("normalise").done == 20
    assert hub.run("reserve").done == 20
    assert hub.stock() == (300, len(orders))


# --- what cannot be understood -------------------------------------------------------------------


def shows_another(sight):
    return replace(sight, channel_order_id="another")


def shows_a_line_twice(sight):
    return replace(sight, lines=sight.lines * 2)


def forgets_the_zone(sight):
    placed = sight.facts.placed_at.replace(tzinfo=None)
    return replace(sight, facts=replace(sight.facts, placed_at=placed))


def nests_too_deeply(sight):
    raise RecursionError("maximum recursion depth exceeded")


def stumbles(sight):
    raise KeyError("lines")


@pytest.mark.proves("I-09", "F42", "F43")
@pytest.mark.parametrize(
    "turn", [shows_another, shows_a_line_twice, forgets_the_zone, nests_too_deeply, stumbles]
)
def test_a_poisonous_order_stays_alone(any_hub, turn):
    shop = any_hub.open_shop(catalogue={"TEE": 10, "BAD": 10})
    bad, good = shop.buy(("BAD", 1)), shop.buy(("TEE", 1))
    translate(any_hub, lambda one: turn(one) if one.lines[0].channel_sku == "BAD" else one)
    any_hub.settle()
    assert any_hub.find_order(bad) is None
    assert any_hub.filled(good) == (1, 0)
    (dead,) = any_hub.storage.reports.dead_letters()
    assert dead["channel_order_id"] == bad
    body = any_hub.storage.reports.message(dead["id"], reveal=True)["body"]
    assert body.encode() == render_order(shop.order(bad))
    assert any_hub.metrics.counts["messages_dead"] == 1


@pytest.mark.proves("I-09")
def test_bytes_that_are_no_order_are_a_dead_letter_with_their_reason(hub):
    hub.open_shop()
    hub.add(b"<html>", channel_order_id="x")
    hub.run("normalise")
    (dead,) = hub.storage.reports.dead_letters()
    assert dead["reason"].startswith("BadPayload: the order cannot be read")


@pytest.mark.proves("F42")
def test_a_code_nobody_knows_holds_the_order_until_it_is_known(hub):
    shop = hub.open_shop()
    order = shop.buy(("TEE", 1))
    shop.faults.force("F42")
    hub.take_in()
    assert hub.holds(order) == ["unmapped_code"]
    assert hub.order(order).known.facts.unmapped_codes == ("order_status: quantum",)
    assert hub.filled(order) == (1, 0), "it is sold all the same"
    hub.settle()
    assert (hub.order(order).state.value, hub.holds(order)) == ("open", [])


@pytest.mark.proves("I-06", "F24")
def test_a_half_read_order_neither_reserves_nor_ships(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 1))
    shop.faults.force("F24")
    any_hub.take_in()
    assert any_hub.holds(order) == ["incomplete"]
    assert any_hub.stock() == (10, 0)
    with pytest.raises(ShipmentRefused):
        any_hub.ship(order, "T1")
    any_hub.settle()
    assert any_hub.filled(order) == (1, 0)
    assert any_hub.order(order).state.value == "open"


@pytest.mark.proves("I-06", "F24")
def test_an_order_half_read_later_keeps_what_it_holds_and_takes_nothing_more(hub):
    shop = hub.open_shop()
    order = shop.buy(("TEE", 2))
    hub.settle()
    shop.edit(order, {"TEE": 3})
    shop.faults.force("F24")
    hub.take_in()
    assert hub.holds(order) == ["incomplete"]
    assert hub.filled(order) == (2, 0)
    with pytest.raises(ShipmentRefused):
        hub.ship(order, "T1")
    hub.settle()
    assert hub.filled(order) == (3, 0)


# --- which SKU a line is of ----------------------------------------------------------------------


@pytest.mark.proves("I-08")
def test_an_unmapped_line_holds_its_order_and_is_released_when_its_listing_is_linked(any_hub):
    shop = any_hub.connect(catalogue={"TEE": 10, "MUG": 10})
    any_hub.count("TEE", 10)
    any_hub.count("MUG", 10)
    any_hub.link("shop-a", "TEE")
    any_hub.settle()
    order = shop.buy(("TEE", 1), ("MUG", 2))
    any_hub.settle()
    assert any_hub.holds(order) == ["unmapped_sku"]
    assert any_hub.order(order).state.value == "held"
    assert any_hub.stock("TEE") == (10, 1)
    with pytest.raises(ShipmentRefused):
        any_hub.ship(order, "T1")
    any_hub.link("shop-a", "MUG")
    any_hub.settle()
    assert (any_hub.holds(order), any_hub.order(order).state.value) == ([], "open")
    assert any_hub.stock("MUG") == (10, 2)
    assert shop.quantities() == {"TEE": 9, "MUG": 8}


def test_a_line_without_a_listing_is_known_by_its_unambiguous_sku(hub):
    shop = hub.open_shop()
    translate(hub, only_skus)
    order = shop.buy(("TEE", 1))
    hub.settle()
    assert hub.line(order).sku == "TEE"
    assert hub.filled(order) == (1, 0)


@pytest.mark.proves("I-08")
@pytest.mark.parametrize("is_twin_linked", [False, True])
def test_a_sku_two_listings_carry_is_not_guessed(hub, is_twin_linked):
    shop = hub.open_shop()
    twin = replace(hub.listing(), listing_id="twin", channel_listing_id="twin", basis=None)
    with hub.storage.open_work() as work:
        work.listings.save([twin if is_twin_linked else replace(twin, sku=None)])
        work.commit()
    translate(hub, only_skus)
    order = shop.buy(("TEE", 1))
    hub.take_in()
    assert hub.holds(order) == ["unmapped_sku"]
    assert hub.run("normalise").done == 0, "an order nobody can map is not looked at for ever"


@pytest.mark.proves("I-08", "F37")
def test_an_order_of_a_listing_we_do_not_know_waits_though_its_sku_is_known(hub):
    shop = hub.open_shop()

    def ended(sight):
        lines = (replace(one, channel_listing_id="ended") for one in sight.lines)
        return replace(sight, lines=tuple(lines))

    translate(hub, ended)
    order = shop.buy(("TEE", 1))
    hub.take_in()
    assert hub.holds(order) == ["unmapped_sku"]
    assert hub.run("normalise").done == 0, "an order nobody can map is not looked at for ever"


def test_more_orders_than_one_batch_are_released_when_their_listing_is_linked(hub):
    shop = hub.connect(catalogue={"TEE": 300}, options={"page_size": 100})
    hub.count("TEE", 300)
    hub.settle()
    orders = [shop.buy(("TEE", 1)) for _ in range(110)]
    hub.settle()
    assert hub.holds(orders[-1]) == ["unmapped_sku"]
    hub.link()
    assert hub.run("normalise").done == 110
    assert hub.holds(orders[-1]) == []


@pytest.mark.proves("I-33")
def test_a_run_folds_and_releases_a_bounded_number_of_orders(hub, monkeypatch):
    for name in ("BATCH_MAX", "BATCHES_MAX", "REMAP_MAX"):
        monkeypatch.setattr(normalise, name, 2)
    shop = hub.connect()
    hub.settle()
    for _ in range(5):
        shop.buy(("TEE", 1))
    hub.clock.advance(5)
    hub.run("ingest")
    report = hub.run("normalise")
    assert (report.done, report.is_more) == (4, True)
    hub.settle()
    hub.link()
    report = hub.run("normalise")
    assert (report.done, report.is_more) == (4, True)
    hub.settle()
    assert all(not order["holds"] for order in hub.storage.reports.orders())


def test_a_draining_hub_leaves_the_rest_of_released_orders_for_later(hub):
    shop = hub.connect(catalogue={"TEE": 300}, options={"page_size": 100})
    hub.settle()
    for _ in range(110):
        shop.buy(("TEE", 1))
    hub.settle()
    hub.link()
    hub.is_stopping = lambda: True
    assert hub.run("normalise").done == 100


# --- two accounts, and crashes -------------------------------------------------------------------


@pytest.mark.proves("I-39", "F38")
def test_the_same_order_id_at_two_accounts_is_two_orders(hub):
    for name in ("shop-a", "shop-b"):
        hub.connect(name).books.name = "same"
        hub.link(name)
    hub.count("TEE", 10)
    hub.settle()
    ids = {hub.channels[name].buy(("TEE", units)) for name, units in (("shop-a", 1), ("shop-b", 2))}
    (order,) = ids
    hub.settle()
    assert hub.filled(order, "shop-a") == (1, 0)
    assert hub.filled(order, "shop-b") == (2, 0)
    assert hub.stock() == (10, 3)


@pytest.mark.proves("I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
def test_a_crash_while_folding_leaves_the_messages_or_the_orders_never_both(any_hub, is_after):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 2))
    any_hub.clock.advance(timedelta(seconds=10).total_seconds())
    with any_hub.storage.open_work() as work:
        work.feeds.hasten("shop-a", OrderFeed.CHANGES, at=any_hub.clock.now())
        work.commit()
    any_hub.run("ingest")
    any_hub.crash_at(1, is_after=is_after)
    with pytest.raises(any_hub.Crash):
        any_hub.run("normalise")
    assert (any_hub.find_order(order) is not None) is is_after
    assert bool(any_hub.inbox("new")) is not is_after
    any_hub.settle()
    assert any_hub.filled(order) == (2, 0)
