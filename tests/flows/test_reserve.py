"""Reserve: every line holds what it wants, as far as stock goes, the oldest order first."""

from dataclasses import replace

import pytest

from oms_sync.domain.values import Sku
from oms_sync.flows.commands.stock import set_safety_stock


def told(hub, order):
    """(reserved, short) as each reservation event told it."""
    return [
        (one["detail"]["reserved"], one["detail"]["short"])
        for one in hub.events(order)
        if one["name"] == "order.reserved"
    ]


# --- what is reserved ----------------------------------------------------------------------------


@pytest.mark.proves("I-13", "I-14", "I-40")
def test_what_stock_cannot_cover_is_shortage_and_a_receipt_fills_it(any_hub):
    shop = any_hub.open_shop(catalogue={"TEE": 10, "MUG": 5})
    any_hub.count("TEE", 3)
    order = shop.buy(("TEE", 5))
    any_hub.take_in()
    assert any_hub.filled(order) == (3, 2)
    assert any_hub.stock() == (3, 3)
    any_hub.receive("TEE", 1)
    any_hub.run("reserve")
    assert any_hub.filled(order) == (4, 1)
    any_hub.receive("TEE", 5)
    any_hub.run("reserve")
    assert any_hub.filled(order) == (5, 0)
    assert any_hub.stock() == (9, 5)
    assert told(any_hub, order) == [(3, 2), (4, 1), (5, 0)]
    assert any_hub.storage.reports.verify_ledger()["ok"]


@pytest.mark.proves("I-39")
def test_two_accounts_share_one_sku_and_the_oldest_order_is_filled_first(any_hub):
    shops = [any_hub.open_shop(name) for name in ("shop-a", "shop-b")]
    any_hub.count("TEE", 2)
    older = shops[0].buy(("TEE", 2))
    any_hub.clock.advance(1)
    newer = shops[1].buy(("TEE", 2))
    any_hub.take_in("shop-b")  # the newer order comes in first, and holds what is there
    any_hub.take_in("shop-a")
    assert any_hub.filled(newer, "shop-b") == (2, 0)
    assert any_hub.filled(older) == (0, 2)
    any_hub.receive("TEE", 1)
    assert ("reserve", "shop-b") in any_hub.wakes
    any_hub.run("reserve", "shop-b")
    assert any_hub.filled(older) == (1, 1), "whichever account's run comes first"
    any_hub.receive("TEE", 1)
    any_hub.run("reserve", "shop-b")
    assert any_hub.filled(older) == (2, 0)


def test_units_one_account_gives_back_fill_the_other_s_shortage(any_hub):
    shops = {name: any_hub.open_shop(name) for name in ("shop-a", "shop-b")}
    any_hub.count("TEE", 2)
    first, second = shops["shop-a"].buy(("TEE", 2)), shops["shop-b"].buy(("TEE", 1))
    any_hub.take_in("shop-a")
    any_hub.take_in("shop-b")
    assert any_hub.filled(second, "shop-b") == (0, 1)
    any_hub.wakes.clear()
    shops["shop-a"].cancel(first)
    any_hub.take_in("shop-a")
    assert any_hub.filled(second, "shop-b") == (1, 0)
    assert {("push_stock", "shop-a"), ("push_stock", "shop-b")} <= set(any_hub.wakes)


@pytest.mark.proves("I-24")
def test_whoever_waited_for_a_reservation_is_woken_though_it_moved_nothing(any_hub):
    """An order read again is due again; a push that came just then must not wait for a timer."""
    shops = {name: any_hub.open_shop(name) for name in ("shop-a", "shop-b")}
    order = shops["shop-a"].buy(("TEE", 3), is_paid=False)
    any_hub.take_in()
    shops["shop-a"].pay(order)
    any_hub.take_in(flows=("ingest", "normalise"))
    any_hub.run("push_stock", "shop-b")
    assert any_hub.writes("shop-b") == [], "the sale is not decided yet"
    any_hub.wakes.clear()
    any_hub.run("reserve")
    assert ("push_stock", "shop-b") in any_hub.wakes
    any_hub.run("push_stock", "shop-b")
    assert any_hub.writes("shop-b") == [("TEE", 7)]


@pytest.mark.proves("I-14", "I-19")
def test_a_count_below_what_is_reserved_takes_from_the_newest_and_gives_back_later(any_hub):
    shop = any_hub.open_shop()
    older = shop.buy(("TEE", 2))
    any_hub.clock.advance(1)
    newer = shop.buy(("TEE", 3))
    any_hub.take_in()
    any_hub.count("TEE", 3)
    assert (any_hub.filled(older), any_hub.filled(newer)) == ((2, 0), (1, 2))
    assert any_hub.stock() == (3, 3)
    any_hub.count("TEE", 9)
    any_hub.run("reserve")
    assert any_hub.filled(newer) == (3, 0)
    assert any_hub.stock() == (9, 5)


@pytest.mark.proves("I-40")
def test_filling_one_sku_says_nothing_wrong_of_another_one_still_short(any_hub):
    shop = any_hub.open_shop(catalogue={"TEE": 5, "MUG": 5})
    any_hub.open_shop("shop-b", catalogue={"TEE": 5})
    any_hub.count("TEE", 0)
    any_hub.count("MUG", 0)
    order = shop.buy(("TEE", 1), ("MUG", 1))
    any_hub.take_in()
    any_hub.receive("TEE", 1)
    any_hub.run("reserve", "shop-b")
    assert told(any_hub, order) == [(0, 2), (1, 1)]
    any_hub.count("TEE", 1)
    any_hub.run("reserve", "shop-b")
    assert told(any_hub, order) == [(0, 2), (1, 1)]


def test_safety_stock_is_kept_from_channels_and_not_from_orders(any_hub):
    shop = any_hub.open_shop()
    set_safety_stock(any_hub.command, Sku("TEE"), location="main", units=4, reason="rare")
    any_hub.settle()
    assert shop.quantities() == {"TEE": 6}
    order = shop.buy(("TEE", 6))
    shop.hand_edit("TEE", 3)
    more = shop.buy(("TEE", 3))
    any_hub.settle()
    assert (any_hub.filled(order), any_hub.filled(more)) == ((6, 0), (3, 0))
    assert shop.quantities() == {"TEE": 0}


def test_an_account_draws_from_its_own_locations_best_first(any_hub):
    shop = any_hub.connect(locations=("annex", "main"))
    any_hub.link()
    any_hub.count("TEE", 2, "annex")
    any_hub.count("TEE", 8)
    any_hub.settle()
    order = shop.buy(("TEE", 3))
    any_hub.settle()
    assert any_hub.line(order).held == {"annex": 2, "main": 1}
    any_hub.profile("shop-a", locations=("main",))
    shop.edit(order, {"TEE": 4})
    any_hub.settle()
    assert any_hub.filled(order) == (4, 0)


@pytest.mark.parametrize("kind", [{"is_test": True}, {"fulfilled_by": "channel"}])
def test_test_orders_and_orders_the_channel_fulfils_are_recorded_and_move_nothing(any_hub, kind):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 2), **kind)
    any_hub.settle()
    assert any_hub.filled(order) == (0, 0)
    assert any_hub.stock() == (10, 0)
    shop.fulfil_at_channel(order)
    shop.refund(order)
    any_hub.settle()
    assert any_hub.stock() == (10, 0)
    assert any_hub.order(order).state.value == "closed"


def test_a_line_with_nothing_on_a_shelf_reserves_nothing(hub):
    shop = hub.open_shop()
    gift = shop.offer("GIFT", 0, is_stocked=False)
    assert gift
    shop.books.set_quantity(gift, 5)
    hub.link("shop-a", "GIFT")
    order = shop.buy(("GIFT", 1), ("TEE", 1))
    hub.settle()
    assert [sum(one.held.values()) for one in hub.order(order).lines] == [0, 1]
    assert hub.order(order).state.value == "open"


def test_an_order_that_turns_out_to_be_a_test_gives_back_what_it_held(hub):
    shop = hub.open_shop()
    order = shop.buy(("TEE", 2))
    hub.settle()
    shop.books.store(replace(shop.order(order), is_test=True))
    hub.settle()
    assert hub.stock() == (10, 0)
    assert hub.filled(order) == (0, 0)


def test_a_short_order_that_turns_out_to_be_a_test_lacks_nothing(hub):
    shop = hub.open_shop()
    hub.count("TEE", 0)
    order = shop.buy(("TEE", 2))
    hub.take_in()
    assert hub.filled(order) == (0, 2)
    shop.books.store(replace(shop.order(order), is_test=True))
    hub.take_in()
    assert hub.filled(order) == (0, 0)


def test_orders_of_an_account_the_configuration_no_longer_names_are_left_alone(hub):
    shop = hub.open_shop("shop-a")
    hub.open_shop("shop-b")
    hub.count("TEE", 0)
    order = shop.buy(("TEE", 2))
    hub.take_in()
    del hub.profiles["shop-a"]
    hub.receive("TEE", 5)
    hub.run("reserve", "shop-b")
    assert hub.stock() == (5, 0)
    assert hub.line(order).held == {}


def test_pending_orders_reserve_and_wait(hub):
    shop = hub.open_shop()
    order = shop.buy(("TEE", 2), is_paid=False)
    hub.settle()
    assert (hub.filled(order), hub.order(order).state.value) == ((2, 0), "pending")
    shop.pay(order)
    hub.settle()
    assert hub.order(order).state.value == "open"


# --- what leaves and comes back at the channel ---------------------------------------------------


@pytest.mark.proves("I-16", "F36")
def test_a_shipment_made_at_the_channel_moves_stock_once(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 3))
    any_hub.settle()
    shop.fulfil_at_channel(order, {"TEE": 2})
    any_hub.settle()
    assert any_hub.stock() == (8, 1)
    shop.hold(order)
    shop.release(order)
    any_hub.settle()
    assert any_hub.stock() == (8, 1)
    shop.fulfil_at_channel(order)
    any_hub.settle()
    assert any_hub.stock() == (7, 0)
    assert any_hub.order(order).state.value == "closed"
    assert any_hub.listing().expected == shop.quantities()["TEE"] == 7


@pytest.mark.proves("I-13", "I-16")
def test_a_fulfilment_undone_at_the_channel_brings_the_units_back_reserved(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 3))
    any_hub.settle()
    dispatch = shop.fulfil_at_channel(order)
    any_hub.settle()
    assert any_hub.stock() == (7, 0)
    shop.cancel_fulfilment(order, dispatch)
    any_hub.settle()
    assert any_hub.stock() == (10, 3)
    assert any_hub.filled(order) == (3, 0)
    assert any_hub.order(order).state.value == "open"


@pytest.mark.proves("I-16", "F34")
def test_returned_units_are_sellable_again_once(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 3))
    any_hub.settle()
    shop.fulfil_at_channel(order)
    any_hub.settle()
    shop.refund(order, {"TEE": 2})
    any_hub.settle()
    any_hub.settle()
    assert any_hub.stock() == (9, 0)
    assert any_hub.listing().expected == shop.quantities()["TEE"] == 9
    shop.refund(order, {"TEE": 1}, restock=False)
    any_hub.settle()
    assert any_hub.stock() == (9, 0), "what is not sellable again does not come back"


@pytest.mark.proves("I-16", "I-17", "F34", "F35")
def test_cancel_refund_ship_and_edit_release_every_unit_exactly_once(any_hub):
    shop = any_hub.open_shop(catalogue={"TEE": 20})
    order = shop.buy(("TEE", 6))
    any_hub.settle()
    shop.edit(order, {"TEE": 5})
    shop.refund(order, {"TEE": 1})
    shop.fulfil_at_channel(order, {"TEE": 2})
    shop.cancel(order)
    any_hub.settle()
    assert any_hub.stock() == (18, 0)
    assert any_hub.filled(order) == (0, 0)
    assert any_hub.storage.reports.verify_ledger()["ok"]


def test_more_shipped_at_the_channel_than_the_books_have_must_have_been_there(any_hub):
    shop = any_hub.open_shop()
    any_hub.count("TEE", 1)
    order = shop.buy(("TEE", 3))
    any_hub.take_in()
    shop.fulfil_at_channel(order)
    any_hub.take_in()
    assert any_hub.stock() == (0, 0)
    assert any_hub.filled(order) == (0, 0)
    assert any_hub.storage.reports.verify_ledger()["ok"]


@pytest.mark.proves("I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
def test_a_crash_while_reserving_reserves_once(any_hub, is_after):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 2))
    any_hub.clock.advance(5)
    any_hub.run("ingest")
    any_hub.run("normalise")
    any_hub.crash_at(1, is_after=is_after)
    with pytest.raises(any_hub.Crash):
        any_hub.run("reserve")
    any_hub.settle()
    assert (any_hub.filled(order), any_hub.stock()) == ((2, 0), (10, 2))
