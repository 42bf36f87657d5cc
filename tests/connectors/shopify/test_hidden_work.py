"""Work the shop does not show: not routed yet, a scope taken away, a place that closed."""

import pytest

from oms_sync.sdk import FixAccount, OrderFeed, OutgoingPackage, OutgoingShipment
from oms_sync.sdk.sandbox import Purchase

MINUTE, CHANGES = 60, OrderFeed.CHANGES


def _sight(shop, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, shop.now())


def _elsewhere(sight):
    return [line.quantity_elsewhere for line in sight.lines]


@pytest.mark.proves("I-06")
def test_a_scope_taken_away_lets_no_reserved_unit_go(running_shop):
    with running_shop(locations=("main", "service")) as shop:
        merchant, theirs = shop.sandbox.merchant, shop.sandbox.store.places[1]
        merchant.services.add(theirs.id)
        placed = shop.sandbox.sales.place(Purchase(lines=((shop.sku(0), 2), (shop.sku(1), 3))))
        order, session = shop.order(placed), shop.opened(shop.request(locations=("main",)))
        (work,) = order.work
        moved = next(one for one in work.lines if one.line.variant.sku == shop.sku(1))
        work.lines.remove(moved)
        shop.sandbox.store.new_work(order, theirs, [(moved.line, moved.remaining)])
        shop.advance(MINUTE)
        assert _elsewhere(_sight(shop, session, placed)) == [0, 3]
        # The app may see the service's work still, and ours no longer.
        order.work = [one for one in order.work if one.place is theirs]
        sight = _sight(shop, session, placed)
        assert _elsewhere(sight) == [None, 3], "None: what was known stays true"
        assert sight.facts.channel_holds == ("not_routed",)


def test_a_line_added_a_moment_ago_is_nobodys_until_the_shop_had_time_to_route_it(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.advance(10 * MINUTE)
    order, store = shop.order(order_id), shop.sandbox.store
    (work,) = order.work
    kept, work.lines = work.lines, []
    with store.act():
        store.changed(order)
    sight = _sight(shop, session, order_id)
    assert _elsewhere(sight) == [None]
    assert sight.facts.channel_holds == ("not_routed",)
    shop.advance(10)
    since = order.updated_at
    page = session.read_orders(CHANGES, None, since)
    # Its order does not change any more: it is read again all the same until that is settled.
    shop.advance(MINUTE)
    other = shop.place_order(1)
    page = session.read_orders(CHANGES, page.cursor, since)
    orders = {raw.channel_order_id: raw for raw in page.orders}
    assert sorted(orders) == sorted([order_id, other])
    assert _elsewhere(session.parse_order(orders[order_id].payload, shop.now())) == [1]
    shop.advance(MINUTE)
    page = session.read_orders(CHANGES, page.cursor, since)
    assert order_id not in [raw.channel_order_id for raw in page.orders], "it is settled"
    work.lines = kept
    assert _elsewhere(_sight(shop, session, order_id)) == [0]


def _ship(shop, session, order_id, units):
    (line,) = shop.sandbox.truth()["orders"][order_id]["lines"]
    package = OutgoingPackage(carrier="ups", tracking_number="1Z1", tracking_url=None)
    session.push_shipment(
        OutgoingShipment(
            key="s-1",
            channel_order_id=order_id,
            lines={line["channel_line_id"]: units},
            packages=(package,),
            service=None,
            shipped_at=shop.now(),
        )
    )


@pytest.mark.proves("I-06")
def test_what_was_shipped_from_a_place_that_closed_stays_shipped_by_us(running_shop):
    with running_shop(locations=("main", "shed")) as shop:
        old, new = shop.sandbox.store.places
        merchant = shop.sandbox.merchant
        merchant.dress("Location", new.id, isActive=False)
        settings = shop.settings.model_copy(update={"location_ids": {}})
        session = shop.opened(shop.request(settings=settings))
        session.check()
        order_id = shop.place_order(2)
        _ship(shop, session, order_id, 2)
        before = _sight(shop, session, order_id).lines[0]
        assert (before.quantity_shipped, before.quantity_elsewhere) == (2, 0)
        merchant.dress("Location", old.id, isActive=False)
        merchant.dress("Location", new.id, isActive=True)
        session.check()
        assert _sight(shop, session, order_id).lines[0] == before
        assert session.read_stock(shop.listing_ids()[:1]).quantities == {shop.listing_ids()[0]: 0}


def test_a_location_the_shop_closed_or_never_had_is_named_by_the_check(running_shop):
    with running_shop(locations=("main", "shed")) as shop:
        session = shop.opened(shop.request(locations=("main", "shed")))
        assert not any("no such location" in one for one in session.check().warnings)
        shed = shop.sandbox.store.places[1]
        shop.sandbox.merchant.dress("Location", shed.id, isActive=False)
        (told,) = [one for one in session.check().warnings if "no such location" in one]
        assert shop.settings.location_ids["shed"] in told
        assert shop.settings.location_ids["main"] not in told


def test_without_location_ids_and_with_no_place_open_nothing_is_pushed(running_shop):
    with running_shop() as shop:
        (place,) = shop.sandbox.store.places
        shop.sandbox.merchant.dress("Location", place.id, isActive=False)
        settings = shop.settings.model_copy(update={"location_ids": {}})
        with pytest.raises(FixAccount, match="0 active locations"):
            shop.opened(shop.request(settings=settings)).read_stock(shop.listing_ids()[:1])
