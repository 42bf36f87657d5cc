"""Cancel, refund and correct from the command line: stored for the channel, shown, or refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from oms_sync import bootstrap
from oms_sync.cli.output import write_text
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import Hold, LineSight, OrderFacts, OrderSight, OrderState, Version
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
            state=OrderState.OPEN,
            placed_at=PLACED,
            currency="EUR",
            total=price.times(2),
            tax=Money(Decimal("3.00"), "EUR"),
            tax_remitted=Money(Decimal("2.00"), "EUR"),
            import_tax_number="IM1234567890",
            buyer_note="Ring twice",
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
        (("refund", ORDER, "--reason", "other", "--amount", "19.01"), "up to 17.00 EUR"),
        (("refund", ORDER, "--reason", "other", "--amount", "a lot"), "not a decimal amount"),
        (("refund", ORDER, "--reason", "other", "--amount", "1.001"), "finer than EUR"),
        (("cancel", ORDER, "--line", "MUG=1"), "no line 'MUG'"),
        (("cancel", "shop-a:nothing"), "there is no order"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_stored(live, args, message):
    assert message in live("orders", *args, status=1).stderr
    assert live.json("orders", "show", ORDER)["write_backs"] == []


def test_money_the_channel_pays_itself_and_the_number_for_customs_are_shown(live):
    shown = live.json("orders", "show", ORDER)
    assert (shown["tax"], shown["tax_remitted"]) == ("3.00", "2.00")
    assert shown["import_tax_number"] == "IM1234567890"
    assert shown["cancellation_declined"] is False
    listed = live("orders", "export").stdout
    assert '"tax","tax_remitted","import_tax_number"' in listed
    assert '"3.00","2.00","IM1234567890"' in listed
    assert "Ring twice" not in listed
    assert "Ring twice" in live("orders", "export", "--reveal").stdout


def test_what_the_buyer_wrote_is_shown_to_those_who_say_so(live):
    assert "Ring twice" not in live("orders", "show", ORDER).stdout
    assert "buyer_note" not in live.json("orders", "show", ORDER)
    assert "Ring twice" in live("orders", "show", ORDER, "--reveal").stdout
    assert live.json("orders", "show", ORDER, "--reveal")["buyer_note"] == "Ring twice"


def test_a_refund_of_all_that_is_left_is_what_the_seller_was_paid(live):
    args = ("orders", "refund", ORDER, "--reason", "returned")
    assert "17.00 EUR of shop-a:1001 shall go back" in live(*args).stdout


def test_a_reason_the_channel_would_be_told_as_another_is_refused(live, monkeypatch):
    from connectors.ebay import CONNECTOR

    monkeypatch.setattr(bootstrap.Desk, "manifest", lambda desk, account: CONNECTOR.manifest)
    for args in ((), ("--reason", "price"), ("--reason", "payment")):
        said = live("orders", "cancel", ORDER, *args, status=1).stderr
        assert "one of address, buyer, stock" in " ".join(said.split())
    assert live.json("orders", "show", ORDER)["write_backs"] == []
    live("orders", "cancel", ORDER, "--reason", "stock")


def test_words_added_to_the_table_by_the_operator_count(live, monkeypatch):
    from connectors.ebay import CONNECTOR

    monkeypatch.setattr(bootstrap.Desk, "manifest", lambda desk, account: CONNECTOR.manifest)
    overlay = live.folder / "tables" / "ebay"
    overlay.mkdir(parents=True)
    (overlay / "post_order_reasons.yaml").write_text("entries: {BUYER_ASKED_CANCEL: price}\n")
    path = live.folder / "oms-sync.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("  directory: null\n") == 1
    text = text.replace("  directory: null\n", f"  directory: {overlay.parent}\n")
    path.write_text(text, encoding="utf-8")
    live("orders", "cancel", ORDER, "--reason", "price")


@pytest.fixture
def wished(live):
    """The buyer asks to cancel."""
    from oms_sync.flows.cancelling import with_holds

    hold = Hold(code="channel:cancellation_requested", since=PLACED, actor="channel")
    with bootstrap.open_desk(live.folder / "oms-sync.yaml") as desk, desk.open_work() as work:
        (order,) = work.orders.lock(["order-1"]).values()
        facts = replace(order.known.facts, channel_holds=("cancellation_requested",))
        asking = replace(order, known=replace(order.known, facts=facts))
        work.orders.save([with_holds(asking, (hold,))])
        work.commit()
    return live


def test_a_buyers_wish_is_declined_with_a_reason(wished):
    assert "release --reason" in wished("orders", "release", ORDER, status=1).stderr
    said = wished("orders", "release", ORDER, "--reason", "packed")
    assert "shop-a:1001 is open" in said.stdout
    assert "answer the buyer at the channel" in " ".join(said.stderr.split())
    shown = wished.json("orders", "show", ORDER)
    assert (shown["state"], shown["holds"]) == ("open", [])
    assert shown["cancellation_declined"] is True
    assert shown["timeline"][-1]["name"] == "order.cancellation_declined"


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


def test_half_a_character_in_a_note_keeps_no_export_from_its_file(live, tmp_path):
    write_text(iter(["Ring ", "\ud83d twice"]), tmp_path / "orders.csv")
    assert (tmp_path / "orders.csv").read_text(encoding="utf-8") == "Ring \\ud83d twice"
