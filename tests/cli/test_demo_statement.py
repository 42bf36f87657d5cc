"""The closing statement: each way in which hub and channels can disagree is counted."""

import copy

import pytest

from oms_sync.cli.demo_statement import Evidence, Statement, compare, is_same_order

KEYS = [
    "seed",
    "plan_hash",
    "orders_placed",
    "orders_in_hub",
    "orders_lost",
    "orders_doubled",
    "listings_total",
    "listings_drifted",
    "shipments_made",
    "shipments_confirmed",
    "units_oversold",
    "units_short",
    "skus_sold_out",
    "propagation_ms",
    "faults_fired",
    "settled_seconds",
    "channels",
]


class World:
    """Two shops, ten TEEs and one MUG; one order each, one of them shipped."""

    def __init__(self) -> None:
        self.truths = {"us": _truth(["1"]), "eu": _truth(["2"])}
        self.orders = [_order("us", "1"), _order("eu", "2")]
        self.ship("us", "1", ["T1"])
        self.stock = [
            {"sku": sku, "listings": [_listing(name, sku, left) for name in self.truths]}
            for sku, left in (("TEE", 6), ("MUG", 1))
        ]

    def ship(self, account: str, number: str, tracking: list[str]) -> None:
        packages = [{"carrier": "ups", "tracking_number": each} for each in tracking]
        for order in self.orders:
            if order["account"] == account:
                order["shipments"].append(
                    {
                        "shipment_id": f"s-{number}",
                        "packages": packages,
                        "lines": [{"line_id": f"line-{number}", "quantity": 2}],
                    }
                )
                order["lines"][0]["quantity_shipped"] = 2
        placed = self.truths[account]["orders"][number]
        placed["shipments"].append(
            {
                "packages": packages,
                "lines": [{"channel_line_id": f"c-{number}", "quantity": 2}],
            }
        )
        placed["lines"][0]["quantity_shipped"] = 2

    def compare(self):
        return compare(
            Evidence(
                truths=self.truths,
                orders=self.orders,
                stock=self.stock,
                initial={"TEE": 10, "MUG": 1},
                skus={(name, sku): sku for name in self.truths for sku in ("TEE", "MUG")},
            )
        )


def _line(number: str) -> dict:
    counts = {f"quantity_{each}": 0 for each in ("cancelled", "shipped", "returned")}
    return {"channel_line_id": f"c-{number}", "channel_sku": "TEE", "quantity_ordered": 2} | counts


def _truth(numbers: list[str]) -> dict:
    orders = {
        number: {"test": False, "lines": [_line(number)], "shipments": []} for number in numbers
    }
    return {
        "orders": orders,
        "quantities": {"TEE": 6, "MUG": 1},
        "sold": {"TEE": 2, "MUG": 0},
        "refused": [],
        "calls": {"orders": 3},
    }


def _order(account: str, number: str) -> dict:
    line = _line(number) | {"line_id": f"line-{number}", "quantity_short": 0}
    return {"account": account, "channel_order_id": number, "lines": [line], "shipments": []}


def _listing(account: str, sku: str, left: int) -> dict:
    return {"account": account, "channel_sku": sku, "channel_quantity": left}


@pytest.fixture
def world() -> World:
    return World()


def test_a_world_that_agrees_is_clean(world):
    found = world.compare()
    assert found.is_clean
    assert (found.orders_placed, found.orders_in_hub) == (2, 2)
    assert (found.shipments_made, found.shipments_confirmed) == (1, 1)
    assert (found.listings_total, found.listings_drifted) == (4, 0)
    assert (found.units_oversold, found.units_short) == (0, 0)
    assert found.channels["us"].units_sold == 2


def test_an_order_the_hub_lacks_is_lost(world):
    world.orders.pop()
    found = world.compare()
    assert (found.orders_lost, found.is_clean) == (1, False)


def test_an_order_the_hub_knows_with_other_units_is_lost(world):
    world.truths["eu"]["orders"]["2"]["lines"][0]["quantity_cancelled"] = 1
    found = world.compare()
    assert (found.orders_lost, found.channels["eu"].orders_differing) == (1, 1)


def test_an_order_stored_twice_is_doubled(world):
    world.orders.append(copy.deepcopy(world.orders[1]))
    found = world.compare()
    assert (found.orders_doubled, found.is_clean) == (1, False)


@pytest.mark.parametrize("account", ["us", "elsewhere"])
def test_an_order_no_channel_has_is_one_too_many(world, account):
    world.orders.append(_order(account, "99"))
    assert world.compare().orders_doubled == 1


def test_a_quantity_that_is_not_the_hubs_has_drifted(world):
    world.truths["us"]["quantities"]["TEE"] = 7
    found = world.compare()
    assert (found.listings_drifted, found.is_clean) == (1, False)


def test_a_quantity_both_agree_on_has_drifted_when_it_is_not_what_is_left(world):
    world.truths["us"]["quantities"]["TEE"] = 7
    world.stock[0]["listings"][0]["channel_quantity"] = 7
    assert world.compare().listings_drifted == 1


def test_units_sold_beyond_the_stock_are_oversold_and_must_be_short_in_the_hub(world):
    for number, order in (("1", world.orders[0]), ("2", world.orders[1])):
        placed = world.truths[order["account"]]["orders"][number]
        placed["lines"][0]["channel_sku"] = "MUG"
    for name in world.truths:
        world.truths[name]["quantities"] = {"TEE": 10, "MUG": 0}
    for entry, left in zip(world.stock, (10, 0), strict=True):
        for listing in entry["listings"]:
            listing["channel_quantity"] = left
    assert (world.compare().units_oversold, world.compare().is_clean) == (3, False)
    world.orders[1]["lines"][0]["quantity_short"] = 3
    assert world.compare().is_clean


def test_units_the_channel_ships_from_its_own_warehouse_are_not_taken_from_ours(world):
    placed = world.truths["eu"]["orders"]["2"]
    placed["fulfilled_by"] = "channel"
    assert world.compare().listings_drifted == 2  # the two units are still here to be sold
    for name in world.truths:
        world.truths[name]["quantities"]["TEE"] = 8
    for listing in world.stock[0]["listings"]:
        listing["channel_quantity"] = 8
    assert world.compare().is_clean


def test_units_that_came_back_can_be_sold_again(world):
    for side in (world.truths["us"]["orders"]["1"], world.orders[0]):
        side["lines"][0]["quantity_returned"] = 2
    assert world.compare().listings_drifted == 2  # both shops must offer the two again


def _lose(placed: dict) -> None:
    placed["shipments"].clear()


def _double(placed: dict) -> None:
    placed["shipments"].append(copy.deepcopy(placed["shipments"][0]))


def _mistrack(placed: dict) -> None:
    placed["shipments"][0]["packages"] = [{"carrier": "ups", "tracking_number": "T2"}]


def _forget_package(placed: dict) -> None:
    more = {"carrier": "ups", "tracking_number": "T9"}
    placed["shipments"][0]["packages"] = [*placed["shipments"][0]["packages"], more]


def _ship_less(placed: dict) -> None:
    placed["shipments"][0]["lines"][0]["quantity"] = 1


@pytest.mark.parametrize("break_it", [_lose, _double, _mistrack, _forget_package, _ship_less])
def test_a_shipment_not_shown_exactly_once_is_not_confirmed(world, break_it):
    break_it(world.truths["us"]["orders"]["1"])
    found = world.compare()
    assert (found.shipments_made, found.shipments_confirmed) == (1, 0)
    assert not found.is_clean


def test_a_shipment_the_channel_keeps_in_parts_is_confirmed(world):
    placed = world.truths["us"]["orders"]["1"]
    half = copy.deepcopy(placed["shipments"][0])
    half["lines"][0]["quantity"] = 1
    placed["shipments"] = [half, copy.deepcopy(half)]
    assert world.compare().shipments_confirmed == 1


def test_a_shipment_the_channel_keeps_package_by_package_is_confirmed(world):
    world.orders[0]["shipments"][0]["packages"] = [
        {"carrier": "ups", "tracking_number": number} for number in ("T1", "T2")
    ]
    whole = world.truths["us"]["orders"]["1"]["shipments"][0]
    parts = [copy.deepcopy(whole), copy.deepcopy(whole)]
    for part, number in zip(parts, ("T1", "T2"), strict=True):
        part["lines"][0]["quantity"] = 1
        part["packages"] = [{"carrier": "ups", "tracking_number": number}]
    world.truths["us"]["orders"]["1"]["shipments"] = parts
    assert world.compare().shipments_confirmed == 1
    parts.pop()
    assert world.compare().shipments_confirmed == 0


def test_a_channel_told_of_whole_lines_only_must_show_each_package_once(world):
    placed = world.truths["us"]["orders"]["1"]
    part = placed["shipments"][0]
    part["units_known"] = False
    part["lines"][0]["quantity"] = 9  # what the channel guesses counts for nothing
    assert world.compare().shipments_confirmed == 1
    placed["shipments"].append(copy.deepcopy(part))
    assert world.compare().shipments_confirmed == 0
    placed["shipments"] = [part]
    part["lines"][0]["channel_line_id"] = "c-9"
    assert world.compare().shipments_confirmed == 0


def test_of_a_line_marked_shipped_without_counting_units_it_is_known_that_some_left(world):
    """Two of three units were there to ship: the channel marks the line, and that is no loss."""
    placed, known = world.truths["us"]["orders"]["1"], world.orders[0]
    for order, ordered, shipped in ((placed, 3, 3), (known, 3, 2)):
        order["lines"][0]["quantity_ordered"] = ordered
        order["lines"][0]["quantity_shipped"] = shipped
    assert not is_same_order(placed, known)
    placed["shipments"][0]["units_known"] = False
    assert is_same_order(placed, known)
    known["lines"][0]["quantity_shipped"] = 0
    assert not is_same_order(placed, known)


def test_the_document_has_exactly_the_promised_keys(world):
    statement = Statement(
        seed=1,
        plan_hash="ab",
        comparison=world.compare(),
        skus_sold_out=4,
        propagation_ms={"p50": 1.0, "p95": 2.0, "p99": 3.0},
        faults_fired={"F01": 2},
        settled_seconds=1.24,
    )
    document = statement.document()
    assert list(document) == KEYS
    assert document["settled_seconds"] == 1.2
    assert document["channels"]["us"]["orders_placed"] == 1


def test_a_channels_own_faults_and_outlook_stand_beside_its_figures(world):
    statement = Statement(
        seed=1,
        plan_hash="ab",
        comparison=world.compare(),
        skus_sold_out=0,
        propagation_ms={},
        faults_fired={"F01": 2},
        settled_seconds=0.0,
        faults_by_account={"us": {"F01": 2}},
        published={"eu": {"push_seconds": 7.0}},
    )
    channels = statement.document()["channels"]
    assert channels["us"]["faults_fired"] == {"F01": 2}
    assert channels["eu"]["published"] == {"push_seconds": 7.0}
    assert "published" not in channels["us"]
