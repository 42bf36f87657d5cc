"""What is written into orders, as pure functions: keys in notes, units, and money to the cent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.shopify.writes import (
    NOTE_MAX,
    TakenBack,
    cancel_reason,
    key_of,
    refund_lines,
    repay,
    split_units,
    unplaced_at,
    with_key,
)
from oms_sync.sdk import Money, Rejected

CENT = Decimal("0.01")
cents = st.integers(min_value=1, max_value=1_000_000)


def _payment(number, shop, shown, *, kind="SALE", status="SUCCESS", parent=None):
    bag = {
        "shopMoney": {"amount": str(shop), "currencyCode": "USD"},
        "presentmentMoney": {"amount": str(shown), "currencyCode": "EUR"},
    }
    return {
        "id": f"gid://shopify/OrderTransaction/{number}",
        "kind": kind,
        "status": status,
        "gateway": "cash",
        "parentTransaction": parent and {"id": f"gid://shopify/OrderTransaction/{parent}"},
        "amountSet": bag,
    }


def _order(*transactions, shown="EUR"):
    return {
        "id": "gid://shopify/Order/1",
        "currencyCode": "USD",
        "presentmentCurrencyCode": shown,
        "transactions": list(transactions),
    }


@given(st.text(max_size=400), st.uuids())
def test_a_key_is_found_again_behind_any_note_and_the_note_is_never_too_long(note, key):
    marked = with_key(note, str(key))
    assert key_of(marked) == str(key)
    assert len(marked) <= NOTE_MAX


@pytest.mark.parametrize("note", [None, "", "paid back", "[oms-sync ]", "[oms-sync a] and more"])
def test_a_note_of_others_holds_no_key_of_ours(note):
    assert key_of(note) is None


@given(st.lists(cents, min_size=1, max_size=4), st.data(), st.integers(1, 300))
def test_money_goes_back_whole_and_never_beyond_a_payment(paid, drawn, percent):
    shown = [max(1, one * percent // 100) for one in paid]
    payments = [
        _payment(number, one * CENT, other * CENT)
        for number, (one, other) in enumerate(zip(paid, shown, strict=True), start=1)
    ]
    wanted = drawn.draw(st.integers(1, sum(paid)))
    back = repay(_order(*payments), Money(wanted * CENT, "USD"))
    limits = dict(zip((each["id"] for each in payments), shown, strict=True))
    for each in back.transactions:
        assert Decimal(each["amount"]) <= limits[each["parentId"]] * CENT
    if wanted == sum(paid):
        assert sum(Decimal(each["amount"]) for each in back.transactions) == sum(shown) * CENT
    assert back.currency == "EUR"


@given(cents, cents)
def test_in_one_currency_the_parts_are_the_amount(paid, wanted):
    order = _order(_payment(1, paid * CENT, paid * CENT), shown="USD")
    amount = Money(wanted * CENT, "USD")
    if wanted > paid:
        with pytest.raises(Rejected, match="left to refund"):
            repay(order, amount)
        return
    back = repay(order, amount)
    assert sum(Decimal(each["amount"]) for each in back.transactions) == amount.amount
    assert "currency" not in back.fields()


def test_what_went_back_or_is_on_its_way_cannot_go_back_again():
    gone = [
        _payment(2, 3, 3, kind="REFUND", parent=1),
        _payment(3, 2, 2, kind="REFUND", status="PENDING", parent=1),
        _payment(4, 5, 5, kind="REFUND", status="FAILURE", parent=1),
        _payment(5, 9, 9, kind="AUTHORIZATION"),
        _payment(6, 9, 9, status="FAILURE"),
    ]
    order = _order(_payment(1, 10, 10), *gone, shown="USD")
    assert repay(order, Money.parse("5", "USD")).transactions[0]["amount"] == "5"
    with pytest.raises(Rejected, match=r"only 5\.00 USD"):
        repay(order, Money.parse("5.01", "USD"))


def test_an_amount_in_a_currency_the_books_do_not_keep_is_refused():
    with pytest.raises(Rejected, match="USD"):
        repay(_order(_payment(1, 10, 10)), Money.parse("5", "EUR"))


def test_yen_of_a_buyer_have_no_decimals():
    back = repay(_order(_payment(1, "10.00", "1501"), shown="JPY"), Money.parse("3.33", "USD"))
    assert [each["amount"] for each in back.transactions] == ["500"]


def _line(number, ordered, *, unfulfilled):
    gid = f"gid://shopify/LineItem/{number}"
    return {"id": gid, "currentQuantity": ordered, "unfulfilledQuantity": unfulfilled}


@pytest.mark.parametrize(
    ("units", "is_return", "expected"),
    [
        (2, False, (2, 0)),  # what has not shipped goes first
        (4, False, (3, 1)),
        (2, True, (0, 2)),  # what comes back is what has shipped
        (3, True, (1, 2)),
    ],
)
def test_units_are_taken_before_or_after_shipping(units, is_return, expected):
    (taken,) = split_units({"7": units}, [_line(7, 5, unfulfilled=3)], is_return=is_return)
    assert (taken.unshipped, taken.shipped) == expected


def test_more_units_than_are_left_and_unknown_lines_are_refused():
    with pytest.raises(Rejected, match="only 5"):
        split_units({"7": 6}, [_line(7, 5, unfulfilled=3)], is_return=False)
    with pytest.raises(Rejected, match="no line 8"):
        split_units({"8": 1}, [_line(7, 5, unfulfilled=3)], is_return=False)


def _work(place, units, *, status="OPEN", line="7"):
    return {
        "status": status,
        "assignedLocation": {"location": place and {"id": place}},
        "lineItems": {
            "nodes": [
                {"remainingQuantity": units, "lineItem": {"id": f"gid://shopify/LineItem/{line}"}}
            ]
        },
    }


def test_unshipped_units_go_back_on_sale_where_they_were_to_ship_from():
    works = [
        _work("L1", 1),
        _work("L2", 2),
        _work("L3", 9, status="CLOSED"),
        _work("L1", 5, line="8"),
    ]
    assert unplaced_at(works, "7") == {"L1": 1, "L2": 2}
    taken = [TakenBack(line_id="7", unshipped=2, shipped=1)]
    entries = refund_lines(taken, works, is_restocked=True, return_to="L1")
    assert [(one["restockType"], one["quantity"], one.get("locationId")) for one in entries] == [
        ("CANCEL", 1, "L1"),
        ("CANCEL", 1, "L2"),
        ("RETURN", 1, "L1"),
    ]
    (only,) = refund_lines(taken, works, is_restocked=False, return_to=None)
    assert (only["restockType"], only["quantity"], "locationId" in only) == ("NO_RESTOCK", 3, False)


def test_shipped_units_written_off_are_not_named_while_others_of_the_line_wait():
    (taken,) = split_units({"7": 1}, [_line(7, 3, unfulfilled=2)], is_return=True)
    assert (taken.shipped, taken.kept) == (1, 2)
    assert refund_lines([taken], [], is_restocked=False, return_to=None) == []
    (back,) = refund_lines([taken], [], is_restocked=True, return_to="L1")
    assert (back["restockType"], back["quantity"]) == ("RETURN", 1)
    (taken,) = split_units({"7": 1}, [_line(7, 3, unfulfilled=0)], is_return=True)
    assert len(refund_lines([taken], [], is_restocked=False, return_to=None)) == 1


def test_units_whose_place_is_not_shown_are_taken_back_without_one():
    taken = [TakenBack(line_id="7", unshipped=2, shipped=0)]
    (only,) = refund_lines(taken, [], is_restocked=True, return_to=None)
    assert (only["restockType"], only["quantity"], "locationId" in only) == ("CANCEL", 2, False)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("buyer", "CUSTOMER"),
        ("stock", "INVENTORY"),
        ("payment", "DECLINED"),
        ("fraud", "FRAUD"),
        ("other", "OTHER"),
        ("address", "OTHER"),
        ("price", "OTHER"),
        ("returned", "OTHER"),
    ],
)
def test_each_reason_of_ours_has_a_word_at_the_shop(reason, code, tables):
    assert cancel_reason(reason, tables["cancel_reasons"]) == code
