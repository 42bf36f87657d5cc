"""First-time seeding of a large shop: found, set and read back inside the published limits.

The shop enforces its bucket in a time that only this gate moves, so what is too fast is refused.
"""

import math

import pytest

from oms_sync.sdk import PushOutcome, StockBatch, StockPush

LISTINGS = 10_000
BATCH = 100
#: as published: points the bucket holds, and gets back a second
CAPACITY, REFILL = 2_000.0, 100.0


class WaitingGate:
    """Waits, in the shop's own time, until the bucket holds what a call costs."""

    def __init__(self, clock):
        self._clock, self._available, self._at = clock, CAPACITY, clock.monotonic()
        self.spent = self.waited_seconds = 0.0
        self.calls = 0

    def spend(self, operation, *, cost=1.0, priority):
        assert operation == "graphql"
        del priority
        self._refill()
        missing = cost - self._available
        if missing > 0:
            seconds = math.ceil(missing / REFILL)
            self.waited_seconds += seconds
            self._clock.advance(seconds)
            self._refill()
        self._available -= cost
        self.spent += cost
        self.calls += 1

    def learn(self, operation, *, available, capacity, refill_per_second):
        del operation
        assert (capacity, refill_per_second) == (CAPACITY, REFILL)
        self._available, self._at = available, self._clock.monotonic()

    def _refill(self):
        now = self._clock.monotonic()
        self._available = min(CAPACITY, self._available + (now - self._at) * REFILL)
        self._at = now


@pytest.mark.slow
def test_ten_thousand_listings_are_seeded_in_hundreds_inside_the_published_limits(running_shop):
    with running_shop(skus=LISTINGS, limits_published=True) as shop:
        gate = WaitingGate(shop.clock)
        began = shop.clock.monotonic()
        session = shop.opened(shop.request(gate=gate))
        session._client._sizes.clear()  # in full pages, as in life
        listings, cursor = [], None
        while cursor is not None or not listings:
            page = session.read_listings(cursor)
            listings += [one.channel_listing_id for one in page.listings]
            cursor = page.cursor
        assert len(set(listings)) == LISTINGS
        found_calls = gate.calls
        outcomes = set()
        for start in range(0, LISTINGS, BATCH):
            outcomes |= {one.outcome for one in session.push_stock(_batch(listings, start))}
        assert outcomes == {PushOutcome.APPLIED}
        assert gate.calls - found_calls == LISTINGS // BATCH, "a hundred listings a call"
        read = session.read_stock(listings[:BATCH])
        assert set(read.quantities.values()) == {7}
        seconds = shop.clock.monotonic() - began
        assert gate.spent <= CAPACITY + REFILL * seconds + BATCH, "never more than was there"
        assert 0 < seconds < 600, f"seeding took {seconds:.0f} s of the shop's time"


def _batch(listings, start):
    entries = tuple(
        StockPush(channel_listing_id=one, channel_sku="", quantity=7, expected=None)
        for one in listings[start : start + BATCH]
    )
    return StockBatch(key=f"seed-{start}", entries=entries)
