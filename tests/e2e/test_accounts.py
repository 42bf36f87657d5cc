"""Shadow and live, credentials taken away and given back, and hands that edit quantities."""

import pytest

pytestmark = pytest.mark.slow

WRITES = {
    "inventorySetQuantities",
    "inventoryActivate",
    "fulfillmentCreate",
    "webhookSubscriptionCreate",
    "webhookSubscriptionUpdate",
    "webhookSubscriptionDelete",
}


def _writes(shop) -> dict[str, int]:
    calls = shop.control.truth()["calls"]
    assert calls, "the shop was never asked anything"
    reads = {"shop", "locations", "orders", "nodes", "order", "webhookSubscriptions"}
    known = {name: count for name, count in calls.items() if name in reads}
    assert known, f"no call is known by name: {calls}"
    return {
        name: count
        for name, count in calls.items()
        if name in WRITES or "Create" in name or "Set" in name or "Update" in name
    }


def test_shadow_writes_nothing_and_previews_what_live_then_does(make_town, wait_until):
    town = make_town()
    town.configure(mode="shadow", poll_seconds=1, reconcile_seconds=2)
    town.seed()
    town.start_hub()
    here, there = town.shops.values()
    sku = town.a_sku()
    channel_order_id = here.buy(sku, 3)
    order = town.wait_order("shop-a", channel_order_id)
    wait_until(lambda: town.desk.reports.order(order["id"])["lines"][0]["quantity_reserved"] == 3)
    town.run("ship", order["id"], "--carrier", "ups", "--tracking", "1Z-SHADOW")
    wait_until(lambda: _previewed(town, "shop-b", sku)["change"] == -3, what="preview")
    previewed = _previewed(town, "shop-b", sku)
    assert previewed["would_show"] == town.initial[sku] - 3
    assert previewed["shows"] == town.initial[sku] == there.shows(sku)
    assert _previewed(town, "shop-a", sku)["change"] == 0  # a shop counts its own sales itself
    assert [_writes(shop) for shop in town.shops.values()] == [{}, {}]
    assert {each["account"] for each in town.events("account.polled_only")} == set(town.shops)
    assert town.stop_hub() == 0

    town.configure(mode="live", poll_seconds=1, reconcile_seconds=2)
    town.start_hub()
    wait_until(lambda: there.shows(sku) == town.initial[sku] - 3)
    wait_until(lambda: town.compare().is_clean, what="hub and shops agree")
    shipments = here.control.truth()["orders"][channel_order_id]["shipments"]
    assert [one["packages"][0]["tracking_number"] for one in shipments] == ["1Z-SHADOW"]
    # nothing but what the preview named was pushed
    assert _writes(there)["inventorySetQuantities"] == 1
    assert "inventorySetQuantities" not in _writes(here)


def _previewed(town, account, sku):
    rows = town.json("accounts", "preview", account)
    return next(row for row in rows if row["channel_sku"] == sku)


@pytest.mark.proves("I-35", "I-39", "F29")
def test_refused_credentials_stop_their_account_alone_until_they_are_good_again(town, wait_until):
    town.configure(poll_seconds=1, reconcile_seconds=5)
    town.start_hub()
    town.wait_level()
    here, there = town.shops.values()
    sku = town.a_sku()
    here.reopen("--seed", "2")  # another shop: it knows neither the token nor the client
    wait_until(lambda: town.account("shop-a")["state"] == "needs_reauth")
    town.wait_order("shop-b", there.buy(sku, 1))
    assert town.account("shop-b")["state"] == "ok"
    assert there.shows(sku) == town.initial[sku] - 1
    alarms = town.events("account.needs_reauth")
    assert [alarm["account"] for alarm in alarms] == ["shop-a"]
    assert alarms[0]["level"] == "error"
    assert "accounts resume shop-a" in alarms[0]["remedy"]
    assert here.control.truth()["calls"] == {}, "somebody got in"

    here.reopen()
    missed = here.buy(sku, 1)
    town.run("accounts", "resume", "shop-a")
    town.wait_order("shop-a", missed)
    wait_until(lambda: town.account("shop-a")["state"] == "ok")
    wait_until(lambda: town.compare().is_clean, what="hub and shops agree")
    assert here.shows(sku) == there.shows(sku) == town.initial[sku] - 2
    assert len(town.events("account.needs_reauth")) == 1


@pytest.mark.proves("I-20", "F39")
def test_a_hand_edit_at_the_shop_is_drift_and_ends_by_policy(make_town, wait_until):
    town = make_town()
    town.configure(
        poll_seconds=1,
        reconcile_seconds=2,
        accounts={"shop-a": {"drift": "overwrite"}, "shop-b": {"drift": "hold"}},
    )
    town.seed()
    town.start_hub()
    town.wait_level()
    here, there = town.shops.values()
    sku = town.a_sku()
    ours = town.initial[sku]
    for shop in (here, there):
        shop.ask("PUT", f"/_sandbox/quantities/{sku}", {"quantity": ours + 100})
    wait_until(lambda: here.shows(sku) == ours, 40, "the edit is overwritten")
    wait_until(lambda: town.events("listing.drifted", account="shop-b"), 40)
    drifted = town.events("listing.drifted", account="shop-a", sku=sku)
    assert [(one["expected"], one["found"], one["policy"]) for one in drifted] == [
        (ours, ours + 100, "overwrite")
    ]
    held = town.events("listing.drifted", account="shop-b", sku=sku)
    assert held[0]["policy"] == "hold"
    # held is held: a sale elsewhere pushes nothing onto it, and it is shown
    town.wait_order("shop-a", here.buy(sku, 1))
    wait_until(lambda: here.shows(sku) == ours - 1)
    listing = next(
        one
        for one in town.json("listings", "list", "--account", "shop-b")
        if one["channel_sku"] == sku
    )
    assert listing["state"] == "held"
    assert there.shows(sku) == ours + 100
    town.run("listings", "push", "shop-b", listing["channel_listing_id"])
    wait_until(lambda: there.shows(sku) == ours - 1, 40, "an operator pushes it")
