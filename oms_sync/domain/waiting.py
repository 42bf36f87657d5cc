"""What a channel goes on waiting for, by its own account: goods of ours that it has not seen leave.

Where what was done here and what the channel shows part, somebody has to be told.
"""

from oms_sync.domain.order import KnownOrder, LineSight, line_counts


def is_waited_for(order: KnownOrder) -> bool:
    """True while the channel itself shows units open that somebody here has to ship."""
    facts = order.facts
    if facts.fulfilled_by == "channel" or facts.is_test is True:
        return False
    return any(line_counts(order, known, 0).open for known in order.lines)


def units_unseen(line: LineSight, shipped_here: int) -> int:
    """Units of the line that left here and that the channel does not show as gone in any way."""
    if line.is_marked_shipped:
        return 0
    gone = (line.quantity_elsewhere or 0) + (line.quantity_cancelled or 0)
    left = min(shipped_here, max(0, (line.quantity_ordered or 0) - gone))
    return max(0, left - (line.quantity_shipped or 0))
