"""Channel's queue → inbox: pulls notifications, stores them, and only then acknowledges them.

What was pulled waits in the inbox like any webhook; it is read by `ingest`. Nothing is decided
here. What a crash leaves unacknowledged comes again, and collapses there.
"""

from collections.abc import Sequence
from datetime import timedelta

from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.sdk import Capability, Notification

#: the longest one pull waits for a first message; a hub that stops waits as long
PULL_WAIT_SECONDS = 2.0
#: an empty answer sooner than this is a queue that does not wait: ask again later, not at once
PULL_SECONDS_MIN = 0.5
#: one run listens so long and pulls so often; then it shows its lease, its health, and a pause
RUN_SECONDS_MAX = 10.0
PULLS_MAX = 50
TOPIC_LENGTH_MAX = 200
UNKNOWN = "unknown"


def run(context: FlowContext) -> FlowReport:
    """Listen for a while; an account in shadow mode leaves its queue alone, for whoever reads it.

    To take a message out is a write. An account without a queue is looked at again by its period.
    """
    if Capability.PULL_NOTIFICATIONS not in context.manifest.capabilities:
        return FlowReport()
    if context.account.mode == "shadow" or not context.session.has_queue():
        return FlowReport()
    done, begun_at = 0, context.clock.monotonic()
    for _ in range(PULLS_MAX):
        if context.is_stopping() or context.clock.monotonic() - begun_at >= RUN_SECONDS_MAX:
            break
        asked_at = context.clock.monotonic()
        pulled: Sequence[Notification] = context.session.pull(PULL_WAIT_SECONDS)
        if pulled:
            _store(context, pulled)
            context.session.acknowledge([one.receipt for one in pulled])
            done += len(pulled)
        elif context.clock.monotonic() - asked_at < PULL_SECONDS_MIN:
            soon = context.clock.now() + timedelta(seconds=PULL_WAIT_SECONDS)
            return FlowReport(done=done, next_at=soon)
    return FlowReport(done=done, is_more=True)


def _store(context: FlowContext, pulled: Sequence[Notification]) -> None:
    """Durable before it is acknowledged; equal hints that wait already collapse."""
    account, now = context.account.name, context.clock.now()
    with context.open_work() as work:
        work.inbox.add(
            [
                NewMessage(
                    account=account,
                    topic=_plain(one.topic),
                    source=MessageSource.WEBHOOK,
                    body=one.body,
                    received_at=now,
                    headers=one.headers,
                )
                for one in pulled
            ]
        )
        work.wake("ingest", account)
        work.commit()
    context.metrics.count("notifications", len(pulled), account=account)


def _plain(topic: str) -> str:
    """The topic as a database can hold it: one it refused would come back for ever."""
    plain = "".join(sign for sign in topic if sign.isascii() and sign.isprintable())
    return plain[:TOPIC_LENGTH_MAX] or UNKNOWN
