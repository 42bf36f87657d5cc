"""SKUs, names and instants as they are, from each connector's sandbox over HTTP to the hub."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.sdk import OrderFeed, PushOutcome, StockBatch, StockPush

#: zeros that are no number, blanks, quotes, signs of markup and addresses, twins but for case,
#: letters outside ASCII, a sign of two code units
AWKWARD = (
    "00042",
    "TEE RED M",
    'NAIL 6" BOX',
    "NUTS&BOLTS",
    "MUG-☕",
    "mug-☕",
    "O'BRIEN, LARGE",
    "A/B+C%20",
    "ÄPFEL-1",
)


def test_every_awkward_sku_is_found_sold_reserved_and_counted_as_itself(market):
    own = market.account("shop", *AWKWARD)
    assert set(own) == set(AWKWARD)
    for units, sku in enumerate(AWKWARD, start=1):
        raw = market.read(market.place((sku, units)))
        order = market.take_in("shop", raw)
        (known,), (stored,) = order.known.lines, order.lines
        assert known.line.channel_sku == sku
        assert stored.sku == own[sku]
        assert sum(stored.held.values()) == units
    for units, sku in enumerate(AWKWARD, start=1):
        assert market.hub.stock(own[sku])[1] == units, "only its own order reserves it"
        assert market.hub.listing(sku, "shop").taken == units


def test_every_awkward_sku_is_pushed_and_read_back_as_itself(market):
    listings = {one.channel_sku: one.channel_listing_id for one in market.listings()}
    shown = dict(market.session.read_stock([listings[sku] for sku in AWKWARD]).quantities)
    for number, sku in enumerate(AWKWARD):
        market.advance(30)
        entry = StockPush(
            channel_listing_id=listings[sku],
            channel_sku=sku,
            quantity=50 + number,
            expected=shown[listings[sku]],
        )
        (result,) = market.session.push_stock(StockBatch(key=f"key-{number}", entries=(entry,)))
        assert result.outcome in (PushOutcome.APPLIED, PushOutcome.ACCEPTED), sku
    market.advance(900)
    truth = market.driver.sandbox.truth()["quantities"]
    assert {sku: truth[sku] for sku in AWKWARD} == {
        sku: 50 + number for number, sku in enumerate(AWKWARD)
    }


#: name, street, city
PEOPLE = {
    "Arabic, right to left": ("فاطمة الزهراء", "شارع التحرير ١٢", "القاهرة"),
    "Hebrew": ("דָּוִד כהן", "רחוב הרצל 5", "תל אביב"),
    "Chinese": ("王小明", "南京东路１００号", "上海"),
    "Japanese": ("山田 太郎", "千代田区一番町１丁目", "東京"),
    "Thai": ("สมชาย ใจดี", "ถนนสุขุมวิท ๒๑", "กรุงเทพฯ"),
    "Devanagari": ("श्रीनिवास", "महात्मा गांधी मार्ग", "मुंबई"),
    "Cyrillic": ("Ёлкина Щука", "ул. Ленина, д. 1", "Орёл"),
    "Vietnamese, combining": ("Nguye\u0302\u0303n Va\u0306n", "Đường Lê Lợi", "Hồ Chí Minh"),
    "markup and quotes": ('<b>O\'Neil</b> & "Sons"', "5 > 4 & 3 < 4 ]]>", "A&amp;B"),
    "beyond the first plane": (
        "\N{GOTHIC LETTER AHSA} \N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}",
        "🏠 1",
        "𐍈",
    ),
}


@pytest.mark.proves("A26", "A39")
def test_names_and_addresses_in_any_script_arrive_letter_by_letter(market):
    market.account("shop", "00042")
    for name, street, city in PEOPLE.values():
        order_id = market.place(("00042", 1))
        buyer = market.driver.order(order_id).buyer
        buyer |= {"first_name": name, "last_name": "Ünal", "address1": street, "city": city}
        raw = market.read(order_id)
        order = market.take_in("shop", raw)
        shown = market.hub.storage.reports.order(order.order_id, reveal=True)["recipient"]
        assert shown["name"] == f"{name} Ünal"
        assert shown["address"]["lines"] == [street]
        assert shown["address"]["city"] == city
        hidden = market.hub.storage.reports.order(order.order_id)
        assert name not in repr(hidden), "personal data shows only where asked for"


#: clocks go forward and back, years end, and a day there is only every fourth year
INSTANTS = (
    datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 8, 7, 0, 0, tzinfo=UTC),  # 02:00 in New York is 03:00
    datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC),  # 02:00 in Berlin is 03:00
    datetime(2026, 10, 25, 0, 30, 0, tzinfo=UTC),  # 02:30 in Berlin, for the first time
    datetime(2026, 10, 25, 1, 30, 0, tzinfo=UTC),  # 02:30 in Berlin, for the second time
    datetime(2026, 11, 1, 5, 30, 0, tzinfo=UTC),
    datetime(2026, 11, 1, 6, 30, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2027, 1, 1, 0, 0, 0, tzinfo=UTC),
    datetime(2028, 2, 29, 12, 0, 0, tzinfo=UTC),
)
PAGES_MAX = 20


@pytest.fixture(params=["Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def local_time(request, monkeypatch):
    """This machine keeps the time of that place, and no test after this one."""
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.setenv("TZ", before) if before is not None else monkeypatch.delenv("TZ")
    time.tzset()


@pytest.mark.proves("I-36", "A28")
@pytest.mark.usefixtures("local_time")
def test_an_order_is_placed_at_the_instant_it_was_whatever_clocks_do(market):
    """Each is found by the feed as well, and none of the ambiguous hour is passed over."""
    market.account("shop", "00042")
    cursor, since = None, market.driver.now() - timedelta(hours=1)
    for instant in INSTANTS:
        market.advance((instant - market.driver.now()).total_seconds() - 2)
        order_id = market.place(("00042", 1))  # two seconds later
        assert market.driver.now() == instant
        order = market.take_in("shop", market.read(order_id))
        assert order.placed_at == instant
        assert order.placed_at.utcoffset() == timedelta(0)
        shown = market.hub.storage.reports.order(order.order_id)
        assert shown["placed_at"] == instant.strftime("%Y-%m-%dT%H:%M:%SZ")
        market.advance(300)  # notwithstanding what the channel shows late
        found: set[str] = set()
        for _ in range(PAGES_MAX):
            page = market.session.read_orders(OrderFeed.CHANGES, cursor, since)
            cursor = page.cursor
            found |= {one.channel_order_id for one in page.orders}
            if page.is_last:
                break
        assert order_id in found, instant
