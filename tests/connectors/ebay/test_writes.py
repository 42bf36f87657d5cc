"""Cancelling, refunding, correcting at the sandbox over HTTP: looked at first, read back after."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from connectors.ebay.writes import Signer
from oms_sync.sdk import (
    ChannelDown,
    FixAccount,
    Money,
    OrderState,
    OutcomeUnknown,
    OutgoingCancellation,
    OutgoingPackage,
    OutgoingRefund,
    OutgoingShipment,
    Rejected,
)
from oms_sync.sdk.testing import FakeClock


def _sight(seller, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, seller.now())


def _cancellation(sight, *, reason="stock", is_whole=True):
    lines = {line.channel_line_id: line.quantity_ordered for line in sight.lines}
    return OutgoingCancellation(
        key="c1",
        channel_order_id=sight.channel_order_id,
        lines=lines,
        is_whole=is_whole,
        reason=reason,
    )


def _money(text):
    return Money.parse(text, "USD")


def _refund(order_id, text="1.50", **more):
    fields = {"key": "r1", "channel_order_id": order_id, "amount": _money(text)}
    return OutgoingRefund(**{**fields, "reason": "returned", **more})


def _cancellations(seller):
    return [(one.requestor, one.status) for one in seller.sandbox.post_order.known.values()]


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


# --- cancellations -------------------------------------------------------------------------------


def test_an_order_is_cancelled_by_post_order_once_whatever_is_asked_again(seller):
    session, placed = seller.open(), seller.place_order(2)
    wanted = _cancellation(_sight(seller, session, placed))
    receipt = session.cancel_order(wanted)
    assert session.follow_write(receipt) is True
    assert _sight(seller, session, placed).facts.state is OrderState.CANCELLED
    assert session.cancel_order(wanted) is None
    assert _cancellations(seller) == [("SELLER", "CANCEL_CLOSED_WITH_REFUND")]


def test_a_buyers_request_holds_the_order_and_cancelling_agrees_to_it(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.request_cancellation(placed)
    sight = _sight(seller, session, placed)
    assert sight.facts.channel_holds == ("cancellation_requested",)
    session.cancel_order(_cancellation(sight, reason="buyer"))
    assert _cancellations(seller) == [("BUYER", "CANCEL_CLOSED_WITH_REFUND")]
    sight = _sight(seller, session, placed)
    assert (sight.facts.state, sight.facts.channel_holds) == (OrderState.CANCELLED, ())


def test_a_request_the_seller_refused_holds_no_longer_and_a_new_cancellation_is_made(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.request_cancellation(placed)
    seller.sandbox.post_order.reject(placed)
    sight = _sight(seller, session, placed)
    assert sight.facts.channel_holds == ()
    session.cancel_order(_cancellation(sight))
    assert [who for who, _ in _cancellations(seller)] == ["BUYER", "SELLER"]


def test_an_unpaid_order_is_cancelled_as_unpaid(seller):
    session, placed = seller.open(), seller.place_unpaid(1)
    session.cancel_order(_cancellation(_sight(seller, session, placed), reason="payment"))
    (made,) = seller.sandbox.post_order.known.values()
    assert (made.reason, made.status) == ("ORDER_UNPAID", "CANCEL_CLOSED_FOR_COMMITMENT")
    assert _sight(seller, session, placed).facts.state is OrderState.CANCELLED


def test_a_paid_order_is_never_said_to_be_unpaid(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.cancel_order(_cancellation(_sight(seller, session, placed), reason="payment"))
    (made,) = seller.sandbox.post_order.known.values()
    assert made.reason == "OUT_OF_STOCK_OR_CANNOT_FULFILL"


def test_an_order_is_cancelled_by_the_id_it_had_before_it_was_paid(seller):
    session, unpaid = seller.open(), seller.place_unpaid(1)
    wanted = _cancellation(_sight(seller, session, unpaid))
    paid = seller.pay(unpaid)
    session.cancel_order(wanted)
    assert _sight(seller, session, paid).facts.state is OrderState.CANCELLED


def test_a_part_of_an_order_cannot_be_cancelled(seller):
    session, placed = seller.open(), seller.place_order(2)
    with pytest.raises(Rejected, match="whole orders only: refund"):
        session.cancel_order(_cancellation(_sight(seller, session, placed), is_whole=False))


def test_a_shipped_order_is_not_cancelled_and_says_why(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.push_shipment(_shipment(_sight(seller, session, placed), "1ZA"))
    with pytest.raises(Rejected, match="ORDER_SHIPPED"):
        session.cancel_order(_cancellation(_sight(seller, session, placed)))


@pytest.mark.proves("F02")
def test_a_cancellation_whose_answer_is_lost_is_found_and_not_made_again(seller):
    session, placed = seller.open(), seller.place_order(1)
    wanted = _cancellation(_sight(seller, session, placed))
    seller.sandbox.faults.set("F02", 1.0)
    with pytest.raises(OutcomeUnknown):
        session.cancel_order(wanted)
    seller.heal()
    assert session.cancel_order(wanted) is None
    assert len(_cancellations(seller)) == 1


@pytest.mark.proves("F09")
def test_a_cancellation_reported_and_dropped_is_sent_again_by_whoever_looks(seller):
    session, placed = seller.open(), seller.place_order(1)
    wanted = _cancellation(_sight(seller, session, placed))
    seller.sandbox.faults.set("F09", 1.0)
    with pytest.raises(Rejected, match="cancel again"):
        session.follow_write(session.cancel_order(wanted))
    seller.heal()
    session.cancel_order(wanted)
    assert _sight(seller, session, placed).facts.state is OrderState.CANCELLED


def test_where_nobody_answers_whether_it_is_allowed_the_order_is_cancelled_all_the_same(
    scripted, answers, make_session
):
    order = (
        "<OrderArray><Order><OrderID>14-1</OrderID><OrderStatus>Completed</OrderStatus>"
        "<CreatedTime>2026-03-01T11:00:00.000Z</CreatedTime></Order></OrderArray>"
    )
    answers(
        ("GetOrders", order),
        (404, {}, b""),
        (501, {}, b"<html/>"),
        (201, {}, {"cancelId": 77}),
    )
    wanted = OutgoingCancellation(
        key="c", channel_order_id="14-1", lines={"1-1": 1}, is_whole=True, reason="address"
    )
    assert make_session().cancel_order(wanted) == "cancellation/77"
    asked = [what.partition("?")[0] for what, _, _ in scripted.asked[1:]]
    base = "/post-order/v2/cancellation"
    assert asked == [f"GET {base}/search", f"POST {base}/check_eligibility", f"POST {base}"]
    assert all(sent["authorization"].startswith("IAF ") for _, sent, _ in scripted.asked[1:])


def test_shadow_mode_cancels_and_refunds_nothing(seller):
    placed = seller.place_order(1)
    sight = _sight(seller, seller.open(), placed)
    session = seller.open(may_write=False)
    for act in (
        lambda: session.cancel_order(_cancellation(sight)),
        lambda: session.refund_order(_refund(placed)),
    ):
        with pytest.raises(Rejected, match="shadow"):
            act()
    assert _cancellations(seller) == []
    assert session.read_refunds(placed) == ()


# --- refunds -------------------------------------------------------------------------------------


def test_a_refund_is_pending_then_done_and_shown_with_its_amount(seller):
    session, placed = seller.open(), seller.place_order(1)
    receipt = session.refund_order(_refund(placed))
    (shown,) = session.read_refunds(placed)
    assert (shown.amount, shown.state, shown.key) == (_money("1.50"), "pending", None)
    assert session.follow_write(receipt) is False
    seller.advance(5)
    assert session.follow_write(receipt) is True
    assert session.read_refunds(placed)[0].state == "done"


def test_a_refund_of_lines_goes_to_each_with_its_own_amount(seller):
    session, placed = seller.open(), seller.place_order(2, 1)
    first, second = (line.channel_line_id for line in _sight(seller, session, placed).lines)
    refund = _refund(
        placed,
        "3.00",
        lines={first: 1, second: 1},
        line_amounts={first: _money("1.00"), second: _money("1.50")},
        shipping=_money("0.50"),
    )
    session.refund_order(refund)
    parts = {
        seller.sandbox.books.line_name(one.line): one.amount
        for one in seller.sandbox.books.sheets[seller.order(placed).id].refunds
    }
    # What is for shipping has no place of its own at eBay: the first line carries it.
    assert {name: str(amount) for name, amount in parts.items()} == {first: "1.50", second: "1.50"}
    (shown,) = session.read_refunds(placed)
    assert shown.amount == _money("3.00")


def test_a_second_refund_waits_for_the_first_one(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.refund_order(_refund(placed))
    with pytest.raises(ChannelDown, match="earlier refund"):
        session.refund_order(_refund(placed, "0.25"))
    seller.advance(5)
    session.refund_order(_refund(placed, "0.25"))
    assert [one.amount.text() for one in session.read_refunds(placed)] == ["1.50", "0.25"]


@pytest.mark.proves("F02")
def test_a_refund_whose_answer_is_lost_went_once_and_a_look_shows_it(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.sandbox.faults.set("F02", 1.0)
    with pytest.raises(OutcomeUnknown):
        session.refund_order(_refund(placed))
    seller.heal()
    assert [one.amount for one in session.read_refunds(placed)] == [_money("1.50")]


@pytest.mark.proves("F09")
def test_a_refund_reported_and_dropped_is_not_shown(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.sandbox.faults.set("F09", 1.0)
    receipt = session.refund_order(_refund(placed))
    seller.heal()
    assert session.read_refunds(placed) == ()
    assert session.follow_write(receipt) is False


def test_a_refund_ebay_could_not_pay_is_told(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.sandbox.books.fails_refunds = True
    receipt = session.refund_order(_refund(placed))
    seller.advance(5)
    with pytest.raises(Rejected, match="could not pay"):
        session.follow_write(receipt)
    assert session.read_refunds(placed)[0].state == "failed"


def test_an_order_nobody_paid_has_no_refunds_and_gets_none(seller):
    session, unpaid = seller.open(), seller.place_unpaid(1)
    assert session.read_refunds(unpaid) == ()
    with pytest.raises(Rejected, match="nothing to pay back"):
        session.refund_order(_refund(unpaid))


def test_a_refund_finds_its_order_by_the_id_it_had_before_it_was_paid(seller):
    session, unpaid = seller.open(), seller.place_unpaid(1)
    seller.pay(unpaid)
    session.refund_order(_refund(unpaid))
    assert len(session.read_refunds(unpaid)) == 1


def test_refunds_by_hand_and_converted_amounts_are_read_too(scripted, make_session):
    scripted.answers = [
        (
            200,
            {},
            {
                "orderId": "14-1",
                "paymentSummary": {
                    "refunds": [
                        {
                            "amount": {
                                "value": "9.00",
                                "currency": "EUR",
                                "convertedFromValue": "10.00",
                                "convertedFromCurrency": "USD",
                            },
                            "refundDate": "2026-03-01T10:00:00.000Z",
                            "refundStatus": "REFUNDED",
                        }
                    ]
                },
            },
        )
    ]
    (shown,) = make_session().read_refunds("14-1")
    assert (shown.amount, shown.state) == (_money("10.00"), "done")


# --- signatures ----------------------------------------------------------------------------------


def test_of_a_seller_who_has_to_sign_an_unsigned_refund_names_the_remedy(seller):
    placed = seller.place_order(1)
    seller.settings = seller.settings.model_copy(update={"signing_key": None, "signing_jwe": None})
    with pytest.raises(FixAccount, match=r"settings\.signing_key and signing_jwe"):
        seller.open().refund_order(_refund(placed))


def test_a_key_that_is_none_or_of_another_kind_is_the_operators_to_mend(seller):
    placed, secret = seller.place_order(1), type(seller.settings.signing_key)
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for text, said in (("no key", "no private key"), (curve.decode(), "neither Ed25519 nor RSA")):
        changed = seller.settings.model_copy(update={"signing_key": secret(text)})
        seller.settings = changed
        with pytest.raises(FixAccount, match=said):
            seller.open().refund_order(_refund(placed))


def test_an_rsa_key_signs_the_lines_the_signature_names(make_request):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    settings = make_request(settings={"signing_key": pem, "signing_jwe": "a.jwe"}).settings
    added = Signer(settings, FakeClock()).headers("POST", "https://api.ebay.com/a/b?c=d", b"{}")
    digest = base64.b64encode(hashlib.sha256(b"{}").digest()).decode()
    with_what = added["Signature-Input"].removeprefix("sig1=")
    base = (
        f'"content-digest": sha-256=:{digest}:\n"x-ebay-signature-key": a.jwe\n'
        f'"@method": POST\n"@path": /a/b\n"@authority": api.ebay.com\n'
        f'"@signature-params": {with_what}'
    )
    raw = base64.b64decode(added["Signature"].removeprefix("sig1=:").removesuffix(":"))
    key.public_key().verify(raw, base.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_a_call_without_a_body_is_signed_without_a_digest(make_request, seller):
    added = Signer(seller.settings, FakeClock()).headers("POST", "https://x/y", b"")
    assert "Content-Digest" not in added
    assert "content-digest" not in added["Signature-Input"]
