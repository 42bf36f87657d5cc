"""The daemon is killed again and again while the shops sell; afterwards all sides agree."""

import itertools
import time

import pytest

from oms_sync.cli.demo_crowd import Crowd
from oms_sync.cli.demo_plan import PlanOptions, planned_purchases
from oms_sync.cli.demo_warehouse import Warehouse
from oms_sync.runtime.clock import SystemClock
from oms_sync.sdk.seeding import SeededChance

pytestmark = pytest.mark.slow

SEED = 20
KILLS = 5
ORDERS_PER_SECOND = 4.0
#: a lease of the killed daemon on PostgreSQL keeps its flow waiting for up to a minute
SETTLE_SECONDS_MAX = 150


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.proves("I-01", "I-02", "I-13", "I-14", "I-16", "I-20", "I-28", "I-31", "F47", "F38")
def test_a_hub_killed_five_times_under_load_agrees_with_the_shops_in_the_end(
    make_town, request, kind, wait_until
):
    options = {}
    if kind == "postgres":
        options["database_url"] = request.getfixturevalue("postgres_url")
    town = make_town(**options)
    town.configure(poll_seconds=1, reconcile_seconds=5)
    town.seed()
    town.start_hub()
    town.wait_level()

    plan = planned_purchases(
        PlanOptions(
            seed=SEED,
            skus=len(town.initial),
            accounts=tuple(town.shops),
            orders_per_second=ORDERS_PER_SECOND,
        )
    )
    crowd = Crowd(itertools.islice(plan, 400), town.controls, SystemClock())
    warehouse = Warehouse(town.context, town.desk.reports, crowd, seed=SEED)
    crowd.start()
    warehouse.start()
    chance = SeededChance(SEED, f"kills/{kind}")
    for number in range(KILLS):
        if number % 2 == 0:  # the others die wherever they are, perhaps before they were ready
            town.wait_ready()
        time.sleep(0.3 + 1.7 * chance.random())
        assert town.hub.poll() is None, "it must live until it is killed"
        town.kill_hub()
        town.start_hub(is_awaited=False)
    town.wait_ready()
    # a quick machine is through with the kills before enough was sold
    wait_until(lambda: len(crowd.stories) >= 30 and warehouse.shipments >= 3, 90)
    crowd.stop()
    warehouse.stop()

    sights = 0
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while sights < 2:
        found = town.compare()
        sights = sights + 1 if found.is_clean else 0
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
    assert found.orders_placed == found.orders_in_hub == len(crowd.stories)
    assert found.orders_lost == found.orders_doubled == found.listings_drifted == 0
    assert found.shipments_made == found.shipments_confirmed == warehouse.shipments
    assert found.units_oversold == found.units_short
    assert not _differing(town)
    assert _fulfilments(town) == found.shipments_confirmed, "a shipment was told twice"
    assert town.json("dead-letters", "list") == []
    verified = town.json("ledger", "verify")
    assert verified["ok"], verified
    assert verified["rows"] > len(crowd.stories)
    assert town.stop_hub() == 0
    assert "Traceback" not in town.log_path.read_text()


def _differing(town) -> dict[tuple[str, str], tuple[str | None, str]]:
    ours = _states(town)
    truth = _true_states(town)
    return {key: (ours.get(key), state) for key, state in truth.items() if ours.get(key) != state}


def _states(town) -> dict[tuple[str, str], str]:
    orders = town.desk.reports.orders(limit=100_000)
    return {(order["account"], order["channel_order_id"]): order["state"] for order in orders}


def _true_states(town) -> dict[tuple[str, str], str]:
    return {
        (name, channel_order_id): order["state"]
        for name, control in town.controls.items()
        for channel_order_id, order in control.truth()["orders"].items()
    }


def _fulfilments(town) -> int:
    """Different sets of tracking numbers at the shops; one shipment may lie there in parts."""
    return sum(
        len(
            {
                frozenset(package["tracking_number"] for package in shipment["packages"])
                for shipment in order["shipments"]
            }
        )
        for control in town.controls.values()
        for order in control.truth()["orders"].values()
    )
