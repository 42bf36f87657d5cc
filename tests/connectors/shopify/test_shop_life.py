"""Orders as a real shop has them, over HTTP: edits, returns, moves, tills, tips and other money."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connectors.shopify import feeds
from oms_sync.sdk import (
    HintKind,
    Money,
    OrderFeed,
    OutgoingPackage,
    OutgoingShipment,
    PushOutcome,
    RetryLater,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.sandbox import Purchase

AT = datetime(2026, 3, 1, tzinfo=UTC)


def _sight(shop, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, shop.now())


def _only_line(shop, session, order_id):
    (line,) = _sight(shop, session, order_id).lines
    return line


def _lines(shop, order_id):
    return [one["channel_line_id"] for one in shop.sandbox.truth()["orders"][order_id]["lines"]]


def _ship(session, order_id, lines, number="1Z1"):
    package = OutgoingPackage(carrier="ups", tracking_number=number, tracking_url=None)
    session.push_shipment(
        OutgoingShipment(
            key="s-1",
            channel_order_id=order_id,
            lines=lines,
            packages=(package,),
            service=None,
            shipped_at=AT,
        )
    )


def _push(session, listing_id, quantity, expected, key="b-1"):
    entry = StockPush(
        channel_listing_id=listing_id, channel_sku="", quantity=quantity, expected=expected
    )
    (result,) = session.push_stock(StockBatch(key=key, entries=(entry,)))
    return result


# --- edits, refunds, returns ---------------------------------------------------------------------


def test_an_edited_order_shows_added_and_removed_units(shop):
    session, sales = shop.open(), shop.sandbox.sales
    order_id = sales.place(Purchase(lines=((shop.sku(0), 2),)))
    sales.edit(order_id, {shop.sku(0): 1, shop.sku(1): 3})
    one, two = _sight(shop, session, order_id).lines
    assert (one.quantity_ordered, one.quantity_cancelled, one.quantity_restocked) == (2, 1, 1)
    assert (two.quantity_ordered, two.quantity_cancelled) == (3, 0)
    _ship(session, order_id, {one.channel_line_id: 1, two.channel_line_id: 3})
    assert all(line.quantity_shipped for line in _sight(shop, session, order_id).lines)


@pytest.mark.parametrize(("restock", "restocked"), [(True, 2), (False, 0)])
def test_units_refunded_before_shipping_leave_the_order_with_or_without_stock(
    restock, restocked, shop
):
    session, order_id = shop.open(), shop.place_order(3)
    shop.sandbox.sales.refund(order_id, {shop.sku(): 2}, restock=restock)
    line = _only_line(shop, session, order_id)
    assert (line.quantity_cancelled, line.quantity_restocked) == (2, restocked)
    assert _sight(shop, session, order_id).facts.state == "open"


@pytest.mark.parametrize(
    ("kinds", "returned"),
    [
        ({"RESTOCKED": 2}, 2),
        ({"RESTOCKED": 1, "NOT_RESTOCKED": 1}, 1),
        ({"MISSING": 2}, 0),
        ({"PROCESSING_REQUIRED": 2}, 0),
    ],
)
def test_of_returned_units_those_put_back_on_the_shelf_count(kinds, returned, shop):
    session, order_id, one = shop.open(), shop.place_order(3), shop.listing_ids()[0]
    _ship(session, order_id, dict.fromkeys(_lines(shop, order_id), 3))
    before = shop.quantity(one)
    shop.sandbox.merchant.take_back(order_id, shop.sku(), 2, kinds)
    assert shop.quantity(one) == before + returned
    line = _only_line(shop, session, order_id)
    assert (line.quantity_shipped, line.quantity_returned) == (3, returned)


def test_the_refund_of_a_return_does_not_count_its_goods_again(shop):
    session, order_id = shop.open(), shop.place_order(2)
    _ship(session, order_id, dict.fromkeys(_lines(shop, order_id), 2))
    shop.sandbox.merchant.take_back(order_id, shop.sku(), 1, {"RESTOCKED": 1})
    shop.sandbox.merchant.settle_return(order_id)
    assert _only_line(shop, session, order_id).quantity_returned == 1
    assert len(session.read_refunds(order_id)) == 1


# --- holds, dates, places ------------------------------------------------------------------------


def test_a_hold_and_its_release_are_seen(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.sandbox.sales.hold(order_id, release=False)
    assert _sight(shop, session, order_id).facts.channel_holds == ("other",)
    shop.sandbox.sales.hold(order_id, release=True)
    assert _sight(shop, session, order_id).facts.channel_holds == ()


def test_scheduled_work_waits_for_its_date_and_ships_then(shop):
    session, order_id = shop.open(), shop.place_order(1)
    due = shop.now().replace(microsecond=0) + timedelta(days=3)
    shop.sandbox.merchant.put_off(order_id, due)
    facts = _sight(shop, session, order_id).facts
    assert (facts.channel_holds, facts.ship_by) == (("scheduled",), due)
    lines = dict.fromkeys(_lines(shop, order_id), 1)
    with pytest.raises(RetryLater, match="scheduled"):
        _ship(session, order_id, lines)
    shop.advance(3 * 86_400)
    assert _sight(shop, session, order_id).facts.channel_holds == ()
    _ship(session, order_id, lines)
    assert shop.fulfilments(order_id) == 1


def _move(shop, order_id, place, units=None):
    """What the merchant's hand does in the shop's own pages."""
    work = shop.order(order_id).work[0]
    given = {
        "id": f"gid://shopify/FulfillmentOrder/{work.id}",
        "newLocationId": f"gid://shopify/Location/{place.id}",
    }
    if units:
        line = f"gid://shopify/FulfillmentOrderLineItem/{work.lines[0].id}"
        given["fulfillmentOrderLineItems"] = [{"id": line, "quantity": units}]
    with shop.sandbox.store.act():
        payload = shop.sandbox.hands["fulfillmentOrderMove"](given)
    assert payload["userErrors"] == []


def test_moved_work_is_shipped_elsewhere_and_comes_back_when_moved_back(running_shop):
    with running_shop(locations=("main", "shed")) as shop:
        session, order_id = shop.open(), shop.place_order(2)
        main, shed = shop.sandbox.store.places
        assert _only_line(shop, session, order_id).quantity_elsewhere == 0
        _move(shop, order_id, shed)
        assert _only_line(shop, session, order_id).quantity_elsewhere == 2
        _move(shop, order_id, main)
        assert _only_line(shop, session, order_id).quantity_elsewhere == 0
        _ship(session, order_id, dict.fromkeys(_lines(shop, order_id), 2))
        assert shop.fulfilments(order_id) == 1


def test_split_work_counts_only_what_is_at_managed_places(running_shop):
    with running_shop(locations=("main", "shed")) as shop:
        session, order_id = shop.open(), shop.place_order(3)
        _move(shop, order_id, shop.sandbox.store.places[1], units=1)
        assert _only_line(shop, session, order_id).quantity_elsewhere == 1
        _ship(session, order_id, dict.fromkeys(_lines(shop, order_id), 2))
        line = _only_line(shop, session, order_id)
        assert (line.quantity_shipped, line.quantity_elsewhere) == (2, 1)


def test_several_managed_places_are_one_care_and_ship_place_by_place(running_shop):
    with running_shop(locations=("main", "shed")) as shop:
        session = shop.opened(shop.request(locations=("main", "shed")))
        order_id = shop.place_order(3)
        _move(shop, order_id, shop.sandbox.store.places[1], units=1)
        assert _only_line(shop, session, order_id).quantity_elsewhere == 0
        _ship(session, order_id, dict.fromkeys(_lines(shop, order_id), 3))
        assert shop.fulfilments(order_id) == 2, "one dispatch per place"


# --- kinds of orders and lines -------------------------------------------------------------------


def test_a_test_order_says_so(shop):
    order_id = shop.sandbox.sales.place(Purchase(lines=((shop.sku(), 1),), is_test=True))
    assert _sight(shop, shop.open(), order_id).facts.is_test is True


def test_a_draft_becomes_an_order_like_any_other_when_it_is_completed(shop):
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    assert session.read_orders(OrderFeed.CHANGES, None, since).orders == ()
    order_id = shop.sandbox.sales.place(Purchase(lines=((shop.sku(), 2),), is_paid=False))
    shop.sandbox.merchant.dress("Order", int(order_id), sourceName="shopify_draft_order")
    sight = _sight(shop, session, order_id)
    assert sight.facts.state == "pending"
    assert sight.lines[0].quantity_ordered == 2


def test_an_order_of_the_till_is_done_elsewhere_and_asks_for_nothing(running_shop):
    with running_shop(locations=("main", "store")) as shop:
        store = shop.sandbox.store
        variant, place = store.variant_of(shop.sku()), store.places[1]
        store.move(variant, place, 5)
        order_id = shop.sandbox.sell_over_the_counter(shop.sku(), 2, "store")
        sight = _sight(shop, shop.open(), order_id)
        (line,) = sight.lines
        assert (line.quantity_ordered, line.quantity_elsewhere, line.quantity_shipped) == (2, 2, 0)
        assert sight.facts.recipient is None
        assert variant.levels[place.id].available == 3


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Tip", {"requiresShipping": False}),
        ("Gift card", {"requiresShipping": False, "isGiftCard": True}),
        ("Engraving by hand", {"requiresShipping": False}),
        ("A thing not in the catalogue", {"sku": None}),
    ],
)
def test_a_line_without_stock_reserves_nothing_and_keeps_nothing_waiting(title, shown, shop):
    session, order_id = shop.open(), shop.place_order(1)
    line_id = shop.sandbox.merchant.add_line(order_id, title, "3.00", **shown)
    lines = {line.channel_line_id: line for line in _sight(shop, session, order_id).lines}
    assert (lines[line_id].is_stocked, lines[line_id].title) == (False, title)
    goods = next(one for one in lines if one != line_id)
    _ship(session, order_id, {goods: 1})
    after = {line.channel_line_id: line for line in _sight(shop, session, order_id).lines}
    assert after[goods].quantity_shipped == 1


def test_a_bundle_is_listed_as_one_and_its_quantity_is_never_set(shop):
    session, one = shop.open(), shop.listing_ids()[0]
    item_id = int(one.rpartition("/")[2])
    shop.sandbox.merchant.bundles.add(item_id)
    listed = {each.channel_listing_id: each for each in session.read_listings(None).listings}
    assert not listed[one].is_stocked
    assert "components" in listed[one].warning
    result = _push(session, one, 5, shop.quantity(one))
    assert result.outcome is PushOutcome.REJECTED
    assert "NON_MUTABLE_INVENTORY_ITEM" in result.reason


def test_the_components_of_a_bundle_are_the_lines_that_reserve(shop):
    order_id = shop.sandbox.sales.place(Purchase(lines=((shop.sku(0), 1), (shop.sku(1), 2))))
    lines = _sight(shop, shop.open(), order_id).lines
    assert [(line.quantity_ordered, line.is_stocked) for line in lines] == [(1, True), (2, True)]


def test_an_item_the_shop_does_not_count_reserves_nothing(shop):
    session, order_id = shop.open(), shop.place_order(1)
    assert _only_line(shop, session, order_id).is_stocked is True
    shop.sandbox.store.variant_of(shop.sku()).is_tracked = False
    assert _only_line(shop, session, order_id).is_stocked is False


# --- money ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "rate", "shown"), [("EUR", "0.80", "8.00"), ("JPY", "150", "1500")]
)
def test_both_amounts_of_an_order_paid_in_another_currency_are_kept(currency, rate, shown, shop):
    merchant = shop.sandbox.merchant
    merchant.shown_currency, merchant.rate = currency, Decimal(rate)
    shop.sandbox.store.variant_of(shop.sku()).price = Decimal("10.00")
    facts = _sight(shop, shop.open(), shop.place_order(1)).facts
    assert facts.currency == "USD"
    assert facts.total == Money.parse("10.00", "USD")
    assert facts.presentment_total == Money.parse(shown, currency)


def test_taxes_that_are_in_the_prices_are_not_added_again(shop):
    merchant, variant = shop.sandbox.merchant, shop.sandbox.store.variant_of(shop.sku())
    merchant.tax_included_percent, merchant.shipping_price = 20, Decimal("4.00")
    variant.price = Decimal("12.00")
    sight = _sight(shop, shop.open(), shop.place_order(2))
    facts = sight.facts
    assert facts.are_taxes_included is True
    assert facts.tax == Money.parse("4.00", "USD")
    assert facts.total == Money.parse("28.00", "USD")
    (line,) = sight.lines
    assert line.unit_price.times(2) + facts.shipping - facts.discount == facts.total


# --- what goes away, what changes by hand --------------------------------------------------------


def test_a_deleted_order_is_gone_and_its_webhook_says_so(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.sandbox.merchant.delete(order_id)
    (raw,) = session.read_orders_by_id([order_id])
    assert raw.is_gone
    hint = shop.webhook().part.read_hint(
        {"x-shopify-topic": "orders/delete"}, b'{"id": %s}' % order_id.encode()
    )
    assert (hint.kind, hint.object_id) == (HintKind.ORDER_DELETED, order_id)


def test_without_read_all_orders_an_order_of_61_days_is_no_longer_shown(shop):
    shop.sandbox.merchant.withheld_scopes.add("read_all_orders")
    order_id, session = shop.place_order(1), shop.open()
    assert any("60 days" in warning for warning in session.check().warnings)
    shop.advance(59 * 86_400)
    assert not session.read_orders_by_id([order_id])[0].is_gone
    shop.advance(2 * 86_400)
    assert session.read_orders_by_id([order_id])[0].is_gone
    since = shop.now() - timedelta(days=90)
    assert session.read_orders(OrderFeed.HISTORY, None, since).orders == ()


def test_a_hand_edit_is_told_apart_read_back_and_written_over(shop):
    session, one = shop.open(), shop.listing_ids()[0]
    known = shop.quantity(one)
    assert _push(session, one, known - 1, known, key="b-1").outcome is PushOutcome.APPLIED
    shop.set_quantity(one, 77)
    stale = _push(session, one, known - 2, known - 1, key="b-2")
    assert stale.outcome is PushOutcome.STALE
    assert shop.quantity(one) == 77, "nothing is erased unseen"
    found = session.read_stock([one]).quantities[one]
    assert found == 77
    again = _push(session, one, known - 2, found, key="b-3")
    assert again.outcome is PushOutcome.APPLIED
    assert shop.quantity(one) == known - 2


# --- the shop's own list -------------------------------------------------------------------------


def _listed(session, since, until):
    cursor, found = None, []
    for _ in range(50):
        page = session.list_orders(since, until, cursor)
        found += [session.parse_order(raw.payload, until) for raw in page.orders]
        if page.is_last:
            return found
        cursor = page.cursor
    raise AssertionError("no last page")


def test_the_list_of_a_window_holds_every_order_placed_in_it_whatever_became_of_it(shop):
    session, begin = shop.open(), shop.now()
    early = shop.place_order(1)
    shop.advance(3600)
    inside = [shop.place_order(1) for _ in range(14)]
    cancelled = shop.place_order(1)
    shop.cancel_order(cancelled)
    test = shop.sandbox.sales.place(Purchase(lines=((shop.sku(), 1),), is_test=True))
    shop.advance(3600)
    late = shop.place_order(1)
    found = _listed(session, begin + timedelta(seconds=1), begin + timedelta(seconds=7200))
    assert sorted(one.channel_order_id for one in found) == sorted([*inside, cancelled, test])
    assert {early, late}.isdisjoint(one.channel_order_id for one in found)


def test_a_list_longer_than_the_shop_pages_or_whose_place_expired_goes_on_by_time(
    shop, monkeypatch
):
    monkeypatch.setattr(feeds, "LISTED_MAX", 6)
    begin = shop.now()
    placed = []
    for _ in range(14):
        placed.append(shop.place_order(1))
        shop.advance(2)
    session, until = shop.open(), shop.now()
    first = session.list_orders(begin, until, None)
    expired = json.dumps(json.loads(first.cursor) | {"after": "bm8gc3VjaCBwbGFjZQ=="})
    again = session.list_orders(begin, until, expired)
    assert (again.orders, again.is_last) == ((), False)
    found, cursor = {raw.channel_order_id for raw in first.orders}, again.cursor
    while not again.is_last:
        again = session.list_orders(begin, until, cursor)
        found |= {raw.channel_order_id for raw in again.orders}
        cursor = again.cursor
    assert found == set(placed)


def test_an_edge_between_two_seconds_belongs_to_the_later_one(shop):
    session, order_id, at = shop.open(), shop.place_order(1), shop.now().replace(microsecond=0)
    half = timedelta(milliseconds=500)
    assert [one.channel_order_id for one in _listed(session, at - half, at + half)] == [order_id]
    assert _listed(session, at + half, at + timedelta(hours=1)) == []
    assert _listed(session, at - timedelta(hours=1), at) == []
