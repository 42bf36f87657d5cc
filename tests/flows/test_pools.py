"""What a channel holds itself: recorded with its time, refreshed, and never stock of ours."""

from datetime import timedelta

import pytest

from oms_sync.cli.output import show_table
from oms_sync.domain.values import Sku
from oms_sync.flows.commands.discovery import discover, read_all
from oms_sync.sdk.fake_session import FakeSession

HOUR = 3601


class Counting(FakeSession):
    """Counts how often it is asked for pools."""

    asked = 0

    def read_pools(self):
        self.asked += 1
        return super().read_pools()


@pytest.fixture
def pooled(any_hub):
    """A shop that ships FBA-TEE itself, out of 7 units, and sells our TEE beside it."""
    shop = any_hub.open_shop(catalogue={"TEE": 10})
    shop.offer("FBA-TEE", 0, is_stocked=False)
    shop.store_units("FBA-TEE", 7)
    any_hub.sessions["shop-a"] = Counting(shop, shop.request())
    any_hub.channels["shop-a"] = shop
    found(any_hub)
    return any_hub


def found(hub):
    offered = read_all(hub.sessions["shop-a"], on_page=lambda _: None)
    return discover(hub.command, "shop-a", offered)


def pool(hub, sku="FBA-TEE"):
    listing = hub.listing(sku)
    return listing.channel_pool, listing.channel_pool_at


def test_what_the_channel_holds_is_recorded_and_is_no_stock_of_ours(pooled):
    at = pooled.clock.now()
    assert pool(pooled) == (7, at)
    assert pool(pooled, "TEE") == (None, None)
    order = pooled.channels["shop-a"].buy(("FBA-TEE", 2), fulfilled_by="channel")
    pooled.clock.advance(60)
    pooled.take_in()
    pooled.settle()
    assert (pooled.order(order).state, pooled.holds(order)) == ("open", [])
    assert pooled.filled(order) == (0, 0), "nothing of ours is reserved"
    assert pooled.stock("TEE") == (10, 0)
    assert all(sku != "FBA-TEE" for sku, _ in pooled.writes()), "and nothing is pushed"
    assert pooled.listing("FBA-TEE").desired is None


def test_it_is_shown_by_sku_and_in_the_list_apart_from_our_own(pooled, capsys):
    reports, (units, at) = pooled.storage.reports, pool(pooled)
    shown = reports.stock_item(Sku("FBA-TEE"))
    assert (shown["counted"], shown["on_hand"], shown["available_to_sell"]) == (False, 0, None)
    (row,) = shown["channel_pools"]
    assert (row["account"], row["channel_pool"]) == ("shop-a", units)
    assert row["at"] == at.isoformat().replace("+00:00", "Z")
    assert reports.stock_item(Sku("TEE"))["channel_pools"] == []
    assert all(one["channel_pools"] == [] for one in reports.stock()), "no SKU of ours is held"
    listed = {one["channel_sku"]: one["channel_pool"] for one in reports.listings("shop-a")}
    assert listed == {"TEE": None, "FBA-TEE": 7}
    show_table({"channel_pool": "held#"}, shown["channel_pools"], none="")
    assert "7" in capsys.readouterr().out


def test_it_is_read_again_once_a_period_and_by_discovery(pooled):
    session, shop = pooled.sessions["shop-a"], pooled.channels["shop-a"]
    shop.store_units("FBA-TEE", 4)
    pooled.run("reconcile")
    assert session.asked == 0, "what is known is younger than a period"
    pooled.clock.advance(HOUR)
    pooled.run("reconcile")
    assert pool(pooled) == (4, pooled.clock.now())
    pooled.run("reconcile")
    assert session.asked == 1
    shop.store_units("FBA-TEE", 3)
    found(pooled)
    assert pool(pooled)[0] == 3


def test_a_pool_nobody_may_read_keeps_its_last_number_and_its_time(pooled):
    before = pool(pooled)
    pooled.channels["shop-a"].missing_permissions = ("pools",)
    pooled.clock.advance(HOUR)
    pooled.run("reconcile")
    assert pooled.sessions["shop-a"].asked == 1
    assert pool(pooled) == before
    assert pooled.clock.now() - before[1] > timedelta(hours=1)


def test_what_the_channel_holds_no_more_is_forgotten(pooled):
    pooled.channels["shop-a"].store_units("FBA-TEE", None)
    pooled.clock.advance(HOUR)
    pooled.run("reconcile")
    assert pool(pooled) == (None, None)
    assert pooled.storage.reports.stock()[0]["channel_pools"] == []


def test_a_channel_that_holds_nothing_is_not_asked(hub):
    shop = hub.open_shop()
    hub.sessions["shop-a"] = session = Counting(shop, shop.request())
    hub.clock.advance(HOUR)
    hub.run("reconcile")
    assert session.asked == 0


def test_a_linked_listing_keeps_its_own_four_numbers_beside_the_pool(pooled):
    shop, before = pooled.channels["shop-a"], pooled.listing("TEE")
    shop.store_units("TEE", 5)
    found(pooled)
    after = pooled.listing("TEE")
    assert after.channel_pool == 5
    assert (after.sku, after.desired, after.expected) == (before.sku, 10, 10)
    (row,) = pooled.storage.reports.stock_item(Sku("TEE"))["channel_pools"]
    assert row["channel_pool"] == 5
    assert pooled.storage.reports.stock_item(Sku("TEE"))["on_hand"] == 10
