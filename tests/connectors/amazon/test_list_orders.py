"""The channel's own list of a time, for comparing with ours."""

from datetime import timedelta

import pytest

from connectors.amazon.orders import RESTARTS_MAX
from oms_sync.sdk import ChannelDown
from oms_sync.sdk.sandbox import Purchase


@pytest.fixture
def session(seller):
    return seller.open()


@pytest.fixture
def listed(seller, session):
    """Every sight of what was placed in [since, until), by id."""

    def act(since, until, by=None):
        cursor, found = None, {}
        while True:
            page = (by or session).list_orders(since, until, cursor)
            for raw in page.orders:
                found[raw.channel_order_id] = session.parse_order(raw.payload, seller.now())
            if page.is_last:
                return found
            cursor = page.cursor

    return act


def test_every_order_of_the_time_is_listed_whatever_became_of_it(seller, listed):
    since = seller.now()
    placed = [seller.place_order(1) for _ in range(9)]
    seller.cancel_order(placed[0])
    placed.append(seller.sandbox.sales.place(Purchase(lines=((seller.sku(), 1),), is_paid=False)))
    fba = Purchase(lines=(("FBA-00001", 1),), fulfilled_by="channel")
    placed.append(seller.sandbox.sales.place(fba))
    seller.advance(10)
    found = listed(since, seller.now())
    assert set(found) == set(placed)
    assert found[placed[0]].facts.cancelled_at is not None
    price = seller.order(placed[1]).lines[0].variant.price
    assert found[placed[1]].facts.total.amount == price
    assert found[placed[1]].facts.buyer is None, "who bought is nobody's business there"


def test_the_time_is_half_open(seller, listed):
    first = seller.place_order(1)
    seller.advance(60)
    middle = seller.now()
    second = seller.place_order(1)
    seller.advance(60)
    before = listed(middle - timedelta(seconds=60), middle)
    after = listed(middle, seller.now())
    assert (set(before), set(after)) == ({first}, {second})


def test_a_change_afterwards_moves_no_order_out_of_its_day(seller, listed):
    since = seller.now()
    order_id = seller.place_order(1)
    seller.advance(86_400)
    until = seller.now()
    seller.advance(3600)
    seller.cancel_order(order_id)
    assert set(listed(since, until)) == {order_id}


def test_what_is_too_new_for_lists_is_left_to_the_next_time(running_seller):
    with running_seller(lag_seconds=120.0) as seller:
        session = seller.open()
        since = seller.now()
        first = seller.place_order(1)
        page = session.list_orders(since, seller.now(), None)
        assert (page.orders, page.is_last) == ((), True)
        seller.advance(600)
        page = session.list_orders(since, seller.now(), None)
        assert [raw.channel_order_id for raw in page.orders] == [first]


@pytest.mark.proves("F21")
def test_a_page_token_that_ended_begins_the_list_again(seller, listed):
    since = seller.now()
    placed = {seller.place_order(1) for _ in range(9)}
    seller.advance(10)
    seller.sandbox.faults.force("F21")
    assert set(listed(since, seller.now())) == placed


@pytest.mark.proves("F20")
def test_a_list_that_goes_round_in_circles_ends_with_a_word(seller, session, listed):
    since = seller.now()
    for _ in range(9):
        seller.place_order(1)
    seller.advance(10)
    seller.sandbox.faults.set("F20", 1.0)
    with pytest.raises(ChannelDown, match="gets nowhere"):
        listed(since, seller.now())
    assert seller.sandbox.faults.counters()["F20"]["fired"] > RESTARTS_MAX


def test_without_the_role_for_money_the_list_is_read_without(seller, session, listed):
    since = seller.now()
    order_id = seller.place_order(1)
    seller.advance(10)
    seller.sandbox.orders.withheld["PROCEEDS"] = "denied"
    assert listed(since, seller.now())[order_id].facts.total is None
    assert "PROCEEDS" in session.check().missing_permissions[0]


def test_the_older_api_lists_them_too(seller, listed):
    since = seller.now()
    placed = {seller.place_order(1) for _ in range(6)}
    seller.advance(10)
    seller.settings = seller.settings.model_copy(update={"orders_api": "v0"})
    assert set(listed(since, seller.now(), seller.open())) == placed
