"""Quantities: what eBay shows, what it costs to look, and what became of each node of a push."""

import pytest

from connectors.ebay import stock
from oms_sync.sdk import (
    BadPayload,
    Bug,
    ChannelDown,
    OutcomeUnknown,
    PushOutcome,
    RateLimited,
    Rejected,
    StockBatch,
    StockPush,
)

PUSH, LIST, LOOK = "ReviseInventoryStatus", "GetMyeBaySelling", "GetItem"
CAN = "<OutOfStockControlPreference>true</OutOfStockControlPreference>"
CANNOT = "<OutOfStockControlPreference>false</OutOfStockControlPreference>"
PREFERENCES = ("GetUserPreferences", CAN)


def _item(item_id, quantity=900, sold=4, *, sku="", variations="", kind="FixedPriceItem", more=""):
    named = f"<SKU>{sku}</SKU>" if sku else ""
    return (
        f"<Item><ItemID>{item_id}</ItemID><ListingType>{kind}</ListingType>"
        f"<Quantity>{quantity}</Quantity><SellingStatus><QuantitySold>{sold}</QuantitySold>{more}"
        f"</SellingStatus><Title>Thing {item_id}</Title>{named}{variations}</Item>"
    )


def _variations(*variants):
    return "".join(
        [
            "<Variations>",
            *(
                f"<Variation>{f'<SKU>{sku}</SKU>' if sku else ''}<Quantity>{quantity}</Quantity>"
                "<VariationSpecifics><NameValueList><Name>Color</Name>"
                f"<Value>{colour}</Value></NameValueList></VariationSpecifics>"
                f"<SellingStatus><QuantitySold>{sold}</QuantitySold></SellingStatus></Variation>"
                for sku, colour, quantity, sold in variants
            ),
            "</Variations>",
        ]
    )


def _listed(*items, pages=1):
    return (
        LIST,
        f"<ActiveList><ItemArray>{''.join(items)}</ItemArray><PaginationResult>"
        f"<TotalNumberOfPages>{pages}</TotalNumberOfPages></PaginationResult></ActiveList>",
    )


def _batch(*entries):
    return StockBatch(
        key="b1",
        entries=tuple(
            StockPush(channel_listing_id=one, channel_sku=sku, quantity=quantity, expected=None)
            for one, sku, quantity in entries
        ),
    )


def _echo(*nodes):
    return "".join(
        f"<InventoryStatus><SKU>{sku}</SKU><ItemID>{item_id}</ItemID></InventoryStatus>"
        for item_id, sku in nodes
    )


def _outcomes(results):
    return {one.channel_listing_id: one.outcome for one in results}


def _calls(scripted):
    return [what for what, _, _ in scripted.asked]


# --- what eBay shows -----------------------------------------------------------------------------


def test_what_is_available_is_the_quantity_less_what_was_sold(answers, make_session):
    variations = _variations(("A", "Red", 300, 1), ("B", "Blue", 300, 2), (None, "Green", 3, 1))
    answers((LOOK, _item("11", 900, 4, variations=variations)))
    session = make_session()
    reading = session.read_stock(["11/A", "11/B"])
    assert dict(reading.quantities) == {"11/A": 299, "11/B": 298}


def test_the_available_quantity_of_a_list_is_taken_as_it_is(answers, make_session):
    shown = "<Item><ItemID>1</ItemID><Quantity>9</Quantity><QuantityAvailable>5</QuantityAvailable>"
    answers(_listed(f"{shown}</Item>"), PREFERENCES)
    (listing,) = make_session().read_listings(None).listings
    assert (listing.channel_listing_id, listing.quantity) == ("1", 5)


def test_discovery_shows_variations_missing_skus_and_what_cannot_be_pushed(answers, make_session):
    answers(
        _listed(
            _item("1", sku="S"),
            _item("2", variations=_variations(("A", "Red", 3, 1), (None, "Blue", 2, 0))),
            _item("3", sku="C", kind="Chinese"),
            _item("4"),
            pages=2,
        ),
        ("GetUserPreferences", CANNOT),
    )
    page = make_session().read_listings(None)
    assert page.cursor == "2"
    shown = {one.channel_listing_id: one for one in page.listings}
    without = next(one for one in shown if one.startswith("2/~"))
    assert set(shown) == {"1", "2/A", without, "3", "4"}
    assert (shown["2/A"].channel_sku, shown["2/A"].quantity) == ("A", 2)
    assert "no SKU, and cannot be pushed" in shown[without].warning
    assert "no SKU" in shown["4"].warning
    assert (shown["3"].is_stocked, shown["3"].quantity) == (False, None)
    assert "out-of-stock control is off" in shown["1"].warning


def test_a_seller_who_offers_nothing_has_an_empty_page(answers, make_session):
    answers((LIST, ""))
    page = make_session().read_listings(None)
    assert (page.listings, page.cursor) == ((), None)


def test_a_page_that_slipped_away_ends_discovery(answers, make_session, say):
    answers((LIST, say.fault(340), {"ack": "Failure"}))
    assert make_session().read_listings("3").cursor is None


@pytest.mark.parametrize("more", ["Ended", "Completed"])
def test_an_ended_listing_is_absent(more, answers, make_session):
    status = f"<ListingStatus>{more}</ListingStatus>"
    answers((LOOK, _item("1", more=status)))
    assert dict(make_session().read_stock(["1"]).quantities) == {}


def test_an_unknown_listing_is_absent_and_no_error(answers, make_session, say):
    answers((LOOK, say.fault(17), {"ack": "Failure"}))
    assert dict(make_session().read_stock(["1"]).quantities) == {}


# --- what a look costs ---------------------------------------------------------------------------


def test_one_listing_is_one_call_whatever_its_variations(answers, scripted, make_session):
    answers((LOOK, _item("1", variations=_variations(("A", "R", 1, 0), ("B", "S", 1, 0)))))
    make_session().read_stock(["1/A", "1/B"])
    assert _calls(scripted) == [LOOK]


def test_many_listings_are_read_by_pages_until_all_are_found(answers, scripted, make_session):
    many = [str(number) for number in range(1, 200)]
    answers(_listed(*(_item(one, 5, 1) for one in many), pages=3))
    reading = make_session().read_stock(many)
    assert _calls(scripted) == [LIST]
    assert dict(reading.quantities) == dict.fromkeys(many, 4)


def test_few_listings_among_many_pages_are_asked_for_singly(answers, scripted, make_session):
    answers(_listed(_item("1"), pages=50), (LOOK, _item("2")), (LOOK, _item("3")))
    reading = make_session().read_stock(["1", "2", "3"])
    assert _calls(scripted) == [LIST, LOOK, LOOK]
    assert set(reading.quantities) == {"1", "2", "3"}


def test_what_slipped_between_pages_is_asked_for_singly(answers, scripted, make_session):
    answers(_listed(_item("1")), (LOOK, _item("2")), (LOOK, _item("3")))
    assert set(make_session().read_stock(["1", "2", "3"]).quantities) == {"1", "2", "3"}
    assert _calls(scripted) == [LIST, LOOK, LOOK]


def test_a_count_that_is_none_is_refused(answers, make_session):
    answers((LOOK, _item("1", quantity="1.5")))
    with pytest.raises(BadPayload):
        make_session().read_stock(["1"])


# --- pushes --------------------------------------------------------------------------------------


@pytest.fixture
def push(answers, make_session):
    def send(*entries, given, session=None):
        answers(*given)
        return (session or make_session()).push_stock(_batch(*entries))

    return send


def test_a_push_is_one_call_for_all_its_nodes(push, scripted):
    results = push(("1", "S", 3), ("2/A", "A", 4), given=[(PUSH, _echo(("2", "A"), ("1", "")))])
    assert _outcomes(results) == {"1": PushOutcome.APPLIED, "2/A": PushOutcome.APPLIED}
    assert _calls(scripted) == [PUSH]


def test_more_than_a_batch_holds_is_a_bug(make_session):
    with pytest.raises(Bug, match="100 quantities"):
        make_session().push_stock(_batch(*((str(n), "", 1) for n in range(1, 102))))


@pytest.mark.proves("F08", "I-23")
def test_a_partial_failure_is_taken_apart_by_the_node_it_names(push, say):
    said = say.fault(21919188, SKU="A", ItemID="2") + _echo(("2", "B"), ("1", ""))
    results = push(
        ("1", "", 3),
        ("2/A", "A", 4),
        ("2/B", "B", 5),
        given=[(PUSH, said, {"ack": "PartialFailure"})],
    )
    assert _outcomes(results) == {
        "1": PushOutcome.APPLIED,
        "2/A": PushOutcome.REJECTED,
        "2/B": PushOutcome.APPLIED,
    }
    assert "limit" in results[1].reason


@pytest.mark.proves("I-23")
def test_a_node_the_answer_does_not_mention_is_unknown(push):
    results = push(("1", "", 3), ("2", "", 4), given=[(PUSH, _echo(("1", "")))])
    assert _outcomes(results) == {"1": PushOutcome.APPLIED, "2": PushOutcome.UNKNOWN}


@pytest.mark.parametrize("code", [21917091, 21917092])
def test_nothing_to_change_is_a_success(code, push, say):
    warned = say.fault(code, severity="Warning", ItemID="2")
    results = push(
        ("1", "", 3), ("2", "", 4), given=[(PUSH, warned + _echo(("1", "")), {"ack": "Warning"})]
    )
    assert set(_outcomes(results).values()) == {PushOutcome.APPLIED}


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (291, "found by itself"),
        (21916750, "relist"),
        (21916735, "SKU of its own"),
        (21916799, "found by itself"),
        (21916591, "give it back"),
        (21916286, "fixed-price"),
        (21916635, "variations have changed"),
        (21919188, "limit"),
        (21916293, "policy"),
        (21916583, "out-of-stock"),
        (17, "found by itself"),
    ],
)
def test_each_refusal_names_its_remedy(code, remedy, push, say):
    (result,) = push(("1/A", "A", 3), given=[(PUSH, say.fault(code), {"ack": "Failure"})])
    assert result.outcome is PushOutcome.REJECTED
    assert remedy in result.reason


def test_a_refused_node_leaves_the_others_to_be_sent_again(push, say):
    results = push(
        ("1", "", 3),
        ("2", "", 4),
        given=[(PUSH, say.fault(291, ItemID="1"), {"ack": "Failure"})],
    )
    assert _outcomes(results) == {"1": PushOutcome.REJECTED, "2": PushOutcome.NOT_APPLIED}


def test_a_refusal_that_names_nobody_is_left_to_the_hub_to_halve(push, say):
    with pytest.raises(Rejected, match="99999"):
        push(("1", "", 3), ("2", "", 4), given=[(PUSH, say.fault(99999), {"ack": "Failure"})])


def test_a_part_ebay_itself_failed_at_is_unknown(push, say):
    said = say.fault(10007, ItemID="2") + _echo(("1", ""))
    results = push(("1", "", 3), ("2", "", 4), given=[(PUSH, said, {"ack": "PartialFailure"})])
    assert _outcomes(results)["2"] is PushOutcome.UNKNOWN


@pytest.mark.proves("F02")
@pytest.mark.parametrize("lost", [(500, {}, b""), (200, {}, b""), (200, {}, b"<html>")])
def test_a_lost_answer_is_unknown(lost, push):
    with pytest.raises(OutcomeUnknown):
        push(("1", "", 3), given=[lost])


def test_a_quota_used_up_sends_nothing_more(push, say):
    with pytest.raises(RateLimited):
        push(("1", "", 3), given=[(PUSH, say.fault(518), {"ack": "Failure"})])


def test_a_variation_without_sku_is_refused_unsent(push, scripted):
    (result,) = push(("1/~0123456789abcdef", "", 3), given=[PREFERENCES])
    assert (result.outcome, scripted.asked) == (PushOutcome.REJECTED, [])
    assert "no SKU" in result.reason


# --- zero ----------------------------------------------------------------------------------------


def test_before_the_first_zero_the_preference_is_asked_once(push, scripted, make_session):
    session, echo = make_session(), (PUSH, _echo(("1", "")))
    push(("1", "", 0), given=[PREFERENCES, echo], session=session)
    push(("1", "", 0), given=[echo], session=session)
    assert _calls(scripted) == ["GetUserPreferences", PUSH, PUSH]


def test_a_zero_is_refused_while_it_would_end_the_listing(push, scripted, make_session):
    session = make_session()
    results = push(
        ("1", "", 0),
        ("2", "", 5),
        given=[("GetUserPreferences", CANNOT), (PUSH, _echo(("2", "")))],
        session=session,
    )
    assert _outcomes(results) == {"1": PushOutcome.REJECTED, "2": PushOutcome.APPLIED}
    assert "out-of-stock control is off" in results[0].reason
    session._client._clock.advance(stock.NO_SECONDS)  # it is asked again, should it be mended
    (result,) = push(("1", "", 0), given=[PREFERENCES, (PUSH, _echo(("1", "")))], session=session)
    assert result.outcome is PushOutcome.APPLIED


# --- listings of the Inventory API ---------------------------------------------------------------

OFFERS = (200, {}, {"offers": [{"offerId": "o1", "listing": {"listingId": "1"}}]})


def _rows(*statuses):
    rows = [{"sku": "S", "statusCode": status, "errors": []} for status in statuses]
    return (200 if set(statuses) == {200} else 207, {}, {"responses": rows})


@pytest.fixture
def wall(say):
    return (PUSH, say.fault(21919474, ItemID="1"), {"ack": "Failure"})


def test_a_listing_trading_may_not_revise_goes_by_rest_and_is_remembered(
    push, scripted, make_session, wall
):
    session = make_session()
    for given in ([wall, OFFERS, _rows(200, 200)], [OFFERS, _rows(200)]):
        (result,) = push(("1", "S", 7), given=given, session=session)
        assert result.outcome is PushOutcome.APPLIED
    offers = "GET /sell/inventory/v1/offer?sku=S&marketplace_id=EBAY_US&limit=25"
    bulk = "POST /sell/inventory/v1/bulk_update_price_quantity"
    assert _calls(scripted) == [PUSH, offers, bulk, offers, bulk]
    assert scripted.asked[-1][2] == (
        b'{"requests":[{"sku":"S","shipToLocationAvailability":{"quantity":7},'
        b'"offers":[{"offerId":"o1","availableQuantity":7}]}]}'
    )
    assert scripted.asked[-1][1]["authorization"].startswith("Bearer user-token")


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((200, 200), PushOutcome.APPLIED),
        ((400,), PushOutcome.REJECTED),
        ((200, 400), PushOutcome.UNKNOWN),  # one of the two numbers is set
        ((500,), PushOutcome.UNKNOWN),
        ((), PushOutcome.UNKNOWN),
    ],
)
def test_each_row_of_a_rest_answer_counts(statuses, outcome, push, wall):
    (result,) = push(("1", "S", 7), given=[wall, OFFERS, _rows(*statuses)])
    assert result.outcome is outcome


def test_trouble_with_rest_does_not_hide_what_trading_did(push, say):
    first = (PUSH, say.fault(21919474, ItemID="1") + _echo(("2", "")), {"ack": "PartialFailure"})
    for lost, outcome in (
        ((503, {}, b""), PushOutcome.NOT_APPLIED),
        ((429, {}, b""), PushOutcome.NOT_APPLIED),
    ):
        results = push(("1", "S", 7), ("2", "", 1), given=[first, lost])
        assert _outcomes(results) == {"1": outcome, "2": PushOutcome.APPLIED}
    results = push(("1", "S", 7), ("2", "", 1), given=[first, OFFERS, (500, {}, b"")])
    assert _outcomes(results)["1"] is PushOutcome.UNKNOWN


def test_alone_its_trouble_is_raised(push, wall):
    with pytest.raises(ChannelDown):
        push(("1", "S", 7), given=[wall, (503, {}, b"")])


def test_without_a_sku_the_inventory_api_cannot_be_told(push, wall):
    (result,) = push(("1", "", 7), given=[wall])
    assert (result.outcome, "SKU" in result.reason) == (PushOutcome.REJECTED, True)
