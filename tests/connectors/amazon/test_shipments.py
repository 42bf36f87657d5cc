"""Tracking: confirmed package by package, believed only when it is seen."""

from datetime import timedelta

import httpx
import pytest

from connectors.amazon.render import package_reference
from oms_sync.domain.shipment import Package, Shipment, ShipmentLine, find_shipment
from oms_sync.sdk import (
    AuthFailed,
    ChannelDown,
    OutcomeUnknown,
    OutgoingPackage,
    OutgoingShipment,
    RateLimited,
    Rejected,
)
from oms_sync.sdk.testing import FakeClock

NOW = FakeClock().now()
ORDER_ID, LINE = "111-0000000-0000001", "90000000000001"


def _refusal(message, status=400):
    return httpx.Response(status, json={"errors": [{"code": "InvalidInput", "message": message}]})


def _outgoing(*numbers, units=2, key="s1"):
    return OutgoingShipment(
        key=key,
        channel_order_id=ORDER_ID,
        lines={LINE: units},
        packages=tuple(
            OutgoingPackage(carrier="ups", tracking_number=number, tracking_url=None)
            for number in numbers
        ),
        service=None,
        shipped_at=NOW - timedelta(hours=1),
    )


def _package(reference, number, units=1, **more):
    items = [{"orderItemId": LINE, "quantity": units}]
    return {
        "packageReferenceId": reference,
        "trackingNumber": number,
        "packageItems": items,
        **more,
    }


@pytest.fixture
def session(amazon, open_session, shown_order):
    amazon.on("getOrder", {"order": shown_order(1)})
    amazon.on("confirmShipment", 204)
    return open_session()


def test_each_package_is_one_confirmation(amazon, session):
    session.push_shipment(_outgoing("1Z0", "1Z1"))
    bodies = [asked.json["packageDetail"] for asked in amazon.of("confirmShipment")]
    assert [body["trackingNumber"] for body in bodies] == ["1Z0", "1Z1"]
    assert all(isinstance(body["packageReferenceId"], str) for body in bodies)
    assert all(isinstance(body["orderItems"], list) for body in bodies)
    assert amazon.of("confirmShipment")[0].url.path.endswith(f"{ORDER_ID}/shipmentConfirmation")
    assert amazon.of("confirmShipment")[0].json["marketplaceId"] == "ATVPDKIKX0DER"


def test_a_look_just_before_serves_the_push_too(amazon, open_session, shown_order):
    clock = FakeClock()
    amazon.on("getOrder", {"order": shown_order(1)})
    amazon.on("confirmShipment", 204)
    session = open_session(clock=clock)
    session.read_shipments(ORDER_ID)
    session.push_shipment(_outgoing("1Z0"))
    assert amazon.counts["getOrder"] == 1
    assert amazon.of("getOrder")[0].query["includedData"] == "FULFILLMENT,PACKAGES"
    session.read_shipments(ORDER_ID)
    clock.advance(31)
    session.push_shipment(_outgoing("1Z0"))
    assert amazon.counts["getOrder"] == 3, "an old look is none"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"by": "AMAZON"}, "ships this order itself"),
        ({"status": "CANCELLED"}, "CANCELLED"),
        ({"programs": ["FBM_SHIP_PLUS"]}, "label"),
    ],
)
def test_what_may_not_be_confirmed_is_never_sent(changes, reason, amazon, session, shown_order):
    amazon.on("getOrder", {"order": shown_order(1, **changes)})
    with pytest.raises(Rejected, match=reason):
        session.push_shipment(_outgoing("1Z0"))
    assert amazon.counts["confirmShipment"] == 0


@pytest.mark.proves("F02", "F06", "I-28")
@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([httpx.ReadTimeout("late")], OutcomeUnknown),
        ([500], OutcomeUnknown),
        ([_refusal("Unable to find package to update")], OutcomeUnknown),
        ([429], RateLimited),
        ([httpx.ConnectError("refused")], ChannelDown),
        ([_refusal("Invalid shipDate")], Rejected),
        # the first package is confirmed: only a look tells how much
        ([204, _refusal("Invalid shipDate")], OutcomeUnknown),
        ([204, 429], OutcomeUnknown),
        ([204, 500], OutcomeUnknown),
    ],
)
def test_what_became_of_a_confirmation_is_never_guessed(answers, error, amazon, session):
    amazon.on("confirmShipment", *answers)
    with pytest.raises(error) as raised:
        session.push_shipment(_outgoing("1Z0", "1Z1"))
    if error is not OutcomeUnknown:
        assert not isinstance(raised.value, OutcomeUnknown)
    assert amazon.counts["confirmShipment"] == len(answers)


def test_revoked_credentials_are_told_as_such_even_halfway(amazon, session):
    denied = httpx.Response(403, json={"errors": [{"code": "Unauthorized", "message": "no"}]})
    amazon.on("confirmShipment", 204, denied)
    amazon.on(
        "token",
        {"access_token": "Atza|1", "expires_in": 3600},
        httpx.Response(400, json={"error": "invalid_grant"}),
    )
    with pytest.raises(AuthFailed):
        session.push_shipment(_outgoing("1Z0", "1Z1"))


def test_packages_of_one_shipment_are_found_as_one(amazon, session, shown_order):
    ours = [package_reference("s1", n) for n in (1, 2)]
    packages = [
        _package(ours[0], "1Z0"),
        _package("FOREIGN-1", "1Z9", units=3),
        _package(ours[1], "1Z1"),
    ]
    amazon.on("getOrder", {"order": shown_order(1, packages=packages)})
    found = {one.channel_shipment_id: one for one in session.read_shipments(ORDER_ID)}
    assert len(found) == 2
    mine = found[ours[0][:-2]]
    assert (mine.lines, mine.tracking_numbers) == ({LINE: 2}, ("1Z0", "1Z1"))
    assert found["FOREIGN-1"].lines == {LINE: 3}
    shipment = Shipment(
        shipment_id="s1",
        order_id="o1",
        account="seller-a",
        channel_order_id=ORDER_ID,
        lines=(ShipmentLine(line_id="l1", channel_line_id=LINE, quantity=2),),
        packages=tuple(Package(carrier="ups", tracking_number=one) for one in ("1Z0", "1Z1")),
        shipped_at=NOW,
    )
    assert find_shipment(shipment, list(found.values()), ()).missing == {}
    half = [one for one in session.read_shipments(ORDER_ID) if one.tracking_numbers != ("1Z9",)]
    assert len(half) == 1


def test_a_package_called_off_is_a_dead_dispatch(amazon, session, shown_order):
    dead = _package("P1", "1Z0", packageStatus={"status": "CANCELLED"})
    bare = {"packageReferenceId": "P2"}
    amazon.on("getOrder", {"order": shown_order(1, packages=[dead, bare])})
    first, second = session.read_shipments(ORDER_ID)
    assert first.is_cancelled
    assert not second.is_cancelled
    assert second.tracking_numbers == ()


def test_an_order_amazon_does_not_know_is_refused(amazon, session):
    amazon.on("getOrder", _refusal("no such order", 404))
    with pytest.raises(Rejected, match="has no order"):
        session.read_shipments(ORDER_ID)
    with pytest.raises(Rejected, match="has no order"):
        session.push_shipment(_outgoing("1Z0"))


# --- against the sandbox -------------------------------------------------------------------------


def _for(seller, session, *numbers, key="s1"):
    placed = seller.place_order(2)
    (raw,) = session.read_orders_by_id([placed])
    (line,) = session.parse_order(raw.payload, seller.now()).lines
    packages = tuple(
        OutgoingPackage(carrier="royal_mail", tracking_number=one, tracking_url=None)
        for one in numbers
    )
    return OutgoingShipment(
        key=key,
        channel_order_id=placed,
        lines={line.channel_line_id: 2},
        packages=packages,
        service=None,
        shipped_at=seller.now(),
    )


@pytest.mark.proves("F09")
def test_a_204_that_did_nothing_is_seen_by_the_look(seller):
    session = seller.open()
    sent = _for(seller, session, "RM1")
    seller.sandbox.faults.set("F09", 1.0)
    session.push_shipment(sent)
    seller.heal()
    assert session.read_shipments(sent.channel_order_id) == ()
    session.push_shipment(sent)
    assert len(session.read_shipments(sent.channel_order_id)) == 1


@pytest.mark.proves("F02", "I-28", "B-21")
def test_a_confirmation_sent_again_makes_no_second_package(seller):
    session = seller.open()
    sent = _for(seller, session, "RM1", "RM2")
    for _ in range(2):
        session.push_shipment(sent)
        session.read_shipments(sent.channel_order_id)
    (found,) = session.read_shipments(sent.channel_order_id)
    assert found.tracking_numbers == ("RM1", "RM2")
    assert seller.fulfilments(sent.channel_order_id) == 1
