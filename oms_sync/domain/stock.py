"""Stock: counters per SKU and location, the movements that change them, what is left to sell.

A movement is the only way a counter changes; `apply` refuses one that breaks an invariant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.values import QUANTITY_MAX, Explained, Sku, Term, explained


class MovementKind(StrEnum):
    """Why a counter changed."""

    RECEIPT = "receipt"
    ADJUSTMENT = "adjustment"
    RESERVE = "reserve"
    RELEASE = "release"
    SHIP = "ship"
    RETURN = "return"


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLevel:
    """The counts of one SKU at one location; `reserved + unavailable <= on_hand`, always."""

    sku: Sku
    location: str
    #: False until somebody counted it; an uncounted SKU has no quantity
    is_counted: bool = False
    on_hand: int = 0
    unavailable: int = 0
    reserved: int = 0
    safety_stock: int = 0
    #: number of the last movement, from 1
    sequence: int = 0
    #: hash of the last movement, the head of this level's chain
    head: str = ""

    @property
    def free(self) -> int:
        """Units an order already sold may still reserve; safety stock may be used for that."""
        return self.on_hand - self.unavailable - self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class StockMovement:
    """One append-only fact of the stock ledger."""

    sku: Sku
    location: str
    kind: MovementKind
    on_hand_delta: int = 0
    unavailable_delta: int = 0
    reserved_delta: int = 0
    reason: str
    #: what it is about: "order:…", "shipment:…", "count", "import:…"
    source: str
    actor: str
    at: datetime


def apply(level: StockLevel, movement: StockMovement) -> StockLevel:
    """The level after `movement`; raises RuleBroken instead of breaking an invariant."""
    if (level.sku, level.location) != (movement.sku, movement.location):
        raise RuleBroken(f"a movement of {movement.sku} cannot change {level.sku}")
    after = replace(
        level,
        # Only a count (recorded as an adjustment) makes a quantity out of nothing.
        is_counted=level.is_counted or movement.kind is MovementKind.ADJUSTMENT,
        on_hand=level.on_hand + movement.on_hand_delta,
        unavailable=level.unavailable + movement.unavailable_delta,
        reserved=level.reserved + movement.reserved_delta,
        sequence=level.sequence + 1,
    )
    where = f"{level.sku} at {level.location}"
    if min(after.on_hand, after.unavailable, after.reserved) < 0:
        raise RuleBroken(f"{where}: {movement.kind} would make a count negative ({after})")
    if after.reserved + after.unavailable > after.on_hand:
        raise RuleBroken(f"{where}: {movement.kind} would reserve more than is on hand ({after})")
    if after.on_hand > QUANTITY_MAX:
        raise RuleBroken(f"{where}: more than {QUANTITY_MAX} units on hand is not a real count")
    return after


def available_to_sell(levels: Sequence[StockLevel]) -> Explained:
    """`on_hand − unavailable − reserved − safety_stock` over `levels`, one term per count.

    Below zero only through safety stock.
    """
    terms: list[Term] = []
    for level in levels:
        place = f"at {level.location}"
        terms += (
            Term(name="on_hand", amount=level.on_hand, cause=place),
            Term(name="unavailable", amount=-level.unavailable, cause=place),
            Term(name="reserved", amount=-level.reserved, cause=place),
            Term(name="safety_stock", amount=-level.safety_stock, cause=place),
        )
    return explained(*terms)


def channel_quantity(
    levels: Sequence[StockLevel], *, buffer: int = 0, cap: int | None = None
) -> Explained:
    """`max(0, min(available_to_sell − buffer, cap))`: what one listing should show, explained."""
    terms = [*available_to_sell(levels).terms, Term(name="channel_buffer", amount=-buffer)]
    value = sum(term.amount for term in terms)
    if cap is not None and value > cap:
        terms.append(Term(name="channel_cap", amount=cap - value, cause=f"min with cap {cap}"))
        value = cap
    if value < 0:
        terms.append(Term(name="floor", amount=-value, cause="max with 0"))
    return explained(*terms)
