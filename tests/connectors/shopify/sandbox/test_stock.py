"""Absolute quantities: compare and set, idempotency keys, and every refusal observed."""

import pytest

SET = """mutation($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id changes { name delta } } userErrors { field message code } } }"""
SET_BARE = SET.replace(", $key: String!", "").replace("@idempotent(key: $key)", "")


def entry(item, quantity, expected):
    return {
        "inventoryItemId": item["id"],
        "locationId": item["location"],
        "quantity": quantity,
        "changeFromQuantity": expected,
    }


def wanted(*entries, name="available", reason="correction"):
    return {"name": name, "reason": reason, "quantities": list(entries)}


def push(shop, *entries, key="k1", **more):
    answer = shop.data(SET, {"input": wanted(*entries, **more), "key": key})
    return answer["inventorySetQuantities"]


def codes(payload):
    return [error["code"] for error in payload["userErrors"]]


def errors(answer):
    return [error["extensions"]["code"] for error in answer["errors"]]


def test_setting_quantities_needs_the_directive_and_the_expected_value(shop):
    item = shop.item("TEE RED M")
    bare = shop.graphql(SET_BARE, {"input": wanted(entry(item, 1, None))})
    assert errors(bare) == ["BAD_REQUEST"]
    assert bare["data"] == {"inventorySetQuantities": None}
    incomplete = entry(item, 1, None)
    del incomplete["changeFromQuantity"]
    answer = shop.graphql(SET, {"input": wanted(incomplete), "key": "k"})
    assert errors(answer) == ["INVALID_FIELD_ARGUMENTS"]
    assert answer["errors"][0]["path"] == ["inventorySetQuantities"]


def test_compare_and_set_writes_only_over_the_expected_quantity(shop):
    item = shop.item("TEE RED M")
    stale = push(shop, entry(item, 5, item["available"] + 1), key="a")
    assert codes(stale) == ["CHANGE_FROM_QUANTITY_STALE"]
    assert stale["userErrors"][0]["field"] == ["input", "quantities", "0", "changeFromQuantity"]
    assert shop.item("TEE RED M")["available"] == item["available"]
    good = push(shop, entry(item, 5, item["available"]), key="b")
    assert good["userErrors"] == []
    names = [change["name"] for change in good["inventoryAdjustmentGroup"]["changes"]]
    assert names == ["available", "on_hand"]
    assert shop.item("TEE RED M")["available"] == 5
    same = push(shop, entry(item, 5, None), key="c")
    assert same == {"inventoryAdjustmentGroup": None, "userErrors": []}


@pytest.mark.parametrize(
    ("change", "more", "code"),
    [
        ({"inventoryItemId": "gid://shopify/InventoryItem/1"}, {}, "INVALID_INVENTORY_ITEM"),
        ({"locationId": "gid://shopify/Location/1"}, {}, "INVALID_LOCATION"),
        ({"quantity": 1_000_000_001}, {}, "INVALID_QUANTITY_TOO_HIGH"),
        ({"quantity": -1_000_000_001}, {}, "INVALID_QUANTITY_TOO_LOW"),
        ({"quantity": -1}, {"name": "on_hand"}, "INVALID_QUANTITY_NEGATIVE"),
        ({}, {"name": "committed"}, "INVALID_NAME"),
        ({}, {"reason": "because"}, "INVALID_REASON"),
    ],
)
def test_bad_entries_are_user_errors(shop, change, more, code):
    item = shop.item("TEE RED M")
    assert codes(push(shop, entry(item, 1, None) | change, **more)) == [code]


def test_one_bad_entry_rejects_the_whole_call_and_doubles_are_named(shop):
    item, other = shop.item("TEE RED M"), shop.item("00042")
    answer = push(shop, entry(other, 1, None), entry(item, 1, None), entry(item, 2, None))
    assert codes(answer) == ["NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"]
    assert answer["userErrors"][0]["field"][2] == "2"
    assert shop.item("00042")["available"] == other["available"]


def test_the_same_key_replays_the_first_answer_and_other_variables_are_a_mismatch(shop):
    item = shop.item("TEE RED M")
    first = push(shop, entry(item, 5, item["available"]))
    push(shop, entry(item, 9, 5), key="k2")
    assert push(shop, entry(item, 5, item["available"])) == first
    assert shop.item("TEE RED M")["available"] == 9
    other = push(shop, entry(item, 6, item["available"]))
    assert codes(other) == ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
