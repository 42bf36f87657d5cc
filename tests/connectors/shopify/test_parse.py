"""Orders as the shop answers them become sights: units, state, money, people."""

import copy
import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.shopify.parse import parse_order
from oms_sync.sdk import BadPayload, OrderState

SEEN_AT = datetime(2026, 11, 2, 9, 0, 10, tzinfo=UTC)
OURS = frozenset({"gid://shopify/Location/71"})
CASES = """
paid shipped-in-part-and-refunded cancelled-and-restocked written-off held-with-address-withheld
in-two-places of-many-kinds in-yen-shown-in-euro half-read edited returned
""".split()


@pytest.fixture
def parsed(recordings, tables):
    def read(case, *, locations=OURS, change=None, **changes):
        payload = (recordings / f"order-{case}.json").read_bytes()
        if change is not None or changes:
            envelope = json.loads(payload) | changes
            (change or bool)(envelope["order"])
            payload = json.dumps(envelope).encode()
        return parse_order(payload, SEEN_AT, tables=tables, locations=locations)

    return read


def _plain(sight):
    return json.loads(json.dumps(asdict(sight), default=str, sort_keys=True))


@pytest.mark.parametrize("case", CASES)
def test_every_recording_becomes_the_expected_sight(case, parsed, expected):
    found, path = _plain(parsed(case)), expected / f"order-{case}.json"
    if os.environ.get("OMS_SYNC_UPDATE_EXPECTED"):
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(path.read_text(encoding="utf-8"))


def test_every_recording_is_a_case(recordings):
    assert sorted(path.stem for path in recordings.glob("order-*.json")) == sorted(
        f"order-{case}" for case in CASES
    )


@pytest.mark.parametrize(
    ("case", "units"),
    [
        # six numbers in the order of the assertion below
        ("paid", (2, 0, 0, 0, 0, 0)),
        # six ordered: three shipped, one taken off before; one came back, one was kept
        ("shipped-in-part-and-refunded", (6, 1, 3, 1, 0, 2)),
        ("cancelled-and-restocked", (2, 2, 0, 0, 0, 2)),
        # taken off and not put back on sale
        ("written-off", (2, 1, 0, 0, 0, 0)),
        # one shipped and two waiting elsewhere
        ("in-two-places", (5, 0, 1, 0, 3, 0)),
        # two units removed by an edit, without a refund
        ("edited", (3, 2, 0, 0, 0, 2)),
        # three came back: one on a shelf of ours, one on another, one lost; the refund says three
        ("returned", (4, 0, 4, 1, 0, 1)),
    ],
)
@pytest.mark.proves("I-16", "F34", "F35", "F36")
def test_units_are_where_they_are(case, units, parsed):
    line = parsed(case).lines[0]
    assert units == (
        line.quantity_ordered,
        line.quantity_cancelled,
        line.quantity_shipped,
        line.quantity_returned,
        line.quantity_elsewhere,
        line.quantity_restocked,
    )


def test_without_location_ids_every_place_is_ours(parsed):
    line = parsed("in-two-places", locations=frozenset()).lines[0]
    assert (line.quantity_shipped, line.quantity_elsewhere) == (2, 0)


def test_units_not_routed_yet_say_nothing_of_elsewhere_and_hold_the_order(parsed):
    def unroute(order):
        order["fulfillmentOrders"]["nodes"] = []

    for locations in (OURS, frozenset()):
        sight = parsed("paid", change=unroute, locations=locations)
        assert sight.lines[0].quantity_elsewhere is None
        assert sight.facts.channel_holds == ("not_routed",)


@pytest.mark.parametrize(
    "change",
    [
        lambda order: order.update(cancelledAt="2026-11-02T10:00:00Z"),
        lambda order: order["lineItems"]["nodes"][0].update(unfulfilledQuantity=0),
        lambda order: order["lineItems"]["nodes"][0].update(requiresShipping=False),
    ],
)
def test_an_order_that_asks_for_no_work_is_not_held_for_want_of_it(change, parsed):
    def unroute(order):
        order["fulfillmentOrders"]["nodes"] = []
        change(order)

    sight = parsed("paid", change=unroute)
    assert sight.facts.channel_holds == ()
    assert sight.lines[0].quantity_elsewhere == 0


@pytest.mark.proves("I-06")
def test_units_no_work_shows_are_elsewhere_only_where_the_order_was_read_whole(parsed):
    def hide(order):
        order["fulfillmentOrders"]["nodes"][0]["lineItems"]["nodes"] = []

    whole = parsed("paid", change=hide).lines[0]
    assert whole.quantity_elsewhere == whole.quantity_ordered
    assert parsed("paid", change=hide, is_complete=False).lines[0].quantity_elsewhere == 0


HERE, THERE = "gid://shopify/Location/71", "gid://shopify/Location/999"


def _two_lines(order, here, there):
    """Two lines of one unit each; the work of each at the given place, or not shown (None)."""
    (line, *_), (work, *_) = order["lineItems"]["nodes"], order["fulfillmentOrders"]["nodes"]
    lines, works = [], []
    for number, place in ((1, here), (2, there)):
        gid = f"gid://shopify/LineItem/{number}"
        units = {"quantity": 1, "currentQuantity": 1, "unfulfilledQuantity": 1}
        lines.append({**copy.deepcopy(line), **units, "id": gid})
        if place is not None:
            one = copy.deepcopy(work)
            one |= {"assignedLocation": {"location": {"id": place}}, "status": "OPEN"}
            (work_line, *_) = one["lineItems"]["nodes"]
            work_line |= {"lineItem": {"id": gid}, "totalQuantity": 1, "remainingQuantity": 1}
            one["lineItems"]["nodes"] = [work_line]
            works.append(one)
    order["lineItems"]["nodes"], order["fulfillmentOrders"]["nodes"] = lines, works


@pytest.mark.parametrize(
    ("here", "there", "elsewhere", "holds"),
    [
        (HERE, HERE, [0, 0], ()),
        (HERE, THERE, [0, 1], ()),
        (HERE, None, [0, 1], ()),  # a service's work, which no scope of ours shows
        (THERE, THERE, [1, 1], ()),
        # Where nothing of ours shows, ours may be what is hidden: nothing is let go.
        (THERE, None, [1, None], ("not_routed",)),
        (None, None, [None, None], ("not_routed",)),
    ],
)
@pytest.mark.proves("I-06")
def test_units_count_as_elsewhere_only_where_that_is_sure(here, there, elsewhere, holds, parsed):
    sight = parsed("paid", change=lambda order: _two_lines(order, here, there))
    assert [line.quantity_elsewhere for line in sight.lines] == elsewhere
    assert sight.facts.channel_holds == holds


def test_without_location_ids_the_places_the_reader_found_are_ours(parsed):
    places = ["gid://shopify/Location/71"]
    found = parsed("in-two-places", locations=frozenset(), places=places).lines[0]
    assert found == parsed("in-two-places").lines[0]


def test_only_what_lies_on_a_shelf_is_stocked(parsed):
    lines = {line.title: line for line in parsed("of-many-kinds").lines}
    assert {title: line.is_stocked for title, line in lines.items()} == {
        "Article TEE-M": None,  # its variant was deleted after the sale
        "Tip": False,
        "Article GIFT": False,
        "Custom carving": False,
        "Article UNTRACKED": False,
    }
    assert lines["Article TEE-M"].channel_listing_id == "gid://shopify/InventoryItem/9001"
    assert lines["Custom carving"].channel_listing_id is None


def test_a_tip_does_not_keep_the_order_open(parsed):
    tip = next(line for line in parsed("of-many-kinds").lines if line.title == "Tip")
    assert (tip.quantity_shipped, tip.quantity_cancelled) == (1, 0)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PAID", OrderState.OPEN),
        ("PARTIALLY_REFUNDED", OrderState.OPEN),
        ("PENDING", OrderState.PENDING),
        ("AUTHORIZED", OrderState.PENDING),
        ("VOIDED", OrderState.PENDING),
        ("EXPIRED", OrderState.PENDING),
        ("REFUNDED", OrderState.PENDING),
        ("PARTIALLY_PAID", OrderState.PENDING),
        (None, None),
    ],
)
def test_the_financial_status_decides_the_state(status, state, parsed):
    sight = parsed("paid", change=lambda order: order.update(displayFinancialStatus=status))
    assert sight.facts.state is state
    assert sight.facts.unmapped_codes == ()


@pytest.mark.proves("F42")
def test_an_unknown_status_is_held_and_named(parsed):
    facts = parsed("in-yen-shown-in-euro").facts
    assert facts.state is None
    assert facts.unmapped_codes == ("order_status: SOMETHING_NEW",)


@pytest.mark.proves("F25", "C-22")
def test_an_order_without_address_is_an_order(parsed):
    facts = parsed("held-with-address-withheld").facts
    assert facts.buyer is None
    assert facts.recipient is None


def test_holds_are_named_in_our_words_and_unknown_ones_in_theirs(parsed):
    facts = parsed("held-with-address-withheld").facts
    assert facts.channel_holds == ("SOMETHING_NEW", "fraud_risk", "scheduled")
    assert facts.ship_by == datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.proves("I-10")
def test_where_no_permission_shows_returns_the_refund_tells_of_the_goods(parsed):
    def hide(order):
        order["returns"] = None

    assert parsed("returned", change=hide).lines[0].quantity_returned == 3


def test_our_own_hold_is_told_apart_from_others(parsed):
    def hold(order):
        ours = {"reason": "OTHER", "handle": "oms-sync", "heldByRequestingApp": True}
        named_alike = {"reason": "HIGH_RISK_OF_FRAUD", "handle": "oms-sync"}
        order["fulfillmentOrders"]["nodes"][0] |= {
            "status": "ON_HOLD",
            "fulfillmentHolds": [ours, named_alike | {"heldByRequestingApp": False}],
        }

    assert parsed("paid", change=hold).facts.channel_holds == ("fraud_risk", "hub")


def test_money_is_exact_in_both_currencies(parsed):
    facts = parsed("in-yen-shown-in-euro").facts
    assert facts.total is not None
    assert facts.presentment_total is not None
    assert (facts.total.text(), facts.total.currency) == ("1200", "JPY")
    assert (facts.presentment_total.text(), facts.presentment_total.currency) == ("7.40", "EUR")
    assert parsed("paid").facts.presentment_total is None


@pytest.mark.proves("I-06")
def test_a_half_read_order_says_so_and_does_not_list_its_lines(parsed):
    facts = parsed("half-read").facts
    assert facts.is_complete is False
    assert facts.line_ids is None


@pytest.mark.proves("A24", "A27", "A28")
@pytest.mark.parametrize(
    "change",
    [
        lambda order: order.update(updatedAt="2026-11-02T09:00:00"),
        lambda order: order.update(updatedAt="2026-13-02T09:00:00Z"),
        lambda order: order.update(updatedAt="2026-11-02T09:00:00+24:00"),
        lambda order: order.update(id="gid://shopify/Order/x"),
        lambda order: order.update(id=7),
        lambda order: order.update(lineItems=None),
        lambda order: order.pop("totalPriceSet"),
        lambda order: order["lineItems"]["nodes"][0].update(quantity=-1),
        lambda order: order["lineItems"]["nodes"][0].update(quantity=True),
        lambda order: order["lineItems"]["nodes"][0].update(quantity=2**63),
        lambda order: order["lineItems"]["nodes"][0].update(quantity=1.5),
        lambda order: order["totalPriceSet"]["shopMoney"].update(amount="NaN"),
        lambda order: order["totalPriceSet"]["shopMoney"].update(currencyCode="dollars"),
    ],
)
def test_a_payload_that_means_nothing_is_bad_payload(change, parsed):
    with pytest.raises(BadPayload):
        parsed("paid", change=change)


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_the_only_error_is_bad_payload(payload):
    with pytest.raises(BadPayload):
        parse_order(payload, SEEN_AT, tables={}, locations=OURS)


@given(
    ordered=st.integers(0, 20),
    shipped=st.integers(0, 20),
    unfulfilled=st.integers(0, 20),
    current=st.integers(0, 20),
    kinds=st.dictionaries(
        st.sampled_from(["CANCEL", "RETURN", "NO_RESTOCK", "LEGACY_RESTOCK"]), st.integers(0, 9)
    ),
)
def test_no_numbers_however_odd_make_a_unit_of_nothing(
    ordered, shipped, unfulfilled, current, kinds
):
    from connectors.shopify import CONNECTOR
    from oms_sync.runtime.mapping_files import load_tables

    payload = _envelope(ordered, shipped, unfulfilled, current, kinds)
    tables = _TABLES.setdefault("all", load_tables(CONNECTOR.manifest))
    (line,) = parse_order(payload, SEEN_AT, tables=tables, locations=OURS).lines
    assert 0 <= (line.quantity_cancelled or 0) <= ordered
    assert 0 <= (line.quantity_restocked or 0) <= ordered


def test_parsing_an_ordinary_order_is_quick(recordings, tables):
    payload = (recordings / "order-shipped-in-part-and-refunded.json").read_bytes()
    rounds = 200
    best = min(_seconds(payload, tables, rounds) for _ in range(5)) / rounds
    assert best < 0.002, f"{best * 1000:.2f} ms an order; the aim is 0.5"


_TABLES: dict = {}


def _seconds(payload, tables, rounds):
    began = time.perf_counter()
    for _ in range(rounds):
        parse_order(payload, SEEN_AT, tables=tables, locations=OURS)
    return time.perf_counter() - began


def _envelope(ordered, shipped, unfulfilled, current, kinds):
    line, place = {"id": "gid://shopify/LineItem/1"}, {"id": "gid://shopify/Location/71"}
    money = {"shopMoney": {"amount": "1.00", "currencyCode": "USD"}}
    order = dict.fromkeys(
        "cancelledAt cancelReason displayFinancialStatus displayFulfillmentStatus email phone "
        "billingAddress shippingAddress shippingLine totalTaxSet totalDiscountsSet "
        "totalShippingPriceSet".split()
    ) | {
        "id": "gid://shopify/Order/1",
        "name": "#1",
        "createdAt": "2026-11-02T09:00:00Z",
        "updatedAt": "2026-11-02T09:00:00Z",
        "test": False,
        "currencyCode": "USD",
        "taxesIncluded": False,
        "totalPriceSet": money | {"presentmentMoney": money["shopMoney"]},
        "lineItems": {
            "nodes": [
                line
                | {
                    "sku": "A",
                    "name": "A",
                    "quantity": ordered,
                    "currentQuantity": current,
                    "unfulfilledQuantity": unfulfilled,
                    "requiresShipping": True,
                    "isGiftCard": False,
                    "originalUnitPriceSet": money,
                    "variant": None,
                }
            ]
        },
        "fulfillmentOrders": {"nodes": []},
        "fulfillments": [
            {
                "status": "SUCCESS",
                "location": place,
                "fulfillmentLineItems": {
                    "nodes": [{"quantity": min(shipped, ordered), "lineItem": line}]
                },
            }
        ],
        "refunds": [
            {
                "refundLineItems": {
                    "nodes": [
                        {
                            "quantity": units,
                            "restockType": kind,
                            "restocked": kind == "RETURN",
                            "location": place,
                            "lineItem": line,
                        }
                        for kind, units in kinds.items()
                    ]
                }
            }
        ],
    }
    return json.dumps({"is_complete": True, "order": order}).encode()
