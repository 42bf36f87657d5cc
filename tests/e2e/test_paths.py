"""Each way in alone suffices, and a day's work comes out right on it."""

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.proves("I-12", "I-01", "I-20", "I-28", "I-17", "F14")
@pytest.mark.parametrize(
    ("has_webhooks", "poll_seconds"),
    [
        pytest.param(False, 1, id="polling-alone"),
        pytest.param(True, 3_600, id="webhooks-alone"),
    ],
)
def test_one_way_in_alone_brings_orders_changes_and_tracking_through(
    make_town, wait_until, has_webhooks, poll_seconds
):
    town = make_town()
    town.configure(has_webhooks=has_webhooks, poll_seconds=poll_seconds, reconcile_seconds=86_400)
    town.seed()
    town.start_hub()
    town.wait_level()
    here, there = town.shops.values()
    sku = town.a_sku()

    shipped = here.buy(sku, 2)
    town.wait_order("shop-a", shipped)
    wait_until(lambda: there.shows(sku) == town.initial[sku] - 2)
    ship = ("ship", f"shop-a:{shipped}", "--carrier", "ups", "--tracking", "1Z-1")
    town.run(*ship, "--line", f"{sku}=1")
    town.run(*ship[:-1], "1Z-2", "--tracking", "1Z-3")
    told = lambda: here.control.truth()["orders"][shipped]["shipments"]  # noqa: E731
    wait_until(lambda: len(told()) >= 2, what="both parts are told to the shop")
    numbers = [{each["tracking_number"] for each in one["packages"]} for one in told()]
    assert sorted(map(sorted, numbers)) == [["1Z-1"], ["1Z-2", "1Z-3"]]
    town.wait_order("shop-a", shipped, "closed")

    cancelled = there.buy(sku, 3, is_paid=False)
    town.wait_order("shop-b", cancelled, "pending")
    wait_until(lambda: here.shows(sku) == town.initial[sku] - 5)
    there.ask("POST", f"/_sandbox/orders/{cancelled}/cancel", {})
    town.wait_order("shop-b", cancelled, "cancelled")
    wait_until(lambda: here.shows(sku) == town.initial[sku] - 2)

    wait_until(lambda: town.compare().is_clean, what="hub and shops agree")
    polled_only = {event["account"] for event in town.events("account.polled_only")}
    assert polled_only == (set() if has_webhooks else set(town.shops))
    # each shop shows the shipment once, however often the hub looked
    assert len(told()) == 2
