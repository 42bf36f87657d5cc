"""Cancel, refund and correct from the command line: stored for the channel, shown, or refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from oms_sync import bootstrap
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.values import Money, Sku
from oms_sync.flows.records import StoredLine, StoredOrder
from oms_sync.sdk import Capability, Manifest

PLACED = datetime(2026, 5, 1, 9, tzinfo=UTC)
ORDER = "shop-a:1001"


@pytest.fixture
def live(shell, monkeypatch):
    """A live account whose connector can do everything, with one order of two TEE."""
    path = shell.folder / "oms-sync.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    endpoint: http", "    mode: live\n    endpoint: http", 1))
    able = Manifest(id="able", label="Able", capabilities=frozenset(Capability), cancels_lines=True)
    monkeypatch.setattr(bootstrap.Desk, "manifest", lambda desk, account: able)
    with bootstrap.open_desk(path) as desk, desk.open_work() as work:
        work.stock.ensure([Sku("TEE")])
        work.orders.add([_order()])
        work.commit()
    return shell


def _order():
    price = Money(Decimal("9.50"), "EUR")
    sight = OrderSight(
        channel_order_id="1001",
        version=Version(PLACED, PLACED + timedelta(seconds=1)),
        facts=OrderFacts(
            state=OrderState.OPEN, placed_at=PLACED, currency="EUR", total=price.times(2)
        ),
        lines=(
            LineSight(
                channel_line_id="L1", channel_sku="TEE", quantity_ordered=2, unit_price=price
            ),
        ),
    )
    return StoredOrder(
        order_id="order-1",
        known=first_sight("shop-a", sight),
        state=OrderState.OPEN,
        lines=(StoredLine(line_id="line-1", channel_line_id="L1", sku=Sku("TEE")),),
        imported_at=PLACED,
    )


def test_a_cancellation_is_stored_and_shown_and_the_order_is_held(live):
    asked = live("orders", "cancel", ORDER, "--line", "TEE=1", "--reason", "stock", "--no-restock")
    assert "1 units of shop-a:1001 are being cancelled" in asked.stdout
    shown = live.json("orders", "show", ORDER)
    assert shown["state"] == "held"
    (write,) = shown["write_backs"]
    assert (write["kind"], write["state"], write["lines"]) == ("cancel", "waiting", {"L1": 1})
    assert write["reason"] == "stock"
    assert "Told to the channel" in live("orders", "show", ORDER).stdout
    assert "under way" in live("orders", "cancel", ORDER, status=1).stderr


def test_a_refund_is_stored_and_shown_with_its_money(live):
    args = ("orders", "refund", ORDER, "--reason", "returned", "--line", "TEE=1", "--restock")
    assert "9.50 EUR of shop-a:1001 shall go back" in live(*args).stdout
    (write,) = live.json("orders", "show", ORDER)["write_backs"]
    assert (write["kind"], write["amount"], write["currency"]) == ("refund", "9.50", "EUR")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("refund", ORDER, "--reason", "other", "--amount", "19.01"), "up to 19.00 EUR"),
        (("refund", ORDER, "--reason", "other", "--amount", "a lot"), "not a decimal amount"),
        (("refund", ORDER, "--reason", "other", "--amount", "1.001"), "finer than EUR"),
        (("cancel", ORDER, "--line", "MUG=1"), "no line 'MUG'"),
        (("cancel", "shop-a:nothing"), "there is no order"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_stored(live, args, message):
    assert message in live("orders", *args, status=1).stderr
    assert live.json("orders", "show", ORDER)["write_backs"] == []


def test_a_word_that_is_no_reason_is_wrong_usage(live):
    assert "rain" in live("orders", "refund", ORDER, "--reason", "rain", status=2).stderr


def test_nothing_is_asked_of_a_channel_in_shadow_mode(live):
    path = live.folder / "oms-sync.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("mode: live", "mode: shadow"))
    assert "shadow mode" in live("orders", "cancel", ORDER, status=1).stderr
    live("orders", "hold", ORDER, "--reason", "address")
    assert live.json("orders", "show", ORDER)["write_backs"] == []


def test_a_hold_is_told_to_the_channel_and_a_release_takes_its_place(live):
    live("orders", "hold", ORDER, "--reason", "address")
    live("orders", "release", ORDER)
    writes = live.json("orders", "show", ORDER)["write_backs"]
    assert [(one["kind"], one["state"]) for one in writes] == [
        ("hold", "superseded"),
        ("release", "waiting"),
    ]


def test_a_shipment_of_an_order_by_hand_is_corrected_here(stocked):
    order = "manual:B2B-1"
    assert "came from a file" in stocked("orders", "cancel", order, status=1).stderr
    assert (
        "came from a file"
        in stocked("orders", "refund", order, "--reason", "other", status=1).stderr
    )
    stocked("ship", order, "--carrier", "ups", "--tracking", "T1")
    (shipment,) = stocked.json("orders", "show", order)["shipments"]
    args = ("--carrier", "dhl", "--tracking", "T2", "--tracking", "T3")
    corrected = stocked("shipments", "correct", shipment["shipment_id"], *args)
    assert "2 packages" in corrected.stdout
    (shipment,) = stocked.json("orders", "show", order)["shipments"]
    assert [(one["carrier"], one["tracking_number"]) for one in shipment["packages"]] == [
        ("dhl", "T2"),
        ("dhl", "T3"),
    ]
    assert (
        "no shipment" in stocked("shipments", "correct", "x", "--carrier", "ups", status=1).stderr
    )
