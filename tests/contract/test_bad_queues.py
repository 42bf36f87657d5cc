"""Defects in pulling notifications, one each, and orders that may answer to another id."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from oms_sync.sdk import BadPayload, Hint, HintKind
from oms_sync.sdk.contract_queue import QUEUE_CHECKS
from oms_sync.sdk.fake import FakeChannel
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.fake_webhooks import FakeWebhookPart
from oms_sync.sdk.testing import CHECKS, FakeClock, SeededChance, run_contract, start_fake

MANIFEST = FakeChannel(clock=FakeClock(), chance=SeededChance(1, "x")).manifest


class HasNoQueue(FakeSession):
    def has_queue(self):
        return False


class AcknowledgesByPulling(FakeSession):
    """Takes messages out before anybody stored them."""

    def pull(self, wait_seconds):
        pulled = super().pull(wait_seconds)
        self.acknowledge([one.receipt for one in pulled])
        return pulled


class ForgetsToAcknowledge(FakeSession):
    def acknowledge(self, receipts):
        pass


class AcknowledgesTheFirst(FakeSession):
    def acknowledge(self, receipts):
        super().acknowledge(receipts[:1])


class GivesOneReceiptForAll(FakeSession):
    def pull(self, wait_seconds):
        return tuple(replace(one, receipt="r") for one in super().pull(wait_seconds))


class ShoutsHeaders(FakeSession):
    def pull(self, wait_seconds):
        return tuple(
            replace(one, headers={**one.headers, "X-Shouted": "1"})
            for one in super().pull(wait_seconds)
        )


class ShowsLinesUnderOtherIds(FakeSession):
    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        if b"is_summary" not in payload:
            return sight
        lines = tuple(
            replace(one, channel_line_id=f"x{one.channel_line_id}") for one in sight.lines
        )
        return replace(sight, lines=lines)


class ForgetsWhenItWasPlaced(FakeSession):
    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        if b"is_summary" not in payload:
            return sight
        return replace(sight, facts=replace(sight.facts, placed_at=None))


class SubscribesAnew(FakeSession):
    def subscribe_queue(self):
        return super().subscribe_queue() or ("orders/shown",)


BAD_SESSIONS = {
    SubscribesAnew: "subscribing_the_queue_twice_makes_nothing_anew",
    HasNoQueue: "a_configured_queue_is_there_and_empty",
    AcknowledgesByPulling: "what_was_pulled_stays_until_acknowledged",
    ForgetsToAcknowledge: "what_is_acknowledged_is_gone",
    AcknowledgesTheFirst: "what_is_acknowledged_is_gone",
    GivesOneReceiptForAll: "what_is_acknowledged_is_gone",
    ShoutsHeaders: "a_pulled_message_says_what_to_look_at",
    ShowsLinesUnderOtherIds: "what_a_message_shows_is_the_order",
    ForgetsWhenItWasPlaced: "what_a_message_shows_is_the_order",
}


class NamesAnother(FakeWebhookPart):
    def read_hint(self, headers, body):
        hint = super().read_hint(headers, body)
        return replace(hint, object_id="another", order=None) if hint.order else hint


class TakesNonsense(FakeWebhookPart):
    def read_hint(self, headers, body):
        try:
            return super().read_hint(headers, body)
        except BadPayload:
            if self.topic(headers) != "orders/shown":
                raise
            return Hint(kind=HintKind.NOTHING)


BAD_PARTS = {
    NamesAnother: "a_pulled_message_says_what_to_look_at",
    TakesNonsense: "a_senseless_message_is_bad_payload",
}


def _results(start, manifest=MANIFEST):
    return {one.name: one for one in run_contract(CHECKS, manifest, start)}


def _failed(start, manifest=MANIFEST):
    return [name for name, one in _results(start, manifest).items() if one.problem]


@pytest.mark.proves("I-03", "F47")
@pytest.mark.parametrize(
    ("session", "check"), BAD_SESSIONS.items(), ids=[one.__name__ for one in BAD_SESSIONS]
)
def test_a_session_with_one_defect_fails_exactly_its_check(session, check):
    assert _failed(start_fake(open_session=session)) == [check]


@pytest.mark.parametrize(
    ("part", "check"), BAD_PARTS.items(), ids=[one.__name__ for one in BAD_PARTS]
)
def test_a_webhook_part_with_one_defect_fails_exactly_its_check(part, check):
    assert _failed(start_fake(part=part())) == [check]


def test_every_check_of_the_queue_is_failed_by_some_defect():
    caught = {*BAD_SESSIONS.values(), *BAD_PARTS.values()}
    assert caught == {check.name for check in QUEUE_CHECKS}


class GivesForEver(FakeSession):
    kept = ()

    def pull(self, wait_seconds):
        self.kept = super().pull(wait_seconds) or self.kept
        return self.kept


def test_a_queue_that_never_ends_is_not_read_for_ever():
    results = _results(start_fake(open_session=GivesForEver))
    assert "not empty after" in results["what_is_acknowledged_is_gone"].problem


class ShowsNoOrder(FakeWebhookPart):
    def read_hint(self, headers, body):
        return replace(super().read_hint(headers, body), order=None)


def test_notifications_that_show_no_order_are_no_defect():
    results = _results(start_fake(part=ShowsNoOrder()))
    assert [one.name for one in results.values() if one.problem] == []
    assert [one.name for one in results.values() if one.skipped] == [
        "what_a_message_shows_is_the_order"
    ]


def test_a_driver_without_hands_on_the_queue_is_told_what_is_missing():
    class Handless:
        def __init__(self, whole):
            self._whole = whole

        def __getattr__(self, name):
            if name in ("announce", "redeliver"):
                raise AttributeError(name)
            return getattr(self._whole, name)

    @contextmanager
    def start():
        with start_fake()() as whole:
            yield Handless(whole)

    problem = _results(start)["what_is_acknowledged_is_gone"].problem
    assert "is a QueueChannel; missing ['announce', 'redeliver']" in problem


class ShowsAnotherId(FakeSession):
    """An order that got another id, as where unpaid orders are paid or orders are combined."""

    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        return replace(sight, channel_order_id=f"new-{sight.channel_order_id}")


def test_only_orders_of_portable_lines_may_answer_to_another_id():
    start = start_fake(open_session=ShowsAnotherId)
    assert _failed(start) == ["what_a_message_shows_is_the_order", "every_payload_parses"]
    assert _failed(start, replace(MANIFEST, has_portable_lines=True)) == []
