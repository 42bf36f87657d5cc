"""Every fault fires when it is switched on, does what its definition says, and is counted."""

import http.client
import time
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from connectors.ebay.sandbox.app import FAULTS

SKU, OTHER = "TEE RED M", "00042"
ORDER = "OrderArray/Order"
RECENT = "<NumberOfDays>1</NumberOfDays>"
LOST = (ConnectionError, http.client.HTTPException)


def push(seller, quantity, *, sku=SKU):
    node = f"<ItemID>{seller.item(sku)}</ItemID><Quantity>{quantity}</Quantity>"
    return seller.post("ReviseInventoryStatus", f"<InventoryStatus>{node}</InventoryStatus>")


def listed(seller):
    return seller.trading("GetOrders", RECENT).texts(f"{ORDER}/OrderID")


def test_the_known_faults_are_those_promised(seller):
    promised = "01 02 03 04 05 06 07 08 09 11 12 13 14 15 17 18 22 26 33 41 42 50".split()
    assert {f"F{number}" for number in promised} == set(seller.control("GET", "faults")[1])
    assert len(set(FAULTS)) == len(FAULTS)


@pytest.mark.proves("F01")
def test_a_timeout_before_the_commit_changes_nothing(seller):
    seller.force("F01")
    with pytest.raises(LOST):
        push(seller, 3)
    assert (seller.left(SKU) != 3, seller.fired("F01")) == (True, 1)


@pytest.mark.proves("F02")
def test_a_timeout_after_the_commit_is_settled_by_the_same_call_again(seller):
    seller.force("F02")
    with pytest.raises(LOST):
        push(seller, 3)
    assert (seller.left(SKU), seller.fired("F02")) == (3, 1)
    assert seller.revise((seller.item(SKU), None, 3)).ack == "Warning"


@pytest.mark.proves("F03", "F04")
@pytest.mark.parametrize("kind", ["F03", "F04"])
def test_an_answer_breaks_off(seller, kind):
    seller.force(kind)
    with pytest.raises(LOST):
        seller.post("GetUser")
    assert seller.fired(kind) == 1


@pytest.mark.proves("F05")
def test_throttling_tells_when_to_come_back_or_not(seller):
    seller.force("F05", 3)
    answers = [seller.post("GetUser") for _ in range(3)]
    assert [status for status, _, _ in answers] == [429] * 3
    assert [headers.get("retry-after") for _, headers, _ in answers] == ["1.0", None, "86400"]


@pytest.mark.proves("F06")
def test_broken_gateways_answer_html(seller):
    seller.force("F06", 4)
    answers = [seller.post("GetUser") for _ in range(4)]
    assert [status for status, _, _ in answers] == [500, 502, 503, 504]
    assert all(b"<html>" in raw for _, _, raw in answers)


@pytest.mark.proves("F07")
def test_a_200_may_hold_a_failure_or_nothing_at_all(seller):
    seller.force("F07", 2)
    status, _, raw = push(seller, 3)
    assert (status, b"<ErrorCode>10007</ErrorCode>" in raw) == (200, True)
    assert seller.left(SKU) != 3
    assert push(seller, 3)[::2] == (200, b"")
    assert (seller.left(SKU), seller.fired("F07")) == (3, 2)


@pytest.mark.proves("F08")
def test_a_batch_may_be_applied_in_part(seller):
    seller.force("F08")
    nodes = [(seller.item(SKU), None, 3), (seller.item(OTHER), None, 4)]
    answer = seller.revise(*nodes)
    assert (answer.ack, answer.codes) == ("PartialFailure", [10007])
    assert answer.texts("Errors/ErrorParameters/Value") == [seller.item(OTHER)]
    assert (seller.left(SKU), seller.left(OTHER) == 4) == (3, False)
    assert seller.revise(*nodes).ack == "Warning"
    assert seller.left(OTHER) == 4


@pytest.mark.proves("F09")
def test_success_may_be_a_lie(seller):
    seller.force("F09")
    assert seller.revise((seller.item(SKU), None, 3)).ack == "Success"
    assert seller.left(SKU) != 3
    order_id = seller.buy((SKU, 1))
    body = f"<Shipped>true</Shipped><OrderID>{order_id}</OrderID>"
    seller.force("F09")
    assert seller.trading("CompleteSale", body).ack == "Success"
    assert seller.by_id(order_id).text(f"{ORDER}/ShippedTime") is None
    assert seller.fired("F09") == 2


@pytest.mark.proves("F15", "F17")
@pytest.mark.parametrize(("kind", "is_known"), [("F15", False), ("F17", True)])
def test_an_order_may_show_up_late_and_back_dated(start_seller, kind, is_known):
    moment = [datetime(2026, 11, 1, tzinfo=UTC)]
    seller = start_seller(now=lambda: moment[0], late_seconds=30)
    seller.force(kind)
    order_id = seller.buy((SKU, 1))
    assert listed(seller) == []
    assert bool(seller.by_id(order_id).texts(ORDER)) is is_known
    moment[0] += timedelta(seconds=30)
    assert listed(seller) == [order_id]


@pytest.mark.proves("F18")
def test_a_list_may_leave_one_out(seller):
    placed = [seller.buy((SKU, 1)) for _ in range(3)]
    seller.force("F18")
    assert listed(seller) == [placed[0], placed[2]]
    assert listed(seller) == placed


@pytest.mark.proves("F22")
def test_an_order_may_be_modified_while_its_page_is_read(start_seller):
    moment = [datetime(2026, 11, 1, tzinfo=UTC)]
    seller = start_seller(now=lambda: moment[0])
    placed = []
    for _ in range(3):
        placed.append(seller.buy((SKU, 1)))
        moment[0] += timedelta(seconds=1)
    seller.force("F22")
    size = "<Pagination><EntriesPerPage>1</EntriesPerPage><PageNumber>{}</PageNumber></Pagination>"
    seen = []
    for number in (1, 2, 3):
        answer = seller.trading("GetOrders", RECENT + size.format(number))
        seen += answer.texts(f"{ORDER}/OrderID")
    assert seen == [placed[0], placed[2], placed[0]]  # the second one slipped through
    assert listed(seller) == [placed[1], placed[2], placed[0]]


@pytest.mark.proves("F26")
def test_a_token_may_expire_in_the_middle_of_things(seller):
    time.sleep(0.06)  # a fresh token is left alone
    seller.force("F26")
    assert seller.trading("GetUser").codes == [932]
    assert seller.trading("GetUser").codes == [932]
    seller.renew()
    assert seller.trading("GetUser").ack == "Success"
    assert seller.fired("F26") == 1


@pytest.mark.proves("F33")
def test_times_may_come_without_milliseconds(seller):
    order_id = seller.buy((SKU, 1))
    seller.force("F33")
    shown = seller.by_id(order_id).text(f"{ORDER}/CreatedTime")
    assert (len(shown), len(seller.by_id(order_id).text(f"{ORDER}/CreatedTime"))) == (20, 24)


@pytest.mark.proves("F41")
def test_a_read_may_be_older_than_our_write(seller):
    before, item = seller.left(SKU), seller.item(SKU)
    seller.revise((item, None, before - 5))
    seller.force("F41")
    answer = seller.trading("GetItem", f"<ItemID>{item}</ItemID>")
    assert answer.text("Item/Quantity") == str(before)
    answer = seller.trading("GetItem", f"<ItemID>{item}</ItemID>")
    assert answer.text("Item/Quantity") == str(before - 5)


@pytest.mark.proves("F42")
def test_an_order_may_be_odd_in_three_ways(seller):
    order_id = seller.buy((SKU, 1))
    ids = f"<OrderIDArray><OrderID>{order_id}</OrderID></OrderIDArray>"
    seller.force("F42", 3)
    raw = seller.post("GetOrders", ids)[2]
    assert b"\x07" in raw
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(raw)
    assert b"<ShippedTime/>" in seller.post("GetOrders", ids)[2]
    assert b"<PaymentMethod>CustomCode</PaymentMethod>" in seller.post("GetOrders", ids)[2]
    assert seller.fired("F42") == 3


@pytest.mark.proves("F50")
def test_an_answer_may_lead_elsewhere(seller):
    seller.force("F50")
    status, headers, raw = seller.post("GetUser")
    assert (status, raw) == (307, b"")
    assert not headers["location"].startswith(seller.options.base_url)


def test_a_healed_sandbox_plays_no_faults(seller):
    for kind in FAULTS:
        seller.control("PUT", f"faults/{kind}", {"rate": 1.0})
    seller.sandbox.faults.heal()
    order_id = seller.buy((SKU, 1))
    assert listed(seller) == [order_id]
    counters = seller.control("GET", "faults")[1]
    assert {each["rate"] for each in counters.values()} == {0.0}
