"""Contract checks of pulling notifications: kept until acknowledged, then gone, and understood."""

from typing import Any, Final, cast

from oms_sync.sdk.connector import PullNotifications, ReadOrders
from oms_sync.sdk.contract import (
    Check,
    ContractChannel,
    NotApplicable,
    QueueChannel,
    open_as,
    shown_sight,
)
from oms_sync.sdk.errors import BadPayload
from oms_sync.sdk.manifest import Capability, Manifest
from oms_sync.sdk.messages import HintKind, Notification

PULLS_MAX: Final = 20
_MESSAGES: Final = 3
_HANDS: Final = ("part", "announce", "redeliver")


def _queued(channel: ContractChannel) -> QueueChannel:
    """The driver's hands on the queue; says what is missing."""
    missing = [name for name in _HANDS if not hasattr(channel, name)]
    assert not missing, f"the driver of a channel with a queue is a QueueChannel; missing {missing}"
    return cast("QueueChannel", channel)


def _pull_all(session: Any) -> list[Notification]:
    """Everything the queue gives now, pull by pull, nothing acknowledged."""
    pulled: list[Notification] = []
    for _ in range(PULLS_MAX):
        found = session.pull(0.0)
        if not found:
            return pulled
        pulled += found
    raise AssertionError(f"the queue is not empty after {PULLS_MAX} pulls")


def _announced(channel: ContractChannel) -> tuple[QueueChannel, Notification, str]:
    """A pulled message about a new order, and the order's id."""
    queued = _queued(channel)
    order_id = queued.announce()
    pulled = _pull_all(open_as(channel, PullNotifications))
    assert pulled, "a message the channel wrote is never pulled"
    return queued, pulled[0], order_id


def a_configured_queue_is_there_and_empty(channel: ContractChannel, manifest: Manifest) -> None:
    """The session knows of its queue; nothing in it is no error."""
    session = open_as(channel, PullNotifications)
    assert session.has_queue(), "the driver must configure a queue, and has_queue say so"
    assert session.pull(0.0) == (), "an empty queue gives an empty tuple"


def what_was_pulled_stays_until_acknowledged(channel: ContractChannel, manifest: Manifest) -> None:
    """A hub that dies after it pulled is given everything again."""
    queued = _queued(channel)
    for _ in range(_MESSAGES):
        queued.announce()
    before = {one.body for one in _pull_all(open_as(channel, PullNotifications))}
    queued.redeliver()
    again = {one.body for one in _pull_all(open_as(channel, PullNotifications))}
    lost = before - again
    assert not lost, f"{len(lost)} of {len(before)} messages were taken out by pulling them"


def what_is_acknowledged_is_gone(channel: ContractChannel, manifest: Manifest) -> None:
    """Once acknowledged a message never comes back."""
    queued, session = _queued(channel), open_as(channel, PullNotifications)
    for _ in range(_MESSAGES):
        queued.announce()
    pulled = _pull_all(session)
    receipts = [one.receipt for one in pulled]
    assert len(set(receipts)) == len(receipts), "two messages under one receipt"
    session.acknowledge(receipts)
    queued.redeliver()
    back = _pull_all(open_as(channel, PullNotifications))
    assert not back, f"{len(back)} of {len(pulled)} messages came back"


def subscribing_the_queue_twice_makes_nothing_anew(
    channel: ContractChannel, manifest: Manifest
) -> None:
    """What is subscribed is found subscribed, and the channel goes on writing."""
    open_as(channel, PullNotifications).subscribe_queue()
    again = open_as(channel, PullNotifications).subscribe_queue()
    assert again == (), f"subscribed anew: {again}"
    _, message, _ = _announced(channel)
    assert message.body, "the channel writes nothing to its queue any more"


def a_pulled_message_says_what_to_look_at(channel: ContractChannel, manifest: Manifest) -> None:
    """The webhook part reads what was pulled like any webhook."""
    queued, message, order_id = _announced(channel)
    assert message.topic, "a message has a topic"
    shouted = [name for name in message.headers if name != name.lower()]
    assert not shouted, f"header names are lower case: {shouted}"
    hint = queued.part.read_hint(message.headers, message.body)
    assert hint.kind is HintKind.ORDER, f"a message about an order was read as {hint.kind}"
    assert hint.object_id == order_id, f"it is not about {hint.object_id!r}"


def a_senseless_message_is_bad_payload(channel: ContractChannel, manifest: Manifest) -> None:
    """A body that says nothing raises BadPayload, which keeps its bytes as a dead letter."""
    queued, message, _ = _announced(channel)
    for body in (b"", b"\xff", b"[]", b"null", b"{}"):
        try:
            queued.part.read_hint(message.headers, body)
        except BadPayload:
            continue
        raise AssertionError(f"no BadPayload for {body!r}")


def what_a_message_shows_is_the_order(channel: ContractChannel, manifest: Manifest) -> None:
    """What a hint shows parses to the very lines the order has when it is read."""
    queued, message, order_id = _announced(channel)
    hint = queued.part.read_hint(message.headers, message.body)
    if hint.order is None:
        raise NotApplicable("the channel's notifications do not show their order")
    session = open_as(channel, ReadOrders)
    shown = shown_sight(session, hint, manifest, seen_at=channel.now())
    channel.advance(1)
    (raw,) = session.read_orders_by_id([order_id])
    read = session.parse_order(raw.payload, channel.now())
    lines, expected = (
        {line.channel_line_id: line.quantity_ordered for line in sight.lines}
        for sight in (shown, read)
    )
    assert lines == expected, f"it shows the lines {lines}, the order has {expected}"


_QUEUE: Final = frozenset({Capability.PULL_NOTIFICATIONS})

QUEUE_CHECKS: Final = tuple(
    Check(name=run.__name__, run=run, needs=needs)
    for run, needs in (
        (a_configured_queue_is_there_and_empty, _QUEUE),
        (what_was_pulled_stays_until_acknowledged, _QUEUE),
        (what_is_acknowledged_is_gone, _QUEUE),
        (subscribing_the_queue_twice_makes_nothing_anew, _QUEUE),
        (a_pulled_message_says_what_to_look_at, _QUEUE),
        (a_senseless_message_is_bad_payload, _QUEUE),
        (what_a_message_shows_is_the_order, _QUEUE | {Capability.READ_ORDERS}),
    )
)
