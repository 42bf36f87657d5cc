"""Push stock: what becomes of a push is taken from the channel, entry by entry, never assumed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.listing import ListingState
from oms_sync.sdk import (
    BadPayload,
    ChannelDown,
    OutcomeUnknown,
    PushOutcome,
    PushResult,
    RateLimited,
    Rejected,
    UnknownListing,
)
from oms_sync.sdk.fake_session import FakeSession

FIVE = {"A": 10, "B": 10, "C": 10, "D": 10, "E": 10}


class Pushing(FakeSession):
    """A session whose pushes go through `turn(batch, push)`; remembers what was sent."""

    turn = None

    def push_stock(self, batch):
        self.sent.append(batch)
        return self.turn(batch, super().push_stock)


def intercept(hub, turn, account="shop-a"):
    channel = hub.channels[account]
    session = Pushing(channel, channel.request())
    session.turn, session.sent = turn, []
    hub.sessions[account] = session
    return session.sent


def honest(batch, push):
    return push(batch)


def refuse(*bad, error=Rejected):
    def turn(batch, push):
        if any(entry.channel_sku in bad for entry in batch.entries):
            raise error("I will not have it")
        return push(batch)

    return turn


def outcomes(hub, account="shop-a"):
    """Pushes still open and settled batches are the outbox's; here: what is open."""
    with hub.storage.open_work() as work:
        return work.outbox.open_batches(account)


def change(hub, units, *skus):
    for sku in skus:
        hub.count(sku, units)


# --- outcomes by entry ---------------------------------------------------------------------------


@pytest.mark.proves("I-23", "F08")
def test_a_partial_batch_is_taken_apart_by_key_and_the_rest_sent_again(any_hub):
    shop = any_hub.open_shop(catalogue=FIVE)
    change(any_hub, 7, *FIVE)
    shop.faults.force("F08")
    any_hub.run("push_stock")
    assert set(shop.quantities().values()) == {7}
    assert all(any_hub.listing(sku).state is ListingState.IN_STEP for sku in FIVE)


@pytest.mark.proves("I-23")
def test_a_listing_without_a_result_is_looked_at(hub):
    shop = hub.open_shop(catalogue={"A": 10, "B": 10})
    change(hub, 7, "A", "B")
    intercept(hub, lambda batch, push: push(batch)[:1])
    hub.run("push_stock")
    states = {sku: hub.listing(sku).basis is None for sku in ("A", "B")}
    assert sorted(states.values()) == [False, True]
    hub.settle()
    assert shop.quantities() == {"A": 7, "B": 7}


@pytest.mark.proves("I-23", "F09")
def test_taken_in_is_not_applied_only_a_look_proves_it(hub):
    shop = hub.open_shop(options={"answers_accepted": True})
    shop.faults.force("F09")
    hub.count("TEE", 7)
    report = hub.run("push_stock")
    assert hub.listing().confirmed != 7
    assert report.next_at == hub.clock.now() + timedelta(seconds=5)
    hub.settle()
    assert shop.quantities() == {"TEE": 7}
    assert hub.listing().confirmed == 7
    assert hub.writes() == [("TEE", 7)]


@pytest.mark.proves("I-09", "I-23")
@pytest.mark.parametrize("error", [Rejected, UnknownListing, BadPayload])
def test_a_batch_refused_whole_is_halved_until_the_bad_listing_is_alone(any_hub, error):
    shop = any_hub.open_shop(catalogue=FIVE)
    change(any_hub, 7, *FIVE)
    intercept(any_hub, refuse("C", error=error))
    any_hub.run("push_stock")
    assert shop.quantities() == {**dict.fromkeys(FIVE, 7), "C": 10}
    listing = any_hub.listing("C")
    assert listing.state is ListingState.REFUSED
    assert listing.refused_reason == "I will not have it"
    assert all(any_hub.listing(sku).state is ListingState.IN_STEP for sku in "ABDE")
    intercept(any_hub, honest)
    any_hub.settle()
    assert shop.quantities()["C"] == 10, "what was refused is not tried again by itself"
    any_hub.count("C", 6)
    any_hub.settle()
    assert shop.quantities()["C"] == 6, "a newer quantity is"


@pytest.mark.proves("I-23")
def test_one_listing_the_channel_refuses_by_name_is_refused_alone(hub):
    shop = hub.open_shop(catalogue={"A": 10, "B": 10})
    shop.books.listings["shop-a-listing-1"] = replace(
        shop.books.listings["shop-a-listing-1"], is_stocked=False
    )
    change(hub, 7, "A", "B")
    hub.run("push_stock")
    assert hub.listing("A").state is ListingState.REFUSED
    assert shop.quantities()["B"] == 7


def test_a_superseded_answer_changes_nothing(hub):
    hub.open_shop()
    hub.count("TEE", 7)

    def turn(batch, push):
        results = push(batch)
        with hub.storage.open_work() as work:
            (listing,) = work.listings.by_channel_skus("shop-a", ["TEE"])["TEE"]
            newer = replace(listing.in_flight, push_id="newer")
            work.listings.save([replace(listing, in_flight=newer)])
            work.commit()
        return results

    intercept(hub, turn)
    hub.run("push_stock")
    assert hub.listing().in_flight.push_id == "newer"
    assert hub.listing().confirmed != 7


@pytest.mark.proves("I-25", "I-26", "F05", "F06")
@pytest.mark.parametrize("fault", ["F05", "F06"])
def test_a_push_the_channel_did_not_take_is_released_and_the_trouble_told(any_hub, fault):
    shop = any_hub.open_shop()
    any_hub.count("TEE", 7)
    shop.faults.force(fault)
    with pytest.raises(RateLimited if fault == "F05" else ChannelDown):
        any_hub.run("push_stock")
    assert any_hub.listing().in_flight is None
    assert outcomes(any_hub) == []
    any_hub.run("push_stock")
    assert shop.quantities() == {"TEE": 7}


# --- unknown outcomes ----------------------------------------------------------------------------


@pytest.mark.proves("I-22", "I-31", "F01", "F02")
@pytest.mark.parametrize("fault", ["F01", "F02"])
def test_an_unknown_outcome_is_sent_again_with_the_same_key_and_entries(any_hub, fault):
    shop = any_hub.open_shop()
    sent = intercept(any_hub, honest)
    any_hub.count("TEE", 7)
    shop.faults.force(fault)
    report = any_hub.run("push_stock")
    assert any_hub.listing().state is ListingState.SENT
    assert not report.is_more
    any_hub.count("TEE", 6)
    any_hub.run("push_stock")
    assert sent[0] == sent[1]
    assert [batch.entries[0].quantity for batch in sent] == [7, 7, 6]
    assert any_hub.writes() == [("TEE", 7), ("TEE", 6)]


@pytest.mark.proves("I-22", "I-31", "F01", "F02")
@pytest.mark.parametrize("fault", ["F01", "F02"])
def test_where_keys_mean_nothing_an_unknown_outcome_is_looked_up(any_hub, fault):
    shop = any_hub.open_shop(options={"is_push_idempotent": False})
    sent = intercept(any_hub, honest)
    any_hub.count("TEE", 7)
    shop.faults.force(fault)
    any_hub.run("push_stock")
    any_hub.settle()
    assert shop.quantities() == {"TEE": 7}
    assert len(sent) == (2 if fault == "F01" else 1)
    assert len({batch.key for batch in sent}) == len(sent)


@pytest.mark.proves("I-31", "F47")
@pytest.mark.parametrize("is_idempotent", [True, False])
@pytest.mark.parametrize("commit", [1, 2, 3])
@pytest.mark.parametrize("is_after", [False, True])
def test_a_crash_around_a_push_ends_in_the_right_quantity(hub, is_idempotent, commit, is_after):
    shop = hub.open_shop(options={"is_push_idempotent": is_idempotent})
    hub.count("TEE", 7)
    hub.crash_at(commit, is_after=is_after)
    with pytest.raises(hub.Crash):
        hub.run("push_stock")
    hub.settle()
    assert shop.quantities() == {"TEE": 7}
    assert hub.listing().state is ListingState.IN_STEP


def lost(batch, push):
    raise OutcomeUnknown("no answer")


def test_a_batch_nobody_answers_for_is_looked_up_after_a_few_tries(hub):
    hub.open_shop()
    hub.count("TEE", 7)
    sent = intercept(hub, lost)
    reports = [hub.run("push_stock") for _ in range(6)]
    assert reports[0].next_at is None or not reports[0].is_more
    assert reports[1].next_at == hub.clock.now() - timedelta(seconds=0.4) + timedelta(seconds=1)
    assert len({batch.key for batch in sent}) == 1
    hub.run("push_stock")
    assert hub.listing().look is not None


def test_a_batch_older_than_its_key_is_looked_up(hub):
    shop = hub.open_shop()
    hub.count("TEE", 7)
    sent = intercept(hub, lost)
    hub.run("push_stock")
    hub.clock.advance(3601)
    intercept(hub, honest)
    hub.settle()
    assert len(sent) == 1
    assert shop.quantities() == {"TEE": 7}


@pytest.mark.proves("I-22", "I-26", "F05")
@pytest.mark.parametrize("is_applied", [True, False])
def test_trouble_while_sending_again_does_not_prove_that_nothing_was_applied(any_hub, is_applied):
    shop = any_hub.open_shop()
    any_hub.count("TEE", 7)
    shop.faults.force("F02" if is_applied else "F01")
    any_hub.run("push_stock")
    shop.faults.force("F05")
    with pytest.raises(RateLimited):
        any_hub.run("push_stock")
    assert any_hub.listing().state is ListingState.SENT
    assert len(outcomes(any_hub)) == 1
    any_hub.settle()
    assert shop.quantities() == {"TEE": 7}


@pytest.mark.proves("I-22")
def test_a_batch_refused_when_sent_again_is_looked_up(any_hub):
    shop = any_hub.open_shop(catalogue={"A": 10, "B": 10})
    change(any_hub, 7, "A", "B")
    shop.faults.force("F02")
    any_hub.run("push_stock")
    sent = intercept(any_hub, refuse("A"))
    report = any_hub.run("push_stock")
    assert len(sent) == 1
    assert outcomes(any_hub) == []
    assert report.next_at is not None
    assert any_hub.listing("A").basis is None
    any_hub.settle()
    assert any_hub.listing("A").state is ListingState.IN_STEP
    assert shop.quantities() == {"A": 7, "B": 7}


@pytest.mark.proves("I-22")
def test_an_error_no_connector_may_raise_leaves_the_outcome_unknown(any_hub):
    shop = any_hub.open_shop()
    any_hub.count("TEE", 7)

    def stumble(batch, push):
        push(batch)
        raise KeyError("userErrors")

    intercept(any_hub, stumble)
    with pytest.raises(KeyError):
        any_hub.run("push_stock")
    assert any_hub.listing().state is ListingState.SENT
    assert len(outcomes(any_hub)) == 1
    intercept(any_hub, honest)
    any_hub.settle()
    assert shop.quantities() == {"TEE": 7}
    assert any_hub.writes() == [("TEE", 7)]


def test_an_outcome_the_channel_itself_does_not_know_is_looked_up(hub):
    shop = hub.open_shop()
    hub.count("TEE", 7)
    intercept(
        hub,
        lambda batch, push: [
            PushResult(
                channel_listing_id=one.channel_listing_id,
                outcome=PushOutcome.UNKNOWN,
                applied_at=one.applied_at,
            )
            for one in push(batch)
        ],
    )
    hub.run("push_stock")
    assert hub.listing().basis is None
    hub.settle()
    assert shop.quantities() == {"TEE": 7}


# --- pushes that are only accepted ---------------------------------------------------------------


@pytest.mark.proves("I-24")
def test_a_change_after_an_accepted_push_is_sent_at_once(hub):
    shop = hub.open_shop(options={"answers_accepted": True})
    for units in (7, 4, 9):
        hub.count("TEE", units)
        hub.run("push_stock")
        assert hub.listing().state is ListingState.SENT
    assert hub.writes() == [("TEE", 7), ("TEE", 4), ("TEE", 9)]
    hub.settle()
    assert shop.quantities() == {"TEE": 9}
    assert hub.listing().confirmed == 9
    assert len(hub.writes()) == 3


@pytest.mark.proves("I-23", "F09")
def test_what_was_accepted_and_never_applied_is_sent_again_and_told(hub):
    shop = hub.open_shop(options={"answers_accepted": True})
    session = intercept(hub, lambda batch, push: taken_in(batch, hub.clock.now()))
    hub.count("TEE", 12)
    for _ in range(8):
        hub.take_in()
        hub.run("push_stock")
        hub.clock.advance(10)
    assert len(session) >= 2, "patience has an end"
    assert hub.listing().stale_count >= 1
    assert hub.metrics.counts["drift"] == 0
    intercept(hub, honest)
    hub.settle()
    hub.clock.advance(60)
    hub.settle()
    assert shop.quantities() == {"TEE": 12}
    assert hub.listing().confirmed == 12


@pytest.mark.proves("I-23")
def test_what_is_accepted_may_take_its_time(hub):
    hub.open_shop(options={"answers_accepted": True})
    sent = intercept(hub, lambda batch, push: taken_in(batch, hub.clock.now()))
    hub.count("TEE", 12)
    for _ in range(3):
        hub.take_in()
        hub.run("push_stock")
        hub.clock.advance(7)
    assert len(sent) == 1
    hub.channels["shop-a"].hand_edit("TEE", 12)
    hub.settle()
    assert len(sent) == 1
    assert hub.listing().confirmed == 12


@pytest.mark.proves("I-24", "F15")
def test_units_too_many_are_taken_away_before_a_look_is_explained(hub):
    shop = hub.open_shop(options={"has_compare_and_set": False}, poll_seconds=3600)
    shop.buy(("TEE", 1))
    listing = hub.listing()
    with hub.storage.open_work() as work:
        work.listings.save([replace(listing, look_due_at=hub.clock.now())])
        work.commit()
    hub.run("push_stock")
    assert hub.listing().look.quantity == 9, "and nobody knows of the order"
    hub.count("TEE", 3)
    hub.run("push_stock")
    assert hub.listing().look is None
    assert shop.quantities() == {"TEE": 3}
    hub.settle()
    assert shop.quantities() == {"TEE": 2}


def taken_in(batch, at):
    return tuple(
        PushResult(
            channel_listing_id=entry.channel_listing_id,
            outcome=PushOutcome.ACCEPTED,
            applied_at=at,
        )
        for entry in batch.entries
    )
