"""The first quantities of ten thousand listings, inside the published limits, in virtual time."""

import math

import pytest

from connectors.amazon import CONNECTOR
from oms_sync.sdk import PushOutcome, StockBatch, StockPush

LISTINGS = 10_000


class Budget:
    """The published buckets on a virtual clock: whoever has no call left waits for one."""

    def __init__(self, clock):
        self._clock = clock
        self._limits = {limit.operation: limit for limit in CONNECTOR.manifest.rate_limits}
        self._left = {name: limit.capacity for name, limit in self._limits.items()}
        self._then = dict.fromkeys(self._limits, clock.monotonic())
        self.waited = 0.0

    def spend(self, operation, *, cost=1, priority):
        limit = self._limits[operation]
        now = self._clock.monotonic()
        gained = (now - self._then[operation]) * limit.refill_per_second
        left = min(limit.capacity, self._left[operation] + gained) - cost
        if left < 0:
            wait = math.ceil(-left / limit.refill_per_second * 1e6) / 1e6 + 1e-6
            self.waited += wait
            self._clock.advance(wait)
            left, now = 0.0, self._clock.monotonic()
        self._left[operation], self._then[operation] = left, now

    def learn(self, operation, *, available, capacity, refill_per_second):
        assert available > 0, f"{operation} was refused for being too many"


@pytest.mark.slow
def test_ten_thousand_listings_are_seeded_inside_the_published_limits(running_seller):
    options = {"skus": LISTINGS, "limits_published": True, "lag_seconds": 60.0}
    with running_seller(**options) as seller:
        gate = Budget(seller.clock)
        seller.gate = gate
        session = seller.open()
        began = seller.clock.monotonic()
        listings = [
            one.channel_sku for one in session.read_listings(None).listings if one.is_stocked
        ]
        assert len(listings) == LISTINGS
        found_after = seller.clock.monotonic() - began
        size, marks = CONNECTOR.manifest.stock_batch_max, []
        for start in range(0, LISTINGS, size):
            entries = tuple(
                StockPush(channel_listing_id=sku, channel_sku=sku, quantity=17, expected=None)
                for sku in listings[start : start + size]
            )
            results = session.push_stock(StockBatch(key=f"seed-{start}", entries=entries))
            outcomes = {one.outcome for one in results}
            assert outcomes == {PushOutcome.ACCEPTED}, [one.reason for one in results][:3]
            marks.append(seller.clock.monotonic() - began)
        truth = seller.sandbox.truth()
    assert set(truth["quantities"].values()) == {17}
    calls = truth["calls"]
    assert calls["createFeed"] == LISTINGS / size
    assert calls["searchListingsItems"] == LISTINGS / 20, "each looked at once before it is written"
    assert "patchListingsItem" not in calls
    looks = LISTINGS / 20 / 5
    assert looks - 1 < marks[-1] < looks + 600, "the looks, at five a second, are what it costs"
    first, whole = marks[0] - found_after, marks[-1] - found_after
    truthful = first * LISTINGS / size
    assert abs(truthful - whole) < 0.2 * whole, "the time left told after the first half holds"
