"""Windows, pages and cursors of GetOrders, and orders by whatever id they are asked for."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from lxml import etree

from connectors.ebay.orders import TURNS_MAX
from oms_sync.sdk import BadPayload, ChannelDown, OrderFeed, Priority
from oms_sync.sdk.testing import FakeClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)
LAG = 120


def _order(order_id, *line_ids, extended="", extra=""):
    lines = "".join(
        f"<Transaction><OrderLineItemID>{one}</OrderLineItemID></Transaction>" for one in line_ids
    )
    named = f"<ExtendedOrderID>{extended}</ExtendedOrderID>" if extended else ""
    return (
        f"<Order><OrderID>{order_id}</OrderID>{extra}"
        f"<TransactionArray>{lines}</TransactionArray>{named}</Order>"
    )


def _page(*orders, more=False, total=None, at="2026-03-01T12:00:00.000Z"):
    """One answer of GetOrders."""
    count = len(orders) if total is None else total
    inner = (
        f"<PaginationResult><TotalNumberOfEntries>{count}</TotalNumberOfEntries></PaginationResult>"
        f"<HasMoreOrders>{'true' if more else 'false'}</HasMoreOrders>"
        f"<OrderArray>{''.join(orders)}</OrderArray>"
    )
    return ("GetOrders", inner, {"at": at})


@pytest.fixture
def asked(scripted):
    """What was asked so far, as trees."""

    def read():
        roots = [etree.fromstring(body.encode()) for body in scripted.bodies("GetOrders")]
        for root in roots:
            for element in root.iter():
                element.tag = etree.QName(element).localname
        return roots

    return read


def _ids(page):
    return [raw.channel_order_id for raw in page.orders]


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.proves("F23")
def test_a_window_ends_the_lag_ago_and_the_next_begins_an_overlap_before(
    answers, make_session, asked
):
    answers(_page(_order("1")))
    session = make_session()
    first = session.read_orders(OrderFeed.CHANGES, None, SINCE)
    session.read_orders(OrderFeed.CHANGES, first.cursor, SINCE)
    one, two = asked()
    assert one.findtext("ModTimeFrom") == "2026-03-01T11:00:00.000Z"
    assert one.findtext("ModTimeTo") == "2026-03-01T11:58:00.000Z"
    assert json.loads(first.cursor) == {"page": 1, "watermark": "2026-03-01T11:58:00.000Z"}
    assert two.findtext("ModTimeFrom") == "2026-03-01T11:48:00.000Z"  # 600 s of overlap


def test_a_pass_reaches_back_at_least_the_lag(answers, make_session, asked):
    answers(_page())
    session = make_session(overlap_seconds=5)
    page = session.read_orders(OrderFeed.CHANGES, None, SINCE)
    session.read_orders(OrderFeed.CHANGES, page.cursor, SINCE)
    assert asked()[1].findtext("ModTimeFrom") == "2026-03-01T11:56:00.000Z"


def test_while_all_is_younger_than_the_lag_nothing_counts_as_read(answers, make_session):
    answers(_page())
    page = make_session().read_orders(OrderFeed.CHANGES, None, NOW - timedelta(seconds=60))
    assert (page.orders, page.is_last) == ((), True)
    assert "watermark" not in json.loads(page.cursor)


@pytest.mark.proves("I-36", "F31")
def test_a_clock_set_back_is_learnt_by_asking_and_holds_no_order_up(answers, make_session, asked):
    answers(_page())
    first = make_session().read_orders(OrderFeed.CHANGES, None, SINCE)
    session = make_session()
    session._client._clock.advance(-86_400)
    lost = session.read_orders(OrderFeed.CHANGES, first.cursor, SINCE)
    assert json.loads(lost.cursor)["watermark"] == "2026-03-01T11:58:00.000Z"
    session.read_orders(OrderFeed.CHANGES, lost.cursor, SINCE)
    assert asked()[2].findtext("ModTimeTo") == "2026-03-01T11:58:00.000Z"


@pytest.mark.proves("I-36", "I-04", "F31")
def test_a_clock_that_jumps_far_ahead_passes_no_order_by(answers, make_session):
    answers(_page(), _page(at="2026-03-01T12:30:00.000Z"))
    session = make_session()
    first = session.read_orders(OrderFeed.CHANGES, None, SINCE)
    session._client._clock.advance(100 * 86_400)
    second = session.read_orders(OrderFeed.CHANGES, first.cursor, SINCE)
    assert json.loads(second.cursor)["watermark"] == json.loads(first.cursor)["watermark"]


@pytest.mark.proves("I-36", "F31")
def test_the_watermark_never_passes_ebays_own_clock(answers, make_session):
    answers(_page(at="2026-03-01T11:30:00.000Z"))  # our clock is half an hour fast
    page = make_session().read_orders(OrderFeed.CHANGES, None, SINCE)
    assert json.loads(page.cursor)["watermark"] == "2026-03-01T11:28:00.000Z"


def test_the_window_is_in_ebays_clock_once_it_is_known(answers, make_session, asked):
    answers(_page(at="2026-03-01T13:00:00.000Z"))
    session = make_session()
    page = session.read_orders(OrderFeed.CHANGES, None, SINCE)
    session.read_orders(OrderFeed.CHANGES, page.cursor, SINCE)
    assert asked()[1].findtext("ModTimeTo") == "2026-03-01T12:58:00.000Z"


def test_a_long_downtime_is_read_in_slices_of_thirty_days_back_to_ninety(
    answers, make_session, asked
):
    answers(_page())
    session, cursor, is_last = make_session(), None, False
    since = NOW - timedelta(days=200)
    while not is_last:
        page = session.read_orders(OrderFeed.CHANGES, cursor, since)
        cursor, is_last = page.cursor, page.is_last
        assert len(asked()) < 9
    spans = [
        tuple(datetime.fromisoformat(one.findtext(f"ModTime{end}")) for end in ("From", "To"))
        for one in asked()
    ]
    assert all(until - start <= timedelta(days=30) for start, until in spans)
    assert all(one[1] == two[0] for one, two in pairwise(spans))
    assert timedelta(days=89) < NOW - spans[0][0] <= timedelta(days=90)
    assert spans[-1][1] == NOW - timedelta(seconds=LAG)


@pytest.mark.parametrize("feed", [OrderFeed.OPEN, OrderFeed.HISTORY, OrderFeed.SWEEP])
def test_the_other_feeds_list_by_creation_in_one_window(feed, answers, make_session, asked):
    answers(_page())
    session = make_session()
    page = session.read_orders(feed, None, NOW - timedelta(days=89))
    (one,) = asked()
    assert page.is_last
    assert one.find("CreateTimeFrom") is not None
    assert one.find("ModTimeFrom") is None
    assert session._client._gate.priorities["GetOrders"] == {Priority.BULK}


def test_open_orders_are_those_neither_sent_nor_cancelled(answers, make_session):
    answers(
        _page(
            _order("1"),
            _order("2", extra="<ShippedTime>2026-03-01T11:00:00Z</ShippedTime>"),
            _order("3", extra="<OrderStatus>Cancelled</OrderStatus>"),
        )
    )
    assert _ids(make_session().read_orders(OrderFeed.OPEN, None, SINCE)) == ["1"]


# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.proves("I-04", "I-05")
def test_pages_are_read_until_there_are_no_more_whatever_the_totals_say(
    answers, make_session, asked
):
    answers(_page(_order("1"), more=True), _page(_order("2"), more=True), _page(_order("3")))
    session, cursor, found = make_session(), None, []
    for turn in range(3):
        page = session.read_orders(OrderFeed.CHANGES, cursor, SINCE)
        session._client._clock.advance(60)
        cursor, found = page.cursor, found + _ids(page)
        assert page.is_last == (turn == 2)
    assert found == ["1", "2", "3"]
    assert [one.findtext("Pagination/PageNumber") for one in asked()] == ["1", "2", "3"]
    assert len({one.findtext("ModTimeTo") for one in asked()}) == 1, "the window is fixed"
    assert json.loads(cursor)["watermark"] == "2026-03-01T11:58:00.000Z"


@pytest.mark.proves("I-04", "F06")
def test_a_failing_page_moves_no_cursor(answers, make_session):
    answers(_page(_order("1"), more=True), (500, {}, b""), _page(_order("2")))
    session = make_session()
    first = session.read_orders(OrderFeed.CHANGES, None, SINCE)
    with pytest.raises(ChannelDown):
        session.read_orders(OrderFeed.CHANGES, first.cursor, SINCE)
    again = session.read_orders(OrderFeed.CHANGES, first.cursor, SINCE)
    assert (_ids(again), again.is_last) == (["2"], True)


@pytest.mark.proves("F22")
def test_a_list_that_became_shorter_is_read_again_from_before_the_shift(
    answers, make_session, asked
):
    answers(
        _page(_order("1"), _order("2"), more=True, total=5),
        # order 1 was changed meanwhile and left the window: 3 slipped to page one
        _page(_order("4"), _order("5"), total=4),
        _page(_order("2"), _order("3"), more=True, total=4),
        _page(_order("4"), _order("5"), total=4),
    )
    session, cursor, found, is_last = make_session(), None, [], False
    session._orders.per_page = 2
    while not is_last:
        page = session.read_orders(OrderFeed.CHANGES, cursor, SINCE)
        assert page.cursor != cursor
        cursor, is_last, found = page.cursor, page.is_last, found + _ids(page)
    assert set(found) == {"1", "2", "3", "4", "5"}
    assert [one.findtext("Pagination/PageNumber") for one in asked()] == ["1", "2", "1", "2"]


def test_a_page_that_is_no_more_begins_the_window_again(answers, make_session, say, asked):
    answers(
        _page(_order("1"), more=True, total=2),
        ("GetOrders", say.fault(340), {"ack": "Failure"}),
        _page(_order("2"), total=1),
    )
    session = make_session()
    one = session.read_orders(OrderFeed.CHANGES, None, SINCE)
    two = session.read_orders(OrderFeed.CHANGES, one.cursor, SINCE)
    assert (two.orders, two.is_last) == ((), False)
    three = session.read_orders(OrderFeed.CHANGES, two.cursor, SINCE)
    assert (_ids(three), three.is_last) == (["2"], True)


@pytest.mark.proves("F20")
def test_an_empty_page_that_promises_more_is_a_fault(answers, make_session):
    answers(_page(more=True))
    with pytest.raises(ChannelDown, match="never ends"):
        make_session().read_orders(OrderFeed.CHANGES, None, SINCE)


@pytest.mark.proves("F19", "I-05")
def test_an_empty_page_goes_on_while_the_total_promises_more(answers, make_session):
    answers(_page(_order("1"), more=True, total=5), _page(more=True, total=5), _page(_order("5")))
    session = make_session()
    session._orders.per_page = 2
    one = session.read_orders(OrderFeed.CHANGES, None, SINCE)
    two = session.read_orders(OrderFeed.CHANGES, one.cursor, SINCE)
    assert (two.orders, two.is_last, json.loads(two.cursor)["page"]) == ((), False, 3)


@pytest.mark.proves("I-04")
def test_where_more_is_not_said_the_total_counts(answers, make_session):
    name, inner, more = _page(_order("1"), total=3)
    answers((name, inner.replace("<HasMoreOrders>false</HasMoreOrders>", ""), more))
    session = make_session()
    session._orders.per_page = 2
    assert not session.read_orders(OrderFeed.CHANGES, None, SINCE).is_last


@pytest.mark.proves("F20", "F22")
def test_a_list_that_never_stands_still_is_read_in_halves_and_not_for_ever(
    scripted, say, make_session, asked
):
    def shrinking(_):
        name, inner, more = _page(_order("1"), more=True, total=9 - len(scripted.asked) % 2)
        return (200, {}, say.answer(name, inner, **more))

    scripted.answers = [shrinking]
    session, cursor = make_session(), None
    session._orders.per_page = 2

    def read_on():
        nonlocal cursor
        for _ in range(3 * TURNS_MAX * 13):
            cursor = session.read_orders(OrderFeed.CHANGES, cursor, SINCE).cursor

    with pytest.raises(ChannelDown, match="stands still"):
        read_on()
    ends = list(dict.fromkeys(one.findtext("ModTimeTo") for one in asked()))
    assert ends[:3] == [f"2026-03-01T11:{time}.000Z" for time in ("58:00", "29:00", "14:30")]
    assert {one.findtext("ModTimeFrom") for one in asked()} == {"2026-03-01T11:00:00.000Z"}


def test_after_half_a_window_the_other_half_is_read(answers, make_session, asked):
    answers(_page(_order("1")), _page(_order("2")))
    half = {"start": "2026-03-01T11:00:00.000Z", "until": "2026-03-01T11:29:00.000Z", "page": 1}
    cursor = json.dumps(half | {"end": "2026-03-01T11:58:00.000Z"})
    session = make_session()
    one = session.read_orders(OrderFeed.CHANGES, cursor, SINCE)
    two = session.read_orders(OrderFeed.CHANGES, one.cursor, SINCE)
    assert (one.is_last, two.is_last) == (False, True)
    assert asked()[1].findtext("ModTimeFrom") == half["until"]
    assert json.loads(two.cursor)["watermark"] == "2026-03-01T11:58:00.000Z"


@pytest.mark.proves("I-04")
def test_an_answer_that_counts_no_orders_moves_no_cursor(answers, make_session):
    answers(("GetOrders", "<HasMoreOrders>false</HasMoreOrders>"))
    with pytest.raises(ChannelDown, match="without orders"):
        make_session().read_orders(OrderFeed.CHANGES, None, SINCE)


@pytest.mark.parametrize("cursor", ["", "x", "[]", '{"page": 1, "other": 2}', "null"])
def test_a_cursor_that_is_not_ours_is_refused(cursor, make_session):
    with pytest.raises(BadPayload):
        make_session().read_orders(OrderFeed.CHANGES, cursor, SINCE)


def test_every_payload_says_in_which_level_of_the_contract_it_is(answers, make_session):
    answers(_page(_order("1")))
    page = make_session().read_orders(OrderFeed.CHANGES, None, SINCE)
    assert page.orders[0].payload.startswith(b'<SeenOrder compatibilityLevel="1423"><Order>')


# --- by id ---------------------------------------------------------------------------------------


def test_many_ids_are_one_call_and_each_has_its_answer(answers, make_session, asked):
    answers(_page(_order("A", "1-1"), _order("B", "2-2")))
    raws = make_session().read_orders_by_id(["B", "X", "A"])
    assert [(raw.channel_order_id, raw.is_gone) for raw in raws] == [
        ("B", False),
        ("X", True),
        ("A", False),
    ]
    (one,) = asked()
    assert [each.text for each in one.findall("OrderIDArray/OrderID")] == ["B", "X", "A"]


@pytest.mark.parametrize(
    "answered",
    [
        _order("NEW", "1-1", extended="OLD"),
        _order("NEW", "OLD"),  # an unpaid order of one line went by its line's id
        _order("NEW", "1-1", extra="").replace(
            "<OrderLineItemID>",
            "<ContainingOrder><OrderID>OLD</OrderID></ContainingOrder><OrderLineItemID>",
        ),
    ],
)
def test_an_order_answers_to_its_old_id_and_is_filed_under_it(answered, answers, make_session):
    answers(_page(answered))
    (raw,) = make_session().read_orders_by_id(["OLD"])
    assert (raw.channel_order_id, raw.is_gone) == ("OLD", False)
    assert b"<OrderID>NEW</OrderID>" in raw.payload


def test_an_order_that_names_none_of_the_ids_is_told_by_asking_for_each_alone(
    answers, make_session, asked
):
    stranger = _order("NEW", "1-1", "2-2")
    answers(_page(_order("A", "3-3"), stranger), _page(stranger), _page())
    raws = make_session().read_orders_by_id(["A", "OLD", "GONE"])
    assert [(raw.channel_order_id, raw.is_gone) for raw in raws] == [
        ("A", False),
        ("OLD", False),
        ("GONE", True),
    ]
    assert len(asked()) == 3


@pytest.mark.parametrize("order_id", ["", "<x>", "a b", "é", "a" * 65])
def test_what_can_be_no_id_is_never_asked_for(order_id, scripted, make_session):
    (raw,) = make_session().read_orders_by_id([order_id])
    assert (raw.is_gone, scripted.asked) == (True, [])


def test_a_fake_clock_stands_still():
    assert FakeClock().now() == NOW
