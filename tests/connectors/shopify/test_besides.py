"""What changes without the time of its order: holds, moves, returned goods, work of others."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors.shopify import feeds
from connectors.shopify.nested import More
from oms_sync.sdk import OrderFeed, OutgoingPackage, OutgoingShipment, Priority
from oms_sync.sdk.sandbox import Purchase

AT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, MINUTE, PAGES_MAX = timedelta(hours=1), 60, 50


def _read(session, feed, since, cursor=None):
    """Every order of a pass as it was seen, and the cursor after it."""
    found = []
    for _ in range(PAGES_MAX):
        page = session.read_orders(feed, cursor, since)
        found += page.orders
        cursor = page.cursor
        if page.is_last:
            return {raw.channel_order_id: session.parse_order(raw.payload, AT) for raw in found}, (
                cursor
            )
    raise AssertionError("no last page")


def _sight(session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, AT)


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
            shipped_at=AT,
        )
    )


def _move(shop, order_id, place):
    work = shop.order(order_id).work[0]
    given = {
        "id": f"gid://shopify/FulfillmentOrder/{work.id}",
        "newLocationId": f"gid://shopify/Location/{place.id}",
    }
    with shop.sandbox.store.act():
        assert shop.sandbox.hands["fulfillmentOrderMove"](given)["userErrors"] == []


def _known(shop, session, *, wait=MINUTE):
    """A cursor behind everything there is: polled, and proved to be stored."""
    shop.advance(wait)
    since = shop.now() - 24 * HOUR
    _, cursor = _read(session, OrderFeed.CHANGES, since)
    again, cursor = _read(session, OrderFeed.CHANGES, since, cursor)
    assert again == {}, "nothing changed, so nothing is read again"
    return since, cursor


# --- work ----------------------------------------------------------------------------------------


@pytest.mark.proves("F37")
def test_a_poll_learns_of_a_hold_and_its_release_that_do_not_move_the_order(shop):
    session, order_id = shop.open(), shop.place_order(1)
    other = shop.place_order(1)
    since, cursor = _known(shop, session)
    before = shop.order(order_id).updated_at
    for release, holds in ((False, ("other",)), (True, ())):
        shop.sandbox.sales.hold(order_id, release=release)
        shop.advance(MINUTE)
        found, cursor = _read(session, OrderFeed.CHANGES, since, cursor)
        assert list(found) == [order_id], f"{other} did not change"
        assert found[order_id].facts.channel_holds == holds
    assert shop.order(order_id).updated_at == before
    assert _read(session, OrderFeed.CHANGES, since, cursor)[0] == {}


def test_a_poll_learns_of_a_move_that_does_not_move_the_order(running_shop):
    with running_shop(locations=("main", "shed")) as shop:
        session, order_id = shop.open(), shop.place_order(2)
        since, cursor = _known(shop, session)
        _move(shop, order_id, shop.sandbox.store.places[1])
        shop.advance(MINUTE)
        found, _ = _read(session, OrderFeed.CHANGES, since, cursor)
        assert [line.quantity_elsewhere for line in found[order_id].lines] == [2]


def test_a_change_of_this_very_second_is_left_to_the_next_poll(shop):
    session, order_id = shop.open(), shop.place_order(1)
    since, cursor = _known(shop, session)
    shop.sandbox.sales.hold(order_id, release=False)
    found, cursor = _read(session, OrderFeed.CHANGES, since, cursor)
    assert found == {}
    shop.advance(3)
    assert list(_read(session, OrderFeed.CHANGES, since, cursor)[0]) == [order_id]


def test_more_changed_work_than_a_page_holds_is_read_page_by_page(shop):
    session, placed = shop.open(), shop.place_together(14)
    session._client.halve("WorkByChange", 6)
    since, cursor = _known(shop, session)
    for order_id in placed:
        shop.sandbox.sales.hold(order_id, release=False)
        shop.advance(1)
    shop.advance(MINUTE)
    found, _ = _read(session, OrderFeed.CHANGES, since, cursor)
    assert sorted(found) == sorted(placed)
    assert {sight.facts.channel_holds for sight in found.values()} == {("other",)}


def test_a_session_that_begins_anew_learns_of_a_hold_it_did_not_see(shop):
    first, order_id = shop.open(), shop.place_order(1)
    since, cursor = _known(shop, first)
    shop.sandbox.sales.hold(order_id, release=False)
    shop.advance(MINUTE)
    found, _ = _read(shop.open(), OrderFeed.CHANGES, since, cursor)
    assert found[order_id].facts.channel_holds == ("other",)


@pytest.mark.proves("I-05")
def test_orders_are_read_although_the_list_of_work_fails_and_the_account_is_warned(
    shop, monkeypatch
):
    session, since = shop.open(), shop.now() - HOUR
    order_id = shop.place_order(1)
    run = session._client.run

    def refused(name, variables, **more):
        if name in ("WorkByChange", "OrdersWithReturns"):
            return run(name, variables | {"query": "colour:red"}, **more)
        return run(name, variables, **more)

    monkeypatch.setattr(session._client, "run", refused)
    for feed in (OrderFeed.CHANGES, OrderFeed.SWEEP):
        found, _ = _read(session, feed, since)
        assert list(found) == [order_id]
    warned = " ".join(session.check().warnings)
    assert "holds and moves" in warned
    assert "returned goods" in warned
    assert "colour" in warned
    monkeypatch.undo()
    _read(session, OrderFeed.SWEEP, since)
    assert "holds and moves" not in " ".join(session.check().warnings)


def test_a_sweep_finds_a_hold_the_polls_missed_and_reads_no_order_twice(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.advance(3 * 86_400)
    recent = shop.place_order(1)
    shop.sandbox.sales.hold(order_id, release=False)
    shop.advance(MINUTE)
    pages, cursor, since = [], None, shop.now() - 48 * HOUR
    for _ in range(PAGES_MAX):
        pages.append(session.read_orders(OrderFeed.SWEEP, cursor, since))
        cursor = pages[-1].cursor
        if pages[-1].is_last:
            break
    assert pages[-1].is_last
    read = [raw.channel_order_id for page in pages for raw in page.orders]
    assert sorted(read) == sorted([order_id, recent])


# --- returned goods ------------------------------------------------------------------------------


@pytest.mark.proves("I-10")
def test_a_sweep_learns_what_is_done_with_returned_goods_although_nobody_says_so(shop):
    session, order_id = shop.open(), shop.place_order(3)
    _ship(shop, session, order_id, 3)
    shop.advance(10 * 86_400)
    before = shop.order(order_id).updated_at
    shop.sandbox.merchant.take_back(order_id, shop.sku(), 3, {"RESTOCKED": 1})
    for kinds, returned in (({}, 1), ({"RESTOCKED": 1}, 2), ({"MISSING": 1}, 2)):
        shop.sandbox.merchant.dispose(order_id, kinds)
        shop.advance(3600)
        found, _ = _read(session, OrderFeed.SWEEP, shop.now() - 48 * HOUR)
        assert [line.quantity_returned for line in found[order_id].lines] == [returned]
    assert shop.order(order_id).updated_at == before
    # All is dealt with and known: the order is not read at every sweep for ever.
    assert _read(session, OrderFeed.SWEEP, shop.now() - 48 * HOUR)[0] == {}
    # A session that begins anew knows nothing of what is stored.
    assert list(_read(shop.open(), OrderFeed.SWEEP, shop.now() - 48 * HOUR)[0]) == [order_id]


def test_a_return_is_known_only_when_its_page_was_stored(shop):
    session, order_id = shop.open(), shop.place_order(1)
    _ship(shop, session, order_id, 1)
    shop.advance(10 * 86_400)
    shop.sandbox.merchant.take_back(order_id, shop.sku(), 1, {"RESTOCKED": 1})
    since = shop.now() - 48 * HOUR
    cursor, read = None, []
    for _ in range(PAGES_MAX):
        page = session.read_orders(OrderFeed.SWEEP, cursor, since)
        read = [raw.channel_order_id for raw in page.orders]
        cursor = page.cursor
        if read:
            break
    assert read == [order_id]
    # The hub fell before it stored the page, and begins the sweep again.
    assert list(_read(session, OrderFeed.SWEEP, since)[0]) == [order_id]


def test_an_order_of_many_returns_is_read_whole(shop):
    session, order_id = shop.open(), shop.place_order(12)
    _ship(shop, session, order_id, 12)
    for _ in range(12):
        shop.sandbox.merchant.take_back(order_id, shop.sku(), 1, {"RESTOCKED": 1})
    sight = _sight(session, order_id)
    assert sight.facts.is_complete is True
    assert [line.quantity_returned for line in sight.lines] == [12]


def _page(nodes, cursor=None):
    return {"nodes": nodes, "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}}


def test_reverse_orders_and_their_lines_are_read_to_their_end(scripted, make_client):
    def reverse(name, lines, cursor=None):
        return {"id": name, "lineItems": _page(lines, cursor)}

    first = {"id": "r1", "reverseFulfillmentOrders": _page([reverse("v1", ["a"], "c1")], "c2")}
    scripted.answers = [
        (200, {}, {"data": {"node": each}})
        for each in (
            {"returns": _page([first])},
            {"reverseFulfillmentOrders": _page([reverse("v2", ["c"])])},
            {"lineItems": _page(["b"])},
        )
    ]
    order = {"id": "o1", "returnStatus": "IN_PROGRESS"}
    assert More(make_client(), Priority.READ).returns(order) is True
    assert order["returns"] == ["a", "b", "c"]
    asked = [json.loads(body)["variables"] for _, _, body in scripted.asked]
    assert asked == [
        {"id": "o1", "after": None},
        {"id": "r1", "after": "c2"},
        {"id": "v1", "after": "c1"},
    ]


# --- work of others ------------------------------------------------------------------------------


@pytest.mark.parametrize("is_shown", [True, False])
@pytest.mark.parametrize("is_configured", [True, False])
def test_units_at_a_fulfilment_service_are_never_ours_whether_shown_or_not(
    is_shown, is_configured, running_shop
):
    with running_shop(locations=("main", "service")) as shop:
        theirs = shop.sandbox.store.places[1]
        shop.sandbox.merchant.services.add(theirs.id)
        if not is_shown:
            shop.sandbox.merchant.withheld_scopes.add("read_third_party_fulfillment_orders")
        placed = shop.sandbox.sales.place(Purchase(lines=((shop.sku(0), 2), (shop.sku(1), 3))))
        order = shop.order(placed)
        second = next(line for line in order.lines if line.variant.sku == shop.sku(1))
        (work,) = order.work
        moved = [one for one in work.lines if one.line is second]
        work.lines = [one for one in work.lines if one.line is not second]
        shop.sandbox.store.new_work(order, theirs, [(second, moved[0].remaining)])
        ids = shop.settings.location_ids if is_configured else {}
        settings = shop.settings.model_copy(update={"location_ids": ids})
        session = shop.opened(shop.request(settings=settings))
        shop.advance(MINUTE)
        sight = _sight(session, placed)
        assert [(one.quantity_ordered, one.quantity_elsewhere) for one in sight.lines] == [
            (2, 0),
            (3, 3),
        ]
        assert sight.facts.channel_holds == ()


def test_an_order_whose_work_does_not_show_is_held_until_it_does(shop):
    session, order_id = shop.open(), shop.place_order(1)
    order = shop.order(order_id)
    works, order.work = order.work, []
    sight = _sight(session, order_id)
    assert sight.facts.channel_holds == ("not_routed",)
    assert [line.quantity_elsewhere for line in sight.lines] == [None], "they stay reserved"
    since, cursor = _known(shop, session)
    order.work = works
    works[0].updated_at = shop.now().replace(microsecond=0)
    shop.advance(MINUTE)
    found, _ = _read(session, OrderFeed.CHANGES, since, cursor)
    assert found[order_id].facts.channel_holds == ()


def test_the_check_says_what_the_missing_scopes_cost(running_shop):
    with running_shop(locations=("main", "service")) as shop:
        session, merchant = shop.open(), shop.sandbox.merchant
        merchant.withheld_scopes |= {"read_third_party_fulfillment_orders", "read_customers"}
        told = " ".join(session.check().warnings)
        assert "forgotten" in told
        assert "not_routed" not in told, "nobody but the shop ships"
        merchant.services.add(shop.sandbox.store.places[1].id)
        assert "not_routed" in " ".join(session.check().warnings)


# --- people --------------------------------------------------------------------------------------


def test_what_is_withheld_of_people_is_said_and_keeps_no_order_out(shop):
    session, order_id = shop.open(), shop.place_order(1)
    known = _sight(session, order_id).facts
    assert known.buyer.channel_buyer_id == str(shop.order(order_id).buyer["id"])
    assert "WITHHELD" not in known.channel_status
    shop.sandbox.merchant.withheld_scopes |= {"read_customers", "protected_customer_data"}
    facts = _sight(session, order_id).facts
    assert facts.recipient is None
    assert facts.buyer.channel_buyer_id is None
    assert facts.channel_status.endswith("ADDRESS_WITHHELD")


def test_an_order_that_is_gone_beside_one_with_parts_withheld_is_simply_gone(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.sandbox.merchant.withheld_scopes.add("read_customers")
    answers = session.read_orders_by_id([order_id, shop.unknown_order_id])
    assert [raw.is_gone for raw in answers] == [False, True]


@pytest.mark.parametrize(
    ("method", "service"),
    [("PICK_UP", "pickup"), ("LOCAL", "local_delivery"), ("SHIPPING", "standard")],
)
def test_an_order_that_is_not_sent_says_so_by_its_service(method, service, shop):
    session, order_id = shop.open(), shop.place_order(1)
    (work,) = shop.order(order_id).work
    shop.sandbox.merchant.dress("DeliveryMethod", work.id, methodType=method)
    assert _sight(session, order_id).facts.shipping_service == service


def test_what_a_buyer_wrote_comes_with_the_order(shop):
    session, order_id = shop.open(), shop.place_order(1)
    fields = [{"key": "Gift message", "value": "For Ada"}, {"key": "_cart", "value": "1"}]
    shop.sandbox.merchant.dress("Order", int(order_id), note="Ring twice", customAttributes=fields)
    assert _sight(session, order_id).facts.buyer_note == "Ring twice\nGift message: For Ada"


def test_the_memory_of_what_is_stored_is_bounded(monkeypatch):
    monkeypatch.setattr(feeds, "STORED_MAX", 3)
    monkeypatch.setattr(feeds, "RETURNED_MAX", 3)
    stored, statuses = feeds.StoredOrders(), feeds.ReturnStatuses()
    for turn in range(10):
        stored.prove(str(turn))
        stored.hand_out(str(turn + 1), {str(turn): feeds.Kept(changed_at=AT, read_at=AT)})
        statuses.prove(str(turn))
        statuses.hand_out(str(turn + 1), {str(turn): "RETURNED"})
    stored.prove("10")
    statuses.prove("10")
    listed = {str(turn): AT for turn in range(10)}
    assert sorted(stored.without_known(listed)) == [str(turn) for turn in range(7)]
    assert [statuses.of(str(turn)) for turn in (6, 7, 9)] == [None, "RETURNED", "RETURNED"]
