"""Sessions with one defect each: the contract names exactly that defect, and no other."""

import json
from collections import deque
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from oms_sync.sdk import (
    BadPayload,
    ChannelDown,
    ListingPage,
    OrderPage,
    OrderSight,
    OrderState,
    OutcomeUnknown,
    PushOutcome,
    PushResult,
    Rejected,
    Version,
)
from oms_sync.sdk.contract_orders import ORDER_CHECKS
from oms_sync.sdk.contract_pushes import PUSH_CHECKS
from oms_sync.sdk.fake import FakeChannel
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.testing import CHECKS, FakeClock, SeededChance, run_contract, start_fake

MANIFEST = FakeChannel(clock=FakeClock(), chance=SeededChance(1, "x")).manifest


class Bad(FakeSession):
    """A fake session with its channel and request at hand."""

    def __init__(self, channel, request):
        super().__init__(channel, request)
        self.channel = channel
        self.request = request

    def vouched(self):
        """A session of the same channel that does write."""
        return FakeSession(self.channel, replace(self.request, may_write=True))


def _places(page: OrderPage, /, **changes) -> OrderPage:
    """The page with another place in its cursor."""
    return replace(page, cursor=json.dumps({**json.loads(page.cursor), **changes}))


# --- pages and cursors ---------------------------------------------------------------------------


class PassesUnreadOrders(Bad):
    """Reads two pages, gives one, and lets the cursor stand behind both."""

    def __init__(self, channel, request):
        super().__init__(channel, request)
        self.kept: deque[OrderPage] = deque()

    def read_orders(self, feed, cursor, since):
        if not self.kept:
            self.kept.append(super().read_orders(feed, cursor, since))
            if not self.kept[0].is_last:
                self.kept.append(super().read_orders(feed, self.kept[0].cursor, since))
        page = self.kept.popleft()
        if not self.kept:
            return page
        behind = json.loads(self.kept[-1].cursor)
        moved = _places(self.kept[-1], page=1000 + behind["page"])
        return replace(page, cursor=moved.cursor, is_last=False)


class NeverEnds(Bad):
    def read_orders(self, feed, cursor, since):
        return replace(super().read_orders(feed, cursor, since), is_last=False)


class GoesRoundInCircles(Bad):
    """Once at the end, the last cursor leads back to the page before."""

    def read_orders(self, feed, cursor, since):
        page = super().read_orders(feed, cursor, since)
        if not page.is_last or cursor is None or '"after": null' in cursor:
            return page
        return replace(page, cursor=page.cursor.replace('"page": 6', '"page": 0'), is_last=False)


class DropsAtTheEdge(Bad):
    def read_orders(self, feed, cursor, since):
        page = super().read_orders(feed, cursor, since)
        return page if page.is_last else replace(page, orders=page.orders[:-1])


class ComparesByTimeAlone(Bad):
    def read_orders(self, feed, cursor, since):
        page = super().read_orders(feed, cursor, since)
        after = json.loads(page.cursor)["after"]
        return _places(page, after=[after[0], "\uffff"]) if after else page


class GivesOnlyOnce(Bad):
    def __init__(self, channel, request):
        super().__init__(channel, request)
        self.given: set[str] = set()

    def read_orders(self, feed, cursor, since):
        page = super().read_orders(feed, cursor, since)
        new = tuple(one for one in page.orders if one.channel_order_id not in self.given)
        self.given.update(one.channel_order_id for one in new)
        return replace(page, orders=new)


class RoundsTheCursorUp(Bad):
    def read_orders(self, feed, cursor, since):
        page = super().read_orders(feed, cursor, since)
        ahead = self.channel.books.now() + timedelta(hours=1)
        return _places(page, start=ahead.isoformat()) if page.is_last else page


class HasNoOverlap(Bad):
    def __init__(self, channel, request):
        super().__init__(channel, replace(request, overlap_seconds=0))


class ForgetsWhatIsGone(Bad):
    def read_orders_by_id(self, channel_order_ids):
        answers = super().read_orders_by_id(channel_order_ids)
        return tuple(one for one in answers if not one.is_gone)


# --- payloads ------------------------------------------------------------------------------------


class ParsesDifferentlyEachTime(Bad):
    numbers = count()

    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        later = sight.version.seen_at + timedelta(microseconds=next(self.numbers))
        return replace(sight, version=Version(sight.version.at, later))


class MergesLinesOfOneSku(Bad):
    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        by_sku = {line.channel_sku: line for line in sight.lines}
        return replace(sight, lines=tuple(by_sku.values()))


class LosesCancellations(Bad):
    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        facts = replace(sight.facts, cancelled_at=None, state=OrderState.OPEN)
        return replace(sight, facts=facts)


class LetsParserErrorsOut(Bad):
    def parse_order(self, payload, seen_at):
        try:
            return super().parse_order(payload, seen_at)
        except BadPayload as error:
            raise ValueError("no JSON") from error


class ReadsNonsense(Bad):
    def parse_order(self, payload, seen_at):
        try:
            return super().parse_order(payload, seen_at)
        except BadPayload:
            return OrderSight(channel_order_id="0", version=Version(seen_at, seen_at))


# --- quantities ----------------------------------------------------------------------------------


class MatchesByPosition(Bad):
    def push_stock(self, batch):
        return tuple(
            replace(result, channel_listing_id=entry.channel_listing_id)
            for entry, result in zip(batch.entries, super().push_stock(batch), strict=True)
        )


class IgnoresErrorsInside(Bad):
    def push_stock(self, batch):
        return tuple(
            replace(one, outcome=PushOutcome.APPLIED)
            if one.outcome is PushOutcome.REJECTED
            else one
            for one in super().push_stock(batch)
        )


class CallsATimeoutSuccess(Bad):
    def push_stock(self, batch):
        try:
            return super().push_stock(batch)
        except OutcomeUnknown:
            return tuple(
                PushResult(
                    channel_listing_id=entry.channel_listing_id,
                    outcome=PushOutcome.APPLIED,
                    applied_at=self.channel.books.now(),
                )
                for entry in batch.entries
            )


class SendsNoCompareValue(Bad):
    def push_stock(self, batch):
        entries = tuple(replace(entry, expected=None) for entry in batch.entries)
        return super().push_stock(replace(batch, entries=entries))


class SendsNoKey(Bad):
    numbers = count()

    def push_stock(self, batch):
        return super().push_stock(replace(batch, key=f"{batch.key}-{next(self.numbers)}"))


class WritesQuantitiesInShadow(Bad):
    def push_stock(self, batch):
        return self.vouched().push_stock(batch)


class SaysNaiveAppliedAt(Bad):
    def push_stock(self, batch):
        return tuple(
            replace(one, applied_at=one.applied_at.replace(tzinfo=None))
            for one in super().push_stock(batch)
        )


class CallsUnknownListingsEmpty(Bad):
    def read_stock(self, channel_listing_ids):
        reading = super().read_stock(channel_listing_ids)
        zeros = dict.fromkeys(channel_listing_ids, 0)
        return replace(reading, quantities={**zeros, **reading.quantities})


class ListsForEver(Bad):
    def read_listings(self, cursor):
        return ListingPage(listings=super().read_listings(None).listings, cursor="again")


# --- tracking ------------------------------------------------------------------------------------


class RetriesBlindly(Bad):
    def push_shipment(self, shipment):
        try:
            super().push_shipment(shipment)
        except OutcomeUnknown:
            super().push_shipment(shipment)


class CallsALostShipmentMade(Bad):
    def push_shipment(self, shipment):
        try:
            super().push_shipment(shipment)
        except OutcomeUnknown:
            return


class SendsOneTrackingNumber(Bad):
    def push_shipment(self, shipment):
        super().push_shipment(replace(shipment, packages=shipment.packages[:1]))


class RetriesRefusals(Bad):
    def push_shipment(self, shipment):
        try:
            super().push_shipment(shipment)
        except Rejected as error:
            raise ChannelDown("try again") from error


class WritesShipmentsInShadow(Bad):
    def push_shipment(self, shipment):
        self.vouched().push_shipment(shipment)


BAD_SESSIONS = {
    PassesUnreadOrders: "a_crash_between_pages_loses_nothing",
    NeverEnds: "pages_end",
    GoesRoundInCircles: "pages_end",
    DropsAtTheEdge: "every_order_is_read",
    ComparesByTimeAlone: "neighbours_of_one_instant_are_read",
    GivesOnlyOnce: "reading_again_gives_the_same_ids",
    RoundsTheCursorUp: "the_next_pass_finds_what_is_new",
    HasNoOverlap: "a_late_order_is_read",
    ForgetsWhatIsGone: "an_order_is_read_by_id",
    ParsesDifferentlyEachTime: "every_payload_parses",
    MergesLinesOfOneSku: "lines_of_one_sku_stay_apart",
    LosesCancellations: "a_cancelled_order_says_so",
    ReadsNonsense: "a_broken_payload_is_bad_payload",
    LetsParserErrorsOut: "a_broken_payload_is_bad_payload",
    MatchesByPosition: "results_come_by_key",
    IgnoresErrorsInside: "a_refused_entry_is_not_applied",
    CallsATimeoutSuccess: "a_lost_push_answer_is_outcome_unknown",
    SendsNoCompareValue: "a_stale_push_applies_nothing",
    SendsNoKey: "a_push_sent_again_has_no_second_effect",
    WritesQuantitiesInShadow: "shadow_pushes_no_quantity",
    SaysNaiveAppliedAt: "a_push_is_applied",
    CallsUnknownListingsEmpty: "quantities_are_the_channels",
    ListsForEver: "listings_end_and_are_unique",
    RetriesBlindly: "a_lost_answer_is_not_sent_again",
    CallsALostShipmentMade: "a_lost_shipment_answer_is_outcome_unknown",
    SendsOneTrackingNumber: "a_shipment_is_found_again",
    RetriesRefusals: "a_cancelled_order_is_not_shipped",
    WritesShipmentsInShadow: "shadow_pushes_no_shipment",
}


def _failed(session: type[Bad]) -> list[str]:
    results = run_contract(CHECKS, MANIFEST, start_fake(open_session=session))
    return [one.name for one in results if one.problem]


@pytest.mark.proves("I-04", "I-05", "I-22", "I-23", "I-28", "I-36", "F01", "F02", "F08", "F32")
@pytest.mark.parametrize(
    ("session", "check"), BAD_SESSIONS.items(), ids=[one.__name__ for one in BAD_SESSIONS]
)
def test_a_session_with_one_defect_fails_exactly_its_check(session, check):
    assert _failed(session) == [check]


def test_every_check_of_orders_and_pushes_is_failed_by_some_defect():
    assert set(BAD_SESSIONS.values()) == {check.name for check in (*ORDER_CHECKS, *PUSH_CHECKS)}
