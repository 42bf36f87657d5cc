"""Orders and listings as they really are: each of eBay's own ways, at the sandbox over HTTP."""

from datetime import timedelta

import pytest

from oms_sync.sdk import OrderFeed, OrderState, PushOutcome, StockBatch, StockPush
from oms_sync.sdk.sandbox import Purchase

CANCELLED = b"<OrderStatus>Cancelled</OrderStatus>"
COMPLETE = b"<Status>Complete</Status>"


def _raw(session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return raw.payload


def _sight(seller, session, order_id):
    return session.parse_order(_raw(session, order_id), seller.now())


def _buy(seller, sku, units=1, *, is_paid=True):
    return seller.sandbox.sales.place(Purchase(lines=((sku, units),), is_paid=is_paid))


def _push(session, listing_id, quantity, sku=""):
    entry = StockPush(
        channel_listing_id=listing_id, channel_sku=sku, quantity=quantity, expected=None
    )
    (result,) = session.push_stock(StockBatch(key="b", entries=(entry,)))
    return result


def _all_listings(session):
    cursor, found = None, {}
    for _ in range(50):
        page = session.read_listings(cursor)
        found |= {one.channel_listing_id: one for one in page.listings}
        cursor = page.cursor
        if cursor is None:
            return found
    raise AssertionError("no last page")


def _variation(seller, number=0):
    """A variation's listing id and its record."""
    listings = seller.sandbox.books.listings.values()
    listing = next(one for one in listings if one.has_variations and one.ended_at is None)
    variant = listing.variants[number]
    return listing, variant


# --- orders --------------------------------------------------------------------------------------


def test_an_unpaid_order_that_is_cancelled_gives_everything_back(seller):
    session, unpaid = seller.open(), seller.place_unpaid(2)
    assert _sight(seller, session, unpaid).facts.state is OrderState.PENDING
    seller.advance(1)
    seller.cancel_order(unpaid)
    sight = _sight(seller, session, unpaid)
    assert sight.facts.state is OrderState.CANCELLED
    assert sight.channel_order_id == unpaid, "it never got the id of a paid order"


def test_a_cancelled_order_that_still_reads_complete_is_cancelled_in_every_feed(seller):
    session, placed, since = seller.open(), seller.place_order(1), seller.now()
    seller.advance(1)
    seller.cancel_order(placed)
    payload = _raw(session, placed)
    assert CANCELLED in payload
    assert COMPLETE in payload
    assert _sight(seller, session, placed).facts.state is OrderState.CANCELLED
    seller.advance(600)
    page = session.read_orders(OrderFeed.OPEN, None, since - timedelta(hours=1))
    assert page.orders == (), "nothing is open of it"


def test_a_purchase_of_several_units_of_a_variation_is_one_line_of_that_variation(seller):
    listing, variant = _variation(seller)
    sight = _sight(seller, seller.open(), _buy(seller, variant.sku, 3))
    (line,) = sight.lines
    assert (line.quantity_ordered, line.channel_sku) == (3, variant.sku)
    assert line.channel_listing_id == f"{listing.id}/{variant.sku}"
    assert line.unit_price.amount == variant.price


def test_two_purchases_of_one_variation_stay_two_lines(seller):
    _, variant = _variation(seller)
    first, second = (_buy(seller, variant.sku, count, is_paid=False) for count in (1, 2))
    sight = _sight(seller, seller.open(), seller.sandbox.sales.combine(first, second))
    assert [line.quantity_ordered for line in sight.lines] == [1, 2]
    assert len({line.channel_line_id for line in sight.lines}) == 2


def test_an_article_without_a_sku_is_known_by_its_listing(seller):
    number = next(name for name, each in seller.sandbox.store.by_sku.items() if not each.sku)
    session = seller.open()
    (line,) = _sight(seller, session, _buy(seller, number)).lines
    assert (line.channel_sku, line.channel_listing_id) == (None, number)
    assert number in _all_listings(session), "the listing an operator can link it to"


def test_a_variation_without_a_sku_is_known_by_listing_and_specifics(seller):
    listing, variant = _variation(seller, 1)
    bought_as, variant.sku = variant.sku, ""
    session = seller.open()
    (line,) = _sight(seller, session, _buy(seller, bought_as)).lines
    assert line.channel_sku is None
    assert line.channel_listing_id.startswith(f"{listing.id}/~")
    found = _all_listings(session)[line.channel_listing_id]
    assert "cannot be pushed" in found.warning
    assert _push(session, line.channel_listing_id, 1).outcome is PushOutcome.REJECTED


def test_goods_of_the_international_programme_go_to_its_hall_and_never_to_the_buyer(seller):
    session, placed = seller.open(), seller.place_order(1)
    at_home = _sight(seller, session, placed).facts.recipient.address
    seller.sandbox.sales.send_abroad(placed)
    recipient = _sight(seller, session, placed).facts.recipient
    assert recipient.address.city != at_home.city
    assert recipient.address.lines[0].startswith("PGSP US"), "the reference stands above the street"


def test_tax_ebay_collects_and_remits_is_in_the_total_and_in_no_line(seller):
    session = seller.open()
    sight = _sight(seller, session, seller.place_order(3))
    facts, (line,) = sight.facts, sight.lines
    assert facts.tax.amount > 0
    goods = line.unit_price.times(3)
    assert (goods + facts.shipping + facts.tax) == facts.total


@pytest.mark.proves("F22")
def test_an_order_changed_while_a_list_is_paged_is_listed_all_the_same(seller):
    since = seller.now() - timedelta(seconds=1)
    placed = []
    for _ in range(15):
        seller.advance(1)
        placed.append(seller.place_order(1))
    seller.advance(600)
    until, session = seller.now(), seller.open()
    found, cursor = set(), None
    for number in range(60):
        page = session.list_orders(since, until, cursor)
        found |= {raw.channel_order_id for raw in page.orders}
        if page.is_last:
            break
        if number == 0:  # the oldest, which the last page was to show, moves to the front
            seller.sandbox.store.touch(seller.order(placed[0]))
        cursor = page.cursor
        seller.advance(1)
    assert page.is_last
    assert found == set(placed)


# --- listings ------------------------------------------------------------------------------------


def test_a_relisted_listing_is_found_under_its_new_id_and_pushed_there(seller):
    session, sku = seller.open(), seller.sku()
    old = seller.listing_ids()[0]
    listed_with = seller.quantity(old)
    placed = seller.place_order(1)
    _push(session, old, 2, sku)
    before = _sight(seller, session, placed).lines[0].channel_line_id
    seller.sandbox.sales.end_listing(sku)
    new = seller.sandbox.sales.relist(sku)
    found = _all_listings(session)
    assert (old in found, new in found) == (False, True)
    assert found[new].quantity == listed_with, "the old original quantity is on sale again"
    assert found[new].channel_sku == sku
    assert session.read_stock([old]).quantities == {}
    assert _push(session, old, 5, sku).outcome is PushOutcome.REJECTED
    assert _push(session, new, 5, sku).outcome is PushOutcome.APPLIED
    assert seller.quantity(new) == 5
    assert _sight(seller, session, placed).lines[0].channel_line_id == before


def test_before_the_first_zero_the_preference_is_asked_for_and_only_then(seller):
    session, sku, listing_id = seller.open(), seller.sku(), seller.listing_ids()[0]
    _push(session, listing_id, 3, sku)
    assert seller.gate.spent["GetUserPreferences"] == 0
    assert _push(session, listing_id, 0, sku).outcome is PushOutcome.APPLIED
    assert seller.gate.spent["GetUserPreferences"] == 1
