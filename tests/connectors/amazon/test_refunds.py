"""Money back: sent once, whatever becomes of the answers, and found again."""

from decimal import Decimal

import pytest

from connectors.amazon import render, writes
from connectors.amazon.sandbox.order_feeds import OrderFeeds, Unreadable
from oms_sync.sdk import Money, OutcomeUnknown, OutgoingRefund, Rejected, RetryLater
from oms_sync.sdk.sandbox import Purchase

FIRST, SECOND = 0, 1


@pytest.fixture
def session(seller):
    return seller.open()


@pytest.fixture
def shipped(seller):
    """A shipped order with these units of different SKUs."""

    def act(*quantities):
        lines = tuple((seller.sku(number), units) for number, units in enumerate(quantities))
        order_id = seller.sandbox.sales.place(Purchase(lines=lines))
        order = seller.order(order_id)
        seller.ship(order_id, {str(line.id): line.quantity for line in order.lines})
        return order_id

    return act


def _money(amount):
    return Money(Decimal(amount), "USD")


def _refund(order_id, amount, key="key-1", **more):
    return OutgoingRefund(
        key=key, channel_order_id=order_id, amount=_money(amount), reason="returned", **more
    )


def _paid_back(seller, order_id):
    found = seller.sandbox.truth()["orders"][order_id]["refunds"]
    return [each["amount"] for each in found]


def test_a_refund_is_sent_and_shown(seller, session, shipped):
    order_id = shipped(2)
    line = str(seller.order(order_id).lines[FIRST].id)
    refund = _refund(order_id, "1.50", lines={line: 1}, line_amounts={line: _money("1.50")})
    assert session.read_refunds(order_id) == ()
    assert session.follow_write(session.refund_order(refund))
    (shown,) = session.read_refunds(order_id)
    assert (shown.key, shown.amount, shown.state) == ("key-1", _money("1.50"), "done")
    assert _paid_back(seller, order_id) == ["1.50"]


def test_until_the_books_show_it_an_accepted_refund_is_pending(seller, session, shipped):
    seller.sandbox.order_feeds.delay_seconds = 172_800
    order_id = shipped(1)
    assert session.follow_write(session.refund_order(_refund(order_id, "1.00")))
    (shown,) = session.read_refunds(order_id)
    assert (shown.key, shown.state, shown.amount) == ("key-1", "pending", _money("1.00"))
    seller.advance(172_801)
    (shown,) = session.read_refunds(order_id)
    assert (shown.key, shown.state) == ("key-1", "done")


@pytest.mark.proves("F02")
def test_a_lost_answer_sends_no_money_twice(seller, session, shipped):
    order_id = shipped(1)
    refund = _refund(order_id, "1.00")
    seller.sandbox.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        session.refund_order(refund)
    seller.sandbox.order_feeds.delay_seconds = 172_800
    seller.advance(61)
    again = seller.open()  # as after a restart
    receipt = again.refund_order(refund)
    assert again.follow_write(receipt)
    assert again.refund_order(refund) == receipt
    seller.advance(172_801)
    assert len(again.read_refunds(order_id)) == 1
    assert _paid_back(seller, order_id) == ["1.00"]


def test_a_lost_refund_is_found_by_reading_alone(seller, session, shipped):
    order_id = shipped(1)
    seller.sandbox.order_feeds.delay_seconds = 172_800
    seller.sandbox.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        session.refund_order(_refund(order_id, "1.00"))
    assert session.read_refunds(order_id) == (), "not known yet"
    seller.advance(61)
    (shown,) = session.read_refunds(order_id)
    assert (shown.key, shown.state) == ("key-1", "pending")


@pytest.fixture
def lose(seller, session):
    """Refunds whose answers are lost, the feeds made (F02) or not (F01)."""

    def act(*refunds, fault="F02"):
        session.check()  # the token is there: what is lost is the answer to the feed
        for refund in refunds:
            if fault == "F02":
                seller.sandbox.faults.force(fault)
                with pytest.raises(OutcomeUnknown):
                    session.refund_order(refund)
            else:
                _note_alone(seller, session, refund)

    return act


def _note_alone(seller, session, refund):
    """As after a death between noting a feed and making it."""
    feeds = session._order_feeds
    more = {"amount": str(refund.amount.amount), "currency": "USD", "lines": {}}
    order_id = refund.channel_order_id
    feeds._keep(
        feeds.new_note(f"refund/{refund.key}", "POST_PAYMENT_ADJUSTMENT_DATA", order_id, **more)
    )


def test_of_several_feeds_that_may_be_ours_none_is_guessed(seller, session, shipped, lose):
    order_id, other_id = shipped(1), shipped(1)
    first, second = _refund(order_id, "1.00", key="k1"), _refund(other_id, "1.00", key="k2")
    lose(first, second)
    seller.advance(61)
    for _ in range(3):
        for refund in (first, second):
            with pytest.raises(Rejected, match="look at the order in Seller Central"):
                session.refund_order(refund)
    assert seller.sandbox.truth()["calls"]["createFeed"] == 2
    assert _paid_back(seller, order_id) == _paid_back(seller, other_id) == ["1.00"]


@pytest.mark.proves("I-30")
def test_looking_at_doubtful_refunds_makes_none_of_them_sent_again(seller, session, shipped, lose):
    order_id, other_id = shipped(1), shipped(1)
    first, second = _refund(order_id, "1.00", key="k1"), _refund(other_id, "1.00", key="k2")
    seller.sandbox.order_feeds.delay_seconds = 172_800
    lose(first, second)
    seller.advance(1000)
    for one in (order_id, other_id):
        assert session.read_refunds(one) == ()
    for refund in (first, second):
        with pytest.raises(Rejected, match="look at the order in Seller Central"):
            session.refund_order(refund)
    assert _paid_back(seller, order_id) == _paid_back(seller, other_id) == ["1.00"]
    seller.advance(172_801)
    found = {one.key for each in (order_id, other_id) for one in session.read_refunds(each)}
    assert found == {"k1", "k2"}, "what the books show is known for ours all the same"


@pytest.mark.parametrize("made", [0, 1])
def test_a_feed_is_not_taken_for_anothers(made, seller, session, shipped, lose):
    orders = [shipped(1), shipped(1)]
    refunds = [_refund(one, "1.00", key=f"k{number}") for number, one in enumerate(orders)]
    for number, refund in enumerate(refunds):
        lose(refund, fault="F02" if number == made else "F01")
    seller.advance(61)
    for refund in refunds:
        with pytest.raises(Rejected, match="not known"):
            session.refund_order(refund)
    paid = [_paid_back(seller, one) for one in orders]
    assert sorted(paid) == [[], ["1.00"]]


def test_feeds_that_were_never_made_are_made(seller, session, shipped, lose):
    orders = [shipped(1), shipped(1)]
    refunds = [_refund(one, "1.00", key=f"k{number}") for number, one in enumerate(orders)]
    lose(*refunds, fault="F01")
    seller.advance(61)
    for refund in refunds:
        assert session.follow_write(session.refund_order(refund))
    assert [_paid_back(seller, one) for one in orders] == [["1.00"], ["1.00"]]


def test_a_refused_feed_stays_known_and_is_not_taken_for_anothers(seller, session, shipped, lose):
    order_id = shipped(1)
    lose(_refund(order_id, "1.00", key="k1"), fault="F01")
    receipt = session.refund_order(_refund(order_id, "9999.00", key="k2"))
    with pytest.raises(Rejected, match="18031"):
        session.follow_write(receipt)
    seller.advance(61)
    assert session.follow_write(session.refund_order(_refund(order_id, "1.00", key="k1")))
    assert _paid_back(seller, order_id) == ["1.00"]


def test_a_feed_that_broke_off_is_never_sent_again_unseen(seller, session, shipped, monkeypatch):
    def break_off(*_):
        raise Unreadable("broken off")

    monkeypatch.setattr(OrderFeeds, "work_off", break_off)
    refund = _refund(shipped(1), "1.00")
    receipt = session.refund_order(refund)
    with pytest.raises(Rejected, match="ended FATAL"):
        session.follow_write(receipt)
    with pytest.raises(Rejected, match="look at the order in Seller Central"):
        session.refund_order(refund)
    assert seller.sandbox.truth()["calls"]["createFeed"] == 1


def test_an_answer_nobody_can_unpack_is_a_lost_one(seller, session, shipped, monkeypatch):
    order_id = shipped(1)
    refund = _refund(order_id, "1.00")
    inner = session._client._wire._inner
    carry = inner.handle_request

    def garbled(request):
        response = carry(request)
        if request.method == "POST" and request.url.path.endswith("/feeds"):
            response.headers["content-encoding"] = "br"
        return response

    monkeypatch.setattr(inner, "handle_request", garbled)
    with pytest.raises(OutcomeUnknown, match="encoding"):
        session.refund_order(refund)
    monkeypatch.undo()
    seller.advance(61)
    assert session.follow_write(session.refund_order(refund))
    assert _paid_back(seller, order_id) == ["1.00"]


def test_a_refund_of_somebody_else_carries_no_key(seller, session, shipped):
    order_id = shipped(2)
    session.follow_write(session.refund_order(_refund(order_id, "1.00")))
    seller.tokens.save({**seller.tokens.load(), writes.NOTES: ""})  # of another hub
    session.follow_write(session.refund_order(_refund(order_id, "1.25", key="key-2")))
    found = {one.amount.amount: one.key for one in session.read_refunds(order_id)}
    assert found == {Decimal("1.00"): None, Decimal("1.25"): "key-2"}


def test_a_refund_never_made_is_not_known_by_anothers_money(seller, session, shipped, lose):
    order_id = shipped(2)
    session.follow_write(session.refund_order(_refund(order_id, "1.00")))
    seller.tokens.save({**seller.tokens.load(), writes.NOTES: ""})  # made by somebody else
    seller.advance(30)
    lose(_refund(order_id, "1.00", key="key-2"), fault="F01")
    assert [one.key for one in session.read_refunds(order_id)] == [None]
    seller.advance(61)
    assert [one.key for one in session.read_refunds(order_id)] == [None]
    assert session.follow_write(session.refund_order(_refund(order_id, "1.00", key="key-2")))
    assert _paid_back(seller, order_id) == ["1.00", "1.00"]


def test_two_alike_are_two(seller, session, shipped):
    order_id = shipped(3)
    for key in ("key-1", "key-2"):
        session.follow_write(session.refund_order(_refund(order_id, "1.00", key=key)))
        seller.advance(5)
    found = session.read_refunds(order_id)
    assert sorted(one.key for one in found) == ["key-1", "key-2"]
    assert len({one.channel_refund_id for one in found}) == 2


def test_more_than_was_paid_is_refused_by_the_report(seller, session, shipped):
    order_id = shipped(1)
    receipt = session.refund_order(_refund(order_id, "9999.00"))
    with pytest.raises(Rejected, match="18031"):
        session.follow_write(receipt)
    assert session.read_refunds(order_id) == ()
    assert _paid_back(seller, order_id) == []


def test_what_is_not_shipped_is_cancelled_not_refunded(seller, session):
    order_id = seller.place_order(1)
    with pytest.raises(Rejected, match="cancel it instead"):
        session.follow_write(session.refund_order(_refund(order_id, "1.00")))


def test_without_the_role_our_own_refunds_are_still_known(seller, session, shipped):
    seller.sandbox.denied.add("listFinancialEventsByOrderId")
    order_id = shipped(1)
    assert session.follow_write(session.refund_order(_refund(order_id, "1.00")))
    (shown,) = session.read_refunds(order_id)
    assert (shown.key, shown.state) == ("key-1", "pending")
    assert "REFUNDS: role Finance and Accounting" in session.check().missing_permissions


def test_shadow_sends_no_money(seller, shipped):
    order_id = shipped(1)
    with pytest.raises(Rejected, match="shadow"):
        seller.open(may_write=False).refund_order(_refund(order_id, "1.00"))
    assert "createFeedDocument" not in seller.sandbox.truth()["calls"]


def test_undecided_feeds_are_bounded(seller, session, monkeypatch, shipped):
    monkeypatch.setattr(writes, "NOTES_MAX", 2)
    order_id = shipped(1)
    for number in (1, 2):
        session.refund_order(_refund(order_id, "0.01", key=f"k{number}"))
    with pytest.raises(RetryLater, match="2 order feeds are not decided"):
        session.refund_order(_refund(order_id, "0.01", key="k3"))
    assert _paid_back(seller, order_id) == ["0.01", "0.01"], "nothing is sent that is not noted"


# --- what goes back to which line ----------------------------------------------------------------


def _line(name, goods, shipping="0.00", **more):
    rows = {"ITEM": goods, "SHIPPING": shipping, **more}
    return {
        "orderItemId": name,
        "proceeds": {
            "breakdowns": [
                {"type": kind, "subtotal": {"amount": amount, "currencyCode": "USD"}}
                for kind, amount in rows.items()
            ]
        },
    }


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        # for a line
        ({"amount": "5.00", "lines": {"B": 1}, "line_amounts": {"B": "5.00"}}, {"B": (5, 0)}),
        # for the order: from the lines that cost so much
        ({"amount": "12.00"}, {"A": (10, 0), "B": (2, 0)}),
        # postage goes where it was paid
        ({"amount": "4.00", "shipping": "4.00"}, {"A": (0, 3), "B": (0, 1)}),
        # a line, its postage, and some more for the trouble
        (
            {
                "amount": "9.00",
                "lines": {"B": 1},
                "line_amounts": {"B": "5.00"},
                "shipping": "1.00",
            },
            {"B": (8, 1)},
        ),
        # more than anybody paid is Amazon's to refuse
        ({"amount": "40.00"}, {"A": (16, 3), "B": (20, 1)}),
    ],
)
def test_money_is_split_into_lines_and_kinds(changes, parts):
    words = {name: changes[name] for name in ("lines",) if name in changes}
    if "line_amounts" in changes:
        words["line_amounts"] = {k: _money(v) for k, v in changes["line_amounts"].items()}
    if "shipping" in changes:
        words["shipping"] = _money(changes["shipping"])
    order = {"orderItems": [_line("A", "10.00", "3.00"), _line("B", "20.00", "1.00")]}
    found = render.refund_parts(_refund("1", changes["amount"], **words), order)
    zero = _money(0)
    told = {
        line: tuple(int(kinds.get(kind, zero).amount) for kind in ("Principal", "Shipping"))
        for line, kinds in found.items()
    }
    assert told == parts
    assert sum(sum(each) for each in told.values()) == Decimal(changes["amount"])


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        # all that was paid: Amazon adds the tax of 2.00 by itself
        ("18.00", {"Principal": "10.00", "Shipping": "3.00", "GiftWrap": "3.00"}),
        ("16.00", {"Principal": "10.00", "Shipping": "3.00", "GiftWrap": "3.00"}),
        ("11.00", {"Principal": "10.00", "Shipping": "1.00"}),
        # a part of the tax cannot go back by itself: Amazon is asked, and says so
        ("17.00", {"Principal": "11.00", "Shipping": "3.00", "GiftWrap": "3.00"}),
    ],
)
def test_a_refund_of_the_whole_order_goes_back_as_what_it_was_paid_for(amount, parts):
    order = {"orderItems": [_line("A", "10.00", "3.00", GIFT_WRAP="3.00", TAX="2.00")]}
    found = render.refund_parts(_refund("1", amount), order)
    assert found == {"A": {kind: _money(text) for kind, text in parts.items()}}


@pytest.mark.parametrize(
    "words", [{"amount": "0.00"}, {"amount": "1.00", "shipping": "2.00"}, {"amount": "-1.00"}]
)
def test_a_sum_of_parts_that_is_none_is_refused(words):
    shipping = {"shipping": _money(words["shipping"])} if "shipping" in words else {}
    order = {"orderItems": [_line("A", "10.00")]}
    with pytest.raises(Rejected, match="not the sum"):
        render.refund_parts(_refund("1", words["amount"], **shipping), order)
