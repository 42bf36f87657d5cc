"""Discovery beside people, other listings of the same name, and orders that come meanwhile."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.values import Sku
from oms_sync.flows import asked_discovery
from oms_sync.flows.commands import discovery
from oms_sync.flows.commands.discovery import discover, read_all
from oms_sync.flows.commands.listings import Link, link
from oms_sync.sdk.fake_session import FakeSession

HOUR, DAY = 3_600, 86_400
NEW = "shop-a-listing-new"


class Meanwhile(FakeSession):
    """Something happens while the list is read."""

    def __init__(self, channel, act) -> None:
        super().__init__(channel, channel.request())
        self._act = act

    def read_listings(self, cursor):
        page = super().read_listings(cursor)
        self._act()
        return page


def known(hub, listing_id=NEW):
    with hub.storage.open_work() as work:
        return work.listings.by_channel_ids("shop-a", [listing_id]).get(listing_id)


def pair(hub, listing_id, sku, *, channel_sku=None):
    """A person links."""
    wanted = Link(
        account="shop-a", channel_listing_id=listing_id, channel_sku=channel_sku, sku=Sku(sku)
    )
    link(hub.command, [wanted])


@pytest.fixture
def shop(any_hub):
    """A shop in step whose listings an operator has discovered, two hours ago."""
    opened = any_hub.open_shop(catalogue={"TEE": 10, "MUG": 5})
    offered = read_all(any_hub.sessions["shop-a"], on_page=lambda _: None)
    discover(any_hub.command, "shop-a", offered)
    any_hub.clock.advance(2 * HOUR)
    any_hub.settle()
    return opened


@pytest.mark.proves("I-20")
def test_who_asks_again_while_the_list_is_read_is_answered_by_the_next_one(any_hub, shop):
    """What was asked for before the list was begun is no answer to what is asked after."""

    def ask():
        any_hub.clock.advance(60)
        with any_hub.storage.open_work() as work:
            asked_discovery.ask(any_hub.context("shop-a"), work)
            work.commit()

    ask()
    any_hub.sessions["shop-a"] = Meanwhile(shop, ask)
    begun_at = any_hub.clock.now()
    report = any_hub.run("discover")
    with any_hub.storage.open_work() as work:
        after = work.upkeep.discovery("shop-a")
    assert after.done_at is not None
    assert after.done_at >= begun_at
    assert after.asked_at is not None, "the second question is lost"
    assert report.next_at == after.done_at + timedelta(hours=1)


@pytest.mark.proves("I-20")
def test_who_asks_while_a_person_has_the_list_read_is_answered_by_the_next_one(any_hub, shop):
    begun_at = any_hub.clock.now()
    offered = read_all(any_hub.sessions["shop-a"], on_page=lambda _: None)
    any_hub.clock.advance(60)
    with any_hub.storage.open_work() as work:
        asked_discovery.ask(any_hub.context("shop-a"), work)
        work.commit()
    any_hub.clock.advance(60)
    discover(any_hub.command, "shop-a", offered, begun_at=begun_at)
    assert any_hub.run("discover").next_at == begun_at + timedelta(hours=1)


@pytest.mark.parametrize("is_still_shown", [False, True])
def test_the_successor_of_what_a_person_linked_to_another_sku_is_left_to_people(
    any_hub, shop, is_still_shown
):
    """The channel's SKU is TEE, and a person said that it sells MUGs: TEE would be a guess."""
    old = any_hub.listing("TEE")
    pair(any_hub, old.channel_listing_id, "MUG")
    offer = shop.books.offered("TEE")
    shop.books.listings[NEW] = replace(offer, channel_listing_id=NEW, quantity=25)
    if not is_still_shown:
        del shop.books.listings[old.channel_listing_id]
    any_hub.settle()
    with any_hub.storage.open_work() as work:
        (one,) = work.listings.lock([old.listing_id]).values()
        lost = replace(one, refused_reason="gone", refused_generation=one.generation)
        work.listings.save([lost])
        work.commit()
    any_hub.clock.advance(DAY)
    any_hub.run("discover")
    any_hub.settle()
    assert known(any_hub).sku is None
    assert shop.books.listings[NEW].quantity == 25


@pytest.mark.parametrize("linked", ["MUG", "TEE"])
def test_what_a_person_links_while_the_hub_links_others_stays_linked(
    any_hub, shop, monkeypatch, linked
):
    """HAT is known to nobody when it is matched, and linked by hand before that is stored."""
    hat = shop.offer("HAT", 3)
    held = discovery._held

    def hold_up(offered):
        pair(any_hub, hat, linked, channel_sku="HAT")
        return held(offered)

    monkeypatch.setattr(discovery, "_held", hold_up)
    any_hub.clock.advance(DAY)
    any_hub.run("discover")
    assert known(any_hub, hat).sku == linked


def test_skus_that_differ_by_blanks_alone_are_twins(any_hub, shop):
    shop.offer("HAT", 1)
    shop.offer("HAT ", 2)
    any_hub.count("HAT", 9)
    any_hub.clock.advance(DAY)
    assert any_hub.run("discover").done == 0
    assert any(one["channel_sku"] == "HAT " for one in _unlinked(any_hub))
    assert sum(one["channel_sku"].strip() == "HAT" for one in _unlinked(any_hub)) == 2


def test_a_sku_in_other_letters_is_another_sku(any_hub, shop):
    shop.offer("hat", 1)
    any_hub.count("HAT", 9)
    any_hub.clock.advance(DAY)
    assert any_hub.run("discover").done == 0
    assert [one["channel_sku"] for one in _unlinked(any_hub)] == ["hat"]


def _unlinked(hub):
    return [one for one in hub.storage.reports.listings(account="shop-a") if one["sku"] is None]
