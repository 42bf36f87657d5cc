"""What `reconcile` does at an operator's word: lists compared to their end, quantities read."""

from datetime import UTC, timedelta

import pytest

from oms_sync.domain.completeness import Window, window_until
from oms_sync.flows import reconcile_orders
from oms_sync.flows.commands import reconcile
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.sdk import ChannelDown, OrderPage, RateLimited
from oms_sync.sdk.fake_session import FakeSession


def told(count):
    assert count >= 0


def compare(hub, window):
    return reconcile.compare_orders(hub.context("shop-a"), window, owner="cli:anna", told=told)


def today(hub):
    now = hub.clock.now()
    return window_until(now.astimezone(UTC).date(), now)


def under_way(hub):
    with hub.storage._database.read() as transaction:
        from sqlalchemy import select

        from oms_sync.storage.tables.certificates import order_lists

        return list(transaction.rows(select(order_lists)))


def test_a_day_that_is_not_over_is_certified_as_far_as_it_is(any_hub):
    shop = any_hub.open_shop(options={"page_size": 2})
    for _ in range(5):
        shop.buy(("TEE", 1))
    any_hub.settle()
    found = compare(any_hub, today(any_hub))
    assert (found["outcome"], found["received"], found["is_day_over"]) == ("issued", 5, False)
    with any_hub.storage.open_work() as work:
        assert work.certificates.latest("shop-a", since=today(any_hub).day) == {}
    (row,) = any_hub.storage.reports.certificates("shop-a")
    assert (row["certificate"]["attempt"], row["certificate"]["is_day_over"]) == (0, False)
    assert under_way(any_hub) == []


def test_what_is_missing_is_named_and_read_again(any_hub):
    shop = any_hub.open_shop()
    any_hub.settle()
    order = shop.buy(("TEE", 1))
    any_hub.clock.advance(1)
    now = any_hub.clock.now()
    found = compare(any_hub, Window(since=now - timedelta(hours=1), until=now))
    assert (found["outcome"], found["missing"], found["healing"]) == ("different", 1, 1)
    assert found["differences"][0]["channel_order_id"] == order
    any_hub.run("ingest")
    any_hub.settle()
    assert any_hub.find_order(order) is not None
    again = compare(any_hub, Window(since=now - timedelta(hours=1), until=now))
    assert (again["outcome"], again["missing"]) == ("same", 0)
    assert any_hub.storage.reports.certificates() == [], "no day, no certificate"


class Stumbling(FakeSession):
    """Asks to wait at every second page, and is away for one."""

    calls = 0

    def list_orders(self, since, until, cursor):
        self.calls += 1
        if self.calls % 2 == 0:
            raise RateLimited("slowly", retry_after_seconds=7)
        if self.calls == 3:
            raise ChannelDown("away")
        return super().list_orders(since, until, cursor)


def test_a_busy_channel_is_waited_for_and_no_page_is_lost(hub):
    shop = hub.open_shop(options={"page_size": 1})
    for _ in range(4):
        shop.buy(("TEE", 1))
    hub.settle()
    window, began = today(hub), hub.clock.now()
    hub.sessions["shop-a"] = Stumbling(shop, shop.request())
    assert compare(hub, window)["received"] == 4
    assert (hub.clock.now() - began).total_seconds() >= 7 * 3 + 5


def test_a_channel_that_stays_away_ends_the_command_and_leaves_nothing(hub):
    shop = hub.open_shop()

    class Away(FakeSession):
        def list_orders(self, since, until, cursor):
            raise ChannelDown("away")

    hub.sessions["shop-a"] = Away(shop, shop.request())
    with pytest.raises(ChannelDown):
        compare(hub, today(hub))
    assert under_way(hub) == []


def test_a_list_of_many_runs_goes_on_and_one_without_end_is_refused(hub, monkeypatch):
    shop = hub.open_shop(options={"page_size": 1})
    for _ in range(4):
        shop.buy(("TEE", 1))
    hub.settle()
    monkeypatch.setattr(reconcile_orders, "PAGES_MAX", 1)
    assert compare(hub, today(hub))["received"] == 4
    monkeypatch.setattr(reconcile, "RUNS_MAX", 2)

    class Endless(FakeSession):
        def list_orders(self, since, until, cursor):
            return OrderPage(orders=(), cursor=f"{cursor or ''}x", is_last=False)

    hub.sessions["shop-a"] = Endless(shop, shop.request())
    with pytest.raises(CommandRefused, match="no end"):
        compare(hub, today(hub))
    assert under_way(hub) == []


# --- stock ---------------------------------------------------------------------------------------


def read_back(hub):
    rows = hub.storage.reports.listings(account="shop-a")
    return reconcile.compare_stock(hub.context("shop-a"), rows, told=told)


@pytest.mark.proves("F39")
def test_quantities_are_read_back_and_what_differs_is_named_and_handled(any_hub):
    shop = any_hub.open_shop(
        catalogue={"TEE": 10, "MUG": 5, "CAP": 1}, options={"stock_read_max": 2}
    )
    assert read_back(any_hub) == []
    shop.hand_edit("MUG", 9)
    (found,) = read_back(any_hub)
    assert (found["channel_sku"], found["expected"], found["found"]) == ("MUG", 5, 9)
    assert (found["cause"], found["policy"]) == ("hand edit", "overwrite")
    assert found["since"].endswith("Z")
    assert ("push_stock", "shop-a") in any_hub.wakes
    any_hub.settle()
    assert shop.quantities() == {"TEE": 10, "MUG": 5, "CAP": 1}
    assert read_back(any_hub) == []


def test_a_listing_the_channel_lost_is_named_and_one_in_flight_is_not_judged(hub):
    shop = hub.open_shop(catalogue={"TEE": 10, "MUG": 5})
    listing = hub.listing("MUG")
    del shop.books.listings[listing.channel_listing_id]
    (found,) = read_back(hub)
    assert (found["found"], found["cause"]) == (None, "the channel does not know it")

    class Selling(FakeSession):
        """A sale is imported while the quantities are read."""

        def read_stock(self, ids):
            reading = super().read_stock(ids)
            shop.buy(("TEE", 1))
            hub.take_in()
            return reading

    hub.sessions["shop-a"] = Selling(shop, shop.request())
    shop.hand_edit("TEE", 3)
    assert [one["channel_sku"] for one in read_back(hub)] == ["MUG"]
