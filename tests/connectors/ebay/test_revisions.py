"""250 revisions a day per listing, 5,000 calls a day per application: kept, planned and shown."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.ebay import CONNECTOR
from connectors.ebay.ids import ListingName
from connectors.ebay.revisions import (
    EBAYS_MAX,
    FEW,
    FREE_MAX,
    KEPT_EVERY,
    KEPT_FOR_LESS,
    REVISIONS_MAX,
    Node,
    Revisions,
)
from connectors.ebay.session import open_session
from oms_sync.sdk import (
    ChannelDown,
    OutcomeUnknown,
    PushOutcome,
    RateLimited,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.testing import FakeClock, MemoryTokens

DAY_SECONDS = 86_400


def _entry(listing_id, quantity, sku=""):
    return StockPush(
        channel_listing_id=listing_id, channel_sku=sku, quantity=quantity, expected=None
    )


def _push(session, *entries):
    return {
        one.channel_listing_id: one
        for one in session.push_stock(StockBatch(key="b", entries=tuple(entries)))
    }


def _node(quantity, item_id="1"):
    return Node(entry=_entry(item_id, quantity), name=ListingName(item_id=item_id))


def _used(session, seller, revisions):
    """A listing that was revised so often today already."""
    item_id = seller.listing_ids()[0]
    session._stock.revisions.count([item_id] * revisions)
    return item_id


def _revised(seller, item_id):
    return seller.sandbox.books.listings[int(item_id)].revisions


# --- revisions of a day --------------------------------------------------------------------------


def test_beyond_its_share_of_the_day_an_increase_waits_for_its_turn(seller):
    session = seller.open()
    item_id = _used(session, seller, FREE_MAX - 2)
    outcomes = [
        _push(session, _entry(item_id, quantity))[item_id].outcome for quantity in range(20, 25)
    ]
    assert outcomes == [PushOutcome.APPLIED] * 2 + [PushOutcome.POSTPONED] * 3
    assert seller.quantity(item_id) == 21
    seller.advance(3600)
    assert _push(session, _entry(item_id, 30))[item_id].outcome is PushOutcome.APPLIED
    assert (_revised(seller, item_id), seller.quantity(item_id)) == (3, 30)


def test_what_waited_is_sent_only_when_the_hub_still_wants_it(seller):
    # Meanwhile the units may have been sold elsewhere: what eBay shows is what the hub wants then,
    # and it asks for nothing any more.
    session = seller.open()
    item_id = _used(session, seller, FREE_MAX - 1)
    _push(session, _entry(item_id, 2))
    assert _push(session, _entry(item_id, 27))[item_id].outcome is PushOutcome.POSTPONED
    for _ in range(3):
        seller.advance(3600)
        assert session.read_stock([item_id]).quantities == {item_id: 2}
        _push(session, _entry(seller.listing_ids()[1], 4))
    assert seller.quantity(item_id) == 2


@pytest.mark.parametrize(
    ("shown", "wanted", "outcome"),
    [
        (100, 50, PushOutcome.APPLIED),
        (100, 99, PushOutcome.POSTPONED),
        (12, 10, PushOutcome.APPLIED),
        (3, 2, PushOutcome.APPLIED),
        (3, 0, PushOutcome.APPLIED),
        (3, 5, PushOutcome.POSTPONED),
    ],
)
def test_a_decrease_that_could_oversell_does_not_wait(seller, shown, wanted, outcome):
    session = seller.open()
    item_id = _used(session, seller, 0)
    _push(session, _entry(item_id, shown))
    _used(session, seller, FREE_MAX + 20)
    assert _push(session, _entry(item_id, wanted))[item_id].outcome is outcome


def test_what_a_look_shows_tells_a_decrease(seller):
    session = seller.open()
    item_id = _used(session, seller, FREE_MAX + 20)
    seller.set_quantity(item_id, 60)
    session.read_stock([item_id])
    assert _push(session, _entry(item_id, 59))[item_id].outcome is PushOutcome.POSTPONED
    assert _push(session, _entry(item_id, 20))[item_id].outcome is PushOutcome.APPLIED


def test_for_a_zero_there_is_room_until_ebay_itself_refuses(seller):
    session = seller.open()
    item_id = _used(session, seller, REVISIONS_MAX)
    assert _push(session, _entry(item_id, 1))[item_id].outcome is PushOutcome.POSTPONED
    assert _push(session, _entry(item_id, 0))[item_id].outcome is PushOutcome.APPLIED
    assert seller.quantity(item_id) == 0


def test_a_zero_ebay_refuses_for_the_day_is_warned_of(seller):
    session, item_id = seller.open(), seller.listing_ids()[0]
    _wear_out(seller, item_id)
    assert _push(session, _entry(item_id, 0))[item_id].outcome is PushOutcome.POSTPONED
    (said,) = (one for one in session.check().warnings if "revisions" in one)
    assert item_id in said
    seller.advance(DAY_SECONDS)
    assert not any("revisions" in one for one in session.check().warnings)
    assert _push(session, _entry(item_id, 0))[item_id].outcome is PushOutcome.APPLIED


def test_an_answer_that_was_lost_counts_as_a_revision(seller):
    session, item_id = seller.open(), seller.listing_ids()[0]
    session.check()
    session._stock.is_zero_allowed()
    seller.sandbox.faults.set("F02", 1.0)
    with pytest.raises(OutcomeUnknown):
        _push(session, _entry(item_id, 4))
    assert session._stock.revisions._counts[item_id].revisions == 1


def test_a_listing_that_waits_keeps_no_other_waiting(seller):
    session = seller.open()
    item_id = _used(session, seller, FREE_MAX)
    other = seller.listing_ids()[1]
    results = _push(session, _entry(item_id, 400), _entry(other, 4))
    assert results[item_id].outcome is PushOutcome.POSTPONED
    assert results[other].outcome is PushOutcome.APPLIED
    assert seller.quantity(other) == 4


def _wear_out(seller, item_id):
    """The listing had all its revisions of the day, and by whom we do not know."""
    listing = seller.sandbox.books.listings[int(item_id)]
    day = seller.now() - timedelta(hours=8)
    listing.revisions, listing.revised_on = EBAYS_MAX, day.date().isoformat()


def test_what_ebay_refuses_for_the_day_goes_the_next_day(seller):
    session, item_id = seller.open(), seller.listing_ids()[0]
    _wear_out(seller, item_id)
    assert _push(session, _entry(item_id, 4))[item_id].outcome is PushOutcome.POSTPONED
    seller.advance(600)
    assert _push(session, _entry(item_id, 4))[item_id].outcome is PushOutcome.POSTPONED
    assert seller.gate.spent["ReviseInventoryStatus"] == 1, "eBay is not asked again in vain"
    seller.advance(DAY_SECONDS)
    assert _push(session, _entry(item_id, 4))[item_id].outcome is PushOutcome.APPLIED
    assert seller.quantity(item_id) == 4


def test_revisions_are_shown_by_the_account_check(seller):
    session = seller.open()
    assert "revisions" not in session.check().detail
    item_id = _used(session, seller, FREE_MAX + 3)
    _push(session, _entry(item_id, 400))
    assert session.check().detail["revisions"] == (
        "1 listings beyond 150 of 240 revisions today (most: 153), 1 quantities wait for their turn"
    )


def test_revisions_are_remembered_through_a_restart_and_never_too_few():
    clock, store = FakeClock(), MemoryTokens({"refresh_token": "kept"})
    before = Revisions(clock, store)
    before.count(["1"] * (FREE_MAX + KEPT_EVERY - 1))
    assert store.load()["refresh_token"] == "kept"
    after = Revisions(clock, store)
    assert after.sort([_node(50)])[0] == [], "still beyond its share"
    clock.advance(DAY_SECONDS)
    assert Revisions(clock, store).sort([_node(50)])[1] == [], "another day"


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 60)), min_size=1, max_size=250),
    st.integers(0, REVISIONS_MAX - KEPT_FOR_LESS),
)
def test_whatever_comes_the_day_has_room_for_every_decrease_that_could_oversell(steps, already):
    clock = FakeClock()
    revisions, sent, shown = Revisions(clock, MemoryTokens()), {}, 0
    revisions.count(["1"] * already)
    revisions.shows({"1": shown})
    sent[(clock.now() - timedelta(hours=8)).date()] = already
    for seconds, quantity in steps:
        clock.advance(seconds)
        now, later = revisions.sort([_node(quantity)])
        assert len(now) + len(later) == 1
        if quantity == 0 or (quantity < shown and (quantity <= FEW or quantity <= shown // 2)):
            assert now, "it went at once"
        for node in now:
            today = (clock.now() - timedelta(hours=8)).date()
            sent[today] = sent.get(today, 0) + (quantity != shown)
            revisions.count([node.name.item_id] if quantity != shown else ())
            shown = quantity
            revisions.shows({"1": shown})
    assert max(sent.values()) <= REVISIONS_MAX <= 250, "as published"


# --- many variations of one listing --------------------------------------------------------------


@pytest.fixture
def variations(seller):
    """One listing with six variations: listing ids."""
    skus = [seller.sku(number) for number in (0, 1, 4, 5, 6, 7)]
    item_id = seller.sandbox.sales.gather(skus)
    return [f"{item_id}/{sku}" for sku in skus]


def test_many_variations_of_one_listing_are_one_call_and_one_revision(seller, variations):
    session = seller.open()
    entries = [_entry(one, 11 + number) for number, one in enumerate(variations)]
    results = _push(session, *entries)
    assert {one.outcome for one in results.values()} == {PushOutcome.APPLIED}
    assert [seller.quantity(one) for one in variations] == [11, 12, 13, 14, 15, 16]
    assert seller.gate.spent["ReviseFixedPriceItem"] == 1
    assert seller.gate.spent["ReviseInventoryStatus"] == 0
    assert _revised(seller, variations[0].partition("/")[0]) == 1


def test_many_variations_wait_and_go_together(seller, variations):
    session, item_id = seller.open(), variations[0].partition("/")[0]
    _push(session, *(_entry(one, 20) for one in variations))
    session._stock.revisions.count([item_id] * (FREE_MAX + 20))
    more = _push(session, *(_entry(one, 30) for one in variations))
    assert {one.outcome for one in more.values()} == {PushOutcome.POSTPONED}
    first, *others = variations
    less = _push(session, _entry(first, 1), *(_entry(one, 30) for one in others))
    assert {one.outcome for one in less.values()} == {PushOutcome.APPLIED}
    assert _revised(seller, item_id) == 2


def test_variations_that_fit_one_light_call_use_it(seller, variations):
    _push(seller.open(), *(_entry(one, 11) for one in variations[:4]))
    assert seller.gate.spent["ReviseFixedPriceItem"] == 0
    assert seller.gate.spent["ReviseInventoryStatus"] == 1


def test_one_variation_that_is_gone_keeps_no_other_back(seller, variations):
    listing = seller.sandbox.books.listings[int(variations[0].partition("/")[0])]
    gone = listing.variants.pop(2)
    results = _push(seller.open(), *(_entry(one, 11) for one in variations))
    outcomes = {one.partition("/")[2]: result.outcome for one, result in results.items()}
    assert outcomes.pop(gone.sku) is PushOutcome.REJECTED
    assert set(outcomes.values()) == {PushOutcome.APPLIED}


@pytest.mark.proves("F02")
def test_a_lost_answer_leaves_all_variations_to_a_look(seller, variations):
    session = seller.open()
    session.check()
    seller.sandbox.faults.set("F02", 1.0)
    with pytest.raises(OutcomeUnknown):
        _push(session, *(_entry(one, 11) for one in variations))
    seller.heal()
    assert set(session.read_stock(variations).quantities.values()) == {11}


# --- calls of a day ------------------------------------------------------------------------------


def _spend(seller, calls):
    """Other programs with the same keys used so many calls today."""
    seller.sandbox.trading._limits._used[("tradingapi", "tradingapi")] = calls


def test_the_last_calls_of_a_day_are_kept_for_reading_orders(running_seller):
    with running_seller(limits_published=True) as seller:
        session, item_id = seller.open(), seller.listing_ids()[0]
        session.check()
        _spend(seller, 4_900)
        seller.advance(1_801)  # the budget is asked for every half hour
        session.check()
        with pytest.raises(RateLimited, match="kept for reading orders") as caught:
            _push(session, _entry(item_id, 400))
        assert caught.value.retry_after_seconds <= 1_800
        session.read_orders_by_id([seller.place_order(1)])
        other = seller.listing_ids()[1]
        results = _push(session, _entry(item_id, 0), _entry(other, 500))
        assert results[item_id].outcome is PushOutcome.APPLIED, "a 0 goes while a call is left"
        assert results[other].outcome is PushOutcome.NOT_APPLIED, "the hub comes again"
        assert _push(session, _entry(other, 2))[other].outcome is PushOutcome.APPLIED
        seller.advance(DAY_SECONDS)
        session.check()
        assert _push(session, _entry(other, 500))[other].outcome is PushOutcome.APPLIED


def test_what_is_left_of_the_day_is_shown_and_too_little_is_warned_of(running_seller):
    with running_seller(limits_published=True) as seller:
        session = seller.open()
        told = session.check()
        assert told.detail["calls"].startswith("499")
        assert "of 5000 Trading calls left for" in told.detail["calls"]
        assert not any("Trading calls" in one for one in told.warnings)
        _spend(seller, 4_900)
        seller.advance(1_801)
        assert any("reading orders alone needs" in one for one in session.check().warnings)


def test_all_sellers_of_one_application_share_its_calls(seller):
    other = seller.settings.model_copy(update={"refresh_token": None, "site_id": 3})
    assert CONNECTOR.budget_owner(seller.settings) == seller.settings.app_id
    assert CONNECTOR.budget_owner(other) == CONNECTOR.budget_owner(seller.settings)


class _Log:
    def __init__(self):
        self.calls = []

    def note(self, call):
        self.calls.append(call)


def test_every_call_is_noted_with_its_id_and_outcome_and_no_secret(seller):
    log = _Log()
    session = open_session(seller.request(calls=log))
    placed = seller.place_order(1)
    session.check()
    session.read_refunds(placed)
    seller.sandbox.faults.set("F01", 1.0)
    with pytest.raises(ChannelDown):
        session.read_orders_by_id([placed])
    session.close()
    noted = {one.operation: one for one in log.calls}
    assert set(noted) >= {"token", "analytics", "GetUser", "GetOrders", "fulfillment"}
    assert (noted["GetUser"].status, noted["fulfillment"].status) == ("200", "200")
    assert noted["GetUser"].request_id.startswith("t6sandbox-")
    assert noted["GetOrders"].status in {"lost", "timeout"}
    assert not any(secret in repr(log.calls) for secret in seller.secrets)
