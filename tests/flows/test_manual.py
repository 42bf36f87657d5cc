"""Orders our own people bring: one JSON shape, read exactly or refused."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from oms_sync.domain.order import OrderState
from oms_sync.domain.values import Address, Money, Person
from oms_sync.flows.manual import MANUAL, parse_manual_order
from oms_sync.sdk import BadPayload

SEEN_AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def order(**changes):
    document = {
        "channel_order_id": "B2B-7",
        "placed_at": "2026-05-01T10:00:00+00:00",
        "currency": "EUR",
        "lines": [
            {"line_id": "1", "sku": "TEE", "quantity": 2, "unit_price": "12.50", "title": "Shirt"},
            {"line_id": "2", "sku": "MUG", "quantity": 1, "unit_price": "7.00"},
        ],
        **changes,
    }
    return json.dumps({key: value for key, value in document.items() if value != "absent"}).encode()


def bring(hub, **changes):
    hub.add(order(**changes), "import", account=MANUAL, channel_order_id="B2B-7")
    hub.run("normalise", MANUAL)
    hub.run("reserve", MANUAL)


@pytest.mark.proves("I-10")
def test_a_whole_order_is_read_exactly():
    sight = parse_manual_order(order(ship_by="2026-05-03T00:00:00+00:00", service="next"), SEEN_AT)
    facts = sight.facts
    assert (facts.state, facts.channel_status) == (OrderState.OPEN, "imported")
    assert facts.total == Money(Decimal("32.00"), "EUR")
    assert facts.ship_by == datetime(2026, 5, 3, tzinfo=UTC)
    assert (facts.shipping_service, facts.recipient) == ("next", None)
    assert facts.line_ids == ("1", "2")
    assert [line.channel_sku for line in sight.lines] == ["TEE", "MUG"]
    assert sight.lines[0].unit_price == Money(Decimal("12.50"), "EUR")


def test_a_recipient_and_a_cancellation_are_read():
    recipient = {"name": "Zoë Müller", "lines": ["Gasse 1"], "city": "Graz", "country": "AT"}
    sight = parse_manual_order(order(recipient=recipient, is_cancelled=True), SEEN_AT)
    address = Address(lines=("Gasse 1",), city="Graz", country="AT")
    assert sight.facts.recipient == Person(name="Zoë Müller", address=address)
    assert sight.facts.state is OrderState.CANCELLED


def test_a_line_without_a_price_leaves_the_total_unknown():
    sight = parse_manual_order(
        order(lines=[{"line_id": "1", "sku": "TEE", "quantity": 2}]), SEEN_AT
    )
    assert sight.facts.total is None
    assert sight.lines[0].unit_price is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,  # deeper than any order
        b"[]",
        order(currency="absent"),
        order(currency="money"),  # no currency of this world
        order(placed_at="yesterday"),
        order(placed_at="2026-05-01T10:00:00"),  # no zone
        order(lines=[{"line_id": "1", "sku": "  ", "quantity": 1}]),
        order(lines=[{"line_id": "1", "sku": "A\0B", "quantity": 1}]),
        order(lines=[{"line_id": "1", "sku": 7, "quantity": 1}]),
        order(lines=[{"line_id": "1", "sku": "TEE", "quantity": -1}]),
        order(lines=[{"line_id": "1", "sku": "TEE", "quantity": 1.5}]),
        order(lines=[{"line_id": "1", "sku": "TEE", "quantity": 1, "unit_price": "NaN"}]),
        order(recipient="Zoë"),
    ],
)
def test_anything_else_is_refused_in_one_way(body):
    with pytest.raises(BadPayload, match="imported order cannot be read"):
        parse_manual_order(body, SEEN_AT)


def test_an_imported_order_reserves_our_own_sku_and_a_cancelled_one_gives_it_back(hub):
    hub.manual()
    hub.count("TEE", 5)
    hub.count("MUG", 5)
    bring(hub)
    assert hub.filled("B2B-7", MANUAL) == (2, 0)
    assert hub.stock("MUG") == (5, 1)
    hub.clock.advance(60)
    bring(hub, is_cancelled=True)
    assert hub.order("B2B-7", MANUAL).state is OrderState.CANCELLED
    assert hub.stock("TEE") == (5, 0)


@pytest.mark.proves("I-09")
def test_an_unreadable_import_is_a_dead_letter_and_stops_no_other(hub):
    hub.manual()
    hub.count("TEE", 5)
    hub.add(
        order(lines=[{"line_id": "1", "sku": " ", "quantity": 1}]),
        "import",
        account=MANUAL,
        channel_order_id="B2B-7",
    )
    hub.add(
        order(channel_order_id="B2B-8", lines=[{"line_id": "1", "sku": "TEE", "quantity": 1}]),
        "import",
        account=MANUAL,
        channel_order_id="B2B-8",
        received_at=hub.clock.now() + timedelta(seconds=1),
    )
    hub.run("normalise", MANUAL)
    hub.run("reserve", MANUAL)
    assert hub.filled("B2B-8", MANUAL) == (1, 0)
    (dead,) = hub.storage.reports.dead_letters()
    assert dead["channel_order_id"] == "B2B-7"
