"""How many calls a thousand changed listings cost at each channel, beside the fewest possible."""

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import Final

from figures import Figure, at_most, say, tidy
from staged import change_counts, every_channel, options, running, wait_level

from oms_sync.cli.demo_stage import Stage
from oms_sync.runtime.clock import SystemClock
from oms_sync.sdk.seeding import SandboxOptions

AIM_WRITES_RATIO: Final = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCall:
    """One operation that sets quantities, as the sandbox counts it, and how many fit in a call."""

    operation: str
    size_max: int


#: by connector, the operation that carries most first
WRITES: Final = {
    "shopify": (WriteCall(operation="inventorySetQuantities", size_max=100),),
    "amazon": (
        WriteCall(operation="createFeed", size_max=25_000),
        WriteCall(operation="patchListingsItem", size_max=1),
    ),
    "ebay": (
        WriteCall(operation="ReviseInventoryStatus", size_max=4),
        # Its contract says both one SKU a call and up to 25; we keep to what both allow.
        WriteCall(operation="bulkUpdatePriceQuantity", size_max=1),
    ),
}


def per_channel(*, changed: int) -> list[Figure]:
    """One figure for each channel there is."""
    return [
        _figure(account, connector, changed)
        for account, connector in every_channel().items()
        if connector in WRITES
    ]


def _figure(account: str, connector: str, changed: int) -> Figure:
    say(f"{connector}: calls for {changed} changed listings")
    chosen = options(skus=changed, has_webhooks=False, accounts={account: connector})
    with running(chosen) as (stage, desk):
        before = _calls(stage, account)
        change_counts(stage, desk, changed)
        wait_level(stage, desk)
        calls = _calls(stage, account) - before
    names = [call.operation for call in WRITES[connector]]
    writes = sum(calls[name] for name in names)
    least = _least(connector, changed)
    reads = {name: count for name, count in sorted(calls.items()) if name not in names}
    return at_most(
        f"api_writes_per_1000_changed_listings_to_the_minimum_{connector}",
        writes / least,
        "times",
        AIM_WRITES_RATIO,
        writes=writes,
        minimum=least,
        changed_listings=changed,
        writes_per_1000=tidy(writes * 1_000 / changed),
        other_calls=reads,
    )


def _least(connector: str, changed: int) -> int:
    """The fewest calls that can carry so many quantities."""
    if connector != "ebay":
        return ceil(changed / WRITES[connector][0].size_max)
    from connectors.ebay.sandbox.app import EbaySandbox

    # Which of the seeded listings the Inventory API manages, the sandbox alone knows.
    seeded = EbaySandbox(SandboxOptions(skus=changed), SystemClock().now).books
    by_rest = sum(
        seeded.listing_of[variant.id].is_inventory_managed
        for variant in seeded.store.variants.values()
        if variant.sku
    )
    trading, rest = WRITES[connector]
    return ceil((changed - by_rest) / trading.size_max) + ceil(by_rest / rest.size_max)


def _calls(stage: Stage, account: str) -> Counter[str]:
    return Counter(stage.controls[account].truth()["calls"])
