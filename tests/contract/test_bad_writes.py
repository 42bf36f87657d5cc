"""Sessions that write with one defect each: the contract names exactly that defect."""

from dataclasses import replace

import pytest

from oms_sync.sdk import OutcomeUnknown, Rejected
from oms_sync.sdk.contract_writes import WRITE_CHECKS
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


class CancelsPartsOnly(Bad):
    """Of a whole order one unit stays."""

    def cancel_order(self, cancellation):
        if not cancellation.is_whole or len(cancellation.lines) != 1:
            return super().cancel_order(cancellation)
        ((line_id, units),) = cancellation.lines.items()
        if units == 1:
            return super().cancel_order(cancellation)
        return super().cancel_order(
            replace(cancellation, lines={line_id: units - 1}, is_whole=False)
        )


class CancelsAlwaysEverything(Bad):
    def cancel_order(self, cancellation):
        return super().cancel_order(replace(cancellation, is_whole=True))


class CallsALostCancellationDone(Bad):
    def cancel_order(self, cancellation):
        try:
            return super().cancel_order(cancellation)
        except OutcomeUnknown:
            return None


class HidesTheBuyersWish(Bad):
    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        holds = tuple(
            one for one in sight.facts.channel_holds or () if one != "cancellation_requested"
        )
        return replace(sight, facts=replace(sight.facts, channel_holds=holds))


class CancelsInShadow(Bad):
    def cancel_order(self, cancellation):
        return self.vouched().cancel_order(cancellation)


class KeepsTheNoToItself(Bad):
    def decline_cancellation(self, channel_order_id):
        if not self.request.may_write:
            super().decline_cancellation(channel_order_id)


class DeclinesInShadow(Bad):
    def decline_cancellation(self, channel_order_id):
        return self.vouched().decline_cancellation(channel_order_id)


class ShowsOnlyTheNewestRefund(Bad):
    def read_refunds(self, channel_order_id):
        return super().read_refunds(channel_order_id)[-1:]


class CallsALostRefundDone(Bad):
    def refund_order(self, refund):
        try:
            return super().refund_order(refund)
        except OutcomeUnknown:
            return None


class SwallowsTheRefusal(Bad):
    def refund_order(self, refund):
        try:
            return super().refund_order(refund)
        except Rejected:
            return None


class RefundsInShadow(Bad):
    def refund_order(self, refund):
        return self.vouched().refund_order(refund)


class NeverLetsGo(Bad):
    def release_order(self, hold):
        return None


class HoldsInShadow(Bad):
    def hold_order(self, hold):
        return self.vouched().hold_order(hold)


class AddsADispatchInstead(Bad):
    """Makes a second dispatch where the first should get another number."""

    def correct_shipment(self, correction):
        super().correct_shipment(correction)
        order = self.channel.order(correction.channel_order_id)
        (first, *others) = order.fulfilments
        if not others:
            copied = replace(first, channel_shipment_id=f"{first.channel_shipment_id}-again")
            self.channel.books.orders[order.channel_order_id] = replace(
                order, fulfilments=(first, copied)
            )


class SwallowsTheUnknownDispatch(Bad):
    def correct_shipment(self, correction):
        try:
            super().correct_shipment(correction)
        except Rejected:
            return


class CorrectsInShadow(Bad):
    def correct_shipment(self, correction):
        return self.vouched().correct_shipment(correction)


BAD_SESSIONS = {
    CancelsPartsOnly: "a_cancelled_order_shows",
    CancelsAlwaysEverything: "a_part_of_an_order_is_cancelled",
    CallsALostCancellationDone: "a_lost_cancellation_answer_is_outcome_unknown",
    HidesTheBuyersWish: "a_wish_to_cancel_is_shown",
    CancelsInShadow: "shadow_cancels_nothing",
    KeepsTheNoToItself: "a_declined_wish_is_shown_no_more",
    DeclinesInShadow: "shadow_declines_nothing",
    ShowsOnlyTheNewestRefund: "a_refund_is_found_again",
    CallsALostRefundDone: "a_lost_refund_answer_is_outcome_unknown",
    SwallowsTheRefusal: "more_than_was_paid_does_not_go_back",
    RefundsInShadow: "shadow_refunds_nothing",
    NeverLetsGo: "a_hold_stops_and_a_release_lets_go",
    HoldsInShadow: "shadow_holds_nothing",
    AddsADispatchInstead: "corrected_tracking_replaces_the_old",
    SwallowsTheUnknownDispatch: "a_dispatch_that_is_not_there_is_not_corrected",
    CorrectsInShadow: "shadow_corrects_nothing",
}


def _failed(session: type[Bad], checks=WRITE_CHECKS) -> list[str]:
    results = run_contract(checks, MANIFEST, start_fake(open_session=session))
    return [one.name for one in results if one.problem]


@pytest.mark.proves("I-28", "F02")
@pytest.mark.parametrize(
    ("session", "check"), BAD_SESSIONS.items(), ids=[one.__name__ for one in BAD_SESSIONS]
)
def test_a_session_with_one_defect_fails_exactly_its_check(session, check):
    assert _failed(session, CHECKS) == [check]


def test_every_check_of_writes_is_failed_by_some_defect():
    assert set(BAD_SESSIONS.values()) == {check.name for check in WRITE_CHECKS}


class PaysAgain(Bad):
    """Repeats a refund by itself when no answer comes, under another key."""

    def refund_order(self, refund):
        try:
            return super().refund_order(refund)
        except OutcomeUnknown:
            self.channel.faults.heal()
            super().refund_order(replace(refund, key=f"{refund.key}-again"))
            raise


def test_a_session_that_pays_again_by_itself_is_found_out():
    assert _failed(PaysAgain) == ["a_lost_refund_answer_is_outcome_unknown"]
