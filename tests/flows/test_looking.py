"""Looking: what a channel shows counts once the orders behind it are known, and drift is named."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.listing import ListingState
from oms_sync.flows import looking
from oms_sync.sdk import ChannelDown
from oms_sync.sdk.fake_session import FakeSession


def look_now(hub, sku="TEE", account="shop-a"):
    """Make a look due, as reconcile does."""
    listing = hub.listing(sku, account)
    with hub.storage.open_work() as work:
        work.listings.save([replace(listing, look_due_at=hub.clock.now())])
        work.commit()


def drifts(hub):
    return hub.metrics.counts["drift"]


# --- the oversell race ---------------------------------------------------------------------------


@pytest.mark.proves("I-21", "I-24", "F13", "F17")
@pytest.mark.parametrize("has_compare_and_set", [True, False])
def test_units_the_shop_sold_unseen_are_not_put_back_on_sale(any_hub, has_compare_and_set):
    shop = any_hub.open_shop(options={"has_compare_and_set": has_compare_and_set})
    order = shop.buy(("TEE", 4))  # the channel shows 6, and the hub does not know
    any_hub.count("TEE", 11)
    any_hub.run("push_stock")
    any_hub.settle()
    assert any_hub.filled(order) == (4, 0)
    assert shop.quantities() == {"TEE": 7}
    assert any_hub.listing().expected == 7
    written = [units for _, units in any_hub.writes()]
    if has_compare_and_set:
        assert written == [7], "the stale push was not applied: the sale was pulled first"
    else:
        assert written == [11, 7], "the erased sale triggered another push as soon as it was known"


@pytest.mark.proves("I-21", "I-23")
def test_a_stale_push_leads_to_a_look_that_waits_for_the_orders_then_to_a_push(any_hub):
    shop = any_hub.open_shop(poll_seconds=3600)
    shop.buy(("TEE", 4))
    any_hub.count("TEE", 8)
    any_hub.wakes.clear()
    any_hub.run("push_stock")
    listing = any_hub.listing()
    assert (listing.stale_count, listing.in_flight, listing.sent) == (1, None, 8)
    assert ("ingest", "shop-a") in any_hub.wakes
    report = any_hub.run("push_stock")
    assert any_hub.listing().look.quantity == 6
    assert any_hub.writes() == []
    assert report.next_at == any_hub.clock.now() + timedelta(seconds=1), "the look still waits"
    any_hub.run("ingest")
    any_hub.run("push_stock")
    assert any_hub.listing().look is not None, "the order is read, and not folded yet"
    any_hub.run("normalise")
    any_hub.run("reserve")
    any_hub.run("push_stock")
    assert shop.quantities() == {"TEE": 4}
    assert any_hub.listing().stale_count == 0


@pytest.mark.proves("I-26")
def test_a_listing_that_is_stale_again_and_again_is_looked_at_less_and_less_often(hub):
    shop = hub.open_shop()

    class Busy(FakeSession):
        """Somebody changes the quantity before every push."""

        def push_stock(self, batch):
            shop.hand_edit("TEE", shop.quantities()["TEE"] + 1)
            return super().push_stock(batch)

    hub.sessions["shop-a"] = Busy(shop, shop.request())
    hub.count("TEE", 3)
    waits = []
    for _ in range(60):
        before = hub.listing().stale_count
        hub.round()
        listing = hub.listing()
        if listing.stale_count > before:
            waits.append((listing.look_due_at - hub.clock.now()).total_seconds())
    assert max(waits[:5]) <= 0
    assert waits[5:8] == sorted(waits[5:8])
    assert 0 < max(waits) <= 300
    assert len(waits) < 15


@pytest.mark.proves("I-20", "I-21")
def test_a_sale_imported_while_the_channel_is_asked_makes_the_hub_ask_again(hub):
    shop = hub.open_shop(catalogue={"TEE": 9}, options={"has_compare_and_set": False})

    class Selling(FakeSession):
        def read_stock(self, ids):
            reading = super().read_stock(ids)
            if not sold:
                sold.append(shop.buy(("TEE", 2)))
                hub.take_in()
            return reading

    sold = []
    hub.sessions["shop-a"] = Selling(shop, shop.request())
    shop.hand_edit("TEE", 7)
    look_now(hub)
    hub.run("push_stock")
    assert hub.listing().look is None
    hub.settle()
    assert hub.listing().desired == hub.listing().expected == 7
    assert shop.quantities() == {"TEE": 7}


def test_a_look_that_disagrees_is_repeated_and_only_a_clear_answer_settles_it(hub):
    shop = hub.open_shop(poll_seconds=3600)
    shop.hand_edit("TEE", 7)
    look_now(hub)
    hub.run("push_stock")
    ended = shop.books.listings.pop("shop-a-listing-1")
    hub.clock.advance(2)
    hub.run("push_stock")
    assert hub.listing().look.quantity == 7, "a listing not shown says nothing"
    shop.books.listings[ended.channel_listing_id] = ended
    shop.hand_edit("TEE", 10)
    hub.clock.advance(2)
    hub.run("push_stock")
    assert hub.listing().look is None, "the channel shows what was expected after all"
    assert (drifts(hub), hub.writes()) == (0, [])


@pytest.mark.proves("I-33")
def test_a_run_accepts_a_bounded_number_of_looks(hub, monkeypatch):
    monkeypatch.setattr(looking, "LOOKS_MAX", 1)
    monkeypatch.setattr(looking, "ROUNDS_MAX", 2)
    catalogue = {"A": 10, "B": 10, "C": 10}
    shop = hub.open_shop(catalogue=catalogue)
    for sku in catalogue:
        shop.hand_edit(sku, 7)
        look_now(hub, sku)
    hub.run("push_stock")
    hub.run("ingest")
    hub.run("push_stock")
    assert drifts(hub) == 2
    hub.settle()
    assert drifts(hub) == 3
    assert shop.quantities() == catalogue


# --- drift ---------------------------------------------------------------------------------------


@pytest.mark.proves("I-20", "I-40", "F39")
def test_drift_is_named_and_overwritten(any_hub):
    shop = any_hub.open_shop()
    shop.hand_edit("TEE", 3)
    look_now(any_hub)
    any_hub.settle()
    assert drifts(any_hub) == 1
    assert shop.quantities() == {"TEE": 10}
    assert any_hub.stock() == (10, 0)


@pytest.mark.proves("I-20", "F39")
@pytest.mark.parametrize(("typed", "on_hand"), [(14, 14), (7, 7), (0, 2)])
def test_drift_is_adopted_into_the_stock_never_below_what_is_reserved(any_hub, typed, on_hand):
    shop = any_hub.open_shop(drift="adopt")
    other = any_hub.open_shop("shop-b")
    order = other.buy(("TEE", 2))
    any_hub.settle()
    assert shop.quantities() == {"TEE": 8}
    shop.hand_edit("TEE", max(0, typed - 2))
    look_now(any_hub)
    any_hub.settle()
    assert any_hub.stock() == (on_hand, 2)
    assert any_hub.filled(order, "shop-b") == (2, 0)
    assert shop.quantities() == other.quantities() == {"TEE": on_hand - 2}
    assert any_hub.storage.reports.verify_ledger()["ok"]


def test_drift_there_is_nothing_left_to_adopt_from_is_corrected_at_the_channel(hub):
    shop = hub.open_shop(drift="adopt")
    other = hub.open_shop("shop-b")
    hub.count("TEE", 2)
    hub.settle()
    other.buy(("TEE", 2))
    hub.settle()
    shop.books.set_quantity("shop-a-listing-1", -3)
    look_now(hub)
    hub.settle()
    assert hub.stock() == (2, 2)
    assert shop.quantities() == {"TEE": 0}
    assert drifts(hub) == 1


def test_drift_of_a_sku_counted_nowhere_the_account_sells_from_is_not_adopted(hub):
    shop = hub.open_shop(drift="adopt")
    hub.profile("shop-a", locations=("annex",))
    shop.hand_edit("TEE", 3)
    look_now(hub)
    hub.settle()
    assert hub.stock() == (10, 0)


def test_two_drifting_listings_of_one_sku_are_both_adopted(hub):
    from oms_sync.flows.commands.listings import Link, link

    shop = hub.connect(drift="adopt", catalogue={"TEE": 10, "TEE-2": 10})
    for number, sku in ((1, "TEE"), (2, "TEE-2")):
        wanted = Link(
            account="shop-a",
            channel_listing_id=f"shop-a-listing-{number}",
            channel_sku=sku,
            sku=hub_sku("TEE"),
        )
        link(hub.command, [wanted])
    hub.count("TEE", 10)
    hub.settle()
    shop.hand_edit("TEE", 12)
    shop.hand_edit("TEE-2", 13)
    look_now(hub, "TEE")
    look_now(hub, "TEE-2")
    hub.settle()
    assert hub.stock() == (15, 0)
    assert shop.quantities() == {"TEE": 15, "TEE-2": 15}


def hub_sku(text):
    from oms_sync.domain.values import Sku

    return Sku(text)


@pytest.mark.proves("I-40", "F39")
def test_drift_is_held_for_a_human(any_hub):
    shop = any_hub.open_shop(drift="hold")
    shop.hand_edit("TEE", 3)
    look_now(any_hub)
    any_hub.settle()
    listing = any_hub.listing()
    assert listing.state is ListingState.HELD
    assert listing.held_reason == "the channel shows 3 where 10 was expected"
    any_hub.count("TEE", 5)
    any_hub.settle()
    assert shop.quantities() == {"TEE": 3}
    with any_hub.storage.open_work() as work:
        work.listings.save([replace(listing, desired=5, held_reason=None)])
        work.commit()
    any_hub.settle()
    assert shop.quantities() == {"TEE": 5}


@pytest.mark.proves("I-11")
def test_a_look_that_shows_what_is_expected_is_no_drift_and_no_write(any_hub):
    shop = any_hub.open_shop()
    shop.buy(("TEE", 1))
    any_hub.settle()
    look_now(any_hub)
    any_hub.settle()
    assert drifts(any_hub) == 0
    assert any_hub.writes() == []
    assert any_hub.listing().look is None


def test_a_look_nobody_can_explain_waits_as_late_as_orders_may_appear(hub):
    shop = hub.open_shop(options={"late_seconds": 30.0})
    shop.faults.force("F17")
    order = shop.buy(("TEE", 4))
    look_now(hub)
    for _ in range(4):
        hub.round()
    assert hub.listing().look.quantity == 6
    hub.settle()
    assert hub.filled(order) == (4, 0)
    assert drifts(hub) == 0, "the sale explained it"
    assert hub.writes() == []


def test_a_look_that_waits_long_is_not_repeated_every_second(hub):
    shop = hub.open_shop(options={"late_seconds": 120.0})
    asked = []

    class Counting(FakeSession):
        def read_stock(self, channel_listing_ids):
            asked.append(hub.clock.now())
            return super().read_stock(channel_listing_ids)

    hub.sessions["shop-a"] = Counting(shop, shop.request())
    hub.clock.advance(120)
    hub.settle()
    shop.hand_edit("TEE", 7)
    look_now(hub)
    asked.clear()
    began = hub.clock.now()
    while drifts(hub) == 0:
        hub.clock.advance(1)
        for flow in ("ingest", "normalise", "push_stock"):
            hub.run(flow)
    assert asked[-1] - began > timedelta(seconds=110), "once more before it is believed"
    assert 2 <= len(asked) <= 8
    hub.settle()
    assert (drifts(hub), shop.quantities()) == (1, {"TEE": 10})


# --- looks that find nothing, or fail ------------------------------------------------------------


@pytest.mark.proves("I-23", "F37")
def test_a_listing_the_channel_does_not_know_is_shown_and_left_alone(any_hub):
    shop = any_hub.open_shop(catalogue={"TEE": 10, "MUG": 10})
    ended = shop.books.listings.pop("shop-a-listing-1")
    look_now(any_hub)
    any_hub.count("MUG", 4)
    any_hub.settle()
    listing = any_hub.listing()
    assert listing.state is ListingState.REFUSED
    assert listing.refused_reason == "the channel does not know this listing"
    assert shop.quantities() == {"MUG": 4}
    shop.books.listings[ended.channel_listing_id] = ended
    any_hub.count("TEE", 6)
    any_hub.settle()
    assert shop.quantities() == {"TEE": 6, "MUG": 4}


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_looks_are_asked_for_in_portions_the_channel_takes(hub, size):
    catalogue = dict.fromkeys("ABCDE", 10)
    shop = hub.open_shop(catalogue=catalogue, options={"stock_read_max": max(1, size)})
    hub.manifests["shop-a"] = replace(hub.manifests["shop-a"], stock_read_max=size)
    for sku in catalogue:
        shop.hand_edit(sku, 1)
        look_now(hub, sku)
    hub.settle()
    assert shop.quantities() == catalogue


def test_more_looks_than_a_run_takes_go_on_in_the_next(hub):
    catalogue = {f"S{number}": 5 for number in range(55)}
    hub.connect(catalogue=catalogue, options={"stock_read_max": 1, "page_size": 100})
    hub.link()
    for sku in catalogue:
        hub.count(sku, 5)
    hub.run("ingest")
    for _ in range(4):
        hub.run("ingest")
    assert hub.run("push_stock").done == 55 + 50
    hub.settle()
    assert all(hub.listing(sku).state is ListingState.IN_STEP for sku in catalogue)


def test_a_look_that_fails_stays_due(hub):
    shop = hub.open_shop()
    shop.hand_edit("TEE", 3)
    look_now(hub)
    shop.faults.force("F01")
    with pytest.raises(ChannelDown):
        hub.run("push_stock")
    hub.settle()
    assert shop.quantities() == {"TEE": 10}


@pytest.mark.proves("I-11")
@pytest.mark.parametrize("quantities", [(10, 4), (4, 10)])
def test_of_several_quantities_of_one_listing_each_counts(any_hub, quantities):
    """As of several places of one shop: the echo of one hides no edit of another."""
    any_hub.open_shop()
    for quantity in quantities:
        said = {"id": "shop-a-listing-1", "quantity": quantity}
        any_hub.hint("listings/update", json.dumps(said).encode())
    any_hub.run("ingest")
    assert any_hub.listing().look_due_at is not None
