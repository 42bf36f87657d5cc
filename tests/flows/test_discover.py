"""Discovery by the hub itself: new and relisted listings are found, linked where it is sure."""

from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from oms_sync.domain.values import Sku
from oms_sync.flows import asked_discovery
from oms_sync.flows.commands import discovery
from oms_sync.flows.commands.discovery import discover, read_all
from oms_sync.flows.commands.listings import Link, link, unlink
from oms_sync.sdk import (
    AuthFailed,
    Capability,
    ChannelDown,
    PermissionMissing,
    RateLimited,
    RetryLater,
)
from oms_sync.sdk.fake_session import FakeSession

HOUR = 3_600
DAY = 24 * HOUR
NEW = "shop-a-listing-new"


class Scripted(FakeSession):
    """Raises what it was given to raise, page by page, before it lists anything."""

    def __init__(self, channel, *errors) -> None:
        super().__init__(channel, channel.request())
        self.errors = list(errors)
        self.pages = 0

    def read_listings(self, cursor):
        self.pages += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return super().read_listings(cursor)


def relist(shop, sku="TEE", *, quantity, new_id=NEW):
    """The listing ends and comes back under another id, with the quantity it once had."""
    old = shop.books.offered(sku)
    del shop.books.listings[old.channel_listing_id]
    shop.books.listings[new_id] = replace(
        old, channel_listing_id=new_id, quantity=quantity, quantity_before=quantity
    )
    return old.channel_listing_id


def found(hub):
    """What an operator does after the first connect."""
    return discover(hub.command, "shop-a", read_all(hub.sessions["shop-a"], on_page=lambda _: None))


def known(hub, listing_id=NEW):
    with hub.storage.open_work() as work:
        return work.listings.by_channel_ids("shop-a", [listing_id]).get(listing_id)


def told(hub, name):
    with hub.storage.open_work() as work:
        skus = ["TEE", "MUG", "HAT"]
        return work.timeline.count(
            name, account="shop-a", skus=skus, since=hub.clock.now() - timedelta(days=9)
        )


@pytest.fixture
def shop(any_hub):
    """A shop in step whose listings an operator has discovered, two hours ago."""
    opened = any_hub.open_shop(catalogue={"TEE": 10, "MUG": 5})
    found(any_hub)
    any_hub.clock.advance(2 * HOUR)
    any_hub.settle()
    any_hub.wakes.clear()
    return opened


@pytest.mark.proves("I-08", "I-20")
def test_a_relisted_listing_is_found_by_its_first_order_pushed_and_the_order_reserved(
    any_hub, shop
):
    relist(shop, quantity=25)
    order = shop.buy(("TEE", 2))
    any_hub.settle()
    assert any_hub.holds(order) == ["unmapped_sku"]
    assert shop.quantities()["TEE"] == 23, "the old quantity came back, and goes on selling"
    assert ("discover", "shop-a") in any_hub.wakes
    assert any_hub.run("discover").done == 1
    any_hub.settle()
    assert (any_hub.holds(order), any_hub.filled(order)) == ([], (2, 0))
    assert shop.quantities() == {"MUG": 5, "TEE": 8}
    assert known(any_hub).sku == "TEE"
    assert told(any_hub, "listing.linked")["TEE"] == 2
    assert any_hub.metrics.counts["listings_discovered"] == 1


@pytest.mark.proves("I-20")
@pytest.mark.parametrize("by", ["a push", "a look"])
def test_a_listing_that_is_gone_is_looked_for_at_once_and_its_successor_is_pushed(
    any_hub, shop, by
):
    old = relist(shop, quantity=25)
    if by == "a push":
        any_hub.receive("TEE", 1)
    else:
        any_hub.run("reconcile")
    any_hub.settle()
    assert known(any_hub, old).is_refused
    assert ("discover", "shop-a") in any_hub.wakes
    any_hub.run("discover")
    any_hub.settle()
    assert shop.quantities()["TEE"] == (11 if by == "a push" else 10)
    assert known(any_hub, old).sku == "TEE", "what was linked stays so"


def test_listings_are_looked_through_a_day_after_the_first_connect_and_daily_from_then(any_hub):
    shop = any_hub.open_shop()
    shop.offer("MUG", 4)
    any_hub.count("MUG", 7)
    report = any_hub.run("discover")
    assert (report.done, known(any_hub, "shop-a-listing-2")) == (0, None)
    with any_hub.storage.open_work() as work:
        since = work.accounts.get("shop-a").backfilled_at
    assert report.next_at == since + timedelta(days=1)
    any_hub.clock.advance(DAY)
    any_hub.settle()
    assert any_hub.run("discover").done == 1
    begun_at = any_hub.clock.now()
    any_hub.settle()
    assert shop.quantities()["MUG"] == 7
    shop.offer("HAT", 1)
    report = any_hub.run("discover")
    assert (report.done, report.next_at) == (0, begun_at + timedelta(days=1))
    any_hub.clock.advance(DAY)
    any_hub.run("discover")
    assert known(any_hub, "shop-a-listing-3").sku is None, "nobody here knows a HAT"


def test_before_the_first_back_fill_is_complete_nothing_is_looked_through(hub):
    hub.connect()
    hub.clock.advance(3 * DAY)
    report = hub.run("discover")
    assert (report.done, report.next_at) == (0, None)


@pytest.mark.proves("I-33")
def test_orders_of_a_shop_nobody_has_set_up_yet_do_not_hurry_the_first_time(hub):
    shop = hub.connect()
    hub.count("TEE", 10)
    hub.settle()
    order = shop.buy(("TEE", 1))
    hub.settle()
    assert hub.holds(order) == ["unmapped_sku"]
    hub.run("discover")
    assert known(hub, "shop-a-listing-1") is None


@pytest.mark.proves("I-33")
def test_however_many_ask_it_is_done_once_an_hour(any_hub, shop):
    relist(shop, quantity=5)
    for _ in range(2):
        shop.buy(("TEE", 1))
    any_hub.settle()
    any_hub.run("discover")
    session = any_hub.sessions["shop-a"] = Scripted(shop)
    relist(shop, "MUG", quantity=5, new_id="shop-a-listing-mug")
    shop.buy(("MUG", 1))
    any_hub.settle()
    report = any_hub.run("discover")
    assert session.pages == 0
    assert report.next_at is not None
    any_hub.clock.advance(HOUR)
    assert any_hub.run("discover").done == 1
    assert session.pages == 1
    assert any_hub.run("discover").next_at > any_hub.clock.now() + timedelta(hours=22)


def test_the_same_order_seen_again_asks_for_nothing(any_hub, shop):
    shop.offer("HAT", 3)
    order = shop.buy(("HAT", 1))
    any_hub.settle()
    any_hub.run("discover")
    any_hub.wakes.clear()
    shop.hold(order)
    any_hub.settle()
    assert "unmapped_sku" in any_hub.holds(order)
    assert ("discover", "shop-a") not in any_hub.wakes


@pytest.mark.parametrize("is_relisted", [False, True])
def test_what_a_person_unlinked_stays_so_and_so_does_its_successor(any_hub, shop, is_relisted):
    listing = any_hub.listing("TEE").channel_listing_id
    unlink(any_hub.command, "shop-a", listing, reason="sold elsewhere")
    if is_relisted:
        relist(shop, quantity=25)
    any_hub.clock.advance(DAY)
    any_hub.run("discover")
    any_hub.settle()
    assert known(any_hub, listing).sku is None
    if is_relisted:
        assert known(any_hub).sku is None
        assert shop.quantities()["TEE"] == 25


def test_what_is_ambiguous_or_unknown_is_stored_without_a_sku_and_told_once(any_hub, shop):
    twin = shop.books.offered("TEE")
    shop.books.listings["twin"] = replace(twin, channel_listing_id="twin", quantity=3)
    shop.offer("HAT", 1)
    shop.offer("DOWNLOAD", 0, is_stocked=False)
    any_hub.clock.advance(DAY)
    with structlog.testing.capture_logs() as lines:
        any_hub.run("discover")
        any_hub.clock.advance(DAY)
        any_hub.run("discover")
    (line,) = [one for one in lines if one["event"].startswith("listings.")]
    assert (line["event"], line["listings"]) == ("listings.not_linked", 2)
    assert set(line["channel_listing_id"]) == {"twin", "shop-a-listing-4"}
    assert (known(any_hub, "twin").sku, known(any_hub, "shop-a-listing-4").sku) == (None, None)
    found_now = [
        one for one in any_hub.storage.reports.listings(account="shop-a") if one["sku"] is None
    ]
    assert len(found_now) == 3
    assert shop.books.listings["twin"].quantity == 3, "nothing was pushed"


def test_a_refused_listing_still_shown_makes_its_successor_no_twin(any_hub, shop):
    old = relist(shop, quantity=25)
    any_hub.receive("TEE", 1)
    any_hub.settle()
    shop.books.listings[old] = replace(
        shop.books.listings[NEW], channel_listing_id=old, is_stocked=True
    )
    assert any_hub.run("discover").done == 1
    assert known(any_hub).sku == "TEE"


@pytest.mark.proves("I-33")
def test_many_new_listings_are_linked_in_several_transactions(any_hub, shop, monkeypatch):
    monkeypatch.setattr(discovery, "LINKS_PER_WORK", 2)
    names = [f"SKU-{number}" for number in range(5)]
    for name in names:
        shop.offer(name, 1)
        any_hub.count(name, 4)
    any_hub.clock.advance(DAY)
    assert any_hub.run("discover").done == 5
    any_hub.settle()
    assert {shop.quantities()[name] for name in names} == {4}


@pytest.mark.proves("I-04", "I-31", "F47")
@pytest.mark.parametrize("commit", [1, 2, 3])
@pytest.mark.parametrize("is_after", [False, True])
def test_a_discovery_that_dies_is_begun_anew(hub, commit, is_after):
    shop = hub.open_shop()
    hub.count("MUG", 6)
    shop.offer("MUG", 4)
    hub.clock.advance(DAY)
    hub.settle()
    hub.crash_at(commit, is_after=is_after)
    with pytest.raises(hub.Crash):
        hub.run("discover")
    hub.clock.advance(HOUR / 2)
    hub.run("discover")
    hub.settle()
    assert shop.quantities()["MUG"] == 6
    assert sum(one.sku == "MUG" for one in [known(hub, "shop-a-listing-2")]) == 1


def test_a_draining_hub_ends_the_list_after_a_page_and_begins_anew_later(hub):
    shop = hub.open_shop(options={"page_size": 1})
    hub.count("MUG", 6)
    shop.offer("MUG", 4)
    session = hub.sessions["shop-a"] = Scripted(shop)
    hub.clock.advance(DAY)
    hub.settle()
    hub.is_stopping = lambda: True
    report = hub.run("discover")
    begun_at = hub.clock.now()
    assert (report.done, session.pages) == (0, 1)
    assert report.next_at == begun_at + timedelta(minutes=30)
    hub.is_stopping = lambda: False
    assert hub.run("discover").done == 0
    hub.clock.advance(HOUR / 2)
    assert hub.run("discover").done == 1


def test_a_shop_in_shadow_mode_is_looked_through_and_nothing_is_pushed(any_hub):
    shop = any_hub.open_shop(mode="shadow")
    any_hub.count("MUG", 6)
    shop.offer("MUG", 4)
    any_hub.clock.advance(DAY)
    assert any_hub.run("discover").done == 1
    any_hub.settle()
    assert shop.quantities()["MUG"] == 4
    assert any_hub.listing("MUG").desired == 6


@pytest.mark.proves("I-26")
def test_a_page_that_fails_is_asked_for_again_and_the_budget_is_waited_for(hub):
    shop = hub.open_shop(options={"page_size": 1})
    hub.count("MUG", 6)
    shop.offer("MUG", 4)
    errors = [ChannelDown("a"), ChannelDown("b"), None, RateLimited("c", retry_after_seconds=20.0)]
    session = hub.sessions["shop-a"] = Scripted(shop, *errors)
    hub.clock.advance(DAY)
    hub.settle()
    begun_at = hub.clock.now()
    assert hub.run("discover").done == 1
    assert session.pages == 5, "no page was read twice"
    assert hub.clock.now() - begun_at >= timedelta(seconds=22)


@pytest.mark.proves("I-26", "I-33")
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ChannelDown("broken"), RetryLater),
        (RateLimited("not today", retry_after_seconds=3600.0), RateLimited),
        (AuthFailed("revoked"), AuthFailed),
    ],
)
def test_what_stays_broken_is_raised_and_the_list_not_begun_again_at_once(hub, error, raised):
    shop = hub.open_shop()
    session = hub.sessions["shop-a"] = Scripted(shop, *[error] * 9)
    hub.clock.advance(DAY)
    hub.settle()
    with pytest.raises(raised) as caught:
        hub.run("discover")
    assert not isinstance(caught.value, ChannelDown), "the runner would try it again at once"
    pages = session.pages
    hub.run("discover")
    assert session.pages == pages
    session.errors.clear()
    hub.clock.advance(HOUR / 2)
    hub.run("discover")
    assert session.pages == pages + 1


@pytest.mark.proves("F30")
def test_a_shop_that_may_not_list_says_so_and_goes_on_with_its_orders(hub):
    shop = hub.open_shop()
    hub.sessions["shop-a"] = Scripted(shop, PermissionMissing("the role Listings is missing"))
    hub.clock.advance(DAY)
    hub.settle()
    with structlog.testing.capture_logs() as lines:
        report = hub.run("discover")
    (line,) = [one for one in lines if one["event"] == "listings.not_discovered"]
    assert line["reason"] == "the role Listings is missing"
    assert report.next_at == hub.clock.now() + timedelta(days=1)


def test_a_channel_that_lists_nothing_is_not_asked_for_it(hub):
    shop = hub.open_shop()
    manifest = hub.manifests["shop-a"]
    left = manifest.capabilities - {Capability.DISCOVER_LISTINGS}
    hub.manifests["shop-a"] = replace(manifest, capabilities=left)
    relist(shop, quantity=5)
    shop.buy(("TEE", 1))
    hub.wakes.clear()
    hub.settle()
    assert ("discover", "shop-a") not in hub.wakes
    session = hub.sessions["shop-a"] = Scripted(shop)
    hub.clock.advance(DAY)
    assert hub.run("discover").next_at is None, "whoever woke it"
    assert session.pages == 0
    with hub.storage.open_work() as work:
        assert work.upkeep.discovery("shop-a") is None


def test_who_asks_while_the_list_is_read_is_answered_by_the_next_one(any_hub, shop):
    asked_at = any_hub.clock.now()
    with any_hub.storage.open_work() as work:
        work.upkeep.begin_discovery("shop-a", at=asked_at)
        work.upkeep.ask_discovery("shop-a", at=asked_at + timedelta(seconds=1))
        work.upkeep.end_discovery("shop-a", begun_at=asked_at)
        work.commit()
        after = work.upkeep.discovery("shop-a")
        record = work.accounts.get("shop-a")
    assert (after.done_at, after.tried_at) == (asked_at, asked_at)
    assert after.asked_at == asked_at + timedelta(seconds=1)
    assert asked_discovery.due_at(record, after) == asked_at + timedelta(hours=1)


def test_linking_by_hand_is_left_alone(any_hub, shop):
    """A listing a person linked to another SKU of his keeps it."""
    listing = any_hub.listing("TEE").channel_listing_id
    wanted = Link(account="shop-a", channel_listing_id=listing, channel_sku=None, sku=Sku("MUG"))
    link(any_hub.command, [wanted])
    any_hub.clock.advance(DAY)
    any_hub.run("discover")
    assert known(any_hub, listing).sku == "MUG"
