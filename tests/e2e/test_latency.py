"""A change reaches the shops in moments; how fast exactly is for `make bench` to say."""

import pytest

from oms_sync.cli.demo_latency import Route
from oms_sync.domain.values import parse_sku

pytestmark = pytest.mark.slow

#: not the promise, which `make bench` measures: other tests run on the same cores
MILLISECONDS_MAX = 10_000


def _route(town, sku) -> Route:
    return Route(
        context=town.context,
        controls=town.controls,
        sku=parse_sku(sku),
        skus=dict.fromkeys(town.controls, sku),
    )


@pytest.mark.parametrize("kind", ["webhooks", "polling"])
@pytest.mark.proves("I-20", "I-24")
def test_an_adjustment_and_the_sale_of_the_last_unit_show_at_once(make_town, kind):
    town = make_town()
    # with webhooks, polling is put off for good, so that it cannot do their work
    poll_seconds = 3_600 if kind == "webhooks" else 1
    town.configure(has_webhooks=kind == "webhooks", poll_seconds=poll_seconds)
    town.seed()
    town.start_hub()
    town.wait_level()
    sku = town.a_sku()
    route = _route(town, sku)
    adjusted = route.measure_adjustments(4)
    assert len(adjusted) == 8  # two shops
    sold = route.measure_last_units(4)
    assert len(sold) == 4
    assert min(adjusted + sold) > 0
    assert max(adjusted + sold) < MILLISECONDS_MAX
    assert [shop.shows(sku) for shop in town.shops.values()] == [0, 0]
    assert town.compare().units_oversold == 0


def test_a_command_beside_the_hub_reaches_every_shop(town, wait_until):
    town.start_hub()
    town.wait_level()
    sku = town.a_sku()
    town.run("stock", "adjust", sku, "-2", "--reason", "broken")
    wanted = town.initial[sku] - 2
    for shop in town.shops.values():
        wait_until(lambda shop=shop: shop.shows(sku) == wanted, 10)
    explained = town.json("stock", "explain", sku, "--account", "shop-b")
    assert explained["value"] == wanted == sum(term["amount"] for term in explained["terms"])
