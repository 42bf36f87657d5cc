"""Comparing through every connector, over HTTP: what a look-alike lists and the hub lacks."""

import json
from datetime import timedelta

import httpx
import pytest

from oms_sync import bootstrap
from oms_sync.runtime.clock import SystemClock
from oms_sync.sdk.seeding import SandboxOptions


class ChannelClock:
    """The channel's clock, some minutes behind until it is set right."""

    behind = timedelta(minutes=10)

    def now(self):
        return SystemClock().now() - self.behind


@pytest.fixture(params=["amazon", "ebay", "shopify"])
def connected(request, noon, shell):
    """The shell, its one account connected to a look-alike of two SKUs, its URL and its clock."""
    clock, options = ChannelClock(), SandboxOptions(skus=2)
    with bootstrap.open_sandbox(request.param, options, now=clock.now) as (sandbox, url):
        entry = {**sandbox.account_entry(), "poll_seconds": 1}
        text = json.dumps({"version": 1, "accounts": [entry]}, ensure_ascii=False)
        shell.write("oms-sync.yaml", text)
        yield shell, entry["name"], url, clock


@pytest.mark.slow
def test_an_order_the_channel_lists_and_the_hub_lacks_is_named(connected):
    shell, name, url, clock = connected
    truth = httpx.get(f"{url}/_sandbox/truth").json()
    line = {"channel_sku": sorted(truth["quantities"])[0], "quantity": 1}
    placed = httpx.post(f"{url}/_sandbox/orders", json={"lines": [line]})
    order = placed.json()["channel_order_id"]
    day = clock.now().date().isoformat()
    clock.behind = timedelta(0)  # what is younger than two polls and the lag is not compared
    (found,) = shell.json("reconcile", "orders", "--day", day, status=1)
    assert (found["account"], found["outcome"]) == (name, "refused")
    assert (found["received"], found["missing"], found["healing"]) == (1, 1, 1)
    assert [one["channel_order_id"] for one in found["differences"]] == [order]
    assert order in shell("certificate", "--day", day).stderr
