"""What a push or a look makes of answers that fit no plan: no listing may stop or hide another."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from oms_sync.sdk import (
    AuthFailed,
    ChannelDown,
    PushOutcome,
    RateLimited,
    Rejected,
    StockBatch,
    StockPush,
)

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


# --- more than one call --------------------------------------------------------------------------


SIX = [(str(number), "") for number in range(1, 7)]
FIRST = (PUSH, _echo(*SIX[:4]))


@pytest.mark.proves("I-24")
def test_a_batch_is_sent_in_as_few_calls_as_ebay_allows(push, scripted):
    outcomes = push(*SIX, given=[FIRST, (PUSH, _echo(*SIX[4:]))])
    assert set(outcomes.values()) == {PushOutcome.APPLIED}
    assert [what for what, _, _ in scripted.asked] == [PUSH] * 2


@pytest.mark.proves("I-23", "F02", "F06")
@pytest.mark.parametrize(
    ("broken", "outcome"),
    [
        ((500, {}, b""), PushOutcome.UNKNOWN),
        ((429, {}, b""), PushOutcome.NOT_APPLIED),
    ],
)
def test_what_was_applied_before_an_error_is_not_forgotten(broken, outcome, push):
    outcomes = push(*SIX, given=[FIRST, broken])
    assert [outcomes[one] for one, _ in SIX] == [PushOutcome.APPLIED] * 4 + [outcome] * 2


@pytest.mark.proves("I-23", "F02")
def test_after_a_lost_answer_the_rest_of_the_batch_is_not_sent(push, scripted):
    outcomes = push(*SIX, given=[(500, {}, b"")])
    assert [outcomes[one] for one, _ in SIX] == (
        [PushOutcome.UNKNOWN] * 4 + [PushOutcome.NOT_APPLIED] * 2
    )
    assert len(scripted.asked) == 1


@pytest.mark.proves("I-09", "I-23")
def test_a_call_refused_without_a_name_is_repeated_node_by_node(push, say):
    refused = (PUSH, say.fault(99999), {"ack": "Failure"})
    alone = [(PUSH, _echo(("5", ""))), refused]
    outcomes = push(*SIX, given=[FIRST, refused, *alone])
    assert [outcomes["5"], outcomes["6"]] == [PushOutcome.APPLIED, PushOutcome.REJECTED]


def test_an_error_before_anything_was_sent_is_the_hubs_to_handle(push):
    with pytest.raises(RateLimited):
        push(*SIX, given=[(429, {}, b"")])


# --- never two at once ---------------------------------------------------------------------------


class _Counted:
    """Answers pushes, each after waiting for another one to come in meanwhile."""

    def __init__(self, say):
        self._say, self._lock, self._met = say, threading.Lock(), threading.Event()
        self._inside, self.most_at_once, self.calls = 0, 0, 0

    def __call__(self, handler):
        with self._lock:
            self.calls += 1
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
            if self._inside > 1:
                self._met.set()
        self._met.wait(0.1)
        with self._lock:
            self._inside -= 1
        call = handler.headers["X-EBAY-API-CALL-NAME"]
        return (200, {}, self._say.answer(call, _echo(("1", "A"), ("1", "B"))))


def test_a_listing_is_never_revised_twice_at_once(scripted, make_session, say):
    counted, session = _Counted(say), make_session()
    scripted.answers = [counted]
    with ThreadPoolExecutor(2) as pool:
        pushes = [pool.submit(session.push_stock, _batch((f"1/{sku}", sku))) for sku in "AB"]
        outcomes = {one.outcome for each in pushes for one in each.result()}
    assert outcomes == {PushOutcome.APPLIED}
    assert (counted.calls, counted.most_at_once) == (2, 1)
