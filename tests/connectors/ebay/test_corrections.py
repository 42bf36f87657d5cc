"""Correcting tracking at the sandbox over HTTP: new packages replace their own and no others."""

from dataclasses import replace

import pytest

from oms_sync.sdk import OutgoingPackage, OutgoingShipment, Rejected, TrackingCorrection


def _sight(seller, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, seller.now())


def _shipment(sight, *numbers, key="s1"):
    return OutgoingShipment(
        key=key,
        channel_order_id=sight.channel_order_id,
        lines={line.channel_line_id: 1 for line in sight.lines},
        packages=tuple(
            OutgoingPackage(carrier="ups", tracking_number=one, tracking_url=None)
            for one in numbers
        ),
        service=None,
        shipped_at=sight.version.at,
    )


def _correction(seller, session, order_id, old, *new):
    (dispatch,) = (one for one in session.read_shipments(order_id) if old in one.tracking_numbers)
    packages = (
        OutgoingPackage(carrier="usps", tracking_number=one, tracking_url=None) for one in new
    )
    return TrackingCorrection(
        key="k1",
        channel_order_id=order_id,
        channel_shipment_id=dispatch.channel_shipment_id,
        lines=dispatch.lines,
        packages=tuple(packages),
        service=None,
        shipped_at=seller.now(),
    )


def _parcels(seller, order_id):
    sheet = seller.sandbox.books.sheets[seller.order(order_id).id]
    return [(each.carrier, each.number) for each in sheet.parcels]


def test_a_corrected_number_replaces_its_own_and_leaves_the_other_packages(seller):
    session, placed = seller.open(), seller.place_order(2)
    sight = _sight(seller, session, placed)
    session.push_shipment(_shipment(sight, "1ZWRONG", key="s1"))
    session.push_shipment(_shipment(sight, "1ZOTHER", key="s2"))
    correction = _correction(seller, session, placed, "1ZWRONG", "9400-1", "9400-2")
    session.correct_shipment(correction)
    assert _parcels(seller, placed) == [
        ("UPS", "1ZOTHER"),
        ("USPS", "94001"),
        ("USPS", "94002"),
    ]
    again = {
        one.channel_shipment_id: one.tracking_numbers for one in session.read_shipments(placed)
    }
    assert again[correction.channel_shipment_id] == ("9400-1", "9400-2")


def test_after_a_restart_the_only_dispatch_of_the_lines_is_corrected(seller):
    session, placed = seller.open(), seller.place_order(2)
    session.push_shipment(_shipment(_sight(seller, session, placed), "1ZWRONG"))
    correction = _correction(seller, session, placed, "1ZWRONG", "9400")
    seller.open().correct_shipment(correction)
    assert _parcels(seller, placed) == [("USPS", "9400")]


def test_sessions_that_know_nothing_of_each_other_show_and_correct_one_dispatch(seller):
    placed = seller.place_order(2)
    session = seller.open()
    session.push_shipment(_shipment(_sight(seller, session, placed), "1Z-WRONG 1"))
    fresh = seller.open()
    fresh.correct_shipment(_correction(seller, fresh, placed, "1ZWRONG1", "94-00"))
    (seen,) = seller.open().read_shipments(placed)
    assert (seen.tracking_numbers, len(seen.lines)) == (("9400",), 1)
    assert _parcels(seller, placed) == [("USPS", "9400")]


def test_which_packages_are_meant_is_never_guessed(seller):
    session, placed = seller.open(), seller.place_order(2)
    sight = _sight(seller, session, placed)
    session.push_shipment(_shipment(sight, "1ZA", key="s1"))
    session.push_shipment(_shipment(sight, "1ZB", key="s2"))
    correction = replace(
        _correction(seller, session, placed, "1ZA", "9400"), channel_shipment_id="forgotten"
    )
    with pytest.raises(Rejected, match="correct them at eBay"):
        session.correct_shipment(correction)
    assert _parcels(seller, placed) == [("UPS", "1ZA"), ("UPS", "1ZB")]
