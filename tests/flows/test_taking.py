"""What a channel took from its own quantity, booked into the listing once per unit."""

from dataclasses import replace

import pytest

from oms_sync.sdk.fake_session import FakeSession


@pytest.mark.proves("I-20")
def test_sales_and_restocks_move_what_the_listing_is_expected_to_show(any_hub):
    shop = any_hub.open_shop()
    first, second = shop.buy(("TEE", 3)), shop.buy(("TEE", 1))
    any_hub.settle()
    assert any_hub.listing().expected == shop.quantities()["TEE"] == 6
    shop.cancel(first)
    any_hub.settle()
    assert any_hub.listing().expected == shop.quantities()["TEE"] == 9
    shop.cancel(second, restock=False)
    any_hub.settle()
    assert any_hub.listing().expected == shop.quantities()["TEE"] == 10
    assert any_hub.writes() == [("TEE", 10)], "only the cancelled unit nobody put back is pushed"


@pytest.mark.proves("I-20", "F35")
def test_units_added_by_an_edit_are_not_inside_what_was_seen_before_the_edit(hub):
    shop = hub.open_shop(options={"has_compare_and_set": False})
    order = shop.buy(("TEE", 1))
    hub.settle()
    hub.count("TEE", 12)
    hub.settle()
    assert hub.writes() == [("TEE", 11)]
    assert hub.listing().basis.at > hub.order(order).placed_at
    shop.edit(order, {"TEE": 3})
    hub.take_in()
    assert shop.quantities() == {"TEE": 9}
    assert hub.listing().expected == 9
    hub.settle()
    assert hub.writes() == [("TEE", 11)]


@pytest.mark.proves("I-20", "I-21", "F35")
def test_units_sold_before_a_push_and_put_back_after_it_are_expected_when_first_seen_then(hub):
    shop = hub.open_shop(options={"has_compare_and_set": False})
    order = shop.buy(("TEE", 1))
    hub.count("TEE", 12)
    hub.run("push_stock")
    assert hub.writes() == [("TEE", 12)], "the push erased a sale nobody here knew of"
    hub.clock.advance(1)
    shop.cancel(order, restock=True)
    hub.settle()
    assert shop.quantities() == {"TEE": 12}
    assert hub.listing().expected == 12
    assert hub.metrics.counts["drift"] == 0
    assert hub.writes() == [("TEE", 12), ("TEE", 12)]


@pytest.mark.proves("F36")
def test_orders_that_left_before_the_first_connect_move_no_stock(any_hub):
    shop = any_hub.connect()
    gone, partly = shop.buy(("TEE", 2)), shop.buy(("TEE", 3))
    shop.fulfil_at_channel(gone)
    shop.fulfil_at_channel(partly, {"TEE": 1})
    back = shop.buy(("TEE", 1))
    shop.fulfil_at_channel(back)
    shop.refund(back)
    any_hub.clock.advance(3600)
    any_hub.link()
    any_hub.count("TEE", 6)  # counted after all of that had left
    any_hub.settle()
    assert any_hub.order(gone).state.value == "closed"
    assert any_hub.stock() == (6, 2)
    assert any_hub.filled(partly) == (2, 0)
    shop.fulfil_at_channel(partly)
    any_hub.settle()
    assert any_hub.stock() == (4, 0), "what leaves now leaves the books"


@pytest.mark.proves("I-21")
def test_units_a_channel_puts_back_without_a_word_are_no_drift(hub):
    shop = hub.open_shop(options={"has_compare_and_set": False}, drift="adopt")
    channel_says_nothing(hub)
    order = shop.buy(("TEE", 2))
    hub.settle()
    assert hub.stock() == (10, 2)
    shop.cancel(order, restock=True)
    hub.take_in()
    hub.run("reconcile")
    hub.settle()
    hub.clock.advance(120)
    hub.settle()
    assert hub.metrics.counts["drift"] == 0
    assert hub.stock() == (10, 0), "nothing was adopted: the units were there all the time"
    assert shop.quantities() == {"TEE": 10}
    assert hub.listing().unproved_since is None


class Silent(FakeSession):
    """A session whose orders never say what was put back."""

    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        return replace(sight, lines=tuple(replace(o, quantity_restocked=None) for o in sight.lines))


def channel_says_nothing(hub, account="shop-a"):
    channel = hub.channels[account]
    hub.sessions[account] = Silent(channel, channel.request())
