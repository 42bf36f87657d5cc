"""What must not stop everything: a marketplace that refuses, and orders no list ever shows."""

import json
from datetime import timedelta

import httpx
import pytest

from connectors.amazon.account import PROBED_SECONDS, REFUSED_SECONDS
from connectors.amazon.reports import ASKED, ORDERS, UNLISTED_MAX, rows_of
from connectors.amazon.sandbox.order_views import SOLD_IN
from oms_sync.sdk import BadPayload, ChannelDown, OrderFeed, PermissionMissing, RateLimited
from oms_sync.sdk.sandbox import Purchase

US, CANADA = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"


@pytest.fixture
def session(seller):
    seller.settings = seller.settings.model_copy(update={"marketplace_ids": (US, CANADA)})
    return seller.open()


@pytest.fixture
def place(seller):
    def act(marketplace_id=US, **more):
        order_id = seller.sandbox.sales.place(Purchase(lines=((seller.sku(), 1),), **more))
        order = seller.order(order_id)
        order.tags += (f"{SOLD_IN}{marketplace_id}",)
        seller.sandbox.store.changed(order)
        return order_id

    return act


@pytest.fixture
def reads(seller):
    """A whole pass: the ids it showed, and where the next one begins."""

    def act(session, feed=OrderFeed.CHANGES, cursor=None, hours=1):
        found = []
        while True:
            page = session.read_orders(feed, cursor, seller.now() - timedelta(hours=hours))
            found += [raw.channel_order_id for raw in page.orders]
            cursor = page.cursor
            if page.is_last:
                return set(found), cursor

    return act


def _calls(seller, name):
    return seller.sandbox.truth()["calls"].get(name, 0)


# --- one marketplace of several ------------------------------------------------------------------


def test_a_marketplace_that_refuses_costs_the_others_nothing(seller, session, place, reads):
    ours, theirs = place(), place(CANADA)
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    found, _ = reads(session)
    assert (ours in found, theirs in found) == (True, False)
    (missing,) = session.check().missing_permissions
    assert missing.startswith(f"orders of {CANADA}: take it out of marketplace_ids")


def test_what_a_marketplace_had_meanwhile_is_read_once_it_answers(seller, session, place, reads):
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    _, cursor = reads(session)
    theirs = place(CANADA)
    for _ in range(3):  # long beyond the overlap
        seller.advance(REFUSED_SECONDS / 4)
        found, cursor = reads(session, cursor=cursor)
        assert theirs not in found
    seller.sandbox.orders.refused = set()
    seller.advance(REFUSED_SECONDS / 4 + 1)
    found, cursor = reads(session, cursor=cursor)
    assert theirs in found, "from where it was left out"
    assert session.check().missing_permissions == ()
    seller.advance(3600)
    assert reads(session, cursor=cursor)[0] == set(), "and then as ever"


def test_a_restart_forgets_nothing_of_what_was_left_out(seller, session, place, reads):
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    _, cursor = reads(session)
    theirs = place(CANADA)
    seller.advance(7200)
    _, cursor = reads(session, cursor=cursor)
    seller.sandbox.orders.refused = set()
    found, _ = reads(seller.open(), cursor=cursor)
    assert theirs in found


def test_each_is_asked_alone_once_and_not_at_every_poll(seller, session, place, reads):
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    _, cursor = reads(session)
    before = _calls(seller, "searchOrders")
    for _ in range(3):
        _, cursor = reads(session, cursor=cursor)
    assert _calls(seller, "searchOrders") == before + 3


def test_a_seller_refused_everywhere_is_told_so(seller, session, reads):
    seller.sandbox.orders.refused = {US, CANADA}
    for _ in range(2):
        with pytest.raises(PermissionMissing):
            reads(session)
    asked = _calls(seller, "searchOrders")
    with pytest.raises(PermissionMissing):
        reads(session)
    assert _calls(seller, "searchOrders") <= asked + 2, "alone once an hour at most"


def test_the_first_read_of_open_orders_is_whole_or_not_at_all(seller, session, reads):
    seller.sandbox.orders.refused = {CANADA}
    with pytest.raises(PermissionMissing):
        reads(session, feed=OrderFeed.OPEN)


def test_no_day_is_compared_while_a_marketplace_refuses(seller, session, place):
    since = seller.now()
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(60)
    session.list_orders(since, seller.now(), None)  # without what orders cost first
    with pytest.raises(RateLimited, match=CANADA) as refused:
        session.list_orders(since, seller.now(), None)
    assert refused.value.retry_after_seconds == PROBED_SECONDS
    seller.sandbox.orders.refused = set()
    assert seller.open().list_orders(since, seller.now(), None).orders


def test_where_the_seller_sells_no_more_nobody_asks(seller, session, place, reads):
    ours = place()
    seller.sandbox.account.left = {CANADA}
    seller.sandbox.orders.refused = seller.sandbox.reports.refused = {CANADA}
    (warning,) = session.check().warnings
    assert "it is not asked for" in warning
    seller.advance(1)
    before = _calls(seller, "searchOrders")
    found, _ = reads(session)
    assert ours in found
    assert _calls(seller, "searchOrders") == before + 1
    assert session.list_orders(seller.now() - timedelta(hours=1), seller.now(), None).orders
    assert session.read_listings(None).listings


def test_a_report_of_one_marketplace_that_is_refused_is_said(seller, session):
    seller.sandbox.reports.refused = {CANADA}
    page = session.read_listings(None)
    assert {one.channel_sku for one in page.listings} >= set(seller.listing_ids())
    assert f"the listings of {CANADA} are not read" in page.listings[0].warning
    seller.sandbox.reports.refused = {US, CANADA}
    with pytest.raises(PermissionMissing):
        session.read_listings(None)


def test_a_marketplace_asked_anew_is_read_a_week_back_at_most(amazon, open_session, clock):
    """One that was never granted must not have a year read again while new orders wait."""
    bound = {"lastUpdatedBefore": "2026-03-01T11:58:00Z"}
    amazon.on("searchOrders", {"orders": [], **bound})
    session = open_session(clock=clock, marketplace_ids=(US, CANADA))
    cursor = json.dumps(
        {"watermark": "2026-03-01T11:00:00Z", "left_out": {CANADA: "2025-01-01T00:00:00Z"}}
    )
    session.read_orders(OrderFeed.CHANGES, cursor, clock.now())
    (asked,) = amazon.of("searchOrders")
    week = clock.now() - timedelta(days=7, seconds=600)
    assert asked.query["lastUpdatedAfter"] == f"{week:%Y-%m-%dT%H:%M:%SZ}"


def test_a_marketplace_that_drops_out_between_two_pages_is_read_from_there(
    seller, session, place, reads
):
    _, cursor = reads(session)
    seller.advance(3600)
    theirs = [place(CANADA) for _ in range(6)]
    seller.advance(1)
    page = session.read_orders(OrderFeed.CHANGES, cursor, seller.now() - timedelta(hours=1))
    assert not page.is_last
    seller.sandbox.orders.refused = {CANADA}
    found, cursor = reads(session, cursor=page.cursor)
    shown = {raw.channel_order_id for raw in page.orders} | found
    assert not set(theirs) <= shown
    seller.advance(REFUSED_SECONDS + 1)
    seller.sandbox.orders.refused = set()
    found, _ = reads(session, cursor=cursor)
    assert set(theirs) <= shown | found


# --- orders no list shows ------------------------------------------------------------------------


@pytest.fixture
def hidden(seller, place):
    """An order that can be read by its id and is in no list."""

    def act(**more):
        order_id = place(**more)
        seller.sandbox.orders.hidden.add(order_id)
        return order_id

    return act


@pytest.mark.proves("F18")
def test_an_order_no_list_shows_is_found_by_the_report_of_the_day(
    seller, session, place, hidden, reads
):
    listed, unlisted = place(), hidden()
    seller.advance(10)
    assert listed in reads(session, OrderFeed.SWEEP, hours=48)[0]
    seller.advance(3600)
    found, _ = reads(session, OrderFeed.SWEEP, hours=48)
    assert unlisted in found
    (raw,) = session.read_orders_by_id([unlisted])
    assert session.parse_order(raw.payload, seller.now()).facts.is_complete


def test_the_report_is_asked_for_once_a_day_and_names_its_window(seller, session, hidden, reads):
    seller.advance(10)
    first = hidden()
    for _ in range(5):
        seller.advance(3600)
        reads(session, OrderFeed.SWEEP, hours=48)
    assert _calls(seller, "createReport") == 1
    (report,) = seller.sandbox.reports._reports.values()
    assert report.kind == ORDERS
    assert set(report.places) == {US, CANADA}
    assert report.since < seller.order(first).updated_at <= report.until
    seller.advance(86_400)
    reads(session, OrderFeed.SWEEP, hours=48)
    assert _calls(seller, "createReport") == 2


def test_a_restart_takes_the_report_up_where_it_was(seller, session, hidden, reads):
    unlisted = hidden()
    seller.advance(10)
    reads(session, OrderFeed.SWEEP, hours=48)
    seller.advance(60)
    found, _ = reads(seller.open(), OrderFeed.SWEEP, hours=48)
    assert unlisted in found
    assert _calls(seller, "createReport") == 1


def test_orders_the_list_looked_at_no_more_are_not_read_again(seller, session, place, reads):
    old = place()
    seller.advance(10)
    reads(session, OrderFeed.SWEEP, hours=48)
    seller.advance(47 * 3600 // 2)
    found, _ = reads(session, OrderFeed.SWEEP, hours=1)
    assert old not in found, "the report names it, of a time this sweep did not list"


def test_the_other_feeds_ask_for_no_report(seller, session, hidden, reads):
    hidden()
    seller.advance(10)
    for feed in (OrderFeed.CHANGES, OrderFeed.OPEN, OrderFeed.HISTORY):
        reads(session, feed)
    assert _calls(seller, "createReport") == 0


def test_a_report_that_is_refused_stops_no_sweep_and_is_named(seller, session, place, reads):
    seller.sandbox.denied |= {"createReport"}
    ours = place()
    seller.advance(10)
    assert ours in reads(session, OrderFeed.SWEEP, hours=48)[0]
    missing = session.check().missing_permissions
    assert missing == ("REPORTS: role Inventory and Order Tracking",)
    asked = _calls(seller, "createReport")
    reads(session, OrderFeed.SWEEP, hours=48)
    assert _calls(seller, "createReport") == asked, "tomorrow again"


# --- what the report itself may say --------------------------------------------------------------


LINE = "111-0000000-0000002\t2026-03-01T11:30:00+00:00\tAmazon.com"


@pytest.fixture
def report(amazon, open_session, request_for, documents, shown_order, clock):
    """A sweep that has a report, with this content, and what it found."""
    amazon.on("searchOrders", {"orders": [shown_order(1)], "lastUpdatedBefore": NOW})
    amazon.on("getReport", {"processingStatus": "DONE", "reportDocumentId": "d1"})
    amazon.on("getReportDocument", {"reportDocumentId": "d1", "url": f"{documents}/d1"})
    amazon.on(
        "getOrder",
        lambda asked: {"order": shown_order(int(asked.url.path.rpartition("-")[2]))},
    )
    session = open_session(clock=clock)

    def act(*rows, titles="amazon-order-id\tlast-updated-date\tsales-channel"):
        body = "\n".join([titles, *rows]).encode()
        amazon.on("download", httpx.Response(200, content=body))
        since = clock.now() - timedelta(hours=48)
        session.read_orders(OrderFeed.SWEEP, None, since)
        page = session.read_orders(OrderFeed.SWEEP, None, since)
        return [raw.channel_order_id for raw in page.orders]

    act.session = session
    act.tokens = session._store
    return act


NOW = "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("row", "is_read"),
    [
        (LINE, True),
        (LINE.replace("0002", "0001"), False),
        (LINE.replace("2026-03-01T11", "2026-02-01T11"), False),
        (LINE.replace("2026-03-01T11", "2026-03-09T11"), False),
        ("111-0000000-0000002\tyesterday\tAmazon.com", True),
        ("111-0000000-0000002", True),
        (LINE.replace("Amazon.com", "Non-Amazon US"), False),
        ("CONSUMER-2026\t2026-03-01T11:30:00+00:00\tAmazon.com", False),
        ("", False),
    ],
)
def test_what_of_a_report_is_read(row, is_read, report):
    assert ("111-0000000-0000002" in report(row)) is is_read


def test_a_report_nobody_understands_is_said_once_and_stops_no_sweep(report, amazon):
    with pytest.raises(BadPayload, match="the report of orders has no column for order_id"):
        report("x\ty", titles="numéro\tdate")
    assert report("x\ty", titles="numéro\tdate") == ["111-0000000-0000001"]
    assert amazon.counts["createReport"] == 1


def test_a_report_amazon_gives_up_is_asked_for_anew_the_next_day(report, amazon, clock):
    amazon.on("getReport", {"processingStatus": "FATAL"})
    with pytest.raises(ChannelDown, match="cannot make the report of orders"):
        report()
    assert report() == ["111-0000000-0000001"], "the lists go on"
    amazon.on("getReport", {"processingStatus": "DONE", "reportDocumentId": "d1"})
    clock.advance(86_400)
    amazon.on("searchOrders", {"orders": [], "lastUpdatedBefore": "2026-03-02T12:00:00Z"})
    assert "111-0000000-0000002" in report(LINE)
    assert amazon.counts["createReport"] == 2


def test_a_report_with_nothing_in_it_names_nobody(report, amazon):
    amazon.on("getReport", {"processingStatus": "CANCELLED"})
    assert report() == ["111-0000000-0000001"]
    assert '"id": ""' in report.tokens.load()[ASKED]


def test_a_report_may_name_so_many_and_no_more_at_a_time(report, amazon):
    rows = [f"111-0000001-{number:07d}\t\t" for number in range(UNLISTED_MAX + 5)]
    report(*rows)
    place = report.session._orders.report
    assert place.is_refused is False
    assert UNLISTED_MAX <= amazon.counts["getOrder"] <= UNLISTED_MAX + 2


def test_a_table_is_read_by_its_titles():
    columns = {"order_id": ("amazon-order-id",), "sku": ("sku",)}
    text = "sku\tAmazon-Order-Id\r\nA\t111\r\nB"
    assert rows_of(text, columns, ["order_id"], "orders") == [
        {"order_id": "111", "sku": "A"},
        {"order_id": "", "sku": "B"},
    ]
