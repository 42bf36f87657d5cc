"""A hand edit at a shop, under each policy: found, named with its cause, handled."""

from urllib.parse import quote

import pytest

pytestmark = pytest.mark.slow

POLICIES = ("overwrite", "adopt", "hold")
UNITS, CYCLE_SECONDS = 2, 3
#: a cycle, a poll that shows no sale behind it, and two busy cores
FOUND_SECONDS = 20


@pytest.mark.proves("I-20", "F39")
@pytest.mark.parametrize("connector", ["shopify", "ebay", "amazon"])
def test_one_edited_quantity_is_handled_by_each_accounts_policy(make_town, wait_until, connector):
    town = make_town(shops=(), channels=dict.fromkeys(POLICIES, connector))
    accounts = {policy: {"drift": policy} for policy in POLICIES}
    every = {"poll_seconds": 1, "reconcile_seconds": CYCLE_SECONDS}
    town.configure(has_webhooks=False, accounts=accounts, **every)
    town.seed()
    town.start_hub()
    town.wait_level()
    plenty = [sku for sku, units in town.initial.items() if units > 2 * UNITS]
    skus = dict(zip(POLICIES, plenty, strict=False))
    for policy, sku in skus.items():
        edited = {"quantity": town.initial[sku] - UNITS}
        town.shops[policy].ask("PUT", f"/_sandbox/quantities/{quote(sku)}", edited)

    def said(policy: str) -> list[dict]:
        return town.events("listing.drifted", account=policy, sku=skus[policy])

    wait_until(lambda: all(map(said, POLICIES)), FOUND_SECONDS, "every drift is named")
    for policy, sku in skus.items():
        (told,) = said(policy)
        before = town.initial[sku]
        assert (told["expected"], told["found"]) == (before, before - UNITS)
        assert (told["policy"], told["cause"]) == (policy, "hand edit")

    def is_handled() -> bool:
        stock = {one["sku"]: one["on_hand"] for one in town.desk.reports.stock()}
        return all(
            town.shops[policy].shows(sku) == town.initial[sku] - UNITS * (policy != "overwrite")
            and stock[sku] == town.initial[sku] - UNITS * (policy == "adopt")
            for policy, sku in skus.items()
        )

    wait_until(is_handled, FOUND_SECONDS, "every policy had its way")
    wait_until(lambda: len(town.events("listing.drifted")) == len(POLICIES), 5, "and only these")
    listings = town.json("listings", "list")
    assert [(one["account"], one["sku"]) for one in listings if one["state"] == "held"] == [
        ("hold", skus["hold"])
    ]
