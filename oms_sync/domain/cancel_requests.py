"""A buyer's request to cancel, and what becomes of it once somebody said no.

Pure, and independent of the sequence sights come in: a no holds for the request it was said to, as
long as every later sight still shows that one; a request that went and came back is another.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from oms_sync.domain.order import KnownOrder, Version

#: the hold of an order whose buyer asked to cancel it; `…:LINE` where it is about one line
REQUESTED: Final = "channel:cancellation_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """A buyer's request to cancel that was answered with no."""

    #: the id the order had; under another one the buyer is heard anew
    channel_order_id: str
    #: how new the sight was that showed the request
    version: Version
    #: the channel line ids it is about; empty for the whole order
    lines: frozenset[str] = frozenset()


def requested_lines(codes: Iterable[str]) -> frozenset[str] | None:
    """Channel line ids whose buyer asked to cancel, empty for the whole order, None for none."""
    lines = {line for code in codes if (line := _line_of(code)) is not None}
    if not lines:
        return None
    return frozenset() if "" in lines else frozenset(lines)


def decline(order: KnownOrder) -> Declined | None:
    """The no to everything the buyer asks for now; None where nothing is asked."""
    asked = _asked(order)
    if asked is None:
        return None
    return Declined(
        channel_order_id=order.ref.channel_order_id,
        version=order.field_version("channel_holds"),
        lines=asked,
    )


def still_declined(declined: Declined | None, seen: KnownOrder) -> Declined | None:
    """What a sight leaves of a no: as much of the request as it shows, and nothing of another id.

    A sight that is no newer, or says nothing of holds, leaves it as it was.
    """
    if declined is None or seen.facts.channel_holds is None:
        return declined
    if seen.ref.channel_order_id != declined.channel_order_id or seen.version <= declined.version:
        return declined
    asked = _asked(seen)
    if asked is None:
        return None
    if not asked:
        return declined
    lines = declined.lines & asked if declined.lines else asked
    return replace(declined, lines=lines) if lines else None


def is_declined(declined: Declined | None, order: KnownOrder, code: str) -> bool:
    """True when the hold `code` is a request that was answered with no."""
    line = _line_of(code)
    if declined is None or line is None:
        return False
    if declined.channel_order_id != order.ref.channel_order_id:
        return False
    return not declined.lines or line in declined.lines


def _asked(order: KnownOrder) -> frozenset[str] | None:
    return requested_lines(f"channel:{reason}" for reason in order.facts.channel_holds or ())


def _line_of(code: str) -> str | None:
    """The line a request is about, empty for the whole order; None for a hold that is none."""
    if not code.startswith(REQUESTED):
        return None
    name, _, line_id = code[len(REQUESTED) :].partition(":")
    return None if name else line_id
