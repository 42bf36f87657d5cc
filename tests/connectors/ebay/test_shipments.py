"""Tracking: the complete set per line, found again by its numbers, in units eBay does not count."""

from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from oms_sync.domain.shipment import Package, Shipment, ShipmentLine, find_shipment
from oms_sync.sdk import (
    ChannelDown,
    OutcomeUnknown,
    OutgoingPackage,
    OutgoingShipment,
    Rejected,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SALE = ("CompleteSale", "")
ORDER = "14-1"


def _line(line_id, quantity, *tracking, is_shipped=None):
    shown = "".join(
        f"<ShipmentTrackingDetails><ShippingCarrierUsed>{carrier}</ShippingCarrierUsed>"
        f"<ShipmentTrackingNumber>{number}</ShipmentTrackingNumber></ShipmentTrackingDetails>"
        for carrier, number in tracking
    )
    shipped = bool(tracking) if is_shipped is None else is_shipped
    at = "<ShippedTime>2026-03-01T11:00:00.000Z</ShippedTime>" if shipped else ""
    return (
        f"<Transaction><ShippingDetails>{shown}</ShippingDetails>"
        f"<QuantityPurchased>{quantity}</QuantityPurchased>{at}"
        f"<OrderLineItemID>{line_id}</OrderLineItemID></Transaction>"
    )


def _order(*lines, extra="<OrderStatus>Completed</OrderStatus>"):
    inner = (
        f"<OrderID>{ORDER}</OrderID>{extra}<TransactionArray>{''.join(lines)}</TransactionArray>"
    )
    return ("GetOrders", f"<OrderArray><Order>{inner}</Order></OrderArray>")


def _shipment(lines, *numbers, key="s1", carrier="ups", shipped_at=NOW):
    return OutgoingShipment(
        key=key,
        channel_order_id=ORDER,
        lines=lines,
        packages=tuple(
            OutgoingPackage(carrier=carrier, tracking_number=one, tracking_url=None)
            for one in numbers
        ),
        service=None,
        shipped_at=shipped_at,
    )


def _missing(session, sent, claimed=()):
    """What the hub's own look says the channel lacks of a shipment."""
    ours = Shipment(
        shipment_id=sent.key,
        order_id="o",
        account="ebay-a",
        channel_order_id=ORDER,
        lines=tuple(
            ShipmentLine(line_id=one, channel_line_id=one, quantity=units)
            for one, units in sent.lines.items()
        ),
        packages=tuple(
            Package(carrier=one.carrier, tracking_number=one.tracking_number)
            for one in sent.packages
        ),
        shipped_at=sent.shipped_at,
    )
    found = find_shipment(ours, session.read_shipments(ORDER), claimed)
    return dict(found.missing), tuple(part.channel_shipment_id for part in found.parts)


@pytest.fixture
def sales(scripted):
    """What CompleteSale was asked, per call: line, tracking, time."""

    def read():
        found = []
        for body in scripted.bodies("CompleteSale"):
            root = etree.fromstring(body.encode())
            for element in root.iter():
                element.tag = etree.QName(element).localname
            details = [
                tuple(each.text for each in one)
                for one in root.findall("Shipment/ShipmentTrackingDetails")
            ]
            time = root.findtext("Shipment/ShippedTime")
            found.append((root.findtext("OrderLineItemID"), details, time))
        return found

    return read


def test_each_line_is_told_by_its_own_id_with_every_package_already_there(
    answers, make_session, sales
):
    answers(_order(_line("1-1", 3, ("DHL", "OLD1")), _line("2-2", 1)), SALE)
    make_session().push_shipment(_shipment({"1-1": 2, "2-2": 1}, "1Z-9 9"))
    assert [one[:2] for one in sales()] == [
        ("1-1", [("DHL", "OLD1"), ("UPS", "1Z99")]),
        ("2-2", [("UPS", "1Z99")]),
    ]


def test_goods_are_never_sent_in_the_future(answers, make_session, sales):
    answers(_order(_line("1-1", 1)), SALE)
    make_session().push_shipment(_shipment({"1-1": 1}, "A", shipped_at=NOW + timedelta(hours=1)))
    assert sales()[0][2] == "2026-03-01T12:00:00.000Z"


def test_a_carrier_ebay_does_not_know_is_other(answers, make_session, sales):
    answers(_order(_line("1-1", 1)), SALE)
    make_session().push_shipment(_shipment({"1-1": 1}, "A", carrier="bike_courier"))
    assert sales()[0][1] == [("Other", "A")]


@pytest.mark.proves("I-28", "F36")
def test_a_part_of_a_line_is_found_again_with_its_own_units(answers, make_session):
    first, second = _shipment({"1-1": 1}, "A-1"), _shipment({"1-1": 1}, "B-2", key="s2")
    session = make_session()
    answers(_order(_line("1-1", 2)), SALE)
    session.push_shipment(first)
    answers(_order(_line("1-1", 2, ("UPS", "A1"))))
    missing, parts = _missing(session, first)
    assert missing == {}
    assert _missing(session, second, parts) == ({"1-1": 1}, ())
    answers(_order(_line("1-1", 2, ("UPS", "A1"))), SALE)
    session.push_shipment(second)
    answers(_order(_line("1-1", 2, ("UPS", "A1"), ("UPS", "B2"))))
    assert _missing(session, first)[0] == {}
    assert _missing(session, second, parts)[0] == {}


def test_a_whole_line_is_found_again_by_a_session_that_never_sent_it(answers, make_session):
    answers(_order(_line("1-1", 2, ("UPS", "A1")), _line("2-2", 1, ("UPS", "A1"))))
    assert _missing(make_session(), _shipment({"1-1": 2, "2-2": 1}, "A1"))[0] == {}


@pytest.mark.proves("I-31", "I-28")
def test_after_a_restart_a_part_is_learnt_again_without_a_second_effect(
    answers, make_session, sales
):
    sent = _shipment({"1-1": 1}, "A1")
    answers(_order(_line("1-1", 2, ("UPS", "A1"))))
    session = make_session()
    assert _missing(session, sent)[0] == {"1-1": 1}
    session.push_shipment(sent)  # eBay shows its package already: nothing is left to tell
    assert sales() == []
    assert _missing(session, sent)[0] == {}


def test_two_parts_of_a_line_may_travel_in_one_parcel(answers, make_session):
    session = make_session()
    first, second = _shipment({"1-1": 1}, "A1"), _shipment({"1-1": 1}, "A1", key="s2")
    answers(_order(_line("1-1", 2, ("UPS", "A1"))))
    session.push_shipment(first)
    _, parts = _missing(session, first)
    assert _missing(session, second, parts)[0] == {"1-1": 1}
    session.push_shipment(second)
    assert _missing(session, second, parts)[0] == {}


def test_a_shipment_without_number_marks_the_line_and_nothing_else(answers, make_session, sales):
    sent, session = _shipment({"1-1": 1}), make_session()
    answers(_order(_line("1-1", 1)), SALE)
    session.push_shipment(sent)
    assert sales()[0][:2] == ("1-1", [])
    answers(_order(_line("1-1", 1, is_shipped=True)))
    assert _missing(session, sent)[0] == {}


def test_what_was_sent_and_is_not_shown_counts_as_missing(answers, make_session):
    sent, session = _shipment({"1-1": 1}, "A1"), make_session()
    answers(_order(_line("1-1", 2)), SALE)
    session.push_shipment(sent)
    answers(_order(_line("1-1", 2)))  # answered as done, and dropped
    assert _missing(session, sent)[0] == {"1-1": 1}


@pytest.mark.proves("I-30", "F34")
@pytest.mark.parametrize(
    "extra",
    ["<OrderStatus>Cancelled</OrderStatus>", "<CancelStatus>CancelComplete</CancelStatus>"],
)
def test_a_cancelled_order_is_never_told_as_sent(extra, answers, make_session, sales):
    answers(_order(_line("1-1", 1), extra=extra))
    with pytest.raises(Rejected, match="cancelled"):
        make_session().push_shipment(_shipment({"1-1": 1}, "A1"))
    assert sales() == []


@pytest.mark.proves("I-30", "F34")
def test_a_cancelled_line_is_never_told_as_sent(answers, make_session, sales):
    gone = _line("1-1", 1).replace(
        "<OrderLineItemID>",
        "<Status><CancelStatus>CancelComplete</CancelStatus></Status><OrderLineItemID>",
    )
    order, session = _order(gone, _line("2-2", 1)), make_session()
    answers(order, order, SALE)
    with pytest.raises(Rejected, match="cancelled"):
        session.push_shipment(_shipment({"1-1": 1, "2-2": 1}, "A1"))
    session.push_shipment(_shipment({"2-2": 1}, "A1"))
    assert [one[0] for one in sales()] == ["2-2"]


def test_a_number_ebay_writes_otherwise_is_the_same_number(answers, make_session, sales):
    sent, session = _shipment({"1-1": 1}, "ab-1"), make_session()
    answers(_order(_line("1-1", 2, ("UPS", "AB 1"))))
    session.push_shipment(sent)
    assert (sales(), _missing(session, sent)[0]) == ([], {})


def test_an_unknown_order_or_line_is_refused_with_its_name(answers, make_session):
    answers(("GetOrders", "<OrderArray/>"))
    with pytest.raises(Rejected, match=ORDER):
        make_session().push_shipment(_shipment({"1-1": 1}, "A1"))
    answers(_order(_line("1-1", 1)))
    with pytest.raises(Rejected, match="9-9"):
        make_session().push_shipment(_shipment({"9-9": 1}, "A1"))


def test_a_number_in_use_elsewhere_is_refused_and_not_remembered(answers, make_session, say):
    sent, session = _shipment({"1-1": 1}, "A1"), make_session()
    answers(_order(_line("1-1", 1)), ("CompleteSale", say.fault(21916964), {"ack": "Failure"}))
    with pytest.raises(Rejected, match="in use elsewhere"):
        session.push_shipment(sent)
    answers(_order(_line("1-1", 1)))
    assert _missing(session, sent)[0] == {"1-1": 1}


def test_a_partial_failure_of_a_sale_is_no_success(answers, make_session, say):
    failed = ("CompleteSale", say.fault(99999), {"ack": "PartialFailure"})
    answers(_order(_line("1-1", 1)), failed)
    with pytest.raises(Rejected):
        make_session().push_shipment(_shipment({"1-1": 1}, "A1"))


def test_trouble_after_the_first_line_leaves_the_rest_unknown(answers, make_session, say):
    answers(
        _order(_line("1-1", 1), _line("2-2", 1)),
        SALE,
        ("CompleteSale", say.fault(99999), {"ack": "Failure"}),
    )
    with pytest.raises(OutcomeUnknown, match="a part"):
        make_session().push_shipment(_shipment({"1-1": 1, "2-2": 1}, "A1"))


@pytest.mark.proves("F02")
def test_a_lost_answer_is_unknown_and_found_by_a_look(answers, make_session):
    sent, session = _shipment({"1-1": 1}, "A1"), make_session()
    answers(_order(_line("1-1", 2)), (200, {}, b""))
    with pytest.raises(OutcomeUnknown):
        session.push_shipment(sent)
    answers(_order(_line("1-1", 2, ("UPS", "A1"))))
    assert _missing(session, sent)[0] == {}


def test_a_look_that_fails_is_down(answers, make_session):
    answers((503, {}, b""))
    with pytest.raises(ChannelDown):
        make_session().read_shipments(ORDER)


def test_shadow_mode_tells_nothing(answers, make_session, sales):
    answers(_order(_line("1-1", 1)))
    with pytest.raises(Rejected, match="shadow"):
        make_session(may_write=False).push_shipment(_shipment({"1-1": 1}, "A1"))
    assert sales() == []
