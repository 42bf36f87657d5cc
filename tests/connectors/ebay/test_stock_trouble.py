"""What a push or a look makes of answers that fit no plan: no listing may stop or hide another."""

import pytest

from oms_sync.sdk import AuthFailed, ChannelDown, PushOutcome, Rejected, StockBatch, StockPush

PUSH, LOOK = "ReviseInventoryStatus", "GetItem"
USER = ("GetUser", "<User><UserID>seller</UserID></User>")
OFFERS = (200, {}, {"offers": [{"offerId": "o1", "listing": {"listingId": "1"}}]})


def _batch(*entries):
    return StockBatch(
        key="b1",
        entries=tuple(
            StockPush(channel_listing_id=one, channel_sku=sku, quantity=5, expected=None)
            for one, sku in entries
        ),
    )


def _echo(*nodes):
    return "".join(
        f"<InventoryStatus><SKU>{sku}</SKU><ItemID>{item_id}</ItemID></InventoryStatus>"
        for item_id, sku in nodes
    )


@pytest.fixture
def push(answers, make_session):
    def send(*entries, given, session=None):
        answers(*given)
        results = (session or make_session()).push_stock(_batch(*entries))
        return {one.channel_listing_id: one.outcome for one in results}

    return send


@pytest.fixture
def wall(say):
    """Listing 1 belongs to the Inventory API, listing 2 is done."""
    said = say.fault(21919474, ItemID="1") + _echo(("2", ""))
    return (PUSH, said, {"ack": "PartialFailure"})


@pytest.mark.proves("F08", "I-23")
def test_a_failure_that_names_nobody_among_echoes_of_all_leaves_all_unknown(push, say):
    said = say.fault(99999) + _echo(("1", ""), ("2", ""))
    outcomes = push(("1", ""), ("2", ""), given=[(PUSH, said, {"ack": "PartialFailure"})])
    assert set(outcomes.values()) == {PushOutcome.UNKNOWN}


@pytest.mark.proves("I-23")
def test_a_parameter_that_only_looks_like_a_sku_names_nobody(push, say):
    fault = say.fault(21919188, ItemID="2", SKU="B", Limit="7")
    said = fault + _echo(("1", "7"))
    outcomes = push(("1/7", "7"), ("2/B", "B"), given=[(PUSH, said, {"ack": "PartialFailure"})])
    assert outcomes == {"1/7": PushOutcome.APPLIED, "2/B": PushOutcome.REJECTED}


@pytest.mark.parametrize("entries", [(("1", ""),), (("1", ""), ("2", ""))])
def test_a_failure_without_any_reason_is_refused_and_not_sent_for_ever(entries, push):
    with pytest.raises(Rejected, match="without a reason"):
        push(*entries, given=[(PUSH, "", {"ack": "Failure"})])


@pytest.mark.parametrize("trouble", [(503, {}, b""), (429, {}, b"")])
def test_trouble_with_rest_alone_is_raised_so_that_the_flow_stays_away(
    trouble, push, wall, make_session, say
):
    session = make_session()
    others = say.fault(21919474, ItemID="3")
    push(("1", "S"), ("2", ""), given=[wall, OFFERS, (400, {}, b"{}")], session=session)
    push(("3", "T"), given=[(PUSH, others, {"ack": "Failure"}), (404, {}, b"{}")], session=session)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - its kind is below
        push(("1", "S"), ("3", "T"), given=[trouble], session=session)
    assert type(raised.value).__name__ in ("ChannelDown", "RateLimited")


@pytest.mark.parametrize("refusal", [(400, {}, b"{}"), (403, {}, b"{}"), (422, {}, b"{}")])
def test_what_rest_refuses_of_one_listing_stops_neither_account_nor_batch(refusal, push, wall):
    for given in ([wall, refusal], [wall, OFFERS, refusal]):
        outcomes = push(("1", "S"), ("2", ""), given=given)
        assert outcomes == {"1": PushOutcome.REJECTED, "2": PushOutcome.APPLIED}


def test_a_listing_that_cannot_be_shown_is_absent_and_stops_no_other(answers, make_session, say):
    answers((LOOK, say.fault(99999), {"ack": "Failure"}), USER)
    assert dict(make_session().read_stock(["1"]).quantities) == {}


@pytest.mark.parametrize(
    ("trouble", "kind"), [((503, {}, b""), ChannelDown), ((401, {}, b""), AuthFailed)]
)
def test_a_look_refused_to_the_whole_account_proves_nothing_of_a_listing(
    trouble, kind, answers, make_session, say
):
    answers((LOOK, say.fault(99999), {"ack": "Failure"}), trouble)
    with pytest.raises(kind):
        make_session().read_stock(["1"])
