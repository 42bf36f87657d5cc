"""The control routes, and the buyers who use the same door."""

import csv
import io
import json
import threading

import pytest

SKU = "TEE RED M"


def order_of(shop, order_id):
    return shop.sandbox.truth()["orders"][order_id.rpartition("/")[2]]


def test_a_sold_out_line_refuses_the_whole_purchase(shop):
    left = shop.sandbox.truth()["quantities"][SKU]
    lines = [{"channel_sku": "00042", "quantity": 1}, {"channel_sku": SKU, "quantity": left + 1}]
    status, reason = shop.control("POST", "orders", {"lines": lines})
    assert status == 409
    expected = {"reason": "sold_out", "channel_sku": SKU, "wanted": left + 1, "available": left}
    assert reason == expected
    truth = shop.sandbox.truth()
    assert truth["orders"] == {}
    assert [refused["reason"] for refused in truth["refused"]] == ["sold_out"]
    assert truth["sold"]["00042"] == 0


def test_many_buyers_at_once_never_buy_more_than_there_is(shop):
    shop.control("PUT", f"quantities/{SKU.replace(' ', '%20')}", {"quantity": 5})
    body = {"lines": [{"channel_sku": SKU, "quantity": 1}]}
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(shop.control("POST", "orders", body)[0]))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] * 5 + [409] * 7
    assert shop.sandbox.truth()["quantities"][SKU] == 0


def test_an_unpaid_order_is_pending_until_it_is_paid(shop):
    order_id = shop.buy(SKU, 1, paid=False)
    assert order_of(shop, order_id)["state"] == "pending"
    number = order_id.rpartition("/")[2]
    assert shop.control("POST", f"orders/{number}/pay", {})[0] == 200
    assert order_of(shop, order_id)["state"] == "open"
    assert shop.control("POST", f"orders/{number}/pay", {})[0] == 409


@pytest.mark.parametrize(("restock", "back"), [(True, 2), (False, 0)])
def test_a_cancelled_order_restocks_if_asked(shop, restock, back):
    order_id = shop.buy(SKU, 2)
    left = shop.sandbox.truth()["quantities"][SKU]
    path = f"orders/{order_id.rpartition('/')[2]}/cancel"
    assert shop.control("POST", path, {"restock": restock})[0] == 200
    order = order_of(shop, order_id)
    assert (order["state"], order["lines"][0]["quantity_cancelled"]) == ("cancelled", 2)
    levels = shop.sandbox.truth()["levels"][SKU]["main"]
    assert (levels["available"], levels["committed"]) == (left + back, 0)
    assert shop.sandbox.truth()["sold"][SKU] == 0
    assert shop.control("POST", path, {})[0] == 409


def test_an_edit_adds_and_removes_units_and_lines(shop):
    order_id = shop.buy(SKU, 3)
    path = f"orders/{order_id.rpartition('/')[2]}/edit"
    lines = [{"channel_sku": SKU, "quantity": 1}, {"channel_sku": "00042", "quantity": 2}]
    assert shop.control("POST", path, {"lines": lines})[0] == 200
    shown = [
        (line["channel_sku"], line["quantity_ordered"], line["quantity_cancelled"])
        for line in order_of(shop, order_id)["lines"]
    ]
    assert shown == [(SKU, 3, 2), ("00042", 2, 0)]
    truth = shop.sandbox.truth()
    assert (truth["sold"][SKU], truth["sold"]["00042"]) == (1, 2)
    huge = {"lines": [{"channel_sku": "00042", "quantity": 10_000}]}
    assert shop.control("POST", path, huge)[0] == 409


def test_a_refund_takes_units_off_the_order(shop):
    order_id = shop.buy(SKU, 3)
    path = f"orders/{order_id.rpartition('/')[2]}/refund"
    lines = [{"channel_sku": SKU, "quantity": 2}]
    left = shop.sandbox.truth()["quantities"][SKU]
    assert shop.control("POST", path, {"lines": lines, "restock": False})[0] == 200
    assert shop.sandbox.truth()["quantities"][SKU] == left
    assert shop.control("POST", path, {"lines": lines})[0] == 409
    assert shop.control("POST", path, {})[0] == 200
    assert shop.sandbox.truth()["quantities"][SKU] == left + 1


def test_a_hold_and_its_release(shop):
    order_id = shop.buy(SKU)
    path = f"orders/{order_id.rpartition('/')[2]}/hold"
    shop.control("POST", path, {})
    assert order_of(shop, order_id)["state"] == "held"
    shop.control("POST", path, {"release": True})
    assert order_of(shop, order_id)["state"] == "open"


def test_test_orders_move_stock_and_are_not_counted_as_sold(shop):
    left = shop.sandbox.truth()["quantities"][SKU]
    order_id = shop.buy(SKU, 2, test=True)
    truth = shop.sandbox.truth()
    assert (truth["quantities"][SKU], truth["sold"][SKU]) == (left - 2, 0)
    shown = shop.data("query($id: ID!) { order(id: $id) { test } }", {"id": order_id})
    assert shown["order"]["test"] is True


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 400, "bad_lines"),
        ({"lines": [{"channel_sku": SKU, "quantity": 0}]}, 400, "bad_quantity"),
        ({"lines": [{"channel_sku": SKU, "quantity": True}]}, 400, "bad_quantity"),
        ({"lines": [{"channel_sku": "nothing", "quantity": 1}]}, 404, "unknown_sku"),
        (
            {"lines": [{"channel_sku": SKU, "quantity": 1}], "fulfilled_by": "channel"},
            422,
            "not_offered",
        ),
        ({"lines": [{"channel_sku": SKU, "quantity": 1}], "paid": "yes"}, 400, "bad_paid"),
        ([], 400, "not_an_object"),
    ],
)
def test_bad_purchases_are_refused_with_a_reason(shop, body, status, reason):
    answered, told = shop.control("POST", "orders", body)
    assert (answered, told["reason"]) == (status, reason)


def test_unknown_orders_and_acts_are_told(shop):
    assert shop.control("POST", "orders/42/pay", {})[1]["reason"] == "unknown_order"
    order_id = shop.buy(SKU).rpartition("/")[2]
    assert shop.control("POST", f"orders/{order_id}/dance", {})[1]["reason"] == "unknown_act"


def test_truth_over_http_is_the_same_as_in_process_and_counts_calls(shop):
    shop.buy(SKU)
    shop.data("{ shop { name } }")
    status, told = shop.control("GET", "truth")
    assert status == 200
    assert told == json.loads(json.dumps(shop.sandbox.truth()))
    assert told["calls"]["shop"] == 1


def test_seed_files_hold_the_awkward_skus_and_the_truth_of_the_start(shop):
    stock = list(csv.DictReader(io.StringIO(shop.control("GET", "seed/stock.csv")[1])))
    quantities = shop.sandbox.truth()["quantities"]
    assert {row["sku"]: int(row["on_hand"]) for row in stock} == quantities
    assert {row["location"] for row in stock} == {"main"}
    listings = list(csv.DictReader(io.StringIO(shop.control("GET", "seed/listings.csv")[1])))
    assert [row["channel_sku"] for row in listings] == list(quantities)
    assert {row["account"] for row in listings} == {"shop-sandbox"}
    assert listings[0]["channel_listing_id"] == shop.item("00042")["id"]
    assert shop.control("GET", "seed/other.csv")[0] == 404


def test_hand_edits_reach_every_awkward_sku(shop):
    from urllib.parse import quote

    for sku in list(shop.sandbox.truth()["quantities"])[:9]:
        status, _ = shop.control("PUT", f"quantities/{quote(sku, safe='')}", {"quantity": 17})
        assert status == 200, sku
        assert shop.sandbox.truth()["quantities"][sku] == 17


def test_two_shops_share_skus_and_quantities_and_nothing_else(start_shop):
    one, two = start_shop(account="shop-a"), start_shop(account="shop-b")
    assert one.sandbox.truth()["quantities"] == two.sandbox.truth()["quantities"]
    entries = [each.sandbox.account_entry() for each in (one, two)]
    for name in ("shop", "client_id", "client_secret", "webhook_secret", "location_ids"):
        assert entries[0]["settings"][name] != entries[1]["settings"][name]
    assert entries[0]["endpoint"] == one.options.base_url
    assert one.buy(SKU) != two.buy(SKU)


def test_buyers_buy_while_the_sandbox_runs(start_shop, wait):
    shop = start_shop(buyers_per_second=60.0)
    wait(lambda: len(shop.sandbox.truth()["orders"]) >= 10)


def test_it_knows_ten_thousand_skus(start_shop):
    shop = start_shop(skus=10_000, limits_published=False)
    found = shop.data("{ productVariants(first: 250) { nodes { id sku } } }")
    assert len(found["productVariants"]["nodes"]) == 250
    assert len(shop.sandbox.truth()["quantities"]) == 10_000
