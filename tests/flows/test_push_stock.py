"""Push stock: every listing is brought to what it should show, in absolute numbers."""

from dataclasses import replace

import pytest

from oms_sync.domain.listing import ListingState
from oms_sync.flows import push_stock
from oms_sync.sdk import (
    Capability,
)

FIVE = {"A": 10, "B": 10, "C": 10, "D": 10, "E": 10}


def change(hub, units, *skus):
    for sku in skus:
        hub.count(sku, units)


# --- what is pushed ------------------------------------------------------------------------------


@pytest.mark.proves("I-20", "I-22", "I-24", "I-40")
def test_a_count_reaches_the_listing_as_one_absolute_value(any_hub):
    shop = any_hub.open_shop()
    any_hub.count("TEE", 7)
    assert ("push_stock", "shop-a") in any_hub.wakes
    any_hub.run("push_stock")
    assert shop.quantities() == {"TEE": 7}
    listing = any_hub.listing()
    assert (listing.desired, listing.sent, listing.confirmed, listing.expected) == (7, 7, 7, 7)
    assert listing.state is ListingState.IN_STEP
    assert any_hub.run("push_stock").done == 0
    assert len(any_hub.metrics.observed["push_seconds push_stock"]) == 1


@pytest.mark.proves("I-27")
def test_many_changes_between_two_runs_are_one_push(hub):
    hub.open_shop()
    for units in (9, 3, 8, 5):
        hub.count("TEE", units)
    hub.settle()
    assert hub.writes() == [("TEE", 5)]


@pytest.mark.proves("I-24")
def test_decreases_go_first_the_largest_first(hub):
    hub.open_shop(catalogue=FIVE, options={"stock_batch_max": 1})
    for sku, units in {"A": 12, "B": 9, "C": 2, "D": 11, "E": 5}.items():
        hub.count(sku, units)
    hub.run("push_stock")
    assert hub.writes() == [("C", 2), ("E", 5), ("B", 9), ("D", 11), ("A", 12)]


@pytest.mark.proves("I-24")
def test_buffer_and_cap_keep_units_from_the_channel(hub):
    shop = hub.open_shop(buffer=2)
    assert shop.quantities() == {"TEE": 8}
    hub.profile("shop-a", cap=3)
    hub.count("TEE", 11)
    hub.settle()
    assert shop.quantities() == {"TEE": 3}
    with hub.storage.open_work() as work:
        work.listings.save([replace(hub_listing, buffer=0, cap=5) for hub_listing in [seen(work)]])
        work.commit()
    hub.settle()
    assert shop.quantities() == {"TEE": 5}
    hub.count("TEE", 0)
    hub.settle()
    assert shop.quantities() == {"TEE": 0}


def seen(work):
    return work.listings.by_channel_skus("shop-a", ["TEE"])["TEE"][0]


def test_only_the_account_s_own_locations_count(hub):
    shop = hub.open_shop()
    hub.count("TEE", 50, "annex")
    hub.settle()
    assert shop.quantities() == {"TEE": 10}


def test_a_sku_nobody_counted_is_never_pushed(any_hub):
    shop = any_hub.connect()
    any_hub.link()
    any_hub.settle()
    assert any_hub.listing().state is ListingState.UNCOUNTED
    assert any_hub.writes() == []
    assert shop.quantities() == {"TEE": 10}


def test_a_sku_counted_only_where_the_account_does_not_sell_from_is_not_pushed(hub):
    hub.connect()
    hub.link()
    hub.count("TEE", 5, "annex")
    hub.settle()
    assert hub.listing().desired is None


def test_an_unlinked_listing_is_left_alone(hub):
    shop = hub.open_shop()
    with hub.storage.open_work() as work:
        work.listings.save([replace(seen(work), sku=None)])
        work.commit()
    hub.count("TEE", 3)
    hub.settle()
    assert hub.listing().state is ListingState.UNLINKED
    assert shop.quantities() == {"TEE": 10}


def test_nothing_is_pushed_before_the_back_fill_is_complete(any_hub):
    shop = any_hub.connect(catalogue={"TEE": 3})
    any_hub.link()
    any_hub.count("TEE", 10)
    any_hub.run("push_stock")
    any_hub.run("ingest")
    assert any_hub.run("push_stock").next_at is None
    assert any_hub.writes() == []
    assert any_hub.listing().desired == 10, "it is computed all the same"
    any_hub.settle()
    assert shop.quantities() == {"TEE": 10}


def test_shadow_mode_computes_and_looks_and_pushes_nothing(any_hub):
    shop = any_hub.connect(catalogue={"TEE": 3}, mode="shadow")
    any_hub.sessions["shop-a"] = shop.session(may_write=False)
    any_hub.link()
    any_hub.count("TEE", 10)
    any_hub.settle()
    any_hub.run("reconcile")
    any_hub.settle()
    listing = any_hub.listing()
    assert (listing.desired, listing.expected, listing.sent) == (10, 3, None)
    assert listing.state is ListingState.BEHIND
    assert shop.effects == []


@pytest.mark.parametrize("missing", [Capability.PUSH_STOCK, Capability.READ_STOCK])
def test_a_channel_that_cannot_be_written_or_looked_at_is_not_pushed_to(hub, missing):
    hub.connect(catalogue={"TEE": 3})
    manifest = hub.manifests["shop-a"]
    hub.manifests["shop-a"] = replace(manifest, capabilities=manifest.capabilities - {missing})
    hub.link()
    hub.count("TEE", 10)
    hub.settle()
    assert hub.listing().desired == 10
    assert hub.writes() == []


@pytest.mark.proves("I-24")
def test_a_sale_not_yet_reserved_keeps_its_listing_from_being_pushed(hub):
    shop = hub.open_shop()
    hub.open_shop("shop-b")
    shop.buy(("TEE", 4))
    hub.clock.advance(5)
    hub.run("ingest")
    hub.run("normalise")
    hub.count("TEE", 12)
    hub.run("push_stock", "shop-b")
    assert hub.writes("shop-b") == []
    hub.settle()
    assert hub.writes("shop-b") == [("TEE", 8)]


def test_a_draining_hub_claims_no_batch(hub):
    hub.open_shop()
    hub.count("TEE", 7)
    hub.is_stopping = lambda: True
    assert hub.run("push_stock").is_more
    assert hub.writes() == []
    assert hub.listing().in_flight is None


@pytest.mark.proves("I-33")
def test_a_run_sends_a_bounded_number_of_batches_and_says_there_is_more(hub):
    catalogue = {f"S{number}": 5 for number in range(55)}
    hub.open_shop(catalogue=catalogue, options={"stock_batch_max": 1, "page_size": 100})
    change(hub, 4, *catalogue)
    report = hub.run("push_stock")
    assert report.is_more
    assert len(hub.writes()) == 50
    hub.settle()
    assert len(hub.writes()) == 55


def test_more_stale_listings_than_one_round_takes_are_all_computed(hub):
    from oms_sync.domain.listing import Listing
    from oms_sync.domain.values import Sku

    hub.open_shop()
    with hub.storage.open_work() as work:
        work.listings.save(
            [
                Listing(
                    listing_id=f"many-{number}",
                    account="shop-a",
                    channel_listing_id=f"many-{number}",
                    channel_sku=f"MANY {number}",
                    sku=Sku("TEE"),
                    held_reason="not part of this test",
                )
                for number in range(500)
            ]
        )
        work.commit()
    assert hub.run("push_stock").done == 500
    assert hub.listing("MANY 499").desired == 10


@pytest.mark.proves("I-33")
def test_a_run_computes_a_bounded_number_of_listings(hub, monkeypatch):
    monkeypatch.setattr(push_stock, "STALE_MAX", 2)
    monkeypatch.setattr(push_stock, "ROUNDS_MAX", 2)
    hub.open_shop(catalogue=FIVE)
    change(hub, 7, *FIVE)
    hub.run("push_stock")
    computed = [sku for sku in FIVE if hub.listing(sku).desired == 7]
    assert len(computed) == 4
    hub.run("push_stock")
    assert hub.listing("E").desired == 7
