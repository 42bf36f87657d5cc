"""The benchmark runs and every figure it promises is there; no time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).with_name("bench.py")
SECONDS_MAX = 900
CHANNELS = ("amazon", "ebay", "shopify")
#: three accounts of one application in two hubs
SHARED = ("ebay_3_accounts_2_hubs", "amazon_one_by_one_3_accounts_2_hubs")
PUSHES = (*CHANNELS, "amazon_one_by_one", *SHARED)
WRITES = "api_writes_per_1000_changed_listings_to_the_minimum"
POSITIVE = {
    "orders_per_second_sqlite_1_accounts",
    "orders_per_second_sqlite_4_accounts",
    "orders_per_second_postgresql_1_accounts",
    "orders_per_second_postgresql_4_accounts",
    "hot_sku_reservations_per_second_sqlite",
    "hot_sku_reservations_per_second_postgresql",
    "read_1000_skus_available_sqlite",
    "read_1000_skus_available_postgresql",
    "start_to_ready",
    "memory_at_rest",
    "stock_adjust_to_channels_p95",
    "last_unit_shows_0_elsewhere_webhooks_p95",
    "last_unit_shows_0_elsewhere_polling_p95",
    *(f"{WRITES}_{name}" for name in CHANNELS),
    *(f"push_100_{job}_rate_used" for job in PUSHES),
    *(f"import_100_amazon_orders_by_{way}_rate_used" for way in ("pages", "id")),
    "memory_with_300_listings",
    "webhook_acks_per_second",
    "webhook_ack_p99",
}
#: figures that may, or must, be nothing
OTHERS = {
    *(f"push_100_{job}_{what}" for job in PUSHES for what in ("throttled", "takes")),
    *(
        f"import_100_amazon_orders_by_{way}_{what}"
        for way in ("pages", "id")
        for what in ("throttled", "takes")
    ),
    "hot_sku_over_reserved_sqlite",
    "hot_sku_over_reserved_postgresql",
    "processor_share_at_rest",
}


@pytest.mark.proves("I-14", "I-26")
def test_every_figure_is_printed_and_nothing_is_over_reserved():
    ran = subprocess.run(
        [sys.executable, str(BENCH), "--quick"],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    document = json.loads(ran.stdout)
    figures = document["figures"]
    assert set(figures) == POSITIVE | OTHERS
    assert {name for name in POSITIVE if not figures[name]["value"] > 0} == set()
    assert figures["hot_sku_over_reserved_sqlite"]["value"] == 0
    assert figures["hot_sku_over_reserved_postgresql"]["value"] == 0
    for name in CHANNELS:
        writes = figures[f"{WRITES}_{name}"]
        assert writes["writes"] >= writes["minimum"] > 0, name
    throttled = [name for name in figures if name.endswith("_throttled")]
    assert {name: figures[name]["value"] for name in throttled} == dict.fromkeys(throttled, 0)
    assert document["machine"]["cores"] >= 1
