"""Every fault fires when it is switched on, does what its definition says, and is counted."""

import http.client
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from connectors.shopify.sandbox.app import FAULTS

SHOP = "{ shop { name } }"
SET = """mutation($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { changes { name item { sku } } } userErrors { field code } } }"""
ORDERS = """query($after: String) { orders(first: 2, after: $after, sortKey: UPDATED_AT) {
  nodes { id } pageInfo { hasNextPage endCursor } } }"""
SUBSCRIBE = """mutation($topic: WebhookSubscriptionTopic!, $uri: String!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: {uri: $uri}) {
  userErrors { message } } }"""


def force(shop, kind, times=1):
    status, counter = shop.control("PUT", f"faults/{kind}", {"rate": 0, "force": times})
    assert (status, counter["forced"]) == (200, times)


def fired(shop, kind):
    return shop.control("GET", "faults")[1][kind]["fired"]


def raw(shop, query, variables=None):
    headers = {"X-Shopify-Access-Token": shop.token}
    body = {"query": query, "variables": variables}
    return shop.send("POST", "/admin/api/2026-10/graphql.json", body, headers)


def quantities(shop, *changes, key="k"):
    entries = []
    for sku, quantity in changes:
        item = shop.item(sku)
        entry = {"inventoryItemId": item["id"], "locationId": item["location"]}
        entries.append(entry | {"quantity": quantity, "changeFromQuantity": None})
    asked = {"name": "available", "reason": "correction", "quantities": entries}
    return {"input": asked, "key": key}


def truth(shop, sku):
    return shop.sandbox.truth()["quantities"][sku]


def test_the_known_faults_are_those_promised(shop):
    promised = "01 02 03 04 05 06 07 08 09 11 12 13 14 15 17 19 20 26 40 41".split()
    assert {f"F{number}" for number in promised} <= set(shop.control("GET", "faults")[1])
    assert len(set(FAULTS)) == len(FAULTS)


@pytest.mark.proves("F01")
def test_a_timeout_before_the_commit_changes_nothing(shop):
    asked = quantities(shop, ("TEE RED M", 3))
    force(shop, "F01")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        raw(shop, SET, asked)
    assert truth(shop, "TEE RED M") != 3
    assert fired(shop, "F01") == 1
    assert shop.data(SET, asked)["inventorySetQuantities"]["userErrors"] == []


@pytest.mark.proves("F02")
def test_a_timeout_after_the_commit_is_settled_by_the_same_key(shop):
    asked = quantities(shop, ("TEE RED M", 3))
    force(shop, "F02")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        raw(shop, SET, asked)
    assert (truth(shop, "TEE RED M"), fired(shop, "F02")) == (3, 1)
    shop.control("PUT", "quantities/TEE%20RED%20M", {"quantity": 9})
    replayed = shop.data(SET, asked)["inventorySetQuantities"]
    assert replayed["inventoryAdjustmentGroup"] is not None
    assert truth(shop, "TEE RED M") == 9


@pytest.mark.proves("F03", "F04")
@pytest.mark.parametrize("kind", ["F03", "F04"])
def test_an_answer_breaks_off_in_the_middle(shop, kind):
    force(shop, kind)
    expected = ConnectionError if kind == "F03" else http.client.IncompleteRead
    with pytest.raises(expected):
        raw(shop, SHOP)
    assert fired(shop, kind) == 1
    assert shop.data(SHOP)


@pytest.mark.proves("F05")
def test_too_many_requests_with_without_and_with_absurd_retry_after(shop):
    force(shop, "F05", 3)
    answers = [raw(shop, SHOP) for _ in range(3)]
    assert [status for status, _, _ in answers] == [429] * 3
    waits = [headers.get("retry-after") for _, headers, _ in answers]
    assert waits == ["1.0", None, "86400"]


@pytest.mark.proves("F06")
def test_server_errors_of_all_four_kinds(shop):
    force(shop, "F06", 4)
    assert [raw(shop, SHOP)[0] for _ in range(4)] == [500, 502, 503, 504]
    assert fired(shop, "F06") == 4


@pytest.mark.proves("F07")
def test_an_error_inside_a_200_does_nothing_and_burns_the_key(shop):
    asked = quantities(shop, ("TEE RED M", 3))
    force(shop, "F07")
    answer = shop.graphql(SET, asked)
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert truth(shop, "TEE RED M") != 3
    again = shop.data(SET, asked)["inventorySetQuantities"]["userErrors"]
    assert again[0]["code"] == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"


@pytest.mark.proves("F08")
def test_a_batch_is_applied_in_part_and_its_results_come_reordered(shop):
    wanted = [("TEE RED M", 3), ("NUTS&BOLTS", 4), ("00042", 5), ("A/B+C%20", 6)]
    asked = quantities(shop, *wanted)
    force(shop, "F08")
    payload = shop.data(SET, asked)["inventorySetQuantities"]
    assert [error["field"][2] for error in payload["userErrors"]] == ["2", "3"]
    changes = payload["inventoryAdjustmentGroup"]["changes"]
    assert [change["item"]["sku"] for change in changes[::2]] == ["NUTS&BOLTS", "TEE RED M"]
    applied = [truth(shop, sku) == quantity for sku, quantity in wanted]
    assert applied == [True, True, False, False]


@pytest.mark.proves("F09")
def test_a_success_is_reported_and_nothing_applied(shop):
    before = truth(shop, "TEE RED M")
    force(shop, "F09")
    payload = shop.data(SET, quantities(shop, ("TEE RED M", 3)))["inventorySetQuantities"]
    assert payload["userErrors"] == []
    assert payload["inventoryAdjustmentGroup"]["changes"]
    assert (truth(shop, "TEE RED M"), fired(shop, "F09")) == (before, 1)


def hear(shop, hub, topic="ORDERS_CREATE"):
    shop.data(SUBSCRIBE, {"topic": topic, "uri": hub.url})


def ids(hub):
    return [headers["x-shopify-webhook-id"] for headers, _ in hub.received]


@pytest.mark.proves("F11", "F12")
@pytest.mark.parametrize(("kind", "distinct"), [("F11", 1), ("F12", 2)])
def test_a_webhook_comes_twice_with_the_same_or_a_new_id(shop, hub, wait, kind, distinct):
    hear(shop, hub)
    force(shop, kind)
    shop.buy("TEE RED M")
    wait(lambda: len(hub.received) == 2)
    assert len(set(ids(hub))) == distinct
    assert len({body for _, body in hub.received}) == 1


@pytest.mark.proves("F13")
def test_a_webhook_comes_late_and_out_of_order(shop, hub, wait):
    hear(shop, hub)
    force(shop, "F13")
    first, second = shop.buy("TEE RED M"), shop.buy("TEE RED M")
    wait(lambda: len(hub.received) == 2)
    came = [json.loads(body)["admin_graphql_api_id"] for _, body in hub.received]
    assert came == [second, first]


@pytest.mark.proves("F14")
def test_a_webhook_is_never_sent(shop, hub, wait):
    hear(shop, hub)
    force(shop, "F14")
    shop.buy("TEE RED M")
    second = shop.buy("TEE RED M")
    wait(lambda: hub.received)
    assert [json.loads(body)["admin_graphql_api_id"] for _, body in hub.received] == [second]


@pytest.mark.proves("F15")
def test_a_webhook_is_earlier_than_the_api(shop, hub, wait):
    hear(shop, hub)
    force(shop, "F15")
    order_id = shop.buy("TEE RED M")
    look = "query($id: ID!) { order(id: $id) { id } }"
    assert shop.data(look, {"id": order_id})["order"] is None
    wait(lambda: hub.received)
    wait(lambda: shop.data(look, {"id": order_id})["order"])


@pytest.mark.proves("F17")
def test_an_order_appears_late_and_back_dated(shop, wait):
    force(shop, "F17")
    late, prompt = shop.buy("TEE RED M"), shop.buy("TEE RED M")

    def listed():
        return [node["id"] for node in shop.data(ORDERS)["orders"]["nodes"]]

    assert listed() == [prompt]
    wait(lambda: listed() == [late, prompt])


@pytest.mark.proves("F18")
def test_a_list_omits_what_a_look_by_id_shows(shop):
    orders = [shop.buy("TEE RED M") for _ in range(2)]
    force(shop, "F18")
    assert [node["id"] for node in shop.data(ORDERS)["orders"]["nodes"]] == orders[:1]
    assert len(shop.data(ORDERS)["orders"]["nodes"]) == 2


def walk(shop, pages_max=12):
    """Everything a patient reader sees, and the cursors it was given."""
    seen, cursors, after = [], [], None
    for _ in range(pages_max):
        page = shop.data(ORDERS, {"after": after})["orders"]
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        cursors.append(after)
        if not page["pageInfo"]["hasNextPage"]:
            break
    return seen, cursors


@pytest.mark.proves("F19")
def test_an_empty_page_with_a_cursor_goes_on_to_everything(shop):
    orders = [shop.buy("TEE RED M") for _ in range(5)]
    force(shop, "F19", 2)
    seen, cursors = walk(shop)
    assert seen == orders
    assert (len(set(cursors)), fired(shop, "F19")) == (len(cursors), 2)


@pytest.mark.proves("F20")
def test_a_cursor_repeats(shop):
    orders = [shop.buy("TEE RED M") for _ in range(5)]
    force(shop, "F20")
    seen, cursors = walk(shop)
    assert fired(shop, "F20") == 1
    assert cursors[0] == cursors[1]
    assert set(seen) == set(orders)


@pytest.mark.proves("F26")
def test_a_token_expires_in_the_middle_and_only_granted_ones_do(shop, start_shop):
    shop.renew_token()
    force(shop, "F26")
    assert raw(shop, SHOP)[0] == 200  # too fresh: its owner must be able to use it
    time.sleep(shop.options.hang_seconds)
    assert raw(shop, SHOP)[0] == 401
    assert raw(shop, SHOP)[0] == 401
    shop.renew_token()
    assert raw(shop, SHOP)[0] == 200
    static = start_shop(grants_tokens=False)
    force(static, "F26")
    assert raw(static, SHOP)[0] == 200
    assert static.control("GET", "faults")[1]["F26"]["chances"] == 0


@pytest.mark.proves("F40")
def test_the_echo_of_our_write_comes_late(shop, hub, wait):
    hear(shop, hub, "INVENTORY_LEVELS_UPDATE")
    force(shop, "F40")
    shop.data(SET, quantities(shop, ("TEE RED M", 3), key="a"))
    shop.data(SET, quantities(shop, ("TEE RED M", 4), key="b"))
    wait(lambda: len(hub.received) == 2)
    assert [json.loads(body)["available"] for _, body in hub.received] == [4, 3]


@pytest.mark.proves("F41")
def test_a_read_after_our_write_is_stale_for_a_while(start_shop):
    moment = [datetime(2026, 11, 1, tzinfo=UTC)]
    shop = start_shop(now=lambda: moment[0])
    before = shop.item("TEE RED M")["available"]
    shop.data(SET, quantities(shop, ("TEE RED M", 3)))
    force(shop, "F41")
    assert shop.item("TEE RED M")["available"] == before
    assert shop.item("TEE RED M")["available"] == 3
    force(shop, "F41")
    moment[0] += timedelta(seconds=11)
    assert shop.item("TEE RED M")["available"] == 3


def test_a_key_still_being_worked_off_is_a_concurrent_request(start_shop):
    import threading

    shop = start_shop(hang_seconds=0.5)
    asked = quantities(shop, ("TEE RED M", 3))
    force(shop, "F02")

    def hang():
        with pytest.raises(ConnectionError):
            raw(shop, SET, asked)

    first = threading.Thread(target=hang)
    first.start()
    while fired(shop, "F02") == 0:
        pass
    second = shop.data(SET, asked)["inventorySetQuantities"]["userErrors"]
    first.join()
    assert second[0]["code"] == "IDEMPOTENCY_CONCURRENT_REQUEST"
    assert shop.data(SET, asked)["inventorySetQuantities"]["userErrors"] == []


def test_rates_counts_and_unknown_faults(shop):
    shop.control("PUT", "faults/F06", {"rate": 1, "count": 2})
    assert [raw(shop, SHOP)[0] for _ in range(3)] == [500, 502, 200]
    counter = shop.control("GET", "faults")[1]["F06"]
    assert (counter["rate"], counter["fired"], counter["count"]) == (1, 2, 0)
    assert counter["chances"] >= 3
    assert shop.control("PUT", "faults/F99", {"rate": 1})[0] == 404
    assert shop.control("PUT", "faults/F06", {"rate": 2})[0] == 400
