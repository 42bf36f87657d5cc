"""The older API alone: what it reads, and everything written while the newer one refuses us."""

from datetime import timedelta
from decimal import Decimal

import pytest

from connectors.amazon.orders_v0 import newer
from connectors.amazon.sandbox.order_views import PREORDER
from connectors.amazon.shipments import TOLD_MAX, ToldPackages
from oms_sync.domain.shipment import Package, Shipment, ShipmentLine, find_shipment
from oms_sync.sdk import (
    Money,
    OrderFeed,
    OutcomeUnknown,
    OutgoingCancellation,
    OutgoingPackage,
    OutgoingRefund,
    OutgoingShipment,
    Rejected,
    TrackingCorrection,
)
from oms_sync.sdk.sandbox import Purchase
from oms_sync.sdk.testing import MemoryTokens

NEWER = {"searchOrders", "getOrder"}


@pytest.fixture
def older(seller):
    """A session of a seller whom the newer API answers 403, whatever it is asked."""
    seller.settings = seller.settings.model_copy(update={"orders_api": "v0"})
    seller.sandbox.denied |= NEWER
    return seller.open()


@pytest.fixture
def place(seller):
    def act(*quantities, tags=(), **more):
        lines = tuple((seller.sku(number), units) for number, units in enumerate(quantities))
        order_id = seller.sandbox.sales.place(Purchase(lines=lines, **more))
        order = seller.order(order_id)
        order.tags += tags
        seller.sandbox.store.changed(order)
        return order_id

    return act


@pytest.fixture
def read(seller, older):
    def act(order_id, by=None):
        (raw,) = (by or older).read_orders_by_id([order_id])
        return older.parse_order(raw.payload, seller.now())

    return act


def _line(seller, order_id, number=0):
    return str(seller.order(order_id).lines[number].id)


def _outgoing(seller, order_id, *numbers, units=1, key="s1"):
    return OutgoingShipment(
        key=key,
        channel_order_id=order_id,
        lines={_line(seller, order_id): units},
        packages=tuple(
            OutgoingPackage(carrier="ups", tracking_number=number, tracking_url=None)
            for number in numbers
        ),
        service=None,
        shipped_at=seller.now(),
    )


def _missing(sent, known):
    """What the hub thinks the channel still lacks of a shipment."""
    lines = tuple(
        ShipmentLine(line_id=line, channel_line_id=line, quantity=units)
        for line, units in sent.lines.items()
    )
    shipment = Shipment(
        shipment_id=sent.key,
        order_id="o1",
        account="seller-a",
        channel_order_id=sent.channel_order_id,
        lines=lines,
        packages=tuple(
            Package(carrier=one.carrier, tracking_number=one.tracking_number)
            for one in sent.packages
        ),
        shipped_at=sent.shipped_at,
    )
    return dict(find_shipment(shipment, known, ()).missing)


# --- reading -------------------------------------------------------------------------------------


def _pages(seller, session):
    cursor, found = None, {}
    while True:
        page = session.read_orders(OrderFeed.CHANGES, cursor, seller.now() - timedelta(hours=1))
        for raw in page.orders:
            found[raw.channel_order_id] = session.parse_order(raw.payload, seller.now())
        cursor = page.cursor
        if page.is_last:
            return found


def test_the_older_api_reads_the_same_orders(seller, older, place, read):
    placed = {
        "paid": place(2, 1),
        "unpaid": place(1, is_paid=False),
        "preorder": place(1, is_paid=False, tags=[PREORDER]),
        "prime": place(1, tags=["PRIME", "PREMIUM"]),
        "cancelled": place(1),
        "asked": place(1),
        "shipped": place(2),
    }
    seller.cancel_order(placed["cancelled"])
    seller.request_cancellation(placed["asked"])
    seller.ship(placed["shipped"], {_line(seller, placed["shipped"]): 1})
    seller.advance(1)
    found = _pages(seller, older)
    assert set(found) == set(placed.values())
    by_id = read(placed["paid"])
    assert by_id.facts.total == found[placed["paid"]].facts.total
    calls = seller.sandbox.truth()["calls"]
    assert calls["getOrders"] >= 2, "page by page"
    assert NEWER & calls.keys() == set()
    seller.sandbox.denied -= NEWER
    seller.settings = seller.settings.model_copy(update={"orders_api": "2026-01-01"})
    newer_one = seller.open()
    for name, order_id in placed.items():
        shown, told = read(order_id, newer_one), found[order_id]
        for each in (
            "state",
            "placed_at",
            "total",
            "fulfilled_by",
            "channel_holds",
            "ship_by",
            "channel_programmes",
        ):
            assert getattr(told.facts, each) == getattr(shown.facts, each), (name, each)
        if name != "cancelled":
            kept = ("channel_line_id", "channel_sku", "quantity_ordered", "unit_price")
            assert [[getattr(line, each) for each in kept] for line in told.lines] == [
                [getattr(line, each) for each in kept] for line in shown.lines
            ], name


def test_the_older_api_is_named_as_a_warning(older):
    (warning,) = older.check().warnings
    assert "orders_api: v0" in warning
    assert "2027-03-27" in warning


def test_an_unknown_order_is_gone_in_the_older_api_too(seller, older):
    (raw,) = older.read_orders_by_id([seller.unknown_order_id])
    assert raw.is_gone


def test_what_the_older_api_calls_otherwise_keeps_its_meaning():
    order = {
        "AmazonOrderId": "111-0000000-0000001",
        "PurchaseDate": "2026-03-01T10:00:00Z",
        "LastUpdateDate": "2026-03-01T11:00:00Z",
        "OrderStatus": "Unshipped",
    }
    lines = [
        {
            "OrderItemId": "1",
            "QuantityOrdered": 1,
            "IsTransparency": True,
            "IossNumber": "IM3720000001",
        }
    ]
    (line,) = newer(order, lines)["orderItems"]
    assert line["programs"] == ["TRANSPARENCY"]
    customs = line["fulfillment"]["shipping"]["internationalShipping"]
    assert customs == {"iossNumber": "IM3720000001"}


# --- writing, and the looks before and after -----------------------------------------------------


@pytest.mark.proves("B-21")
def test_a_shipment_is_confirmed_and_seen_without_the_newer_api(seller, older, place):
    order_id = place(3)
    sent = _outgoing(seller, order_id, "1Z1", "1Z2", units=3)
    assert older.read_shipments(order_id) == ()
    older.push_shipment(sent)
    known = older.read_shipments(order_id)
    assert _missing(sent, known) == {}
    assert known[0].tracking_numbers == ("1Z1", "1Z2")
    assert NEWER & seller.sandbox.truth()["calls"].keys() == set()
    assert _missing(sent, seller.open().read_shipments(order_id)) == {}, "after a restart, too"


@pytest.mark.proves("F09")
def test_a_204_that_did_nothing_shows_in_the_units(seller, older, place):
    order_id = place(2)
    sent = _outgoing(seller, order_id, "1Z1")
    seller.sandbox.faults.set("F09", 1.0)
    older.push_shipment(sent)
    seller.heal()
    assert _missing(sent, older.read_shipments(order_id)) == {_line(seller, order_id): 1}
    older.push_shipment(sent)
    assert _missing(sent, older.read_shipments(order_id)) == {}
    assert seller.fulfilments(order_id) == 1


@pytest.mark.proves("F02", "I-28")
def test_a_confirmation_whose_answer_was_lost_is_found_in_the_units(seller, older, place):
    order_id = place(2)
    sent = _outgoing(seller, order_id, "1Z1")
    older.read_shipments(order_id)
    seller.sandbox.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        older.push_shipment(sent)
    assert _missing(sent, seller.open().read_shipments(order_id)) == {}
    assert seller.fulfilments(order_id) == 1


def test_two_shipments_of_an_order_and_one_by_hand_are_told_apart(seller, older, place):
    order_id = place(4)
    line = _line(seller, order_id)
    seller.ship(order_id, {line: 1})
    first, second = (
        _outgoing(seller, order_id, number, key=key)
        for number, key in (("1Z1", "s1"), ("1Z2", "s2"))
    )
    older.push_shipment(first)
    known = older.read_shipments(order_id)
    assert _missing(first, known) == {}
    assert _missing(second, known) == {line: 1}, "what others shipped is not ours"
    older.push_shipment(second)
    known = older.read_shipments(order_id)
    assert _missing(second, known) == {}
    assert sum(one.lines[line] for one in known) == 3
    assert [one.lines for one in known if not one.tracking_numbers] == [{line: 1}]


def test_tracking_is_corrected_under_the_references_we_told(seller, older, place):
    order_id = place(2)
    sent = _outgoing(seller, order_id, "1Z1", units=2)
    older.push_shipment(sent)
    (known,) = older.read_shipments(order_id)
    older.correct_shipment(
        TrackingCorrection(
            key="c1",
            channel_order_id=order_id,
            channel_shipment_id=known.channel_shipment_id,
            lines=sent.lines,
            packages=(OutgoingPackage(carrier="ups", tracking_number="1Z9", tracking_url=None),),
            service=None,
            shipped_at=seller.now(),
        )
    )
    (again,) = older.read_shipments(order_id)
    assert (again.channel_shipment_id, again.tracking_numbers) == (
        known.channel_shipment_id,
        ("1Z9",),
    )
    (told,) = seller.sandbox.truth()["orders"][order_id]["shipments"]
    assert [one["tracking_number"] for one in told["packages"]] == ["1Z9"]


def test_an_order_is_cancelled_without_the_newer_api(seller, older, place, read):
    order_id = place(2)
    wish = OutgoingCancellation(
        key="key-1",
        channel_order_id=order_id,
        lines={_line(seller, order_id): 2},
        is_whole=True,
        reason="stock",
    )
    assert older.follow_write(older.cancel_order(wish))
    assert read(order_id).facts.cancelled_at is not None
    assert older.cancel_order(wish) is None, "seen to be done"
    assert NEWER & seller.sandbox.truth()["calls"].keys() == set()


def test_money_goes_back_without_the_newer_api(seller, older, place):
    order_id = place(1)
    seller.ship(order_id, {_line(seller, order_id): 1})
    refund = OutgoingRefund(
        key="key-1",
        channel_order_id=order_id,
        amount=Money(Decimal("1.00"), "USD"),
        reason="returned",
    )
    assert older.follow_write(older.refund_order(refund))
    (shown,) = older.read_refunds(order_id)
    assert (shown.key, shown.state) == ("key-1", "done")
    assert NEWER & seller.sandbox.truth()["calls"].keys() == set()


def test_an_order_the_older_api_does_not_know_is_refused(seller, older):
    with pytest.raises(Rejected, match="has no order"):
        older.read_shipments(seller.unknown_order_id)


def test_what_was_told_is_remembered_for_so_many_orders_and_no_more(shown_order):
    told = ToldPackages(MemoryTokens())
    body = {
        "packageDetail": {
            "packageReferenceId": "1",
            "trackingNumber": "1Z",
            "orderItems": [{"orderItemId": "x", "quantity": 1}],
        }
    }
    for number in range(TOLD_MAX + 1):
        told.note(shown_order(number), [body])
    line = {"orderItemId": "x", "fulfillment": {"quantityFulfilled": 1, "quantityUnfulfilled": 0}}
    shown = [told.shown(shown_order(number, orderItems=[line])) for number in (0, 1, TOLD_MAX)]
    assert [one[0].get("trackingNumber") for one in shown] == [None, "1Z", "1Z"]
