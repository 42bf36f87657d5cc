"""A session against the sandbox over HTTP: what happens to orders and quantities at eBay's side."""

from datetime import timedelta

import pytest

from connectors.ebay import CONNECTOR
from connectors.ebay.webhook import WEBHOOK
from oms_sync.sdk import (
    OrderFeed,
    OrderState,
    OutgoingPackage,
    OutgoingShipment,
    PushOutcome,
    RateLimited,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.sandbox import Purchase


def _read(seller, order_id):
    session = seller.open()
    (raw,) = session.read_orders_by_id([order_id])
    assert raw.channel_order_id == order_id
    return session.parse_order(raw.payload, seller.now())


def _walk(session, since, cursor=None):
    """All orders of one pass, and its last cursor."""
    found = []
    for _ in range(60):
        page = session.read_orders(OrderFeed.CHANGES, cursor, since)
        cursor, found = page.cursor, found + list(page.orders)
        if page.is_last:
            return found, cursor
    raise AssertionError("no last page")


def _push(session, **quantities):
    entries = tuple(
        StockPush(channel_listing_id=one, channel_sku=sku, quantity=quantity, expected=None)
        for one, (sku, quantity) in quantities.items()
    )
    return session.push_stock(StockBatch(key="b", entries=entries))


# --- orders --------------------------------------------------------------------------------------


@pytest.mark.proves("I-02", "F36")
def test_payment_gives_an_order_another_id_and_its_lines_stay_the_same(seller):
    unpaid = seller.place_unpaid(2)
    before = _read(seller, unpaid)
    paid = seller.pay(unpaid)
    after = _read(seller, unpaid)  # by the id it had
    assert paid != unpaid
    assert (before.facts.state, after.facts.state) == (OrderState.PENDING, OrderState.OPEN)
    assert (before.channel_order_id, after.channel_order_id) == (unpaid, paid)
    assert [one.channel_line_id for one in before.lines] == [
        one.channel_line_id for one in after.lines
    ]


@pytest.mark.proves("F36")
def test_combined_orders_keep_their_lines_and_answer_to_all_their_ids(seller):
    first, second = seller.place_unpaid(1), seller.place_unpaid(2)
    lines = {line.channel_line_id for one in (first, second) for line in _read(seller, one).lines}
    together = seller.sandbox.sales.combine(first, second)
    for order_id in (first, second, together):
        sight = _read(seller, order_id)
        assert sight.channel_order_id == together
        assert {line.channel_line_id for line in sight.lines} == lines


def test_a_paid_order_cancelled_later_is_cancelled(seller):
    placed = seller.place_order(1)
    seller.advance(1)
    seller.cancel_order(placed)
    assert _read(seller, placed).facts.cancelled_at is not None


@pytest.mark.proves("F22")
def test_orders_changed_while_a_window_is_paged_hide_no_others(seller):
    since = seller.now() - timedelta(seconds=1)
    placed = set()
    for _ in range(20):
        seller.advance(1)
        placed.add(seller.place_order(1))
    seller.advance(1)
    seller.sandbox.faults.set("F22", 1.0, count=3)
    session = seller.open()
    found, cursor = _walk(session, since)
    seller.advance(5)
    more, _ = _walk(session, since, cursor)
    assert placed <= {raw.channel_order_id for raw in found + more}
    assert seller.sandbox.faults.counters()["F22"]["fired"] > 0


@pytest.mark.proves("F22", "I-01")
@pytest.mark.parametrize("feed", [OrderFeed.OPEN, OrderFeed.HISTORY, OrderFeed.SWEEP])
def test_orders_changed_while_history_is_paged_hide_no_others(feed, seller):
    placed = []
    for _ in range(4):
        seller.advance(1)
        placed.append(seller.place_order(1))
    seller.advance(1)
    session, since = seller.open(), seller.now() - timedelta(minutes=1)
    session._orders.per_page = 2
    first = session.read_orders(feed, None, since)
    # A change moves an order within the list, which is sorted by change: eBay knows no other way.
    store = seller.sandbox.store
    seller.advance(1)
    store.touch(min(store.orders.values(), key=lambda order: order.created_at))
    second = session.read_orders(feed, first.cursor, since)
    found = {raw.channel_order_id for raw in (*first.orders, *second.orders)}
    assert set(placed[1:]) <= found, "what changed is in the feed of changes, all else is here"


@pytest.mark.proves("F33", "F42")
@pytest.mark.parametrize("kind", ["F33", "F42"])
def test_odd_orders_are_read_all_the_same(kind, seller):
    placed = {seller.place_order(1) for _ in range(4)}
    seller.advance(1)
    seller.sandbox.faults.set(kind, 1.0)
    session = seller.open()
    found, _ = _walk(session, seller.now() - timedelta(minutes=1))
    sights = [session.parse_order(raw.payload, seller.now()) for raw in found]
    assert {one.channel_order_id for one in sights} == placed
    assert all(one.lines for one in sights)


@pytest.mark.proves("F26")
def test_a_token_that_expires_mid_walk_costs_no_order(seller):
    placed = {seller.place_order(1) for _ in range(14)}
    seller.advance(1)
    session = seller.open()
    page = session.read_orders(OrderFeed.CHANGES, None, seller.now() - timedelta(minutes=1))
    seller.advance(1)
    seller.sandbox.faults.set("F26", 1.0, count=1)
    more, _ = _walk(session, seller.now() - timedelta(minutes=1), page.cursor)
    assert placed <= {raw.channel_order_id for raw in (*page.orders, *more)}


@pytest.mark.proves("F17")
def test_what_is_younger_than_the_lag_is_left_for_the_next_pass(running_seller):
    with running_seller(lag_seconds=120) as seller:
        since = seller.now() - timedelta(seconds=1)
        placed = seller.place_order(1)
        session = seller.open()
        seller.advance(60)
        found, cursor = _walk(session, since)
        assert found == []
        seller.advance(61)
        found, _ = _walk(session, since, cursor)
        assert [raw.channel_order_id for raw in found] == [placed]


# --- quantities ----------------------------------------------------------------------------------


def test_what_was_sold_is_not_counted_as_available(seller):
    listing_id = seller.listing_ids()[0]
    before = seller.quantity(listing_id)
    seller.place_order(2)
    session = seller.open()
    assert session.read_stock([listing_id]).quantities[listing_id] == before - 2
    (result,) = _push(session, **{listing_id: (seller.sku(), 7)})
    assert (result.outcome, seller.quantity(listing_id)) == (PushOutcome.APPLIED, 7)
    assert session.read_stock([listing_id]).quantities[listing_id] == 7


def test_all_listings_are_looked_at_by_pages_and_one_by_itself(seller):
    session, listing_ids = seller.open(), seller.listing_ids()
    session._stock.per_page = 200
    reading = session.read_stock(listing_ids)
    assert dict(reading.quantities) == {one: seller.quantity(one) for one in listing_ids}
    assert seller.gate.spent["GetMyeBaySelling"] == 1
    assert seller.gate.spent["GetItem"] == 0


def test_listings_of_the_inventory_api_are_set_by_rest(running_seller):
    with running_seller(skus=20) as seller:
        listing = next(
            one for one in seller.sandbox.books.listings.values() if one.is_inventory_managed
        )
        listing_id, sku = str(listing.id), listing.variants[0].sku
        session = seller.open()
        for quantity in (3, 4):
            (result,) = _push(session, **{listing_id: (sku, quantity)})
            assert result.outcome is PushOutcome.APPLIED
            assert seller.quantity(listing_id) == quantity
        assert seller.gate.spent["ReviseInventoryStatus"] == 1, "learnt by one refusal"


def test_a_zero_is_sent_only_where_the_listing_survives_it(seller):
    listing_id = seller.listing_ids()[2]
    assert "/" in listing_id, "a variation"
    seller.sandbox.books.keeps_sold_out = False
    (result,) = _push(seller.open(), **{listing_id: ("", 0)})
    assert result.outcome is PushOutcome.REJECTED
    assert seller.quantity(listing_id) > 0
    seller.sandbox.books.keeps_sold_out = True
    (result,) = _push(seller.open(), **{listing_id: ("", 0)})
    assert (result.outcome, seller.quantity(listing_id)) == (PushOutcome.APPLIED, 0)


def test_the_same_quantity_again_is_a_success(seller):
    listing_id = seller.listing_ids()[0]
    same = seller.quantity(listing_id)
    (result,) = _push(seller.open(), **{listing_id: (seller.sku(), same)})
    assert result.outcome is PushOutcome.APPLIED


@pytest.mark.proves("F37")
def test_an_ended_listing_is_refused_with_its_remedy_and_absent_from_a_look(seller):
    listing_id, session = seller.listing_ids()[0], seller.open()
    seller.sandbox.sales.end_listing(seller.sku())
    (result,) = _push(session, **{listing_id: (seller.sku(), 3)})
    assert (result.outcome, "relist" in result.reason) == (PushOutcome.REJECTED, True)
    assert dict(session.read_stock([listing_id]).quantities) == {}


# --- tracking, pushes, limits --------------------------------------------------------------------


def test_a_second_parcel_of_a_line_does_not_replace_the_first(seller):
    placed, session = seller.place_order(2), seller.open()
    (line,) = _read(seller, placed).lines
    for number in ("A 1", "B-2"):
        session.push_shipment(
            OutgoingShipment(
                key=number,
                channel_order_id=placed,
                lines={line.channel_line_id: 1},
                packages=(
                    OutgoingPackage(carrier="ups", tracking_number=number, tracking_url=None),
                ),
                service=None,
                shipped_at=seller.now(),
            )
        )
    shipments = seller.sandbox.truth()["orders"][placed]["shipments"]
    numbers = [one["tracking_number"] for each in shipments for one in each["packages"]]
    assert sorted(numbers) == ["A1", "B2"]
    assert {one.tracking_numbers: dict(one.lines) for one in session.read_shipments(placed)} == {
        ("A 1",): {line.channel_line_id: 1},
        ("B-2",): {line.channel_line_id: 1},
    }
    assert _read(seller, placed).lines[0].is_marked_shipped


def _hub(settings):
    """The hub's webhook address, as far as challenges go."""

    async def app(scope, receive, send):
        url = "http://{}{}".format(dict(scope["headers"])[b"host"].decode(), scope["path"])
        code = scope["query_string"].decode().removeprefix("challenge_code=")
        answer = WEBHOOK.answer_challenge(settings, url, {"challenge_code": code})
        headers = [(b"content-type", answer.media_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    return app


@pytest.mark.proves("C-30")
def test_the_address_is_proved_by_the_challenge(seller, serve_app):
    seller.sandbox._notifications._proved = set()
    with serve_app(_hub(seller.settings)) as url:
        address = f"{url}/webhooks/ebay-a"
        assert "ORDER_CONFIRMATION" in seller.open().ensure_subscriptions(address)
        assert seller.open().ensure_subscriptions(address) == ()


def test_the_published_limit_is_learnt_from_ebay(running_seller):
    with running_seller(limits_published=True) as seller:
        seller.open().check()
        available, capacity, refill = seller.gate.learnt["*"]
        assert (capacity, refill) == (5_000, 0.0)
        assert available <= 5_000


def test_a_quota_used_up_is_rate_limited(running_seller):
    with running_seller(limits_published=True) as seller:
        session = seller.open()
        session.check()
        seller.sandbox.trading._limits._used[("tradingapi", "tradingapi")] = 5_000
        with pytest.raises(RateLimited, match="518"):
            session.check()


def test_no_order_is_written_to_while_orders_are_paged():
    assert CONNECTOR.manifest.exclusive_flows == (
        ("ingest", "push_tracking"),
        ("ingest", "write_back"),
    )


def test_an_unpaid_purchase_takes_its_units_at_once(seller):
    listing_id = seller.listing_ids()[0]
    before = seller.quantity(listing_id)
    lines = ((seller.sku(), 3),)
    placed = seller.sandbox.sales.place(Purchase(lines=lines, is_paid=False))
    sight = _read(seller, placed)
    assert sight.lines[0].quantity_ordered == 3
    assert seller.quantity(listing_id) == before - 3
