"""An opened account against the sandbox: what the hub asks for, and what the shop then holds."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from connectors.shopify.account import SCOPES
from connectors.shopify.session import open_session
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.subscriptions import OPTIONAL, TOPICS
from oms_sync.sdk import (
    FixAccount,
    OutgoingPackage,
    OutgoingShipment,
    PushOutcome,
    Rejected,
    RetryLater,
    StockBatch,
    StockPush,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)


def _sight(shop, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, shop.now())


def _walk(session, feed, since, cursor=None, pages_max=50):
    found = []
    for _ in range(pages_max):
        page = session.read_orders(feed, cursor, since)
        found += [raw.channel_order_id for raw in page.orders]
        cursor = page.cursor
        if page.is_last:
            return found, cursor
    raise AssertionError("no last page")


def _batch(shop, *entries, key="b-1"):
    pushes = [
        StockPush(channel_listing_id=gid, channel_sku="", quantity=quantity, expected=expected)
        for gid, quantity, expected in entries
    ]
    return StockBatch(key=key, entries=tuple(pushes))


def _shipment(order_id, lines, *numbers, carrier="ups"):
    return OutgoingShipment(
        key="s-1",
        channel_order_id=order_id,
        lines=lines,
        packages=tuple(
            OutgoingPackage(carrier=carrier, tracking_number=number, tracking_url=None)
            for number in numbers
        ),
        service=None,
        shipped_at=AT,
    )


# --- settings and check --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shop": "evil.example.com"}, "shop"),
        ({"shop": "evil.example.com/x.myshopify.com"}, "shop"),
        ({"api_version": "2026-01"}, "2026-04"),
        ({"api_version": "latest"}, "quarter"),
        ({"location_ids": {"main": "gid://shopify/Product/1"}}, "Location"),
        ({"access_token": None}, "client_id"),
        ({"client_id": "a", "client_secret": "b"}, "either"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(change, word):
    good = {"shop": "shop-a", "access_token": "t"}
    with pytest.raises(ValidationError, match=word):
        ShopifySettings.model_validate(good | change)


def test_a_shop_may_be_named_short_and_a_location_by_its_number():
    settings = ShopifySettings(shop="Shop-A", access_token="t", location_ids={"main": "7"})
    assert settings.shop == "shop-a.myshopify.com"
    assert settings.location_ids == {"main": "gid://shopify/Location/7"}


def test_the_check_tells_shop_scopes_and_when_the_token_ends(shop):
    told = shop.open().check()
    assert told.detail["shop"] == "shop-a.myshopify.com"
    assert told.missing_permissions == ()
    assert told.token_expires_at is not None
    assert told.token_expires_at > shop.now()


def test_a_lost_scope_is_named(shop, monkeypatch):
    monkeypatch.setattr("connectors.shopify.account.SCOPES", (*SCOPES, "write_returns"))
    assert shop.open().check().missing_permissions == ("write_returns",)


def test_the_token_of_another_shop_is_refused(shop):
    other = shop.settings.model_copy(update={"shop": "shop-b.myshopify.com"})
    with pytest.raises(FixAccount, match="shop-a"):
        open_session(shop.request(settings=other)).check()


def test_a_static_token_opens_the_shop(running_shop):
    with running_shop(grants_tokens=False) as shop:
        assert shop.settings.access_token is not None
        assert shop.open().check().token_expires_at is None


# --- listings and stock --------------------------------------------------------------------------


def test_every_listing_is_found_with_its_quantity(shop):
    page = shop.open().read_listings(None)
    found = list(page.listings)
    while page.cursor is not None:
        page = shop.open().read_listings(page.cursor)
        found += page.listings
    assert {one.channel_listing_id: one.quantity for one in found} == {
        gid: shop.quantity(gid) for gid in shop.listing_ids()
    }
    assert {one.channel_sku for one in found} == set(shop.sandbox.truth()["quantities"])
    assert all(one.is_stocked and not one.warning for one in found)


def test_an_uncounted_variant_is_listed_and_never_looked_at(shop):
    variant = shop.sandbox.store.variant_of(shop.sku())
    variant.is_tracked = False
    session, listing_id = shop.open(), shop.listing_ids()[0]
    (one,) = [
        each
        for each in session.read_listings(None).listings
        if each.channel_listing_id == listing_id
    ]
    assert not one.is_stocked
    assert one.quantity is None
    assert "does not count" in one.warning
    assert session.read_stock([listing_id]).quantities == {}


@pytest.mark.proves("I-21", "F39")
def test_a_stale_entry_stops_its_batch_and_only_it_is_named(shop):
    one, two, three = shop.listing_ids()[:3]
    batch = _batch(shop, (one, 1, shop.quantity(one)), (two, 2, 12345), (three, 3, None))
    before = shop.quantity(one)
    results = {each.channel_listing_id: each for each in shop.open().push_stock(batch)}
    assert results[two].outcome is PushOutcome.STALE
    assert results[one].outcome is PushOutcome.NOT_APPLIED
    assert results[three].outcome is PushOutcome.NOT_APPLIED
    assert shop.quantity(one) == before


def test_an_unknown_listing_is_rejected_with_its_reason(shop):
    batch = _batch(shop, (shop.unknown_listing_id, 1, 0))
    (result,) = shop.open().push_stock(batch)
    assert result.outcome is PushOutcome.REJECTED
    assert "INVALID_INVENTORY_ITEM" in result.reason


def test_a_key_used_for_other_quantities_is_not_applied(shop):
    one = shop.listing_ids()[0]
    session, quantity = shop.open(), shop.quantity(one)
    session.push_stock(_batch(shop, (one, 5, quantity)))
    (result,) = session.push_stock(_batch(shop, (one, 6, 5)))
    assert result.outcome is PushOutcome.NOT_APPLIED
    assert shop.quantity(one) == 5


def test_a_location_the_shop_does_not_have_stops_the_account(shop):
    one = shop.listing_ids()[0]
    wrong = {"main": "gid://shopify/Location/424242"}
    settings = shop.settings.model_copy(update={"location_ids": wrong})
    session = open_session(shop.request(settings=settings))
    with pytest.raises(FixAccount, match="location_ids"):
        session.push_stock(_batch(shop, (one, 5, 0)))


def test_the_only_location_is_found_and_several_are_asked_about(running_shop):
    for codes, is_found in ((("main",), True), (("main", "shed"), False)):
        with running_shop(locations=codes) as shop:
            settings = shop.settings.model_copy(update={"location_ids": {}})
            session = open_session(shop.request(settings=settings))
            one = shop.listing_ids()[0]
            if is_found:
                assert session.read_stock([one]).quantities == {one: shop.quantity(one)}
            else:
                with pytest.raises(FixAccount, match="location_ids"):
                    session.read_stock([one])


def test_a_hundred_listings_are_pushed_and_read_in_one_call_each(running_shop):
    with running_shop(skus=100, limits_published=True) as shop:
        session = shop.open()
        session.check()
        ids = shop.listing_ids()
        before = shop.gate.spent["graphql"]
        batch = _batch(shop, *((gid, 7, shop.quantity(gid)) for gid in ids))
        assert {one.outcome for one in session.push_stock(batch)} == {PushOutcome.APPLIED}
        assert set(session.read_stock(ids).quantities.values()) == {7}
        assert shop.gate.spent["graphql"] - before == 2


def test_reading_fifty_orders_keeps_the_published_limits(running_shop):
    with running_shop(limits_published=True) as shop:
        placed = shop.place_together(50)
        answers = shop.open().read_orders_by_id(placed)
        assert [raw.is_gone for raw in answers] == [False] * 50


# --- shipments -----------------------------------------------------------------------------------


def _lines(shop, order_id):
    lines = shop.sandbox.truth()["orders"][order_id]["lines"]
    return {line["channel_line_id"]: line["quantity_ordered"] for line in lines}


@pytest.mark.proves("I-28", "F36")
def test_parts_and_several_packages_reach_the_shop(shop):
    session, order_id = shop.open(), shop.place_order(3)
    (line,) = _lines(shop, order_id)
    session.push_shipment(_shipment(order_id, {line: 1}, "1Z1"))
    session.push_shipment(_shipment(order_id, {line: 2}, "1Z2", "1Z3"))
    known = session.read_shipments(order_id)
    assert [(one.lines, one.tracking_numbers) for one in known] == [
        ({line: 1}, ("1Z1",)),
        ({line: 2}, ("1Z2", "1Z3")),
    ]
    made = shop.sandbox.truth()["orders"][order_id]["shipments"]
    assert {package["carrier"] for one in made for package in one["packages"]} == {"UPS"}


@pytest.mark.proves("I-30")
def test_more_than_is_left_is_refused_and_nothing_is_dispatched(shop):
    session, order_id = shop.open(), shop.place_order(1)
    (line,) = _lines(shop, order_id)
    with pytest.raises(Rejected, match="nothing left"):
        session.push_shipment(_shipment(order_id, {line: 2}, "1Z1"))
    assert shop.fulfilments(order_id) == 0


def test_an_order_on_hold_waits(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.sandbox.sales.hold(order_id, release=False)
    with pytest.raises(RetryLater, match="holds"):
        session.push_shipment(_shipment(order_id, _lines(shop, order_id), "1Z1"))
    shop.sandbox.sales.hold(order_id, release=True)
    session.push_shipment(_shipment(order_id, _lines(shop, order_id), "1Z1"))
    assert shop.fulfilments(order_id) == 1


def test_a_new_order_without_work_waits_and_an_old_one_is_refused(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shipment = _shipment(order_id, _lines(shop, order_id), "1Z1")
    shop.sandbox.store.order(order_id).work.clear()
    with pytest.raises(RetryLater, match="routed"):
        session.push_shipment(shipment)
    shop.advance(7200)
    with pytest.raises(Rejected, match="write_merchant_managed"):
        session.push_shipment(shipment)


def test_an_unknown_order_has_no_shipments(shop):
    with pytest.raises(Rejected):
        shop.open().read_shipments(shop.unknown_order_id)


# --- webhooks ------------------------------------------------------------------------------------


@pytest.mark.proves("F16")
def test_subscriptions_are_made_turned_and_made_again(shop):
    session = shop.open()
    assert sorted(session.ensure_subscriptions("http://127.0.0.1:1/webhooks/a")) == sorted(TOPICS)
    assert sorted(session.ensure_subscriptions("http://127.0.0.1:2/webhooks/a")) == sorted(TOPICS)
    present = shop.sandbox.store.subscriptions
    assert {one.uri for one in present.values()} == {"http://127.0.0.1:2/webhooks/a"}
    assert len(present) == len(TOPICS)
    present.pop(next(iter(present)))
    assert len(session.ensure_subscriptions("http://127.0.0.1:2/webhooks/a")) == 1


def test_a_subscription_somebody_changed_is_repaired_and_not_doubled(shop):
    session, url = shop.open(), "http://127.0.0.1:1/webhooks/a"
    session.ensure_subscriptions(url)
    present = list(shop.sandbox.store.subscriptions.values())
    narrowed = next(one for one in present if one.topic == "ORDERS_UPDATED")
    narrowed.include_fields = ["id"]
    filtered = next(one for one in present if one.topic == "ORDERS_CREATE")
    filtered.filter = "total_price:>=100"
    emptied = next(one for one in present if one.topic == "ORDERS_DELETE")
    emptied.include_fields = ["admin_graphql_api_id"]
    turned = {"ORDERS_UPDATED", "ORDERS_CREATE", "ORDERS_DELETE"}
    assert set(session.ensure_subscriptions(url)) == turned, "what they told was missed"
    assert "updated_at" in narrowed.include_fields
    assert (filtered.filter, emptied.include_fields) == (None, [])
    assert len(shop.sandbox.store.subscriptions) == len(TOPICS)
    calls = shop.sandbox.store.calls["webhookSubscriptionUpdate"]
    session.ensure_subscriptions(url)
    assert shop.sandbox.store.calls["webhookSubscriptionUpdate"] == calls, "all is as wanted"


def test_topics_of_a_scope_the_app_lacks_are_done_without_and_said(shop):
    withheld = shop.sandbox.merchant.withheld_scopes
    withheld |= {"read_returns", "read_fulfillments"}
    session = shop.open()
    made = session.ensure_subscriptions("http://127.0.0.1:1/webhooks/a")
    assert sorted(made) == sorted(set(TOPICS) - OPTIONAL)
    for scope in ("read_returns", "read_fulfillments"):
        assert any(scope in warning for warning in session.check().warnings)


def test_without_the_scope_for_returns_the_refund_tells_of_the_goods(shop):
    session, order_id = shop.open(), shop.place_order(2)
    lines = _lines(shop, order_id)
    session.push_shipment(_shipment(order_id, lines, "1Z1"))
    shop.sandbox.sales.refund(order_id, {shop.sku(): 1}, restock=True)
    shop.sandbox.merchant.take_back(order_id, shop.sku(), 1, {"MISSING": 1})
    shop.sandbox.merchant.withheld_scopes.add("read_returns")
    (raw,) = session.read_orders_by_id([order_id])
    sight = session.parse_order(raw.payload, shop.now())
    assert sight.facts.is_complete is True
    assert sight.lines[0].quantity_returned == 1


def test_every_call_is_noted_with_its_cost_and_request_id_and_nothing_more(running_shop):
    noted = []
    with running_shop(limits_published=True, grants_tokens=True) as shop:
        calls = SimpleNamespace(note=noted.append)
        session = open_session(shop.request(calls=calls))
        session.check()
        shop.sandbox.faults.force("F06")
        with pytest.raises(RetryLater):
            session.read_orders_by_id([shop.place_order(1)])
    token, places, check, broken = noted
    assert places.operation == "graphql"
    assert (token.operation, check.operation) == ("token", "graphql")
    assert (check.status, check.cost > 0, len(check.request_id) > 0) == ("200", True, True)
    assert broken.status in ("500", "502", "503", "504")
    assert not any(secret in str(noted) for secret in shop.secrets)


def test_a_call_nobody_answered_is_noted_as_that(shop):
    noted = []
    session = open_session(shop.request(calls=SimpleNamespace(note=noted.append)))
    shop.sandbox.faults.force("F01")
    with pytest.raises(RetryLater):
        session.check()
    assert noted[-1].status in ("lost", "timeout")


def test_an_address_the_shop_refuses_is_said(shop):
    with pytest.raises(Rejected, match="http://"):
        shop.open().ensure_subscriptions("http://hub.example/webhooks/a")


def test_a_shadow_account_reads_all_and_changes_nothing(shop):
    session = open_session(replace(shop.request(), may_write=False))
    order_id, one = shop.place_order(1), shop.listing_ids()[0]
    before = shop.sandbox.truth()
    assert session.read_orders_by_id([order_id])[0].payload
    assert session.read_stock([one]).quantities
    with pytest.raises(Rejected, match="shadow"):
        session.push_stock(_batch(shop, (one, 5, None)))
    with pytest.raises(Rejected, match="shadow"):
        session.ensure_subscriptions("http://127.0.0.1:1/webhooks/a")
    after = shop.sandbox.truth()
    assert (before["orders"], before["quantities"]) == (after["orders"], after["quantities"])
