"""Refunds at the sandbox over HTTP, signed, sent once, read back."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from connectors.ebay.sandbox.rest_fulfilment import FulfilmentDoors
from connectors.ebay.sandbox.wrongs import RestError
from connectors.ebay.writes import Signer
from oms_sync.sdk import (
    Bug,
    FixAccount,
    FixData,
    Money,
    OutcomeUnknown,
    OutgoingRefund,
    Rejected,
)
from oms_sync.sdk.testing import FakeClock


def _sight(seller, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, seller.now())


def _money(text):
    return Money.parse(text, "USD")


def _refund(order_id, text="1.50", **more):
    fields = {"key": "r1", "channel_order_id": order_id, "amount": _money(text)}
    return OutgoingRefund(**{**fields, "reason": "returned", **more})


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


def test_a_line_that_cost_nothing_keeps_no_other_from_its_refund(seller):
    session, placed = seller.open(), seller.place_order(2, 1)
    gift, paid = (line.channel_line_id for line in _sight(seller, session, placed).lines)
    parts = {gift: _money("0.00"), paid: _money("1.50")}
    session.refund_order(_refund(placed, lines={gift: 1, paid: 1}, line_amounts=parts))
    (shown,) = session.read_refunds(placed)
    assert shown.amount == _money("1.50")


def test_a_second_refund_waits_for_the_first_one(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.refund_order(_refund(placed))
    # An error of this order alone: what pends for days keeps no other write of the account waiting.
    with pytest.raises(FixData, match="previous refund is still") as caught:
        session.refund_order(_refund(placed, "0.25"))
    assert not isinstance(caught.value, Rejected), "it is only too early"
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


def test_a_refund_of_lines_is_pending_until_it_has_a_date(seller):
    session, placed = seller.open(), seller.place_order(2, 1)
    first, second = (line.channel_line_id for line in _sight(seller, session, placed).lines)
    parts = {first: _money("1.00"), second: _money("1.50")}
    receipt = session.refund_order(
        _refund(placed, "2.50", lines={first: 1, second: 1}, line_amounts=parts)
    )
    assert [one.state for one in session.read_refunds(placed)] == ["pending"]
    assert session.follow_write(receipt) is False
    seller.advance(5)
    assert [one.state for one in session.read_refunds(placed)] == ["done"]
    assert session.follow_write(receipt) is True


@pytest.mark.parametrize(("code", "status"), [("34929", 409), ("34930", 409), ("34922", 400)])
def test_a_refund_that_is_only_too_early_is_never_refused_for_good(
    scripted, make_session, code, status
):
    order = (200, {}, {"orderId": "14-1", "lineItems": [{}]})
    early = (status, {}, {"errors": [{"errorId": int(code), "message": "try again later"}]})
    scripted.answers = [order, early]
    with pytest.raises(FixData, match="try again later") as caught:
        make_session().refund_order(_refund("14-1"))
    assert not isinstance(caught.value, Rejected)


def test_a_refund_made_by_hand_and_not_paid_yet_is_not_taken_for_any_other(scripted, make_session):
    entry = {"amount": {"value": "9.00", "currency": "USD"}, "refundStatus": "PENDING"}
    scripted.answers = [(200, {}, {"orderId": "14-1", "paymentSummary": {"refunds": [entry]}})]
    with pytest.raises(FixData, match="under way"):
        make_session().read_refunds("14-1")


def test_an_order_rest_cannot_answer_for_is_not_said_to_have_no_refunds(scripted, make_session):
    scripted.answers = [(400, {}, {"errors": [{"errorId": 32800, "message": "field group"}]})]
    with pytest.raises(Bug, match="32800"):
        make_session().read_refunds("14-1")


def test_a_paid_order_rest_does_not_show_is_not_said_to_have_no_refunds(seller, monkeypatch):
    session, placed = seller.open(), seller.place_order(1)
    known = session.read_refunds(placed)

    def forget(*_):
        raise RestError(32100)

    monkeypatch.setattr(FulfilmentDoors, "_order", forget)
    assert known == ()
    for act in (
        lambda: session.read_refunds(placed),
        lambda: session.refund_order(_refund(placed)),
    ):
        with pytest.raises(FixData, match="not its refunds"):
            act()


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
