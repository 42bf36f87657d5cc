"""Quantities and shipments as Amazon's bodies."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.amazon import render
from oms_sync.sdk import OutgoingPackage, OutgoingShipment, Rejected, StockPush

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def _push(sku, quantity):
    return StockPush(channel_listing_id=sku, channel_sku=sku, quantity=quantity, expected=None)


def _shipment(lines, *carriers, service=None, shipped_at=NOW - timedelta(hours=1), numbers=None):
    numbers = numbers or [f"1Z{n}" for n, _ in enumerate(carriers)]
    return OutgoingShipment(
        key="shipment-1",
        channel_order_id="111-0000000-0000001",
        lines=lines,
        packages=tuple(
            OutgoingPackage(carrier=carrier, tracking_number=number, tracking_url=None)
            for carrier, number in zip(carriers, numbers, strict=True)
        ),
        service=service,
        shipped_at=shipped_at,
    )


@pytest.fixture
def confirm(tables, shown_order):
    def act(shipment, **changes):
        return render.confirmations(shipment, shown_order(**changes), tables, NOW)

    return act


# --- quantities ----------------------------------------------------------------------------------


def test_a_patch_sets_the_merchants_quantity_and_keeps_the_rest():
    assert render.patch(7) == {
        "productType": "PRODUCT",
        "patches": [
            {
                "op": "merge",
                "path": "/attributes/fulfillment_availability",
                "value": [{"fulfillment_channel_code": "DEFAULT", "quantity": 7}],
            }
        ],
    }


def test_a_feed_holds_patches_alone_numbered_from_one():
    body = json.loads(render.feed("A1EXAMPLESELLER", [_push("TÉE/M", 3), _push("MUG", 0)]))
    assert body["header"] == {
        "sellerId": "A1EXAMPLESELLER",
        "version": "2.0",
        "issueLocale": "en_US",
    }
    assert [(one["messageId"], one["sku"]) for one in body["messages"]] == [
        (1, "TÉE/M"),
        (2, "MUG"),
    ]
    assert {one["operationType"] for one in body["messages"]} == {"PATCH"}, "UPDATE erases the rest"
    assert body["messages"][1]["patches"] == render.patch(0)["patches"]


def test_a_feed_keeps_to_amazons_sizes():
    with pytest.raises(Rejected):
        render.feed("A1EXAMPLESELLER", [_push("S", 1)] * (render.FEED_MESSAGES_MAX + 1))
    with pytest.raises(Rejected):
        render.feed("A1EXAMPLESELLER", [_push("S" * 3000, 1)] * 5000)


@pytest.mark.parametrize("sku", [".", ".."])
def test_a_sku_that_vanishes_in_an_address_is_refused(sku):
    with pytest.raises(Rejected):
        render.check_sku(sku)
    assert render.check_sku("a/b c%+é") == "a/b c%+é"


# --- shipments -----------------------------------------------------------------------------------


def test_a_shipment_becomes_one_confirmation(confirm):
    (body,) = confirm(_shipment({"90000000000001": 2}, "ups", service="standard"))
    detail = body["packageDetail"]
    assert body["marketplaceId"] == "ATVPDKIKX0DER"
    assert detail.pop("packageReferenceId").isdecimal()
    assert detail == {
        "carrierCode": "UPS",
        "trackingNumber": "1Z0",
        "shipDate": "2026-11-02T08:00:00Z",
        "orderItems": [{"orderItemId": "90000000000001", "quantity": 2}],
        "shippingMethod": "STANDARD",
    }


def test_an_unknown_carrier_is_other_with_its_name(confirm):
    (body,) = confirm(_shipment({"1": 1}, "bike_courier"))
    detail = body["packageDetail"]
    assert (detail["carrierCode"], detail["carrierName"]) == ("Other", "bike_courier")


def test_a_ship_date_is_never_in_the_future(confirm):
    (body,) = confirm(_shipment({"1": 1}, "ups", shipped_at=NOW + timedelta(days=1)))
    assert body["packageDetail"]["shipDate"] == "2026-11-02T09:00:00Z"


@pytest.mark.proves("I-28", "B-21")
def test_the_same_shipment_has_the_same_references_at_every_attempt(confirm):
    first, second = (confirm(_shipment({"1": 3}, "ups", "ups")) for _ in range(2))
    assert first == second
    references = [body["packageDetail"]["packageReferenceId"] for body in first]
    assert references[0][:-2] == references[1][:-2]
    assert [reference[-2:] for reference in references] == ["01", "02"]


@given(st.text(min_size=1, max_size=60), st.integers(1, render.PACKAGES_MAX))
def test_a_reference_is_a_positive_number_of_one_length(key, number):
    reference = render.package_reference(key, number)
    assert reference.isascii()
    assert reference.isdecimal()
    assert len(reference) == render.SHIPMENT_DIGITS + 2
    assert int(reference) > 0
    assert reference != render.package_reference(key + "x", number)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1), st.integers(1, 60)
)
@pytest.mark.proves("I-30")
def test_packages_share_the_units_out_and_none_is_empty(lines, packages):
    if packages > sum(lines.values()):
        with pytest.raises(Rejected, match="packages for"):
            render._contents(lines, packages)
        return
    contents = render._contents(lines, packages)
    assert len(contents) == packages
    assert all(sum(part.values()) >= 1 for part in contents)
    found: dict[str, int] = {}
    for part in contents:
        for line, units in part.items():
            found[line] = found.get(line, 0) + units
    assert found == lines


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"by": "AMAZON"}, "Amazon ships this order itself"),
        ({"status": "PENDING"}, "is PENDING"),
        ({"status": "CANCELLED"}, "is CANCELLED"),
        ({"programs": ["FBM_SHIP_PLUS"]}, "with the label"),
        ({"programs": ["AMAZON_EASY_SHIP"]}, "with the label"),
        ({"salesChannel": {"channelName": "AMAZON"}}, "where it was placed"),
        ({"fulfillment": {}}, "ships this order itself"),
    ],
)
def test_what_may_not_be_confirmed_is_refused_with_a_reason(changes, reason, confirm):
    with pytest.raises(Rejected, match=reason):
        confirm(_shipment({"1": 1}, "ups"), **changes)


def test_lines_with_transparency_codes_are_refused_others_are_not(confirm, shown_order):
    lines = shown_order()["orderItems"]
    coded = [{**lines[0], "programs": ["TRANSPARENCY"]}]
    with pytest.raises(Rejected, match="Transparency"):
        confirm(_shipment({lines[0]["orderItemId"]: 1}, "ups"), orderItems=coded)
    assert confirm(_shipment({"another": 1}, "ups"), orderItems=coded)


@pytest.mark.parametrize("carriers", [[], ["ups"]])
def test_a_shipment_needs_a_tracking_number_for_each_package(carriers, confirm):
    with pytest.raises(Rejected, match="tracking number"):
        confirm(_shipment({"1": 1}, *carriers, numbers=[None for _ in carriers]))


def test_more_packages_than_two_digits_count_are_refused(confirm):
    with pytest.raises(Rejected, match="more than"):
        confirm(_shipment({"1": 200}, *["ups"] * 100))
