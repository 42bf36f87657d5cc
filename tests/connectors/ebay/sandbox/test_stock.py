"""Listings and quantities: what is read, what is pushed, and every way a push may be refused."""

import csv
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

SKU, OTHER, MANAGED = "TEE RED M", "00042", "SKU-00015"
TWIN, VARIATION = 'NAIL 6" BOX', "NUTS&BOLTS"
LIST = "ActiveList/ItemArray/Item"


def active(seller, size=200, number=1, extra=""):
    places = f"<EntriesPerPage>{size}</EntriesPerPage><PageNumber>{number}</PageNumber>"
    wanted = f"<Include>true</Include><Pagination>{places}</Pagination>"
    return seller.trading("GetMyeBaySelling", f"<ActiveList>{wanted}</ActiveList>{extra}")


def look(seller, sku):
    return seller.trading("GetItem", f"<ItemID>{seller.item(sku)}</ItemID>")


def test_the_active_list_holds_every_listing_with_its_variations(seller):
    truth = seller.truth()["quantities"]
    seen = {}
    for number in range(1, 20):
        answer = active(seller, size=5, number=number)
        for item in answer.root.iterfind(LIST):
            rows = item.findall("Variations/Variation")
            for row in rows:
                sold = int(row.findtext("SellingStatus/QuantitySold"))
                seen[row.findtext("SKU")] = int(row.findtext("Quantity")) - sold
            if not rows:
                seen[item.findtext("SKU")] = int(item.findtext("QuantityAvailable"))
        pages = int(answer.text("ActiveList/PaginationResult/TotalNumberOfPages"))
        if number == pages:
            break
    assert seen.pop(None) == 9  # a listing whose seller never set a SKU
    assert seen == truth
    assert active(seller, size=5, number=pages + 1).codes == [340]
    assert active(seller, size=201).codes == [37]


def test_variations_can_be_hidden(seller):
    shown = active(seller, extra="<HideVariations>true</HideVariations>")
    assert shown.root.find(f"{LIST}/Variations") is None
    assert active(seller).root.find(f"{LIST}/Variations") is not None


def test_seed_files_name_listings_as_the_channel_does(seller):
    rows = list(csv.DictReader(io.StringIO(seller.control("GET", "seed/listings.csv")[1])))
    by_sku = {row["sku"]: row["channel_listing_id"] for row in rows}
    assert list(by_sku) == list(seller.truth()["quantities"])
    assert len(set(by_sku.values())) == len(by_sku)
    assert by_sku[VARIATION] == f"{seller.item(TWIN)}/{VARIATION}"
    assert by_sku[SKU].isdigit()
    stock = list(csv.DictReader(io.StringIO(seller.control("GET", "seed/stock.csv")[1])))
    assert {row["sku"]: int(row["on_hand"]) for row in stock} == seller.truth()["quantities"]


def test_what_is_read_counts_sold_units_and_what_is_pushed_does_not(seller):
    item = seller.item(SKU)
    seller.control("PUT", f"quantities/{quote(SKU)}", {"quantity": 10})
    seller.buy((SKU, 8), paid=False)
    seller.revise((item, None, 10))
    shown = look(seller, SKU)
    read = [shown.text(f"Item/{path}") for path in ("Quantity", "SellingStatus/QuantitySold")]
    assert read == ["18", "8"]
    assert seller.left(SKU) == 10


def test_a_batch_of_four_is_applied_and_echoed(seller):
    nodes = [(seller.item(SKU), None, 7), (seller.item(OTHER), None, 8)]
    nodes += [(seller.item(TWIN), TWIN, 9), (seller.item(VARIATION), VARIATION, 6)]
    answer = seller.revise(*nodes)
    assert answer.ack == "Success"
    assert answer.texts("InventoryStatus/ItemID") == [node[0] for node in nodes]
    assert [answer.text("InventoryStatus/SKU"), *answer.texts("Fees/ItemID")][1:] == [
        node[0] for node in nodes[:3]
    ]
    assert [seller.left(sku) for sku in (SKU, OTHER, TWIN, VARIATION)] == [7, 8, 9, 6]
    assert look(seller, TWIN).texts("Item/Variations/Variation/SKU") == [TWIN, VARIATION]
    assert seller.revise(*nodes, (seller.item(SKU), None, 1)).codes == [21916254]
    assert seller.revise().codes == [37]


def refused(name):
    """Nodes that are refused, by what is wrong with them."""
    return {
        "no such item": ("110000000000", None, 1),
        "a variation without a SKU": (TWIN, None, 1),
        "a SKU of another listing": (TWIN, SKU, 1),
        "a single listing under another SKU": (SKU, OTHER, 1),
        "managed by the Inventory API": (MANAGED, None, 1),
    }[name]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no such item", 17),
        ("a variation without a SKU", 21916735),
        ("a SKU of another listing", 21916799),
        ("a single listing under another SKU", 21916635),
        ("managed by the Inventory API", 21919474),
    ],
)
def test_one_bad_node_fails_alone_and_is_named(seller, name, code):
    item, sku, quantity = refused(name)
    number = item if item.isdigit() else seller.item(item)
    answer = seller.revise((number, sku, quantity), (seller.item(OTHER), None, 5))
    assert (answer.ack, answer.codes) == ("PartialFailure", [code])
    named = [each.get("ParamID") for each in answer.root.iterfind("Errors/ErrorParameters")]
    assert named == (["ItemID", "SKU"] if sku else ["ItemID"])
    assert answer.texts("Errors/ErrorParameters/Value")[0] == number
    assert answer.texts("InventoryStatus/ItemID") == [seller.item(OTHER)]
    assert seller.left(OTHER) == 5
    alone = seller.revise((number, sku, quantity))
    assert (alone.ack, alone.codes) == ("Failure", [code])


def test_a_sku_alone_is_not_enough(seller):
    node = f"<InventoryStatus><SKU>{SKU}</SKU><Quantity>1</Quantity></InventoryStatus>"
    assert seller.trading("ReviseInventoryStatus", node).codes == [21916735]


def test_the_same_quantity_again_is_a_warning(seller):
    node = (seller.item(SKU), None, seller.left(SKU))
    answer = seller.revise(node)
    assert (answer.ack, answer.codes) == ("Warning", [21917092])
    assert answer.texts("Errors/SeverityCode") == ["Warning"]
    both = "<StartPrice>48.08</StartPrice>"
    item, quantity = seller.item(SKU), seller.left(SKU)
    body = f"<ItemID>{item}</ItemID>{both}<Quantity>{quantity}</Quantity>"
    body = f"<InventoryStatus>{body}</InventoryStatus>"
    assert seller.trading("ReviseInventoryStatus", body).codes == [21917091]


def test_an_ended_listing_goes_on_under_another_item_id(seller):
    old = seller.item(SKU)
    order_id = seller.buy((SKU, 1))
    assert seller.control("POST", f"ebay/listings/{quote(SKU)}/relist")[0] == 409
    assert seller.control("POST", f"ebay/listings/{quote(SKU)}/end")[0] == 200
    assert seller.revise((old, None, 5)).codes == [291]
    assert old not in active(seller).texts(f"{LIST}/ItemID")
    body = {"lines": [{"channel_sku": SKU, "quantity": 1}]}
    assert seller.control("POST", "orders", body)[0] == 409
    new = seller.control("POST", f"ebay/listings/{quote(SKU)}/relist")[1]["item_id"]
    assert seller.revise((new, None, 5)).ack == "Success"
    ended = seller.trading("GetItem", f"<ItemID>{old}</ItemID>")
    assert ended.text("Item/SellingStatus/ListingStatus") == "Completed"
    assert ended.text("Item/ListingDetails/RelistedItemID") == new
    line = seller.by_id(order_id).text("OrderArray/Order/TransactionArray/Transaction/Item/ItemID")
    assert line == old


def test_a_listing_may_be_revised_250_times_a_day(start_seller):
    moment = [datetime(2026, 11, 1, 12, tzinfo=UTC)]
    seller = start_seller(now=lambda: moment[0])
    item = seller.item(TWIN)
    listing = seller.sandbox.books.listings[int(item)]
    seller.revise((item, TWIN, 5))
    listing.revisions = 249
    assert seller.revise((item, VARIATION, 5)).ack == "Success"
    # variations of one listing share the allowance
    assert seller.revise((item, TWIN, 4)).codes == [21919165]
    moment[0] += timedelta(days=1)
    seller.renew()
    assert seller.revise((item, TWIN, 4)).ack == "Success"


def prefer(seller, keeps):
    body = f"<OutOfStockControlPreference>{keeps}</OutOfStockControlPreference>"
    assert seller.trading("SetUserPreferences", body).ack == "Success"
    asked = "<ShowOutOfStockControlPreference>true</ShowOutOfStockControlPreference>"
    shown = seller.trading("GetUserPreferences", asked)
    assert shown.text("OutOfStockControlPreference") == keeps


def test_zero_keeps_a_listing_alive_with_out_of_stock_control(seller):
    prefer(seller, "true")
    assert seller.revise((seller.item(SKU), None, 0)).ack == "Success"
    assert seller.left(SKU) == 0
    assert seller.revise((seller.item(SKU), None, 3)).ack == "Success"


def test_zero_without_it_is_refused_or_removes_the_variation(seller):
    prefer(seller, "false")
    assert seller.revise((seller.item(SKU), None, 0)).codes == [21916583]
    item = seller.item(TWIN)
    assert seller.revise((item, TWIN, 0)).ack == "Success"
    assert seller.revise((item, TWIN, 5)).codes == [21916799]
    seller.control("PUT", f"quantities/{quote(OTHER)}", {"quantity": 1})
    seller.buy((OTHER, 1))
    assert seller.revise((seller.item(OTHER), None, 5)).codes == [291]


def bulk(seller, *requests):
    path = "/sell/inventory/v1/bulk_update_price_quantity"
    return seller.rest("POST", path, {"requests": list(requests)})


def test_what_trading_may_not_revise_goes_by_rest(seller):
    path = f"/sell/inventory/v1/offer?sku={quote(MANAGED)}"
    offer = seller.rest("GET", path)[2]["offers"][0]
    assert offer["availableQuantity"] == seller.left(MANAGED)
    entry = {"sku": MANAGED, "shipToLocationAvailability": {"quantity": 500}}
    first = seller.left(MANAGED)
    status, _, told = bulk(seller, entry)
    assert (status, told["responses"][0]["statusCode"]) == (200, 200)
    assert seller.left(MANAGED) == first  # the smaller of the two counts
    offers = [{"offerId": offer["offerId"], "availableQuantity": 400}]
    bulk(seller, entry | {"offers": offers})
    assert seller.left(MANAGED) == 400
    seller.buy((MANAGED, 100))
    assert seller.rest("GET", path)[2]["offers"][0]["availableQuantity"] == 300
    assert look(seller, MANAGED).text("Item/SellingStatus/QuantitySold") == "100"


def test_entries_of_a_bulk_update_fail_one_by_one(seller):
    good = {"sku": MANAGED, "shipToLocationAvailability": {"quantity": 3}}
    for bad, code in (
        ({"sku": SKU, "shipToLocationAvailability": {"quantity": 3}}, 25710),
        ({"sku": MANAGED}, 25709),
        (good | {"colour": 1}, 25709),
        (good | {"offers": [{"offerId": "1", "availableQuantity": 3}]}, 25713),
    ):
        status, _, told = bulk(seller, bad, good)
        assert status == 207
        assert [each["statusCode"] == 200 for each in told["responses"]] == [False, True]
        assert told["responses"][0]["errors"][0]["errorId"] == code
    assert seller.left(MANAGED) == 3
    assert bulk(seller)[0] == 400
    assert bulk(seller, *[good] * 26)[0] == 400


def test_hand_edits_reach_every_awkward_sku(seller):
    for sku in list(seller.truth()["quantities"])[:9]:
        status, _ = seller.control("PUT", f"quantities/{quote(sku, safe='')}", {"quantity": 17})
        assert (status, seller.left(sku)) == (200, 17)


def test_two_sellers_share_skus_and_quantities_and_nothing_else(start_seller):
    one, two = start_seller(account="ebay-a"), start_seller(account="ebay-b")
    assert one.truth()["quantities"] == two.truth()["quantities"]
    entries = [each.sandbox.account_entry() for each in (one, two)]
    for name in ("app_id", "cert_id", "refresh_token", "verification_token"):
        assert entries[0]["settings"][name] != entries[1]["settings"][name]
    assert entries[0]["endpoint"] == one.options.base_url
    assert one.item(SKU) != two.item(SKU)
    assert one.buy((SKU, 1)) != two.buy((SKU, 1))
