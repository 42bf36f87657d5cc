"""Quantities a channel takes in and never shows, or takes later: told, and not hammered."""

from datetime import timedelta
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from oms_sync.domain.listing import ListingState
from oms_sync.flows.commands import listings as listing_acts
from oms_sync.sdk import PushOutcome, PushResult, StockReading
from oms_sync.sdk.fake_session import FakeSession

HOUR = 3600.0
MISSING = "8541: the main image is missing"


class Stubborn(FakeSession):
    """Takes every push in and applies none, until it obeys; says what is wrong."""

    outcome = PushOutcome.ACCEPTED
    problem = MISSING
    obeys = False

    def push_stock(self, batch):
        self.sent.append((self.clock.now(), batch.entries[0].quantity))
        if self.obeys:
            return super().push_stock(batch)
        return tuple(
            PushResult(
                channel_listing_id=one.channel_listing_id,
                outcome=self.outcome,
                applied_at=self.clock.now(),
                reason="its turn comes later",
            )
            for one in batch.entries
        )

    def read_stock(self, channel_listing_ids):
        self.looks += 1
        reading = super().read_stock(channel_listing_ids)
        problems = dict.fromkeys(channel_listing_ids, self.problem) if self.problem else {}
        return StockReading(
            quantities=reading.quantities, read_at=reading.read_at, problems=problems
        )


def open_stubborn(hub, outcome=PushOutcome.ACCEPTED):
    shop = hub.open_shop(options={"has_compare_and_set": False})
    session = Stubborn(shop, shop.request())
    session.sent, session.looks, session.outcome, session.clock = [], 0, outcome, hub.clock
    hub.sessions["shop-a"] = session
    return shop, session


def live(hub, seconds):
    """Run for a while, whenever the hub itself says that the next run is due."""
    until = hub.clock.now() + timedelta(seconds=seconds)
    while hub.clock.now() < until:
        hub.run("ingest")
        due = hub.run("push_stock").next_at or until
        wait = (min(due, until) - hub.clock.now()).total_seconds()
        hub.clock.advance(max(0.5, wait))


def gaps_of(sent):
    return [(after - before).total_seconds() for (before, _), (after, _) in pairwise(sent)]


@pytest.mark.proves("I-23", "F09")
@pytest.mark.parametrize("units", [12, 4])
def test_what_is_never_shown_is_sent_less_and_less_and_then_refused_with_the_reason(any_hub, units):
    shop, session = open_stubborn(any_hub)
    any_hub.count("TEE", units)
    with capture_logs() as logs:
        live(any_hub, 600)
    told = [one for one in logs if one["event"] == "stock.not_proved"]
    assert [one["log_level"] for one in told] == ["warning", "warning", "error"]
    assert {one["reason"] for one in told} == {MISSING}
    first, second = gaps_of(session.sent)
    assert 30 <= first <= 45, "as long as a push may take"
    assert 60 <= second <= 80, "then twice as long"
    listing = any_hub.listing()
    assert listing.state is ListingState.REFUSED
    assert listing.refused_reason == f"accepted 3 times and not shown: {MISSING}"
    (row,) = any_hub.storage.reports.listings("shop-a")
    assert (row["state"], row["reason"]) == ("refused", listing.refused_reason)
    assert shop.quantities() == {"TEE": 10}


@pytest.mark.proves("I-23")
def test_what_was_given_up_is_tried_once_an_hour_and_heals_by_itself(hub):
    shop, session = open_stubborn(hub)
    hub.count("TEE", 12)
    live(hub, 600)
    session.sent.clear()
    live(hub, 4 * HOUR)
    assert 3 <= len(session.sent) <= 4
    assert min(gaps_of(session.sent)) >= HOUR
    session.obeys, session.problem = True, None
    live(hub, 2 * HOUR)
    assert shop.quantities() == {"TEE": 12}
    listing = hub.listing()
    assert (listing.state, listing.reason) == (ListingState.IN_STEP, None)
    assert (listing.stale_count, listing.retry_at) == (0, None)


@pytest.mark.parametrize("is_asked", [True, False])
def test_another_quantity_or_a_person_who_asks_is_tried_at_once(any_hub, is_asked):
    shop, session = open_stubborn(any_hub)
    any_hub.count("TEE", 4)
    live(any_hub, 600)
    assert any_hub.listing().state is ListingState.REFUSED
    session.obeys = True
    if is_asked:
        listing_acts.push(any_hub.command, "shop-a", ["shop-a-listing-1"])
    else:
        any_hub.count("TEE", 3)
    any_hub.settle()
    assert shop.quantities() == {"TEE": 4 if is_asked else 3}


@pytest.mark.proves("I-23")
def test_patience_ends_after_a_quarter_of_an_hour(hub):
    _, session = open_stubborn(hub)
    session.problem = None
    hub.manifests["shop-a"] = hub.channels["shop-a"].manifest
    hub.count("TEE", 12)
    live(hub, 600)
    session.sent.clear()
    looks = session.looks
    live(hub, HOUR + 1200)
    (sent,) = session.sent
    assert hub.listing().state is ListingState.REFUSED, "given up again within 15 minutes"
    assert hub.listing().refused_reason == "accepted 4 times and not shown"
    assert hub.listing().retry_at - sent[0] <= timedelta(seconds=HOUR + 960)
    assert session.looks - looks <= 25, "looked at with patience, too"


@pytest.mark.proves("I-23", "I-24")
def test_what_a_channel_takes_later_is_asked_again_after_minutes_without_an_alarm(any_hub):
    shop, session = open_stubborn(any_hub, PushOutcome.POSTPONED)
    session.problem = None
    looks = session.looks
    any_hub.count("TEE", 12)
    with capture_logs() as logs:
        live(any_hub, 1000)
    assert [one["event"] for one in logs if "not_proved" in one["event"]] == []
    assert session.looks == looks, "nothing was sent, so there is nothing to look for"
    assert len(session.sent) == 4
    assert min(gaps_of(session.sent)) >= 300
    (row,) = any_hub.storage.reports.listings("shop-a")
    assert (row["state"], row["reason"]) == ("behind", "its turn comes later")
    any_hub.count("TEE", 4)
    any_hub.run("push_stock")
    assert session.sent[-1][1] == 4, "another quantity is offered at once"
    session.obeys = True
    live(any_hub, 310)
    assert shop.quantities() == {"TEE": 4}
    assert any_hub.listing().reason is None


def test_the_run_after_a_postponed_push_is_due_when_its_turn_may_come(hub):
    open_stubborn(hub, PushOutcome.POSTPONED)
    hub.count("TEE", 12)
    report = hub.run("push_stock")
    assert report.next_at == hub.listing().retry_at == hub.clock.now() + timedelta(seconds=300)


@pytest.mark.proves("I-20", "I-23")
@pytest.mark.parametrize("drift", ["overwrite", "hold"])
def test_a_quantity_never_sent_is_not_given_up_with_the_one_before(any_hub, drift):
    _, session = open_stubborn(any_hub)
    any_hub.profile("shop-a", drift=drift)
    any_hub.count("TEE", 4)
    for _ in range(300):
        any_hub.run("ingest")
        any_hub.run("push_stock")
        listing = any_hub.listing()
        if listing.look is not None and listing.stale_count == 2:
            break
        any_hub.clock.advance(2)
    assert listing.stale_count == 2, "the next look in vain is the last"
    any_hub.clock.advance(6)
    any_hub.run("ingest")
    any_hub.count("TEE", 2)
    any_hub.run("push_stock")
    assert session.sent[-1][1] == 2, "fewer are sent at once, not in an hour"
