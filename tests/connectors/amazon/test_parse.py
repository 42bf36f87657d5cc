"""Orders as Amazon shows them become sights: units, state, money, people; notifications too."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.amazon.parse import parse_order
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import line_counts, money_residual, wanted
from oms_sync.sdk import BadPayload, OrderState

SEEN_AT = datetime(2026, 11, 2, 9, 0, 10, tzinfo=UTC)
ORDERS = """
paid pending-without-price preorder partially-shipped shipped cancelled cancellation-requested
partly-cancelled fulfilled-by-amazon replacement in-yen unknown-status without-its-fulfilment-block
unfulfillable without-sku
""".split()
NOTIFICATIONS = """
pending unshipped-without-a-time cancelled cancellation-requested fulfilled-by-amazon preorder
""".split()
CASES = [f"order-{case}" for case in ORDERS] + [f"notification-{case}" for case in NOTIFICATIONS]


@pytest.fixture
def parsed(recordings, tables):
    def read(case, change=None):
        payload = (recordings / f"{case}.json").read_bytes()
        if change is not None:
            fields = json.loads(payload)
            change(fields.get("order", fields))
            payload = json.dumps(fields).encode()
        return parse_order(payload, SEEN_AT, tables=tables)

    return read


def _plain(sight):
    return json.loads(json.dumps(asdict(sight), default=str, sort_keys=True))


@pytest.mark.parametrize("case", CASES)
def test_every_recording_becomes_the_expected_sight(case, parsed, expected):
    found, path = _plain(parsed(case)), expected / f"{case}.json"
    if os.environ.get("OMS_SYNC_UPDATE_EXPECTED"):
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(path.read_text(encoding="utf-8"))


def test_every_recording_is_a_case(recordings):
    assert sorted(path.stem for path in recordings.glob("*.json")) == sorted(CASES)


@pytest.mark.parametrize(
    ("case", "units"),
    [
        # ordered, cancelled, shipped
        ("order-paid", (2, 0, 0)),
        # of an unpaid order nothing is concluded from units that are not left to ship
        ("order-pending-without-price", (2, None, 0)),
        ("order-partially-shipped", (3, 0, 1)),
        ("order-shipped", (2, 0, 2)),
        ("order-cancelled", (2, 2, 0)),
        ("order-partly-cancelled", (3, 1, 0)),
        ("order-without-its-fulfilment-block", (1, None, None)),
        ("notification-pending", (2, None, 0)),
    ],
)
@pytest.mark.proves("I-16", "F34", "F36")
def test_units_are_where_they_are(case, units, parsed):
    line = parsed(case).lines[0]
    assert units == (line.quantity_ordered, line.quantity_cancelled, line.quantity_shipped)


@pytest.mark.parametrize(
    ("case", "state", "reserved"),
    [
        ("order-paid", OrderState.OPEN, 2),
        ("order-pending-without-price", OrderState.PENDING, 2),
        # sold from what is still to come, not from the shelf
        ("order-preorder", OrderState.PENDING, 0),
        ("order-partially-shipped", OrderState.OPEN, 2),
        ("order-shipped", OrderState.CLOSED, 0),
        ("order-partly-cancelled", OrderState.OPEN, 2),
        # Amazon's stock, not ours
        ("order-fulfilled-by-amazon", OrderState.CLOSED, 0),
        ("order-unfulfillable", OrderState.HELD, 0),
        # of no value, yet it takes a unit from the shelf
        ("order-replacement", OrderState.OPEN, 1),
        # half read: neither reserves nor ships
        ("order-without-its-fulfilment-block", None, 0),
        ("notification-pending", OrderState.PENDING, 2),
        ("notification-fulfilled-by-amazon", OrderState.CLOSED, 0),
        ("notification-preorder", OrderState.PENDING, 0),
    ],
)
def test_what_an_order_reserves_of_our_stock(case, state, reserved, parsed):
    sight = parsed(case)
    order = first_sight("seller-a", sight)
    units = [wanted(order, line, line_counts(order, line, 0)) for line in order.lines]
    assert (sight.facts.state, units[0]) == (state, reserved)


def test_a_pending_order_has_no_price_and_no_address(parsed):
    facts = parsed("order-pending-without-price").facts
    assert (facts.total, facts.currency, facts.recipient, facts.buyer) == (None,) * 4
    assert facts.is_complete is True, "it is whole as it is: it reserves"


def test_a_pending_order_is_completed_when_it_is_paid(parsed):
    def as_first(order):
        order["orderId"] = "112-0000000-0000001"
        order["lastUpdatedTime"] = "2026-11-01T08:00:00Z"

    pending = first_sight("seller-a", parsed("order-pending-without-price", as_first))
    order = merge(pending, first_sight("seller-a", parsed("order-paid")))
    assert order.facts.state is OrderState.OPEN
    assert order.facts.recipient is not None
    assert order.facts.total is not None


@pytest.mark.parametrize("case", ["order-paid", "order-in-yen", "order-replacement"])
@pytest.mark.proves("I-10")
def test_money_adds_up_exactly(case, parsed):
    residual = money_residual(first_sight("seller-a", parsed(case)))
    assert residual is not None
    assert residual.amount == 0


def test_yen_have_no_decimals_and_tax_may_be_inside(parsed):
    facts = parsed("order-in-yen").facts
    assert facts.total is not None
    assert (facts.total.text(), facts.total.currency) == ("2200", "JPY")
    assert facts.are_taxes_included is True
    assert parsed("order-paid").facts.are_taxes_included is False


def test_the_sellers_own_number_names_the_order(parsed):
    assert parsed("order-paid").facts.channel_order_number == "MY-77"
    assert parsed("order-shipped").facts.channel_order_number == "112-0000000-0000005"


def test_a_buyers_request_to_cancel_holds_the_order(parsed):
    one_line = parsed("order-cancellation-requested")
    assert one_line.facts.channel_holds == ("cancellation_requested:70000000000001",)
    assert len(one_line.lines) > 1, "the other line may go on"
    whole = parsed("notification-cancellation-requested")
    assert whole.facts.channel_holds == ("cancellation_requested",)
    assert parsed("order-paid").facts.channel_holds == ()
    assert parsed("order-preorder").facts.channel_holds == ("preorder",)


def test_a_reading_without_cancellations_lifts_no_hold(recordings, tables):
    fields = json.loads((recordings / "order-paid.json").read_bytes())
    payload = json.dumps({**fields, "included": ["FULFILLMENT"]}).encode()
    assert parse_order(payload, SEEN_AT, tables=tables).facts.channel_holds is None


@pytest.mark.proves("F42")
def test_an_unknown_status_is_kept_held_and_named(parsed):
    facts = parsed("order-unknown-status").facts
    assert (facts.state, facts.channel_status) == (None, "SOMETHING_NEW")
    assert facts.unmapped_codes == ("order_status: SOMETHING_NEW",)


@pytest.mark.proves("I-06", "F24")
def test_an_order_without_status_is_half_read(parsed):
    facts = parsed("order-without-its-fulfilment-block").facts
    assert facts.is_complete is False
    assert (facts.state, facts.line_ids, facts.fulfilled_by) == (None, None, None)


@pytest.mark.proves("C-06")
def test_an_order_amazon_ships_is_recorded_as_amazons(parsed):
    for case in ("order-fulfilled-by-amazon", "notification-fulfilled-by-amazon"):
        facts = parsed(case).facts
        assert facts.fulfilled_by == "channel"
        assert facts.recipient is None


@pytest.mark.proves("F13", "I-07")
def test_a_notification_without_a_time_never_beats_what_was_read(parsed):
    read = first_sight("seller-a", parsed("order-paid"))
    told = parsed("notification-unshipped-without-a-time")
    assert told.version.at == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert merge(read, first_sight("seller-a", told)).facts == read.facts


@pytest.mark.proves("F33", "I-07")
def test_a_notification_never_beats_a_reading_of_the_same_second(parsed):
    told = parsed("notification-pending")
    assert told.version.at == datetime(2026, 11, 2, 9, tzinfo=UTC), "readings know whole seconds"


def test_both_spellings_of_a_status_mean_the_same(tables):
    table = tables["order_status"]
    for read, told in (
        ("PENDING", "Pending"),
        ("CANCELLED", "Canceled"),
        ("UNSHIPPED", "Unshipped"),
        ("PARTIALLY_SHIPPED", "PartiallyShipped"),
        ("SHIPPED", "InvoiceUnconfirmed"),
        ("PENDING_AVAILABILITY", "PendingAvailability"),
        ("UNFULFILLABLE", "Unfulfillable"),
    ):
        assert table.look_up(read) == table.look_up(told)


@pytest.mark.proves("A24", "A27", "A28")
@pytest.mark.parametrize(
    "change",
    [
        lambda order: order.update(lastUpdatedTime="2026-11-02T09:00:00"),
        lambda order: order.update(createdTime="2026-13-02T09:00:00Z"),
        lambda order: order.update(orderId=7),
        lambda order: order.update(orderItems=None),
        lambda order: order.pop("createdTime"),
        lambda order: order["orderItems"][0].update(quantityOrdered=-1),
        lambda order: order["orderItems"][0].update(quantityOrdered=True),
        lambda order: order["orderItems"][0].update(quantityOrdered="2"),
        lambda order: order["orderItems"][0].update(quantityOrdered=2**63),
        lambda order: order["orderItems"][0].update(quantityOrdered=1.5),
        lambda order: order["orderItems"][0].pop("product"),
        lambda order: order["orderItems"][0]["fulfillment"].update(quantityFulfilled="1"),
        lambda order: order["proceeds"]["grandTotal"].update(amount="NaN"),
        lambda order: order["proceeds"]["grandTotal"].update(amount=True),
        lambda order: order["proceeds"]["grandTotal"].update(currencyCode="dollars"),
        lambda order: order["fulfillment"].update(fulfillmentStatus=7),
    ],
)
def test_a_payload_that_means_nothing_is_bad_payload(change, parsed):
    with pytest.raises(BadPayload):
        parsed("order-paid", change)


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_the_only_error_is_bad_payload(payload):
    with pytest.raises(BadPayload):
        parse_order(payload, SEEN_AT, tables={})


@given(
    ordered=st.integers(0, 20),
    done=st.integers(0, 20) | st.none(),
    left=st.integers(0, 20) | st.none(),
    status=st.sampled_from(["PENDING", "UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED", "CANCELLED"]),
    is_executed=st.booleans(),
)
@pytest.mark.proves("I-16")
def test_whatever_the_numbers_units_add_up(ordered, done, left, status, is_executed, tables):
    line = {"orderItemId": "1", "quantityOrdered": ordered, "product": {"sellerSku": "TEE-M"}}
    line["fulfillment"] = {
        name: value
        for name, value in (("quantityFulfilled", done), ("quantityUnfulfilled", left))
        if value is not None
    }
    if is_executed:
        line["cancellation"] = {"cancellationExecution": {"cancelledBy": "BUYER"}}
    order = {
        "orderId": "112-0000000-0000001",
        "createdTime": "2026-11-01T08:00:00Z",
        "lastUpdatedTime": "2026-11-02T09:00:00Z",
        "fulfillment": {"fulfillmentStatus": status, "fulfilledBy": "MERCHANT"},
        "orderItems": [line],
    }
    payload = json.dumps({"included": ["FULFILLMENT", "CANCELLATION"], "order": order}).encode()
    known = first_sight("seller-a", parse_order(payload, SEEN_AT, tables=tables))
    counts = line_counts(known, known.lines[0], 0)
    assert counts.ordered == counts.open + counts.shipped + counts.cancelled + counts.elsewhere
    if status == "CANCELLED":
        assert counts.open == 0


# --- what parcels need beyond street and city ----------------------------------------------------


def _address(**fields):
    def change(order):
        order["recipient"] = {"deliveryAddress": fields}

    return change


@pytest.mark.parametrize(
    ("address", "lines", "city", "region"),
    [
        # Brazil delivers by neighborhood, Turkey by district, within a state that has its own place
        (
            {
                "addressLine1": "Rua A, 1",
                "city": "Recife",
                "stateOrRegion": "PE",
                "extendedFields": {"neighborhood": "Boa Vista", "streetName": "Rua A"},
            },
            ("Rua A, 1", "Boa Vista"),
            "Recife",
            "PE",
        ),
        (
            {
                "addressLine1": "Cadde 4",
                "city": "Izmir",
                "districtOrCounty": "Konak",
                "stateOrRegion": "Izmir",
            },
            ("Cadde 4", "Konak"),
            "Izmir",
            "Izmir",
        ),
        ({"city": "A", "municipality": "B", "districtOrCounty": "C"}, ("B",), "A", "C"),
        ({"municipality": "B", "stateOrRegion": "D"}, (), "B", "D"),
        ({"addressLine1": "X", "city": "A", "municipality": "A"}, ("X",), "A", None),
        (
            {"addressLine1": "C", "districtOrCounty": "C", "stateOrRegion": "D", "city": ""},
            ("C",),
            None,
            "D",
        ),
        (
            {"addressLine1": "X", "municipality": "", "extendedFields": {"neighborhood": ""}},
            ("X",),
            None,
            None,
        ),
    ],
)
def test_no_part_of_an_address_is_lost(address, lines, city, region, parsed):
    found = parsed("order-paid", _address(**address)).facts.recipient.address
    assert (found.lines, found.city, found.region) == (lines, city or None, region)


def test_the_number_the_import_tax_was_paid_under_is_kept(parsed):
    def change(order):
        shipping = {"internationalShipping": {"iossNumber": "IM3720000001"}}
        order["orderItems"][-1]["fulfillment"]["shipping"] = shipping

    assert parsed("order-paid", change).facts.import_tax_number == "IM3720000001"
    assert parsed("order-paid").facts.import_tax_number is None


def test_what_the_buyer_wrote_to_whoever_packs_is_kept(parsed):
    def change(order):
        order["recipient"]["deliveryPreference"] = {
            "dropOffLocation": "Porch",
            "addressInstruction": "Ring twice",
        }
        for line in order["orderItems"]:
            line["fulfillment"]["packing"] = {"giftOption": {"giftMessage": "Many happy returns"}}

    note = parsed("order-paid", change).facts.buyer_note
    assert note == "Porch\nRing twice\nMany happy returns", "each once"
    assert parsed("order-paid").facts.buyer_note is None


def test_half_of_a_note_never_replaces_the_whole(recordings, tables):
    fields = json.loads((recordings / "order-paid.json").read_bytes())
    for line in fields["order"]["orderItems"]:
        line["fulfillment"]["packing"] = {"giftOption": {"giftMessage": "Hello"}}
    fields["included"] = ["FULFILLMENT", "CANCELLATION"]
    sight = parse_order(json.dumps(fields).encode(), SEEN_AT, tables=tables)
    assert sight.facts.buyer_note is None


def test_an_order_amazon_cannot_ship_for_another_shop_is_held_by_name(parsed):
    facts = parsed("order-unfulfillable").facts
    assert facts.state is OrderState.HELD
    assert facts.channel_holds == ("unfulfillable",)
