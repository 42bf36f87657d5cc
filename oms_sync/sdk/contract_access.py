"""Contract checks of all around the calls: manifest, account, failures, webhooks, secrets."""

import io
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http import HTTPStatus
from typing import Any, Final

from oms_sync.sdk.connector import (
    AnswerChallenge,
    CancelOrders,
    CheckAccount,
    CorrectTracking,
    DiscoverListings,
    HoldOrders,
    ListOrders,
    PullNotifications,
    PushStock,
    PushTracking,
    ReadOrders,
    ReadStock,
    ReceiveWebhooks,
    RefundOrders,
    Session,
)
from oms_sync.sdk.contract import (
    Check,
    ContractChannel,
    NotApplicable,
    Trouble,
    error_of,
    open_as,
    shown_sight,
)
from oms_sync.sdk.contract_lists import LIST_CHECKS
from oms_sync.sdk.contract_orders import ORDER_CHECKS
from oms_sync.sdk.contract_pushes import PUSH_CHECKS, push_any
from oms_sync.sdk.contract_queue import QUEUE_CHECKS
from oms_sync.sdk.contract_writes import WRITE_CHECKS
from oms_sync.sdk.errors import (
    AuthFailed,
    BadPayload,
    ChannelDown,
    ChannelError,
    OutcomeUnknown,
    RateLimited,
    RetryLater,
)
from oms_sync.sdk.manifest import API_VERSION, Capability, Manifest
from oms_sync.sdk.messages import HintKind, OrderFeed

_PROTOCOLS: Final[dict[Capability, Any]] = {
    Capability.CHECK_ACCOUNT: CheckAccount,
    Capability.READ_ORDERS: ReadOrders,
    Capability.RECEIVE_WEBHOOKS: ReceiveWebhooks,
    Capability.PULL_NOTIFICATIONS: PullNotifications,
    Capability.DISCOVER_LISTINGS: DiscoverListings,
    Capability.READ_STOCK: ReadStock,
    Capability.PUSH_STOCK: PushStock,
    Capability.PUSH_TRACKING: PushTracking,
    Capability.CORRECT_TRACKING: CorrectTracking,
    Capability.LIST_ORDERS: ListOrders,
    Capability.CANCEL_ORDERS: CancelOrders,
    Capability.REFUND_ORDERS: RefundOrders,
    Capability.HOLD_ORDERS: HoldOrders,
}
_ID: Final = re.compile("[a-z][a-z0-9_]*")
_SERVER_ERRORS: Final = 500
_HUB_URL: Final = "http://127.0.0.1:8080/webhooks/contract"


def the_manifest_is_sound(channel: ContractChannel, manifest: Manifest) -> None:
    """The declaration itself means something."""
    assert _ID.fullmatch(manifest.id), f"{manifest.id!r} is not a lower-case word"
    major = API_VERSION.partition(".")[0]
    assert manifest.api_version.partition(".")[0] == major, f"made for SDK {manifest.api_version}"
    sizes = (manifest.stock_batch_max, manifest.stock_read_max, manifest.order_read_max)
    assert min(sizes) >= 1, f"a batch holds at least one: {sizes}"
    assert manifest.poll_seconds >= 1, "poll once a second at most"
    headers = [one for one in manifest.webhook_headers if one != one.lower()]
    assert not headers, f"webhook headers are lower case: {headers}"
    is_refusal = HTTPStatus.BAD_REQUEST <= manifest.webhook_refusal_status < _SERVER_ERRORS
    assert is_refusal, f"{manifest.webhook_refusal_status} refuses no webhook: use a 4xx"


def the_session_does_what_is_declared(channel: ContractChannel, manifest: Manifest) -> None:
    """The session implements the Protocols of the manifest and no other."""
    session = channel.open()
    assert isinstance(session, Session), "a session can be closed"
    can = {capability for capability, one in _PROTOCOLS.items() if isinstance(session, one)}
    missing, extra = sorted(manifest.capabilities - can), sorted(can - manifest.capabilities)
    assert not missing, f"declared, but the session lacks the methods: {', '.join(missing)}"
    assert not extra, f"the session can it, but the manifest declares it not: {', '.join(extra)}"
    session.close()


def the_account_check_tells_who_we_are(channel: ContractChannel, manifest: Manifest) -> None:
    """The channel's name for the account, and its time."""
    told = open_as(channel, CheckAccount).check()
    assert told.channel_account, "channel_account is empty"
    assert told.channel_account_id, "channel_account_id is empty: nobody can tell shops apart"
    again = open_as(channel, CheckAccount).check().channel_account_id
    assert again == told.channel_account_id, "channel_account_id is another one in each session"
    assert told.channel_time.tzinfo is not None, "channel_time has no zone"


def _first_read(channel: ContractChannel, manifest: Manifest) -> Callable[[], object]:
    """The plainest calls the connector can make."""
    since, session = channel.now(), open_as(channel, CheckAccount)

    def call() -> None:
        session.check()
        if Capability.READ_ORDERS in manifest.capabilities:
            session.read_orders(OrderFeed.CHANGES, None, since)

    return call


def _expect(
    channel: ContractChannel, manifest: Manifest, trouble: Trouble, expected: type[ChannelError]
) -> None:
    call = _first_read(channel, manifest)
    channel.trouble(trouble)
    error = error_of(call)
    channel.heal()
    assert isinstance(error, expected), f"{trouble}: {error!r} where {expected.__name__} is right"
    assert not isinstance(error, OutcomeUnknown), "a read leaves nothing unknown; ChannelDown"


def too_many_calls_is_rate_limited(channel: ContractChannel, manifest: Manifest) -> None:
    """A refusal for calling too often is RateLimited."""
    _expect(channel, manifest, Trouble.RATE_LIMITED, RateLimited)


def a_broken_channel_is_channel_down(channel: ContractChannel, manifest: Manifest) -> None:
    """A 5xx is ChannelDown."""
    _expect(channel, manifest, Trouble.DOWN, ChannelDown)


def no_answer_is_retry_later(channel: ContractChannel, manifest: Manifest) -> None:
    """A read that is not answered is tried again."""
    _expect(channel, manifest, Trouble.TIMEOUT_BEFORE, RetryLater)


def refused_credentials_are_auth_failed(channel: ContractChannel, manifest: Manifest) -> None:
    """Revoked credentials stop the account, and only AuthFailed does that."""
    _expect(channel, manifest, Trouble.REVOKED, AuthFailed)


# --- webhooks ------------------------------------------------------------------------------------


def a_genuine_webhook_is_accepted(channel: ContractChannel, manifest: Manifest) -> None:
    """What the channel signed is taken, and says which order to look at."""
    hook = channel.webhook()
    assert hook.part.verify(hook.settings, hook.headers, hook.body), "a genuine webhook is refused"
    assert hook.reader.topic(hook.headers), "the headers name a topic"
    hint = hook.reader.read_hint(hook.headers, hook.body)
    assert hint.kind is HintKind.ORDER, f"a webhook about an order was read as {hint.kind}"
    assert hint.object_id == hook.channel_order_id, f"it is not about {hint.object_id!r}"
    if hint.order is not None:
        shown_sight(open_as(channel, ReadOrders), hint, manifest, seen_at=channel.now())


def an_altered_webhook_is_refused(channel: ContractChannel, manifest: Manifest) -> None:
    """A space in the body, or any other signature, and it is not the channel's."""
    hook = channel.webhook()
    genuine = hook.headers[hook.signature_header]
    bodies = (hook.body + b" ", hook.body[:-1], b"")
    for body in bodies:
        assert not hook.part.verify(hook.settings, hook.headers, body), f"{body!r} was accepted"
    bare = {name: text for name, text in hook.headers.items() if name != hook.signature_header}
    signatures = ("", genuine[:-2], genuine.swapcase(), "é", "\udcff", "A" * 10_240)
    forged = [bare, *({**bare, hook.signature_header: one} for one in signatures)]
    for headers in forged:
        is_taken = hook.part.verify(hook.settings, headers, hook.body)
        assert not is_taken, f"accepted with {headers.get(hook.signature_header)!r:.40}"


def a_senseless_webhook_is_bad_payload(channel: ContractChannel, manifest: Manifest) -> None:
    """A body that says nothing raises BadPayload, which keeps its bytes as a dead letter."""
    hook = channel.webhook()
    for body in (b"", b"\xff", b"[]", b"null", b"{}"):
        try:
            hook.reader.read_hint(hook.headers, body)
        except BadPayload:
            continue
        raise AssertionError(f"no BadPayload for {body!r}")


def a_challenge_is_answered(channel: ContractChannel, manifest: Manifest) -> None:
    """Asked whether the address is ours, the part proves it; asked nothing, it says nothing."""
    hook = channel.webhook()
    part = hook.reader
    if not isinstance(part, AnswerChallenge):
        raise NotApplicable("the channel asks no challenge")
    assert hook.challenge, "the driver must say what a challenge of the channel looks like"
    answer = part.answer_challenge(hook.settings, _HUB_URL, hook.challenge)
    assert answer is not None, "the channel's own challenge is not answered"
    assert answer.media_type in ("application/json", "text/plain"), f"it is {answer.media_type}"
    leaked = [
        number for number, one in enumerate(channel.secrets, 1) if one.encode() in answer.body
    ]
    assert not leaked, f"the answer shows secret number {leaked} of the driver"
    other = {name: f"{text}0" for name, text in hook.challenge.items()}
    told = part.answer_challenge(hook.settings, _HUB_URL, other)
    assert told != answer, "every challenge is answered alike"
    assert part.answer_challenge(hook.settings, _HUB_URL, {}) is None, "no challenge, no answer"


def subscribing_twice_creates_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """Subscriptions are made once and found again."""
    first = open_as(channel, ReceiveWebhooks).ensure_subscriptions(_HUB_URL)
    second = open_as(channel, ReceiveWebhooks).ensure_subscriptions(_HUB_URL)
    assert first, "no topic was subscribed"
    assert second == (), f"subscribed anew: {second}"


# --- secrets -------------------------------------------------------------------------------------


def secrets_never_reach_logs(channel: ContractChannel, manifest: Manifest) -> None:
    """Neither logs at DEBUG, nor output, nor errors, nor a repr hold a token or secret."""
    assert channel.secrets, "the driver must name the secrets it configured"
    with _listening() as heard:
        session = open_as(channel, Session)
        heard.write(repr(session))
        call = _first_read(channel, manifest)
        call()
        if Capability.PUSH_STOCK in manifest.capabilities:
            push_any(channel, manifest)
        for trouble in (Trouble.REVOKED, Trouble.DOWN):
            channel.trouble(trouble)
            error = error_of(call)
            channel.heal()
            heard.write("".join(traceback.format_exception(error)) if error else "")
        session.close()
    said = heard.getvalue()
    leaked = [number for number, secret in enumerate(channel.secrets, start=1) if secret in said]
    assert not leaked, f"secret number {leaked} of the driver was logged, printed or raised"


@contextmanager
def _listening() -> Iterator[io.StringIO]:
    """Everything logged at any level by any logger, and printed, as text."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(logging.Formatter("%(message)s %(args)s"))
    root = logging.getLogger()
    # Loggers that keep their records to themselves are listened to one by one.
    others = [logging.getLogger(name) for name in sorted(root.manager.loggerDict)]
    heard_on = [root, *(one for one in others if not one.propagate)]
    levels = [(one, one.level) for one in (root, *others)]
    for logger, _ in levels:
        logger.setLevel(logging.DEBUG)
    for logger in heard_on:
        logger.addHandler(handler)
    try:
        with redirect_stdout(heard), redirect_stderr(heard):
            yield heard
    finally:
        for logger in heard_on:
            logger.removeHandler(handler)
        for logger, level in levels:
            logger.setLevel(level)


_ACCOUNT: Final = frozenset({Capability.CHECK_ACCOUNT})
_HOOKS: Final = frozenset({Capability.RECEIVE_WEBHOOKS})

ACCESS_CHECKS: Final = tuple(
    Check(name=run.__name__, run=run, needs=needs)
    for run, needs in (
        (the_account_check_tells_who_we_are, _ACCOUNT),
        (too_many_calls_is_rate_limited, _ACCOUNT),
        (a_broken_channel_is_channel_down, _ACCOUNT),
        (no_answer_is_retry_later, _ACCOUNT),
        (refused_credentials_are_auth_failed, _ACCOUNT),
        (secrets_never_reach_logs, _ACCOUNT),
        (a_genuine_webhook_is_accepted, _HOOKS),
        (an_altered_webhook_is_refused, _HOOKS),
        (a_senseless_webhook_is_bad_payload, _HOOKS),
        (a_challenge_is_answered, _HOOKS),
        (subscribing_twice_creates_nothing, _HOOKS),
    )
)

CHECKS: Final = (
    Check(name=the_manifest_is_sound.__name__, run=the_manifest_is_sound),
    Check(
        name=the_session_does_what_is_declared.__name__,
        run=the_session_does_what_is_declared,
        flag="capabilities",
    ),
    *ACCESS_CHECKS,
    *QUEUE_CHECKS,
    *ORDER_CHECKS,
    *LIST_CHECKS,
    *PUSH_CHECKS,
    *WRITE_CHECKS,
)
"""The whole contract; `Check.applies` says which part a manifest switched on."""
