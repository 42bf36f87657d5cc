"""GetOrders and what buyers do: windows, pages, ids that change, combined orders, cancellations."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest

SKU, OTHER, VARIATION = "TEE RED M", "00042", "NUTS&BOLTS"
ORDER = "OrderArray/Order"
LINE = f"{ORDER}/TransactionArray/Transaction"


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def window(start, end, name="ModTime", **more):
    body = f"<{name}From>{stamp(start)}</{name}From><{name}To>{stamp(end)}</{name}To>"
    return body + "".join(f"<{key}>{value}</{key}>" for key, value in more.items())


def page(number, size):
    places = f"<EntriesPerPage>{size}</EntriesPerPage><PageNumber>{number}</PageNumber>"
    return f"<Pagination>{places}</Pagination>"


def ids(answer):
    return answer.texts(f"{ORDER}/OrderID")


@pytest.fixture
def clock():
    return [datetime(2026, 11, 1, 12, tzinfo=UTC)]


@pytest.fixture
def timed(start_seller, clock):
    return start_seller(now=lambda: clock[0], limits_published=False)


def test_pages_follow_each_other_in_order_of_modification(timed, clock):
    placed = []
    for _ in range(5):
        placed.append(timed.buy((SKU, 1)))
        clock[0] += timedelta(seconds=1)
    span = window(clock[0] - timedelta(hours=1), clock[0])
    seen = []
    for number in (1, 2, 3):
        answer = timed.trading("GetOrders", span + page(number, 2))
        seen += ids(answer)
        assert answer.text("HasMoreOrders") == ("false" if number == 3 else "true")
        assert answer.text("PaginationResult/TotalNumberOfPages") == "3"
        assert answer.text("PaginationResult/TotalNumberOfEntries") == "5"
    assert seen == placed
    newest = timed.trading("GetOrders", span + "<SortingOrder>Descending</SortingOrder>")
    assert ids(newest) == placed[::-1]


def test_an_order_modified_while_it_is_paged_shifts_the_pages_behind_it(timed, clock):
    placed = []
    for _ in range(3):
        placed.append(timed.buy((SKU, 1)))
        clock[0] += timedelta(seconds=1)
    span = window(clock[0] - timedelta(hours=1), clock[0] - timedelta(seconds=1))
    assert ids(timed.trading("GetOrders", span + page(1, 1))) == placed[:1]
    timed.act(placed[0], "hold")
    # the first one left the window: what was on page two is on page one now
    assert ids(timed.trading("GetOrders", span + page(2, 1))) == placed[2:]


def test_of_two_filters_the_weaker_one_is_ignored_without_a_word(timed, clock):
    old = timed.buy((SKU, 1))
    clock[0] += timedelta(days=5)
    timed.renew()
    new = timed.buy((SKU, 1))
    recent = window(clock[0] - timedelta(hours=1), clock[0])
    both = window(clock[0] - timedelta(days=9), clock[0], "CreateTime")
    assert ids(timed.trading("GetOrders", recent)) == [new]
    assert ids(timed.trading("GetOrders", recent + both)) == [old, new]
    days = "<NumberOfDays>1</NumberOfDays>"
    assert ids(timed.trading("GetOrders", recent + both + days)) == [new]
    named = f"<OrderIDArray><OrderID>{old}</OrderID></OrderIDArray>"
    assert ids(timed.trading("GetOrders", recent + days + named)) == [old]


@pytest.mark.parametrize(("name", "days"), [("ModTime", 30), ("CreateTime", 90)])
def test_windows_have_a_longest_length(timed, clock, name, days):
    end = clock[0]
    assert timed.trading("GetOrders", window(end - timedelta(days=days), end, name)).codes == []
    too_long = window(end - timedelta(days=days, seconds=1), end, name)
    assert timed.trading("GetOrders", too_long).codes == [37]
    backwards = window(end, end - timedelta(seconds=1), name)
    assert timed.trading("GetOrders", backwards).codes == [37]


def test_nothing_older_than_ninety_days_is_listed(timed, clock):
    timed.buy((SKU, 1))
    clock[0] += timedelta(days=91)
    timed.renew()
    end = clock[0] - timedelta(days=80)
    span = window(end - timedelta(days=30), end)
    assert ids(timed.trading("GetOrders", span)) == []


@pytest.mark.parametrize(("size", "number"), [(101, 1), (0, 1), (10, 0)])
def test_page_sizes_beyond_the_limits_are_refused(seller, size, number):
    body = "<NumberOfDays>1</NumberOfDays>" + page(number, size)
    assert seller.trading("GetOrders", body).codes == [37]


def test_states_can_be_asked_for(seller):
    paid, unpaid, off = (seller.buy((SKU, 1), paid=paid) for paid in (True, False, True))
    seller.act(off, "cancel")
    for status, expected in (("Completed", paid), ("Active", unpaid), ("Cancelled", off)):
        body = f"<NumberOfDays>1</NumberOfDays><OrderStatus>{status}</OrderStatus>"
        assert ids(seller.trading("GetOrders", body)) == [expected]
    buyer = "<NumberOfDays>1</NumberOfDays><OrderRole>Buyer</OrderRole>"
    assert ids(seller.trading("GetOrders", buyer)) == []


def test_new_and_modified_orders_show_in_lists_only_after_the_lag(start_seller, clock):
    seller = start_seller(now=lambda: clock[0], lag_seconds=60)
    order_id = seller.buy((SKU, 1))

    def listed():
        span = window(clock[0] - timedelta(hours=1), clock[0])
        return ids(seller.trading("GetOrders", span))

    assert listed() == []
    assert ids(seller.by_id(order_id)) == [order_id]
    clock[0] += timedelta(seconds=60)
    assert listed() == [order_id]
    seller.act(order_id, "hold")
    assert listed() == []
    clock[0] += timedelta(seconds=60)
    assert listed() == [order_id]


def test_an_unpaid_order_sells_at_once_and_changes_its_id_when_paid(seller):
    left = seller.left(SKU)
    unpaid = seller.buy((SKU, 2), paid=False)
    before = seller.by_id(unpaid)
    assert seller.left(SKU) == left - 2
    assert before.text(f"{ORDER}/OrderStatus") == "Active"
    assert before.text(f"{ORDER}/CheckoutStatus/Status") == "Incomplete"
    assert before.text(f"{ORDER}/PaidTime") is None
    assert unpaid == before.text(f"{LINE}/OrderLineItemID")
    assert seller.act(unpaid, "pay")[0] == 200
    after = seller.by_id(unpaid)
    (paid,) = ids(after)
    assert paid != unpaid
    assert ids(seller.by_id(paid, unpaid)) == [paid]
    assert after.text(f"{LINE}/OrderLineItemID") == before.text(f"{LINE}/OrderLineItemID")
    assert after.text(f"{ORDER}/OrderStatus") == "Completed"
    assert after.text(f"{ORDER}/PaidTime") is not None
    assert seller.truth()["orders"][paid]["aliases"] == [unpaid]
    assert unpaid not in seller.truth()["orders"]
    assert seller.act(unpaid, "pay")[0] == 409


def test_two_unpaid_orders_become_one_and_keep_their_lines(seller):
    first = seller.buy((SKU, 1), paid=False)
    second = seller.buy((SKU, 2), (OTHER, 1), paid=False)
    lines = {
        line
        for order in (first, second)
        for line in seller.by_id(order).texts(f"{LINE}/OrderLineItemID")
    }
    left = seller.left(SKU)
    path = f"ebay/combine/{quote(first)}/{quote(second)}"
    status, told = seller.control("POST", path)
    merged = told["channel_order_id"]
    assert status == 200
    assert merged not in (first, second)
    for order_id in (first, second, merged):
        answer = seller.by_id(order_id)
        assert ids(answer) == [merged]
        assert set(answer.texts(f"{LINE}/OrderLineItemID")) == lines
    assert list(seller.truth()["orders"]) == [merged]
    assert (seller.left(SKU), seller.truth()["sold"][SKU]) == (left, 3)
    seller.act(second, "pay")
    (paid,) = ids(seller.by_id(merged))
    assert set(seller.truth()["orders"][paid]["aliases"]) == {first, second, merged}
    other = seller.buy((SKU, 1), paid=False)
    assert seller.control("POST", f"ebay/combine/{paid}/{quote(other)}")[0] == 409


def test_a_cancelled_order_still_reads_complete(seller):
    order_id = seller.buy((SKU, 2))
    left = seller.left(SKU)
    assert seller.act(order_id, "cancel")[0] == 200
    answer = seller.by_id(order_id)
    assert answer.text(f"{ORDER}/OrderStatus") == "Cancelled"
    assert answer.text(f"{ORDER}/CheckoutStatus/Status") == "Complete"
    assert answer.text(f"{ORDER}/CheckoutStatus/eBayPaymentStatus") == "NoPaymentFailure"
    assert answer.text(f"{ORDER}/CancelStatus") == "CancelClosedWithRefund"
    assert answer.text(f"{ORDER}/AmountPaid") == "0.00"
    assert Decimal(answer.text(f"{ORDER}/AdjustmentAmount")) < 0
    assert answer.text(f"{LINE}/QuantityPurchased") == "2"
    assert seller.left(SKU) == left + 2
    truth = seller.truth()["orders"][order_id]
    assert truth["state"] == "cancelled"
    counts = [truth["lines"][0][f"quantity_{name}"] for name in ("ordered", "cancelled")]
    assert counts == [2, 2]


def test_an_edit_adds_transactions_and_lowers_quantities(seller):
    order_id = seller.buy((SKU, 3))
    lines = [{"channel_sku": SKU, "quantity": 4}, {"channel_sku": OTHER, "quantity": 1}]
    assert seller.act(order_id, "edit", {"lines": lines})[0] == 200
    shown = seller.by_id(order_id)
    assert shown.texts(f"{LINE}/QuantityPurchased") == ["3", "1", "1"]
    assert len(set(shown.texts(f"{LINE}/OrderLineItemID"))) == 3
    lines = [{"channel_sku": SKU, "quantity": 2}, {"channel_sku": OTHER, "quantity": 0}]
    assert seller.act(order_id, "edit", {"lines": lines})[0] == 200
    shown = seller.by_id(order_id)
    assert shown.texts(f"{LINE}/QuantityPurchased") == ["2", "1", "1"]
    assert shown.texts(f"{LINE}/Status/CancelStatus") == ["CancelComplete"] * 2
    truth = seller.truth()
    counts = [
        (line["channel_sku"], line["quantity_ordered"], line["quantity_cancelled"])
        for line in truth["orders"][order_id]["lines"]
    ]
    assert counts == [(SKU, 2, 0), (SKU, 1, 1), (OTHER, 1, 1)]
    assert (truth["sold"][SKU], truth["sold"][OTHER]) == (2, 0)


def test_refunding_everything_before_shipping_cancels_the_order(seller):
    order_id = seller.buy((SKU, 2))
    one = {"lines": [{"channel_sku": SKU, "quantity": 1}]}
    assert seller.act(order_id, "refund", one)[0] == 200
    shown = seller.by_id(order_id)
    assert shown.text(f"{ORDER}/OrderStatus") == "Completed"
    assert len(shown.texts(f"{ORDER}/MonetaryDetails/Refunds/Refund")) == 1
    assert seller.act(order_id, "refund")[0] == 200
    assert seller.by_id(order_id).text(f"{ORDER}/OrderStatus") == "Cancelled"
    assert seller.act(order_id, "refund")[0] == 409


def test_a_refund_after_shipping_is_money_only(seller):
    order_id = seller.buy((SKU, 2))
    seller.trading("CompleteSale", f"<Shipped>true</Shipped><OrderID>{order_id}</OrderID>")
    left = seller.left(SKU)
    assert seller.act(order_id, "refund")[0] == 200
    assert seller.left(SKU) == left
    assert seller.truth()["orders"][order_id]["state"] == "closed"


def test_a_payment_under_review_holds_the_order(seller):
    order_id = seller.buy((SKU, 1))
    seller.act(order_id, "hold")
    shown = seller.by_id(order_id)
    assert shown.text(f"{ORDER}/PaymentHoldStatus") == "PaymentReview"
    assert shown.text(f"{ORDER}/OrderStatus") == "Completed"
    assert seller.truth()["orders"][order_id]["state"] == "held"
    seller.act(order_id, "hold", {"release": True})
    assert seller.by_id(order_id).text(f"{ORDER}/PaymentHoldStatus") == "None"


@pytest.mark.parametrize(("level", "has_tax"), [("1306", False), ("1307", True)])
def test_totals_hold_the_collected_tax_from_level_1307_on(seller, level, has_tax):
    order_id = seller.buy((SKU, 2), (OTHER, 1))
    body = f"<OrderIDArray><OrderID>{order_id}</OrderID></OrderIDArray>"
    shown = seller.trading("GetOrders", body, **{"X-EBAY-API-COMPATIBILITY-LEVEL": level})

    def amounts(path):
        return sum(Decimal(each) for each in shown.texts(path))

    tax = amounts(f"{LINE}/eBayCollectAndRemitTaxes/TotalTaxAmount")
    shipping = amounts(f"{ORDER}/ShippingServiceSelected/ShippingServiceCost")
    total = amounts(f"{ORDER}/Subtotal") + shipping + (tax if has_tax else 0)
    assert tax > 0
    assert (amounts(f"{ORDER}/Total"), amounts(f"{ORDER}/AmountPaid")) == (total, total)


def test_a_line_without_a_sku_is_sold_under_its_item(seller):
    listings = seller.sandbox.books.listings
    bare = next(key for key, each in listings.items() if each.variants[0].sku == "")
    order_id = seller.buy((str(bare), 1), (VARIATION, 1))
    shown = seller.by_id(order_id)
    assert shown.texts(f"{LINE}/Item/SKU") == []
    assert shown.texts(f"{LINE}/Variation/SKU") == [VARIATION]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"lines": [{"channel_sku": SKU, "quantity": 100_000}]}, 409, "sold_out"),
        ({"lines": [{"channel_sku": "nothing", "quantity": 1}]}, 404, "unknown_sku"),
        ({"lines": [{"channel_sku": SKU, "quantity": 1}], "test": True}, 422, "not_offered"),
        (
            {"lines": [{"channel_sku": SKU, "quantity": 1}], "fulfilled_by": "channel"},
            422,
            "not_offered",
        ),
    ],
)
def test_bad_purchases_are_refused_with_a_reason(seller, body, status, reason):
    answered, told = seller.control("POST", "orders", body)
    assert (answered, told["reason"]) == (status, reason)
    assert seller.truth()["orders"] == {}


def test_unknown_orders_are_told(seller):
    assert seller.act("12-00000-00000", "pay")[1]["reason"] == "unknown_order"
    assert ids(seller.by_id("12-00000-00000")) == []


def test_buyers_buy_and_pay_later_while_the_sandbox_runs(start_seller, wait):
    seller = start_seller(buyers_per_second=60.0)
    wait(lambda: any(not order["paid"] for order in seller.truth()["orders"].values()))
    wait(lambda: any(order["aliases"] for order in seller.truth()["orders"].values()))


def test_truth_over_http_is_the_same_as_in_process_and_counts_calls(seller):
    seller.buy((SKU, 1))
    seller.trading("GetUser")
    status, told = seller.control("GET", "truth")
    assert (status, told) == (200, seller.truth())
    assert told["calls"] == {"GetUser": 1}
