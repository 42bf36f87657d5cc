"""What of an order is about people, the order without it, and what keeps it from being erased."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oms_sync.domain.order import KnownOrder, OrderState

#: fields of OrderFacts; every other one identifies nobody
PERSONAL_FIELDS = ("buyer", "recipient", "buyer_note")
FINISHED = (OrderState.CLOSED, OrderState.CANCELLED)


def without_people(order: KnownOrder) -> KnownOrder:
    """What is known of the order, but of whom it is about."""
    facts = replace(order.facts, **dict.fromkeys(PERSONAL_FIELDS))
    versions = tuple(one for one in order.versions if one[0] not in PERSONAL_FIELDS)
    return replace(order, facts=facts, versions=versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What may still need the people of an order."""

    state: OrderState
    is_reserve_due: bool
    #: shipments its channel was not told of yet
    untold: int
    #: write-backs its channel does not show yet
    unwritten: int
    #: shipments its channel refused while it goes on waiting for the goods: no run erases such an
    #: order by itself, somebody who asks for it decides
    refused: int = 0
    erased_at: datetime | None = None


def obstacles(order: Unfinished) -> Sequence[str]:
    """Why the order cannot be erased now, each with what ends it; empty when it can."""
    found = []
    if order.state not in FINISHED:
        found.append(f"it is {order.state}; it can be erased once it is closed or cancelled")
    elif order.is_reserve_due:
        found.append("its reservation is being brought up to date; try again in a minute")
    if order.untold:
        found.append(f"its channel was not told of {order.untold} shipments yet")
    if order.unwritten:
        found.append(f"{order.unwritten} changes of it wait to show at its channel")
    return found
