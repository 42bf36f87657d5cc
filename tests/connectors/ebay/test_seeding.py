"""The first time: 10,000 listings get their quantities within eBay's published limits."""

import pytest

from oms_sync.sdk import PushOutcome, StockBatch, StockPush

SKUS = 10_000
QUANTITY = 777
CALLS_A_DAY = 5_000
BATCH = 100
SECONDS_PER_BATCH = 30


@pytest.mark.slow
def test_ten_thousand_listings_are_seeded_within_one_days_calls(running_seller):
    with running_seller(skus=SKUS, limits_published=True) as seller:
        session = seller.open()
        session._stock.per_page = 200
        found, cursor = [], None
        while True:
            page = session.read_listings(cursor)
            found += [one for one in page.listings if one.channel_sku]
            cursor = page.cursor
            if cursor is None:
                break
        assert len(found) == SKUS
        outcomes = set()
        for start in range(0, SKUS, BATCH):
            entries = tuple(
                StockPush(
                    channel_listing_id=one.channel_listing_id,
                    channel_sku=one.channel_sku,
                    quantity=QUANTITY,
                    expected=None,
                )
                for one in found[start : start + BATCH]
            )
            results = session.push_stock(StockBatch(key=str(start), entries=entries))
            outcomes |= {one.outcome for one in results}
            seller.advance(SECONDS_PER_BATCH)
        truth = seller.sandbox.truth()
        assert outcomes == {PushOutcome.APPLIED}
        assert set(truth["quantities"].values()) == {QUANTITY}
        trading = ("GetMyeBaySelling", "GetUserPreferences", "ReviseInventoryStatus")
        calls = sum(truth["calls"][name] for name in trading)
        assert calls <= SKUS / 4 + SKUS / 200 + 10, "four quantities a call, 200 listings a page"
        assert calls < CALLS_A_DAY
        # What is left of the day is shown, and is enough to go on reading orders.
        check = session.check()
        assert "of 5000 Trading calls left" in check.detail["calls"]
        assert not any("reading orders alone" in one for one in check.warnings)
