"""The daemon is killed again and again while every channel sells; afterwards all sides agree."""

import itertools
import time

import pytest

from oms_sync.cli.demo_crowd import Crowd
from oms_sync.cli.demo_plan import PlanOptions, planned_purchases
from oms_sync.cli.demo_stage import demo_accounts
from oms_sync.cli.demo_statement import is_confirmed, is_same_order
from oms_sync.cli.demo_warehouse import Warehouse
from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.registry import load_registry
from oms_sync.sdk.seeding import SeededChance

pytestmark = pytest.mark.slow

SEED = 20
KILLS = 5
CHANNELS = 3
ORDERS_PER_SECOND = 4.0
#: a lease of the killed daemon on PostgreSQL keeps its flow waiting for up to a minute
SETTLE_SECONDS_MAX = 150


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.proves("I-01", "I-02", "I-13", "I-14", "I-16", "I-20", "I-28", "I-31", "F47", "F38")
def test_a_hub_killed_five_times_under_load_agrees_with_every_channel_in_the_end(
    make_town, request, kind, wait_until
):
    options = {"shops": (), "channels": demo_accounts(load_registry())}
    if kind == "postgres":
        options["database_url"] = request.getfixturevalue("postgres_url")
    town = make_town(**options)
    assert len(town.shops) >= CHANNELS
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
            shipping_accounts=tuple(
                name for name, control in town.controls.items() if control.ships_itself
            ),
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
    wait_until(lambda: _sold_everywhere(town, crowd) and warehouse.shipments >= 3, 90)
    crowd.stop()
    warehouse.stop()

    sights = 0
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while sights < 2:
        found = town.compare()
        sights = sights + 1 if found.is_clean and not _differing(town) else 0
        assert time.monotonic() < deadline, (_disagreements(town), _differing(town))
        time.sleep(0.3)
    assert found.orders_placed == found.orders_in_hub == len(crowd.stories)
    assert found.orders_lost == found.orders_doubled == found.listings_drifted == 0
    assert found.shipments_made == found.shipments_confirmed == warehouse.shipments
    assert found.units_oversold == found.units_short
    assert _packages_shown(town) == _packages_made(town), "a package was told twice or never"
    assert town.json("dead-letters", "list") == []
    verified = town.json("ledger", "verify")
    assert verified["ok"], verified
    assert verified["rows"] > len(crowd.stories)
    assert town.stop_hub() == 0
    assert "Traceback" not in town.log_path.read_text()


def _sold_everywhere(town, crowd) -> bool:
    return len(crowd.stories) >= 30 and all(crowd.placed[name] >= 5 for name in town.shops)


def _disagreements(town) -> list[str]:
    """Every order, shipment and quantity the two sides see differently."""
    orders = town.desk.reports.orders(limit=100_000)
    known = {(order["account"], order["channel_order_id"]): order for order in orders}
    told = []
    for name, control in town.controls.items():
        truth = control.truth()
        for channel_order_id, placed in truth["orders"].items():
            order = known.pop((name, channel_order_id), None)
            if order is None or not is_same_order(placed, order):
                told.append(f"{name}:{channel_order_id} is {placed}, here {order}")
                continue
            told += [
                f"{name}:{channel_order_id} shows {placed['shipments']} for {shipment}"
                for shipment in order["shipments"]
                if not is_confirmed(order, shipment, placed)
            ]
        told += [
            f"{name} offers {truth['quantities'][listing['channel_sku']]} of {listing}"
            for entry in town.desk.reports.stock()
            for listing in entry["listings"]
            if listing["account"] == name
            and truth["quantities"][listing["channel_sku"]] != listing["channel_quantity"]
        ]
    return [*told, *(f"{name}:{one} is known here only" for name, one in known)]


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


def _packages_made(town) -> set[tuple[str, str, str]]:
    return {
        (order["account"], order["channel_order_id"], package["tracking_number"])
        for order in town.desk.reports.orders(limit=100_000)
        for shipment in order["shipments"]
        for package in shipment["packages"]
    }


def _packages_shown(town) -> set[tuple[str, str, str]]:
    """Of what we ship; that no unit is shown twice, the comparison has found already."""
    return {
        (name, channel_order_id, package["tracking_number"])
        for name, control in town.controls.items()
        for channel_order_id, order in control.truth()["orders"].items()
        if order.get("fulfilled_by") != "channel"
        for shipment in order["shipments"]
        for package in shipment["packages"]
    }
