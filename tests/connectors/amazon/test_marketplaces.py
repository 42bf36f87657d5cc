"""What must not stop everything: one marketplace of several that refuses."""

import json
from datetime import timedelta

import pytest

from connectors.amazon.account import PROBED_SECONDS, REFUSED_SECONDS
from oms_sync.sdk import OrderFeed, PermissionMissing, RateLimited

US, CANADA, MEXICO = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2", "A1AM78C64UM0Y8"


@pytest.fixture
def session(seller):
    seller.settings = seller.settings.model_copy(update={"marketplace_ids": (US, CANADA)})
    return seller.open()


def _calls(seller, name):
    return seller.sandbox.truth()["calls"].get(name, 0)


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
    for _ in range(8):  # days, and asked again and refused again meanwhile
        seller.advance(REFUSED_SECONDS / 2)
        found, cursor = reads(session, cursor=cursor)
        assert theirs not in found
    seller.sandbox.orders.refused = set()
    seller.advance(REFUSED_SECONDS + 1)
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


def test_what_comes_back_beside_one_still_refused_is_read_from_where_it_was(seller, place, reads):
    marketplaces = (US, CANADA, MEXICO)
    seller.settings = seller.settings.model_copy(update={"marketplace_ids": marketplaces})
    session = seller.open()
    place()
    seller.sandbox.orders.refused = {CANADA, MEXICO}
    seller.advance(1)
    _, cursor = reads(session)
    theirs, others = place(CANADA), place(MEXICO)
    seller.advance(REFUSED_SECONDS)
    seller.sandbox.orders.refused = {MEXICO}
    found, cursor = reads(session, cursor=cursor)
    assert (theirs in found, others in found) == (True, False)
    seller.advance(REFUSED_SECONDS)
    seller.sandbox.orders.refused = set()
    assert others in reads(session, cursor=cursor)[0]


def test_a_second_one_that_refuses_soon_after_the_first_costs_no_more(seller, place, reads):
    marketplaces = (US, CANADA, MEXICO)
    seller.settings = seller.settings.model_copy(update={"marketplace_ids": marketplaces})
    session = seller.open()
    ours = place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    _, cursor = reads(session)
    seller.sandbox.orders.refused = {CANADA, MEXICO}
    seller.advance(300)
    found, _ = reads(session, cursor=cursor)
    assert ours in found
    assert len(session.check().missing_permissions) == 2


def test_one_left_out_takes_over_where_the_other_refuses(seller, session, place, reads):
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    _, cursor = reads(session)
    theirs = place(CANADA)
    seller.sandbox.orders.refused = {US}
    seller.advance(PROBED_SECONDS / 2)
    with pytest.raises(PermissionMissing):
        reads(session, cursor=cursor)
    assert theirs in reads(session, cursor=cursor)[0]


def test_a_passing_refusal_costs_an_hour_and_not_a_day(seller, session, place, reads):
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    _, cursor = reads(session)
    seller.sandbox.orders.refused = set()
    theirs = place(CANADA)
    seller.advance(PROBED_SECONDS + 1)
    found, cursor = reads(session, cursor=cursor)
    assert theirs in found
    asked = _calls(seller, "searchOrders")
    seller.sandbox.orders.refused = {CANADA}
    for _ in range(96):  # polls of a day, a quarter of an hour apart
        seller.advance(900)
        _, cursor = reads(session, cursor=cursor)
    # Refused at first, then after 1, 2, 4 and 8 hours; what is refused is asked with a new token.
    assert _calls(seller, "searchOrders") <= asked + 96 + 5 * 5


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


@pytest.mark.parametrize("feed", [OrderFeed.OPEN, OrderFeed.HISTORY])
def test_that_changes_go_on_without_one_makes_the_first_read_no_less_whole(
    feed, seller, session, place, reads
):
    place(), place(CANADA)
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    reads(session)
    asked = _calls(seller, "searchOrders")
    with pytest.raises(PermissionMissing, match=f"orders of {CANADA}: take them out"):
        reads(session, feed=feed)
    assert _calls(seller, "searchOrders") == asked
    seller.sandbox.orders.refused = set()
    seller.advance(PROBED_SECONDS + 1)
    reads(session)
    assert len(reads(session, feed=feed, hours=2)[0]) == 2


def test_no_day_is_compared_while_a_marketplace_refuses(seller, session, place):
    since = seller.now()
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(60)
    with pytest.raises(RateLimited, match=CANADA) as refused:
        session.list_orders(since, seller.now(), None)
    assert refused.value.retry_after_seconds == PROBED_SECONDS
    (missing,) = session.check().missing_permissions
    assert CANADA in missing, "and no order loses what it cost"
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


def test_one_that_refused_and_was_left_since_keeps_nothing_waiting(seller, session, place, reads):
    place()
    seller.sandbox.orders.refused = {CANADA}
    seller.advance(1)
    reads(session)
    seller.sandbox.account.left = {CANADA}
    told = session.check()
    assert (len(told.warnings), told.missing_permissions) == (1, ())
    since = seller.now() - timedelta(hours=1)
    assert session.list_orders(since, seller.now(), None).orders


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
