"""Orders no list ever shows: found in the report of the day, and what such a report may say."""

from datetime import timedelta

import httpx
import pytest

from connectors.amazon.reports import ASKED, ORDERS, UNLISTED_MAX, rows_of
from oms_sync.sdk import BadPayload, ChannelDown, OrderFeed

US, CANADA = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"


@pytest.fixture
def session(seller):
    seller.settings = seller.settings.model_copy(update={"marketplace_ids": (US, CANADA)})
    return seller.open()


def _calls(seller, name):
    return seller.sandbox.truth()["calls"].get(name, 0)


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

    def act(
        *rows,
        titles="amazon-order-id\tlast-updated-date\tsales-channel",
        encoding="utf-8",
        download=None,
    ):
        body = "\n".join([titles, *rows]).encode(encoding)
        amazon.on("download", download or httpx.Response(200, content=body))
        since = clock.now() - timedelta(hours=48)
        pages = [session.read_orders(OrderFeed.SWEEP, None, since) for _ in range(2)]
        return list(dict.fromkeys(raw.channel_order_id for page in pages for raw in page.orders))

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


def test_a_report_may_name_so_many_at_a_time_and_the_next_sweep_goes_on(report, amazon):
    rows = [f"111-0000001-{number:07d}\t\t" for number in range(UNLISTED_MAX + 5)]
    report(*rows)
    assert report.session._orders.report.is_refused is False
    assert UNLISTED_MAX <= amazon.counts["getOrder"] <= UNLISTED_MAX + 2
    report(*rows)
    assert {one.url.path[-7:] for one in amazon.of("getOrder")} >= {row[12:19] for row in rows}
    assert amazon.counts["createReport"] == 1


@pytest.mark.parametrize("answer", [httpx.Response(403, content=b"<Error/>"), 503])
def test_a_report_that_cannot_be_fetched_now_does_not_keep_the_sweep_from_its_end(
    answer, report, amazon
):
    found = report(LINE, download=answer)
    assert found == ["111-0000000-0000001"]
    assert "111-0000000-0000002" in report(LINE)
    assert amazon.counts["createReport"] == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "cp1252"])
def test_ids_are_read_whatever_the_rest_is_written_in(encoding, report):
    title = "caf\xe9 \x81" if encoding == "cp1252" else "本日の商品"
    encoding = "latin-1" if encoding == "cp1252" else encoding
    titles = "amazon-order-id\tlast-updated-date\tsales-channel\tproduct-name"
    found = report(f"{LINE}\t{title}", titles=titles, encoding=encoding)
    assert "111-0000000-0000002" in found


def test_a_table_is_read_by_its_titles():
    columns = {"order_id": ("amazon-order-id",), "sku": ("sku",)}
    text = "sku\tAmazon-Order-Id\r\nA\t111\r\nB"
    assert rows_of(text, columns, ["order_id"], "orders") == [
        {"order_id": "111", "sku": "A"},
        {"order_id": "", "sku": "B"},
    ]
