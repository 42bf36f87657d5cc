"""The control routes and buyers are those of every sandbox; the account entry opens the door."""

import csv
import io

from connectors.amazon.settings import AmazonSettings
from oms_sync.sdk.sandbox import seed_catalogue

SKU = "SKU-00010"


def test_the_account_entry_is_what_the_settings_accept(amazon):
    entry = amazon.sandbox.account_entry()
    assert (entry["connector"], entry["endpoint"]) == ("amazon", amazon.options.base_url)
    settings = AmazonSettings.model_validate(entry["settings"])
    assert settings.seller_id == amazon.seller
    assert settings.notifications is not None
    assert settings.visibility_lag_seconds == amazon.options.lag_seconds


def test_the_seed_files_name_what_is_on_offer(amazon):
    _, stock = amazon.control("GET", "seed/stock.csv")
    rows = list(csv.DictReader(io.StringIO(stock.raw.decode())))
    seeded = seed_catalogue(amazon.options.seed, amazon.options.skus)
    assert [(row["sku"], int(row["on_hand"])) for row in rows] == [
        (each.sku, each.quantity) for each in seeded
    ]
    _, listings = amazon.control("GET", "seed/listings.csv")
    rows = list(csv.DictReader(io.StringIO(listings.raw.decode())))
    assert all(row["channel_listing_id"] == row["channel_sku"] == row["sku"] for row in rows)
    assert len(rows) == len(seeded)


def test_orders_are_placed_paid_cancelled_and_refunded_by_hand(amazon):
    placed = amazon.buy(SKU, 2, paid=False)
    assert amazon.sandbox.truth()["orders"][placed]["state"] == "pending"
    assert amazon.control("POST", f"orders/{placed}/pay")[0] == 200
    assert amazon.control("POST", f"orders/{placed}/pay")[0] == 409
    before = amazon.quantity()
    part = {"lines": [{"channel_sku": SKU, "quantity": 1}]}
    assert amazon.control("POST", f"orders/{placed}/refund", part)[0] == 200
    assert amazon.quantity() == before + 1
    told = amazon.sandbox.truth()["orders"][placed]
    assert (told["state"], told["channel_order_number"]) == ("open", placed)
    assert amazon.control("POST", f"orders/{placed}/cancel")[0] == 200
    assert amazon.control("POST", f"orders/{placed}/cancel")[0] == 409
    assert amazon.control("POST", "orders/113-1-1/cancel")[0] == 404
    test_order = {"lines": [{"channel_sku": SKU, "quantity": 1}], "test": True}
    assert amazon.control("POST", "orders", test_order)[0] == 422


def test_what_was_shipped_is_not_refunded_through_the_order(amazon):
    placed = amazon.buy(SKU, 1)
    line = amazon.order(placed)["orderItems"][0]["orderItemId"]
    amazon.confirm(placed, orderItems=[{"orderItemId": line, "quantity": 1}])
    status, refusal = amazon.control("POST", f"orders/{placed}/refund")
    assert (status, refusal["reason"]) == (422, "not_offered")


def test_buyers_buy_and_the_truth_keeps_the_books(start_amazon, until):
    amazon = start_amazon(buyers_per_second=200.0, skus=12, seed=3, in_real_time=True)
    until(lambda: len(amazon.sandbox.truth()["orders"]) > 60)
    told = amazon.sandbox.truth()
    initial = {each.sku: each.quantity for each in seed_catalogue(3, 12)}
    for sku, quantity in told["quantities"].items():
        assert quantity == initial[sku] - told["sold"][sku] >= 0
    statuses = {order["state"] for order in told["orders"].values()}
    assert {"pending", "open"} <= statuses
    until(amazon.told)
