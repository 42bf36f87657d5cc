"""Defects around the calls, one each: failures, secrets, account, webhooks, manifest."""

import itertools
import json
import logging
import sys
from dataclasses import replace

import pytest

from oms_sync.sdk import (
    AccountCheck,
    AuthFailed,
    BadPayload,
    ChannelDown,
    FixData,
    Hint,
    HintKind,
    Manifest,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    RawOrder,
)
from oms_sync.sdk.contract_lists import LIST_CHECKS
from oms_sync.sdk.contract_orders import ORDER_CHECKS
from oms_sync.sdk.contract_pushes import PUSH_CHECKS
from oms_sync.sdk.contract_queue import QUEUE_CHECKS
from oms_sync.sdk.contract_writes import WRITE_CHECKS
from oms_sync.sdk.fake import FakeChannel
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.fake_webhooks import FakeWebhookPart, sign
from oms_sync.sdk.testing import CHECKS, FakeClock, SeededChance, run_contract, start_fake

#: what a notification of the fake channel shows, before it gets an id
_SUMMARY = {
    "is_summary": True,
    "status": "open",
    "placed_at": "2026-03-01T12:00:00+00:00",
    "updated_at": "2026-03-01T12:00:00+00:00",
    "fulfilled_by": "seller",
    "test": False,
    "lines": [],
}
_NUMBERS = itertools.count()
MANIFEST = FakeChannel(clock=FakeClock(), chance=SeededChance(1, "x")).manifest


class Bad(FakeSession):
    """A fake session with its channel and request at hand."""

    def __init__(self, channel, request):
        super().__init__(channel, request)
        self.channel = channel
        self.request = request


# --- failures, secrets, account ------------------------------------------------------------------


def _turning(error, into):
    """A session that raises `into` where `error` is right."""

    class Turns(Bad):
        def _call(self, operation, priority):
            try:
                super()._call(operation, priority)
            except error as caught:
                if type(caught) is error:
                    raise into("something else") from caught
                raise

    return Turns


class CallsLostReadsUnknown(Bad):
    def _read(self, operation, priority):
        try:
            super()._read(operation, priority)
        except ChannelDown as error:
            if "no answer" in str(error):
                raise OutcomeUnknown("who knows") from error
            raise


class LogsItsToken(Bad):
    def check(self):
        logging.getLogger("vendor.http").debug("authorisation %s", self.channel.settings.token)
        return super().check()


class PrintsItsSecret(Bad):
    def check(self):
        sys.stderr.write(self.channel.settings.webhook_secret)
        return super().check()


class PutsItsTokenIntoErrors(Bad):
    def check(self):
        try:
            return super().check()
        except AuthFailed as error:
            raise AuthFailed(f"token {self.channel.settings.token} is refused") from error


class HasNoName(Bad):
    def check(self) -> AccountCheck:
        return replace(super().check(), channel_account="")


class HasNoId(Bad):
    def check(self) -> AccountCheck:
        return replace(super().check(), channel_account_id="")


class HasAnIdOfTheMoment(Bad):
    def check(self) -> AccountCheck:
        return replace(super().check(), channel_account_id=f"session {next(_NUMBERS)}")


class SubscribesAnew(Bad):
    def ensure_subscriptions(self, url):
        super().ensure_subscriptions(url)
        return ("orders/update",)


BAD_SESSIONS = {
    _turning(RateLimited, ChannelDown): "too_many_calls_is_rate_limited",
    _turning(ChannelDown, FixData): "a_broken_channel_is_channel_down",
    _turning(AuthFailed, PermissionMissing): "refused_credentials_are_auth_failed",
    CallsLostReadsUnknown: "no_answer_is_retry_later",
    LogsItsToken: "secrets_never_reach_logs",
    PrintsItsSecret: "secrets_never_reach_logs",
    PutsItsTokenIntoErrors: "secrets_never_reach_logs",
    HasNoName: "the_account_check_tells_who_we_are",
    HasNoId: "the_account_check_tells_who_we_are",
    HasAnIdOfTheMoment: "the_account_check_tells_who_we_are",
    SubscribesAnew: "subscribing_twice_creates_nothing",
}


# --- webhooks ------------------------------------------------------------------------------------


class TakesEverything(FakeWebhookPart):
    def verify(self, settings, headers, body):
        return True


class TrimsTheBody(FakeWebhookPart):
    def verify(self, settings, headers, body):
        return super().verify(settings, headers, body.strip())


class TrustsNobody(FakeWebhookPart):
    def verify(self, settings, headers, body):
        return sign("another", body) == headers.get("x-fake-signature")


class NamesNoOrder(FakeWebhookPart):
    def read_hint(self, headers, body):
        hint = super().read_hint(headers, body)
        return hint if hint.order else replace(hint, object_id="")


class ShowsAnotherOrder(FakeWebhookPart):
    def read_hint(self, headers, body):
        hint = super().read_hint(headers, body)
        if hint.order:
            return hint
        payload = json.dumps({**_SUMMARY, "id": "fake-000000"}).encode()
        return replace(hint, order=RawOrder(channel_order_id=hint.object_id, payload=payload))


class TakesNonsense(FakeWebhookPart):
    def read_hint(self, headers, body):
        try:
            return super().read_hint(headers, body)
        except BadPayload:
            if self.topic(headers) == "orders/shown":
                raise  # pulled ones have a check of their own
            return Hint(kind=HintKind.NOTHING)


class AnswersNoChallenge(FakeWebhookPart):
    def answer_challenge(self, settings, url, query):
        return None


class AnswersEverything(FakeWebhookPart):
    def answer_challenge(self, settings, url, query):
        return super().answer_challenge(settings, url, {"challenge_code": "0", **query})


class EchoesItsToken(FakeWebhookPart):
    def answer_challenge(self, settings, url, query):
        answer = super().answer_challenge(settings, url, query)
        token = settings.verification_token.encode()
        return answer and replace(answer, body=answer.body + token)


class AnswersInMarkup(FakeWebhookPart):
    def answer_challenge(self, settings, url, query):
        answer = super().answer_challenge(settings, url, query)
        return answer and replace(answer, media_type="text/html")


class AnswersAlike(FakeWebhookPart):
    def answer_challenge(self, settings, url, query):
        return super().answer_challenge(settings, url, query and {"challenge_code": "0"})


BAD_PARTS = {
    TakesEverything: "an_altered_webhook_is_refused",
    TrimsTheBody: "an_altered_webhook_is_refused",
    TrustsNobody: "a_genuine_webhook_is_accepted",
    NamesNoOrder: "a_genuine_webhook_is_accepted",
    ShowsAnotherOrder: "a_genuine_webhook_is_accepted",
    TakesNonsense: "a_senseless_webhook_is_bad_payload",
    AnswersNoChallenge: "a_challenge_is_answered",
    AnswersEverything: "a_challenge_is_answered",
    EchoesItsToken: "a_challenge_is_answered",
    AnswersInMarkup: "a_challenge_is_answered",
    AnswersAlike: "a_challenge_is_answered",
}

BAD_MANIFESTS = {
    "a shop's name for an id": (replace(MANIFEST, id="My Shop"), "the_manifest_is_sound"),
    "an SDK of the future": (replace(MANIFEST, api_version="9.0"), "the_manifest_is_sound"),
    "empty batches": (replace(MANIFEST, order_read_max=0), "the_manifest_is_sound"),
    "shouted headers": (replace(MANIFEST, webhook_headers=("X-Id",)), "the_manifest_is_sound"),
    "a refusal that refuses nothing": (
        replace(MANIFEST, webhook_refusal_status=204),
        "the_manifest_is_sound",
    ),
    "undeclared skills": (
        replace(MANIFEST, capabilities=MANIFEST.capabilities - {"read_stock"}),
        "the_session_does_what_is_declared",
    ),
}


def _failed(manifest: Manifest, start) -> list[str]:
    return [one.name for one in run_contract(CHECKS, manifest, start) if one.problem]


@pytest.mark.proves("A57")
@pytest.mark.parametrize(
    ("session", "check"), BAD_SESSIONS.items(), ids=[one.__name__ for one in BAD_SESSIONS]
)
def test_a_session_with_one_defect_fails_exactly_its_check(session, check):
    assert _failed(MANIFEST, start_fake(open_session=session)) == [check]


@pytest.mark.proves("A01", "A02", "A03", "A04")
@pytest.mark.parametrize(
    ("part", "check"), BAD_PARTS.items(), ids=[one.__name__ for one in BAD_PARTS]
)
def test_a_webhook_part_with_one_defect_fails_exactly_its_check(part, check):
    assert _failed(MANIFEST, start_fake(part=part())) == [check]


@pytest.mark.parametrize(("manifest", "check"), BAD_MANIFESTS.values(), ids=list(BAD_MANIFESTS))
def test_a_manifest_with_one_defect_fails_exactly_its_check(manifest, check):
    assert _failed(manifest, start_fake()) == [check]


def test_every_check_around_the_calls_is_failed_by_some_defect():
    caught = {
        *BAD_SESSIONS.values(),
        *BAD_PARTS.values(),
        *(one for _, one in BAD_MANIFESTS.values()),
    }
    elsewhere = (*ORDER_CHECKS, *PUSH_CHECKS, *QUEUE_CHECKS, *LIST_CHECKS, *WRITE_CHECKS)
    others = {check.name for check in elsewhere}
    assert caught == {check.name for check in CHECKS} - others
