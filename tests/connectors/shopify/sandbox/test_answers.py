"""What the sandbox answers over HTTP, to the unmodified SDK and to requests it must refuse."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import shopify

SET = """mutation($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id changes { name delta } } userErrors { field message code } } }"""
SET_BARE = SET.replace(", $key: String!", "").replace("@idempotent(key: $key)", "")
ORDERS = """query($first: Int!, $after: String, $query: String) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
  nodes { id name updatedAt test displayFinancialStatus lineItems(first: 5) {
  nodes { sku quantity currentQuantity variant { inventoryItem { id tracked } } } } }
  pageInfo { hasNextPage endCursor } } }"""


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


def errors(answer):
    return [error["extensions"]["code"] for error in answer["errors"]]


@pytest.mark.parametrize("prefix", ["", "/shop-a"])
def test_the_unmodified_sdk_reads_orders(start_shop, prefix):
    shop = start_shop(grants_tokens=False)
    shop.buy("TEE RED M", 2)
    shopify.Session.setup(protocol="http", myshopify_domain="0.0.1", port=shop.options.port)
    try:
        session = shopify.Session("127.0.0.1", "2026-10", shop.token)
        shopify.ShopifyResource.activate_session(session)
        client = shopify.GraphQL()
        client.endpoint = client.endpoint.replace("/admin", f"{prefix}/admin")
        answer = json.loads(client.execute(ORDERS, {"first": 5}))
    finally:
        shopify.ShopifyResource.clear_session()
        shopify.Session.setup(protocol="https", myshopify_domain="myshopify.com", port=None)
    node = answer["data"]["orders"]["nodes"][0]
    assert node["displayFinancialStatus"] == "PAID"
    assert node["lineItems"]["nodes"][0]["quantity"] == 2
    status = answer["extensions"]["cost"]["throttleStatus"]
    assert (status["maximumAvailable"], status["restoreRate"]) == (2000, 100)


@pytest.mark.parametrize(
    ("asked", "served"),
    [("2026-07", "2026-07"), ("2024-01", "2026-04"), ("2027-01", "2026-10")],
)
def test_a_version_out_of_support_is_answered_by_another_and_the_header_tells(shop, asked, served):
    headers = {"X-Shopify-Access-Token": shop.token}
    path = f"/admin/api/{asked}/graphql.json"
    status, answered, _ = shop.send("POST", path, {"query": "{ shop { name } }"}, headers)
    assert (status, answered["x-shopify-api-version"]) == (200, served)


def test_a_wrong_token_is_told_in_a_plain_string(shop):
    shop.token = "shpat_wrong"
    headers = {"X-Shopify-Access-Token": shop.token}
    query = {"query": "{ shop { name } }"}
    status, _, raw = shop.send("POST", "/admin/api/2026-10/graphql.json", query, headers)
    assert status == 401
    assert json.loads(raw)["errors"].startswith("[API] Invalid API key or access token")


def test_a_granted_token_expires_and_another_is_granted(start_shop):
    moment = [datetime(2026, 11, 1, tzinfo=UTC)]
    shop = start_shop(token_seconds=60, now=lambda: moment[0])
    assert shop.data("{ shop { name } }")
    moment[0] += timedelta(seconds=61)
    with pytest.raises(AssertionError, match="Invalid API key"):
        shop.graphql("{ shop { name } }")
    shop.renew_token()
    assert shop.data("{ shop { name } }")


def test_wrong_client_secret_is_no_grant(shop):
    asked = {"client_id": "x", "client_secret": "y", "grant_type": "client_credentials"}
    headers = {"Content-Type": "application/json"}
    status, _, raw = shop.send("POST", "/admin/oauth/access_token", asked, headers)
    assert (status, json.loads(raw)) == (400, {"error": "invalid_client"})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ shop { nonsense } }", "undefinedField"),
        ("{ orders(first: 1, colour: 2) { nodes { id } } }", "argumentNotAccepted"),
        ("{ order { id } }", "missingRequiredArguments"),
        ("{ shop @shout { name } }", "undefinedDirective"),
        ("query($a: Int) { shop { name } }", "variableNotUsed"),
        ("{ shop { name ", "PARSE_ERROR"),
        ("{ orders { nodes { id } } }", "BAD_REQUEST"),  # neither first nor last
        ("{ orders(first: 251) { nodes { id } } }", "BAD_REQUEST"),
        ('{ orders(first: 1, after: "zzz") { nodes { id } } }', "BAD_REQUEST"),
        ('{ order(id: "gid://shopify/Product/1") { id } }', "RESOURCE_NOT_FOUND"),
    ],
)
def test_bad_documents_are_refused_inside_a_200(shop, query, code):
    answer = shop.graphql(query)
    assert errors(answer) == [code]


def test_a_bad_variable_names_every_problem_with_its_path(shop):
    item = shop.item("TEE RED M")
    asked = wanted(entry(item, 1, None)) | {"ignoreCompareQuantity": True}
    answer = shop.graphql(SET, {"input": asked, "key": "k"})
    assert errors(answer) == ["INVALID_VARIABLE"]
    assert answer["errors"][0]["extensions"]["problems"] == [
        {
            "path": ["ignoreCompareQuantity"],
            "explanation": "Field is not defined on InventorySetQuantitiesInput",
        }
    ]


def test_too_many_entries_are_refused_as_a_whole(shop):
    item = shop.item("TEE RED M")
    asked = wanted(*[entry(item, 1, None)] * 251)
    answer = shop.graphql(SET, {"input": asked, "key": "k"})
    assert errors(answer) == ["MAX_INPUT_SIZE_EXCEEDED"]
    assert "data" not in answer


def test_pages_follow_each_other_without_gap_or_double(start_shop):
    shop = start_shop(limits_published=False)
    placed = [shop.buy("TEE RED M") for _ in range(7)]
    seen, after = [], None
    for _ in range(10):
        page = shop.data(ORDERS, {"first": 2, "after": after})["orders"]
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == placed


def test_searches_filter_and_bad_terms_only_warn(shop):
    paid, unpaid = shop.buy("TEE RED M"), shop.buy("TEE RED M", paid=False)

    def found(query):
        return [n["id"] for n in shop.data(ORDERS, {"first": 9, "query": query})["orders"]["nodes"]]

    assert found("financial_status:pending") == [unpaid]
    assert found(f"id:{paid.rpartition('/')[2]}") == [paid]
    assert found("updated_at:>='2020-01-01T00:00:00Z' test:false") == [paid, unpaid]
    assert found("updated_at:<'2020-01-01T00:00:00Z'") == []
    warned = shop.graphql(ORDERS, {"first": 9, "query": "colour:red updated_at:>'soon'"})
    search = warned["extensions"]["search"][0]["warnings"]
    assert [warning["code"] for warning in search] == ["invalid_field", "invalid_value"]
    assert warned["data"]["orders"]["nodes"] == []


def test_costs_are_charged_refused_and_restored(start_shop):
    moment = [datetime(2026, 11, 1, tzinfo=UTC)]
    shop = start_shop(now=lambda: moment[0])
    huge = "{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { variant { inventoryItem"
    huge += " { variants(first: 250) { nodes { id } } } } } } } } }"
    assert errors(shop.graphql(huge)) == ["MAX_COST_EXCEEDED"]
    dear = (
        "{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { id variant { id } } } } } }"
    )
    bucket = shop.graphql(dear)["extensions"]["cost"]
    assert bucket["requestedQueryCost"] > 300 > bucket["actualQueryCost"]
    batch = " ".join(
        f"a{n}: orders(first: 250) {{ nodes {{ lineItems(first: 200) {{ nodes {{ id }} }} }} }}"
        for n in range(3)
    )
    shop.buy("TEE RED M")
    answers = [shop.graphql(f"{{ {batch} }}") for _ in range(150)]
    throttled = [a for a in answers if "errors" in a and errors(a) == ["THROTTLED"]]
    assert throttled
    assert throttled[0]["extensions"]["cost"]["actualQueryCost"] is None
    moment[0] += timedelta(seconds=20)
    assert "errors" not in shop.graphql(f"{{ {batch} }}")


def test_an_order_shows_in_lists_only_after_the_lag(start_shop):
    moment = [datetime(2026, 11, 1, tzinfo=UTC)]
    shop = start_shop(now=lambda: moment[0], lag_seconds=3)
    order_id = shop.buy("TEE RED M")
    assert shop.data(ORDERS, {"first": 5})["orders"]["nodes"] == []
    look = "query($id: ID!) { order(id: $id) { id } }"
    assert shop.data(look, {"id": order_id})["order"] is not None
    moment[0] += timedelta(seconds=3)
    assert len(shop.data(ORDERS, {"first": 5})["orders"]["nodes"]) == 1


def test_everything_else_a_hub_asks_for_is_there(shop):
    order_id = shop.buy("TEE RED M")
    item = shop.item("TEE RED M")
    answer = shop.data(
        """query($ids: [ID!]!) { currentAppInstallation { accessScopes { handle } }
        shop { id name myshopifyDomain currencyCode ianaTimezone }
        locations(first: 5) { nodes { id name isActive fulfillsOnlineOrders } }
        productVariants(first: 3, query: "sku:\\"TEE RED M\\"") { edges { cursor node { sku
          inventoryPolicy product { status } inventoryItem { tracked duplicateSkuCount } } } }
        nodes(ids: $ids) { __typename id ... on InventoryItem { tracked } } __typename }""",
        {"ids": [order_id, item["id"], "gid://shopify/Order/1"]},
    )
    assert "write_inventory" in str(answer["currentAppInstallation"])
    assert [edge["node"]["sku"] for edge in answer["productVariants"]["edges"]] == ["TEE RED M"]
    kinds = [node and node["__typename"] for node in answer["nodes"]]
    assert kinds == ["Order", "InventoryItem", None]
    tag = 'mutation($id: ID!) { tagsAdd(id: $id, tags: ["b", "a"]) { node { id } } }'
    shop.data(tag, {"id": order_id})
    tags = shop.data("query($id: ID!) { order(id: $id) { tags } }", {"id": order_id})
    assert tags["order"]["tags"] == ["a", "b"]
    track = """mutation($id: ID!) { inventoryItemUpdate(id: $id, input: {tracked: false}) {
        inventoryItem { tracked } userErrors { message } } }"""
    updated = shop.data(track, {"id": item["id"]})["inventoryItemUpdate"]
    assert updated["inventoryItem"]["tracked"] is False
    assert shop.data('{ __type(name: "Order") { name } }')["__type"]["name"] == "Order"
