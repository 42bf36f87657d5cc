"""Quantities and shipments as the shop wants them written."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.shopify import render
from connectors.shopify.shipments import ShipmentDesk
from oms_sync.sdk import OutgoingPackage, OutgoingShipment, Rejected, StockBatch, StockPush

HERE, THERE = "gid://shopify/Location/71", "gid://shopify/Location/72"


def _batch(*entries, key="b-1"):
    pushes = tuple(
        StockPush(channel_listing_id=gid, channel_sku=gid, quantity=quantity, expected=expected)
        for gid, quantity, expected in entries
    )
    return StockBatch(key=key, entries=pushes)


def _work(number, lines, *, status="OPEN", location=HERE, actions=("CREATE_FULFILLMENT",)):
    return {
        "id": f"gid://shopify/FulfillmentOrder/{number}",
        "status": status,
        "supportedActions": [{"action": action} for action in actions],
        "assignedLocation": {"location": {"id": location} if location else None},
        "lineItems": {
            "nodes": [
                {
                    "id": f"gid://shopify/FulfillmentOrderLineItem/{number}{line}",
                    "remainingQuantity": units,
                    "lineItem": {"id": f"gid://shopify/LineItem/{line}"},
                }
                for line, units in lines
            ]
        },
    }


def _package(carrier="ups", number="1Z1", url=None):
    return OutgoingPackage(carrier=carrier, tracking_number=number, tracking_url=url)


def _shipment(*packages):
    return OutgoingShipment(
        key="s-1",
        channel_order_id="1",
        lines={"1": 1},
        packages=packages,
        service=None,
        shipped_at=datetime(2026, 11, 2, tzinfo=UTC),
    )


def test_a_batch_sets_available_and_always_says_what_it_changes_from():
    variables = render.set_stock(_batch(("a", 5, 4), ("b", 0, None)), HERE)
    assert variables["input"]["name"] == "available"
    assert variables["input"]["reason"] == "correction"
    assert variables["input"]["quantities"] == [
        {"inventoryItemId": "a", "locationId": HERE, "quantity": 5, "changeFromQuantity": 4},
        {"inventoryItemId": "b", "locationId": HERE, "quantity": 0, "changeFromQuantity": None},
    ]


def test_a_batch_key_is_the_same_uuid_at_every_attempt_and_another_for_another_batch():
    first, again = (render.set_stock(_batch(("a", 5, 4)), HERE)["key"] for _ in range(2))
    other = render.set_stock(_batch(("a", 5, 4), key="b-2"), HERE)["key"]
    assert first == again != other
    assert str(uuid.UUID(first)) == first


def test_units_are_spread_over_open_work_and_grouped_by_place():
    works = [
        _work(1, [("1", 2)]),
        _work(2, [("1", 2), ("2", 1)], location=THERE),
        _work(3, [("2", 5)], status="CLOSED"),
    ]
    plan = render.plan_dispatches({"1": 3, "2": 1}, works, frozenset())
    assert plan.groups == {
        HERE: {works[0]["id"]: {"gid://shopify/FulfillmentOrderLineItem/11": 2}},
        THERE: {
            works[1]["id"]: {
                "gid://shopify/FulfillmentOrderLineItem/21": 1,
                "gid://shopify/FulfillmentOrderLineItem/22": 1,
            }
        },
    }
    assert plan.unplaced == {}


def test_work_elsewhere_is_left_alone():
    plan = render.plan_dispatches(
        {"1": 1}, [_work(1, [("1", 1)], location=THERE)], frozenset({HERE})
    )
    assert plan.unplaced == {"1": 1}
    assert not plan.is_waiting


@pytest.mark.parametrize(
    ("status", "actions", "is_waiting"),
    [
        ("ON_HOLD", ("RELEASE_HOLD",), True),
        ("SCHEDULED", ("MARK_AS_OPEN",), True),
        ("OPEN", ("EXTERNAL",), False),
        ("CLOSED", (), False),
    ],
)
def test_work_that_cannot_be_fulfilled_now_is_not_planned(status, actions, is_waiting):
    works = [_work(1, [("1", 1)], status=status, actions=actions)]
    plan = render.plan_dispatches({"1": 1}, works, frozenset({HERE}))
    assert plan.groups == {}
    assert plan.unplaced == {"1": 1}
    assert plan.is_waiting is is_waiting


@pytest.mark.proves("I-30")
@given(
    wanted=st.dictionaries(st.sampled_from("123"), st.integers(1, 9), min_size=1),
    works=st.lists(
        st.tuples(st.lists(st.tuples(st.sampled_from("123"), st.integers(0, 9)), max_size=3)),
        max_size=4,
    ),
)
def test_never_more_is_dispatched_than_wanted_or_left(wanted, works):
    built = [_work(number, dict(lines).items()) for number, (lines,) in enumerate(works)]
    plan = render.plan_dispatches(wanted, built, frozenset())
    placed = dict.fromkeys(wanted, 0)
    left = {
        line["id"]: (line["lineItem"]["id"].rpartition("/")[2], line["remainingQuantity"])
        for work in built
        for line in work["lineItems"]["nodes"]
    }
    for group in plan.groups.values():
        for lines in group.values():
            for gid, units in lines.items():
                line_id, remaining = left[gid]
                assert 0 < units <= remaining
                placed[line_id] += units
    for line_id, units in wanted.items():
        assert placed[line_id] + plan.unplaced.get(line_id, 0) == units


@pytest.mark.parametrize(
    ("packages", "tracking"),
    [
        ((), {}),
        ((_package(number=None),), {}),
        ((_package(),), {"company": "UPS", "number": "1Z1"}),
        # a carrier no table knows goes under its own name
        ((_package("pigeon"),), {"company": "pigeon", "number": "1Z1"}),
        (
            (_package(url="https://t.example/1"),),
            {"company": "UPS", "number": "1Z1", "url": "https://t.example/1"},
        ),
        # a link that is none is left out
        ((_package(url="javascript:alert(1)"),), {"company": "UPS", "number": "1Z1"}),
        (
            (_package(url="https://t.example/1"), _package(number="1Z2")),
            {"company": "UPS", "numbers": ["1Z1", "1Z2"]},
        ),
        # two carriers cannot be said in one dispatch
        ((_package(), _package("usps", "94")), {"numbers": ["1Z1", "94"]}),
    ],
)
@pytest.mark.proves("A45")
def test_tracking_is_one_company_and_one_number_or_several(packages, tracking, tables):
    assert render.tracking_info(packages, tables["carriers"]) == tracking


def test_a_dispatch_always_lists_its_lines(tables):
    variables = render.dispatch(
        {"w1": {"l1": 2}}, _shipment(_package()), tables["carriers"], notify_buyer=True
    )
    assert variables["fulfillment"] == {
        "lineItemsByFulfillmentOrder": [
            {
                "fulfillmentOrderId": "w1",
                "fulfillmentOrderLineItems": [{"id": "l1", "quantity": 2}],
            }
        ],
        "notifyCustomer": True,
        "trackingInfo": {"company": "UPS", "number": "1Z1"},
    }


@pytest.mark.parametrize(("count", "is_taken"), [(512, True), (513, False)])
def test_a_dispatch_of_more_lines_than_the_shop_takes_is_refused_before_it_is_sent(
    count, is_taken, scripted, make_client, tables
):
    lines = {str(number): 1 for number in range(count)}
    last = {"hasNextPage": False, "endCursor": None}
    work = _work(1, lines.items()) | {"supportedActions": [{"action": "CREATE_FULFILLMENT"}]}
    work["lineItems"]["pageInfo"] = last
    order = {"id": "gid://shopify/Order/7", "createdAt": "2026-03-01T12:00:00Z"}
    order["fulfillmentOrders"] = {"nodes": [work], "pageInfo": last}
    created = {"fulfillment": {"id": "x", "status": "SUCCESS"}, "userErrors": []}
    scripted.answers = [
        (200, {}, {"data": {"order": order}}),
        (200, {}, {"data": {"fulfillmentCreate": created}}),
    ]
    desk = ShipmentDesk(make_client(), tables["carriers"], locations=frozenset, notify_buyer=False)
    shipment = replace(_shipment(_package()), lines=lines)
    if is_taken:
        desk.push(shipment)
    else:
        with pytest.raises(Rejected, match="512 lines"):
            desk.push(shipment)
    assert len(scripted.asked) == 1 + is_taken


def test_what_lies_elsewhere_is_taken_off_what_is_set_and_what_is_changed_from():
    batch = _batch(("a", 5, 4), ("b", 1, None))
    variables = render.set_stock(batch, HERE, {"a": 2, "b": 3})
    numbers = [
        (one["quantity"], one["changeFromQuantity"]) for one in variables["input"]["quantities"]
    ]
    assert numbers == [(3, 2), (0, None)]
    assert variables["key"] != render.set_stock(batch, HERE, {"a": 1, "b": 3})["key"]
    assert render.set_stock(batch, HERE, {"a": 0}) == render.set_stock(batch, HERE)
