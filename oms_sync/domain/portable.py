"""Lines that move between orders, and orders that get another id: where a line is, what is kept.

A line is in the order its newest sight showed it in; an order goes by the id of its newest sight
that showed lines. Both hold whatever sequence the sights came in.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from oms_sync.domain.merge import merge
from oms_sync.domain.order import KnownLine, KnownOrder, OrderFacts, Version
from oms_sync.domain.values import ChannelRef

#: how new a sight is; of one version the one that lists more lines is the newer
Rank = tuple[Version, int, str]
_NOTHING = OrderFacts()
#: facts of an order under one id only: they say nothing of what it became under another
_OF_ONE_ID = (
    "channel_order_number",
    "channel_status",
    "state",
    "cancelled_at",
    "total",
    "shipping",
    "tax",
    "discount",
    "tax_remitted",
    "presentment_total",
    "channel_holds",
    "unmapped_codes",
    "line_ids",
    "is_complete",
)


def takes(line: KnownLine, home: KnownOrder, seen: KnownOrder) -> bool:
    """True when `seen` shows the line in another order later than its home `home` showed it."""
    return _rank(seen.version, seen) > _rank(line.version, home)


def is_newer(seen: KnownOrder, order: KnownOrder) -> bool:
    """True when the sight `seen` shows lines, and later than anything known of the order."""
    return bool(seen.lines) and _rank(seen.version, seen) > _rank(order.version, order)


def follow(order: KnownOrder, seen: KnownOrder) -> KnownOrder:
    """Fold a sight into an order that may go by another id by then, or may do so from now on.

    An old id may be cancelled or gone, and shows what the order once listed: of a sight of an old
    id only what describes the buyer and the lines is kept, where nothing newer says it.
    """
    if seen.ref == order.ref:
        return merge(order, seen)
    if is_newer(seen, order):
        return merge(_described(order, seen.ref), seen)
    if seen.version > order.version:
        return order
    return merge(order, _described(seen, order.ref))


def absorb(order: KnownOrder, other: KnownOrder) -> KnownOrder:
    """What is known of an order that turned out to be `other`, too; it keeps its id."""
    return merge(order, _described(other, order.ref))


def unlisted(order: KnownOrder) -> KnownOrder:
    """The order without a complete list of its lines: none is taken to have left."""
    return replace(order, facts=replace(order.facts, line_ids=None))


def without_lines(order: KnownOrder, channel_line_ids: Collection[str]) -> KnownOrder:
    """The order after these lines moved away."""
    kept = (one for one in order.lines if one.line.channel_line_id not in channel_line_ids)
    return replace(order, lines=tuple(kept))


def with_lines(order: KnownOrder, lines: Iterable[KnownLine]) -> KnownOrder:
    """The order with these lines, each merged into what is known of it there."""
    found = tuple(sorted(lines, key=lambda one: one.line.channel_line_id))
    return merge(
        order, KnownOrder(ref=order.ref, version=order.version, facts=_NOTHING, lines=found)
    )


def _rank(version: Version, order: KnownOrder) -> Rank:
    return version, len(order.facts.line_ids or ()), order.ref.channel_order_id


def _described(order: KnownOrder, ref: ChannelRef) -> KnownOrder:
    facts = replace(order.facts, **dict.fromkeys(_OF_ONE_ID))
    versions = tuple(one for one in order.versions if one[0] not in _OF_ONE_ID)
    return replace(order, ref=ref, facts=facts, versions=versions)
