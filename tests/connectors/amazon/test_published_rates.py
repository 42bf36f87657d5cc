"""A day of polls, sweeps, reports and refusals, within the calls Amazon publishes."""

from datetime import timedelta

import httpx
import pytest

from connectors.amazon import CONNECTOR
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.rate import RateBuckets
from oms_sync.sdk import OrderFeed, RateLimited

US, CANADA, MEXICO = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2", "A1AM78C64UM0Y8"
TITLES = "amazon-order-id\tlast-updated-date\tsales-channel"
DAY_SECONDS = 86_400
#: pages of a list in the sandbox's day: some hundred orders in two days
SWEEP_PAGES = 3
UNLISTED = 400


@pytest.fixture
def day(amazon, open_session, documents, shown_order, clock):
    """A session with the published buckets, at an Amazon that refuses Canada."""

    def search(asked):
        if CANADA in asked.query["marketplaceIds"]:
            return httpx.Response(403, json={"errors": [{"code": "Unauthorized", "message": "no"}]})
        number = int(asked.query.get("paginationToken", "0 0").split()[1])
        is_sweep = asked.query["lastUpdatedAfter"] < f"{clock.now() - timedelta(hours=24):%Y-%m-%d}"
        more = {"pagination": {"nextToken": f"{clock.monotonic()} {number + 1}"}}
        last = not is_sweep or number + 1 == SWEEP_PAGES
        bound = f"{clock.now() - timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}"
        orders = [shown_order(number, status="SHIPPED")]
        return {"orders": orders, "lastUpdatedBefore": bound, **({} if last else more)}

    rows = [f"111-0000001-{number:07d}\t\t" for number in range(UNLISTED)]
    amazon.on("searchOrders", search)
    amazon.on("getReport", {"processingStatus": "DONE", "reportDocumentId": "d1"})
    amazon.on("getReportDocument", {"reportDocumentId": "d1", "url": f"{documents}/d1"})
    amazon.on("download", httpx.Response(200, content="\n".join([TITLES, *rows]).encode()))
    amazon.on("getOrder", lambda asked: {"order": {**shown_order(1), "orderId": _id(asked)}})
    limits = CONNECTOR.manifest.rate_limits
    gate = RateBuckets(limits, clock=clock, metrics=NullMetrics(), account="seller-a")
    return open_session(clock=clock, gate=gate, marketplace_ids=(US, CANADA, MEXICO))


def _id(asked):
    return asked.url.path.rpartition("/")[2]


def test_a_refusing_marketplace_and_the_report_leave_every_poll_its_call(day, amazon, clock):
    cursors = {OrderFeed.CHANGES: None, OrderFeed.SWEEP: None}
    polled = waited = 0
    is_sweeping = False
    while clock.monotonic() < DAY_SECONDS:
        began = clock.monotonic()
        page = day.read_orders(
            OrderFeed.CHANGES, cursors[OrderFeed.CHANGES], clock.now() - timedelta(hours=1)
        )
        cursors[OrderFeed.CHANGES] = page.cursor
        polled += page.is_last
        is_sweeping = is_sweeping or clock.monotonic() % 3600 < CONNECTOR.manifest.poll_seconds
        while is_sweeping:
            try:
                page = day.read_orders(
                    OrderFeed.SWEEP, cursors[OrderFeed.SWEEP], clock.now() - timedelta(hours=48)
                )
            except RateLimited:
                waited += 1
                break  # bulk work leaves the polls their share
            is_sweeping = not page.is_last
            cursors[OrderFeed.SWEEP] = page.cursor if is_sweeping else None
        clock.advance(max(0.0, began + CONNECTOR.manifest.poll_seconds - clock.monotonic()))
    assert polled >= 0.9 * DAY_SECONDS / CONNECTOR.manifest.poll_seconds
    counts = amazon.counts
    for limit in CONNECTOR.manifest.rate_limits:
        granted = limit.capacity + limit.refill_per_second * clock.monotonic()
        assert counts[limit.operation] <= granted, limit.operation
    assert (counts["createReport"], counts["getReportDocument"]) == (1, 1)
    assert UNLISTED <= counts["getOrder"] <= UNLISTED + 10
