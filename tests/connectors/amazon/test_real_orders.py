"""Orders as a merchant's account really has them, through the connector over HTTP."""

from datetime import timedelta
from decimal import Decimal

import pytest

from connectors.amazon.sandbox.order_views import PREORDER, REPLACES
from oms_sync.sdk import (
    Money,
    OrderFeed,
    OutgoingPackage,
    OutgoingShipment,
    PushOutcome,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.sandbox import Purchase

US, CANADA = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"


@pytest.fixture
def session(seller):
    return seller.open()


@pytest.fixture
def read(seller, session):
    """An order as the hub understands it now."""

    def act(order_id, by=None):
        (raw,) = (by or session).read_orders_by_id([order_id])
        return session.parse_order(raw.payload, seller.now())

    act.session = session
    return act


@pytest.fixture
def place(seller):
    def act(*quantities, tags=(), **more):
        lines = tuple(
            (seller.sku(number), units) for number, units in enumerate(quantities or (1,))
        )
        order_id = seller.sandbox.sales.place(Purchase(lines=lines, **more))
        order = seller.order(order_id)
        order.tags += tags
        seller.sandbox.store.changed(order)
        return order_id

    return act


@pytest.fixture
def pages(seller, session):
    """Everything a pass over the changes shows."""

    def act(by=None):
        cursor, found = None, {}
        while True:
            page = (by or session).read_orders(
                OrderFeed.CHANGES, cursor, seller.now() - timedelta(hours=1)
            )
            for raw in page.orders:
                found[raw.channel_order_id] = session.parse_order(raw.payload, seller.now())
            cursor = page.cursor
            if page.is_last:
                return found

    return act


# --- states --------------------------------------------------------------------------------------


def test_a_pending_order_is_completed_once_it_is_paid(seller, place, read):
    order_id = place(2, is_paid=False)
    before = read(order_id)
    assert before.facts.state.value == "pending"
    assert (before.facts.total, before.facts.recipient) == (None, None)
    assert before.lines[0].unit_price is None
    assert (before.lines[0].quantity_ordered, before.lines[0].is_stocked) == (2, True)
    seller.advance(3600)
    seller.sandbox.sales.pay(order_id)
    after = read(order_id)
    price = seller.order(order_id).lines[0].variant.price
    assert after.facts.state.value == "open"
    assert after.facts.total == Money(price * 2, "USD")
    assert after.lines[0].unit_price == Money(price, "USD")
    assert after.facts.recipient.address.country == "US"
    assert after.version.at > before.version.at


def test_a_preorder_waits_and_takes_nothing_from_the_shelf(seller, place, read):
    order_id = place(1, is_paid=False, tags=[PREORDER])
    sight = read(order_id)
    assert (sight.facts.state.value, sight.facts.channel_holds) == ("pending", ("preorder",))
    assert sight.facts.channel_status == "PENDING_AVAILABILITY"
    assert sight.lines[0].is_stocked is False
    seller.order(order_id).tags.clear()
    seller.sandbox.sales.pay(order_id)
    sight = read(order_id)
    assert (sight.facts.state.value, sight.facts.channel_holds) == ("open", ())
    assert sight.lines[0].is_stocked is True


@pytest.mark.parametrize("is_polled", [False, True])
def test_a_buyers_wish_to_cancel_holds_at_once_and_ends_with_it(
    is_polled, seller, session, place, read, pages
):
    order_id = place(1)
    session.pull(0)
    seller.request_cancellation(order_id)
    if is_polled:
        sight = pages()[order_id]
    else:
        (told,) = session.pull(0)
        hint = seller.part.read_hint(told.headers, told.body)
        sight = session.parse_order(hint.order.payload, seller.now())
    assert sight.facts.channel_holds == ("cancellation_requested",)
    seller.sandbox.sales.hold(order_id, release=True)
    assert read(order_id).facts.channel_holds == ()


def test_a_wish_about_one_line_holds_that_line(seller, session, place, read):
    order_id = place(1, 1)
    first, second = seller.order(order_id).lines
    seller.request_cancellation(order_id)
    for work in seller.order(order_id).work:
        for each in work.lines:
            if each.line is second:
                each.remaining = 0  # the other line is no part of the wish
    assert read(order_id).facts.channel_holds == (f"cancellation_requested:{first.id}",)


def test_what_amazon_cancels_itself_is_cancelled_here(seller, place, read):
    order_id = place(2)
    order = seller.order(order_id)
    seller.sandbox.sales._sales.cancel(str(order.id), restock=True, reason="AMAZON")
    sight = read(order_id)
    assert sight.facts.channel_status == "CANCELLED (channel)"
    assert sight.facts.cancelled_at is not None
    assert sight.lines[0].quantity_cancelled == 2


def test_a_partly_fulfilled_order_goes_on_with_the_rest(seller, session, place, read):
    order_id = place(3)
    line = str(seller.order(order_id).lines[0].id)
    seller.ship(order_id, {line: 1})
    sight = read(order_id)
    assert sight.facts.state.value == "open"
    assert sight.facts.channel_status == "PARTIALLY_SHIPPED"
    assert (sight.lines[0].quantity_shipped, sight.lines[0].quantity_cancelled) == (1, 0)
    seller.ship(order_id, {line: 2})
    assert read(order_id).facts.state.value == "closed"


def test_a_replacement_costs_nothing_and_takes_stock(seller, place, read):
    first = place(1)
    order_id = place(1, tags=[f"{REPLACES}{first}"])
    sight = read(order_id)
    nothing = Money(Decimal("0.00"), "USD")
    assert sight.facts.total == nothing
    assert sight.lines[0].unit_price == nothing
    assert sight.lines[0].is_stocked is True
    assert sight.facts.state.value == "open"


@pytest.mark.parametrize(
    ("programs", "shown"),
    [(["PRIME"], ("PRIME",)), (["PREMIUM", "PRIME"], ("PRIME", "PREMIUM")), ([], ())],
)
def test_what_is_in_a_hurry_shows_it(programs, shown, place, read):
    facts = read(place(1, tags=programs)).facts
    assert (facts.channel_status, facts.channel_programmes) == ("UNSHIPPED", shown)


# --- stock that is not ours, or nowhere ----------------------------------------------------------


def test_what_amazon_ships_has_a_pool_of_its_own(seller, session, read):
    purchase = Purchase(lines=(("FBA-00001", 3),), fulfilled_by="channel")
    sight = read(seller.sandbox.sales.place(purchase))
    assert sight.facts.fulfilled_by == "channel"
    assert sight.facts.recipient is None, "who it goes to is Amazon's business"
    found = {one.channel_sku: one for one in session.read_listings(None).listings}
    held = found["FBA-00001"]
    assert (held.channel_pool, held.quantity, held.is_stocked) == (497, None, False)
    assert session.read_pools()["FBA-00001"] == 497
    seller.sandbox.sales.place(purchase)
    assert session.read_pools()["FBA-00001"] == 494
    assert "497 can be sold there" in held.warning
    ours = found[seller.sku()]
    assert (ours.quantity, ours.is_stocked) == (None, True)


def test_without_the_role_the_pool_is_unknown_and_nothing_else(seller, session):
    seller.sandbox.denied.add("getInventorySummaries")
    found = {one.channel_sku: one for one in session.read_listings(None).listings}
    assert found["FBA-00001"].channel_pool is None
    assert session.read_pools() is None
    assert "role Amazon Fulfillment" in found["FBA-00001"].warning
    assert found[seller.sku()].is_stocked


def _batch(*entries):
    return StockBatch(
        key="batch-1",
        entries=tuple(
            StockPush(channel_listing_id=sku, channel_sku=sku, quantity=quantity, expected=None)
            for sku, quantity in entries
        ),
    )


def test_stock_kept_per_location_is_found_and_never_written(seller, session):
    located, plain = seller.sku(0), seller.sku(1)
    seller.sandbox.offers.located.add(located)
    assert located not in session.read_stock([located, plain]).quantities
    results = {
        one.channel_listing_id: one for one in session.push_stock(_batch((located, 5), (plain, 6)))
    }
    assert results[located].outcome is PushOutcome.REJECTED
    assert "kept per location" in results[located].reason
    assert results[plain].outcome is PushOutcome.ACCEPTED
    assert seller.sandbox.truth()["forbidden_writes"] == []
    assert seller.quantity(plain) == 6


def test_marketplaces_of_one_region_have_one_quantity(seller, request_for, session):
    settings = seller.settings.model_copy(update={"marketplace_ids": (US, CANADA)})
    seller.settings = settings
    both = seller.open()
    sku = seller.sku()
    found = [one.channel_sku for one in both.read_listings(None).listings]
    assert found.count(sku) == 1, "one listing, whatever it is sold in"
    assert both.check().detail["marketplaces"] == f"{US}, {CANADA}"
    before = seller.sandbox.truth()["calls"].get("patchListingsItem", 0)
    (result,) = both.push_stock(_batch((sku, 7)))
    assert result.outcome is PushOutcome.ACCEPTED
    assert seller.sandbox.truth()["calls"]["patchListingsItem"] == before + 1
    assert both.read_stock([sku]).quantities == {sku: 7}


# --- what an application may not see -------------------------------------------------------------


@pytest.mark.parametrize("how", ["denied", "absent"])
@pytest.mark.parametrize(
    ("part", "role"),
    [("RECIPIENT", "Direct-to-Consumer Shipping"), ("BUYER", "Tax Invoicing or Tax Remittance")],
)
def test_a_missing_role_costs_its_part_and_is_named(part, role, how, seller, place, read):
    order_id, session = place(1), read.session
    seller.sandbox.orders.withheld[part] = how
    sight = read(order_id)
    assert sight.facts.state.value == "open"
    assert sight.facts.is_complete
    assert sight.facts.total is not None
    missing = session.check().missing_permissions
    assert [one for one in missing if one.startswith(f"{part}: role {role}")], missing
    del seller.sandbox.orders.withheld[part]
    whole = read(order_id)
    assert whole.facts.recipient is not None
    assert whole.facts.buyer is not None
    assert session.check().missing_permissions == (), "granted since"


def test_the_list_needs_no_restricted_role(seller, session, place, pages):
    for part in ("RECIPIENT", "BUYER", "PROCEEDS"):
        seller.sandbox.orders.withheld[part] = "denied"
    order_id = place(1)
    assert pages()[order_id].facts.state.value == "open"
    names = [one.partition(":")[0] for one in session.check().missing_permissions]
    assert set(names) == {"RECIPIENT", "BUYER", "PROCEEDS"}


# --- several packages, unknown carriers ----------------------------------------------------------


def test_several_packages_and_an_unknown_carrier(seller, session, place):
    order_id = place(2)
    line = str(seller.order(order_id).lines[0].id)
    packages = tuple(
        OutgoingPackage(carrier=carrier, tracking_number=number, tracking_url=None)
        for carrier, number in (("ups", "1Z1"), ("donkey_express", "D2"))
    )
    session.push_shipment(
        OutgoingShipment(
            key="shipment-1",
            channel_order_id=order_id,
            lines={line: 2},
            packages=packages,
            service=None,
            shipped_at=seller.now(),
        )
    )
    (shown,) = session.read_shipments(order_id)
    assert sorted(shown.tracking_numbers) == ["1Z1", "D2"]
    told = [
        package["carrier"]
        for shipment in seller.sandbox.truth()["orders"][order_id]["shipments"]
        for package in shipment["packages"]
    ]
    assert told == ["UPS", "donkey_express"]
