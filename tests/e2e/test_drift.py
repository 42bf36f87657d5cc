"""A hand edit at a shop, under each policy: found, named with its cause, handled."""

import pytest

pytestmark = pytest.mark.slow

UNITS = 2


@pytest.mark.proves("I-20", "F39")
@pytest.mark.parametrize("policy", ["overwrite", "adopt", "hold"])
def test_one_edited_quantity_is_handled_by_the_accounts_policy(make_town, wait_until, policy):
    town = make_town(shops=("shop-a",))
    town.configure(poll_seconds=1, reconcile_seconds=2, drift=policy)
    town.seed()
    town.start_hub()
    town.wait_level()
    (shop,) = town.shops.values()
    sku = town.a_sku()
    before = town.initial[sku]
    shop.ask("PUT", f"/_sandbox/quantities/{sku}", {"quantity": before - UNITS})
    (said,) = wait_until(lambda: town.events("listing.drifted"), 40, "drift is named")
    assert (said["expected"], said["found"]) == (before, before - UNITS)
    assert (said["policy"], said["cause"]) == (policy, "hand edit")
    shown = before if policy == "overwrite" else before - UNITS
    wait_until(lambda: shop.shows(sku) == shown, 40, policy)
    left = before - UNITS if policy == "adopt" else before
    wait_until(lambda: town.json("stock", "show", sku)["on_hand"] == left)
    held = [one["state"] for one in town.json("listings", "list") if one["state"] == "held"]
    assert held == (["held"] if policy == "hold" else [])
