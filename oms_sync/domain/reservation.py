"""Reservation as a difference: what each line wants against what it holds, within what exists.

Pure: takes levels and needs, returns movements and outcomes. Oldest orders are filled first;
reserved never exceeds on hand, the rest is shortage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.stock import MovementKind, StockLevel, StockMovement, apply
from oms_sync.domain.values import Sku

LevelKey = tuple[Sku, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineNeed:
    """One order line as reservation sees it. `held` maps location code to units reserved there."""

    line_id: str
    source: str
    placed_at: datetime
    sku: Sku
    #: locations this line may draw from, best first
    locations: tuple[str, ...]
    #: units that should be reserved
    wanted: int
    held: Mapping[str, int] = field(default_factory=dict)
    #: units that left at the channel's side and the ledger has not seen (negative: came undone)
    to_ship: int = 0
    #: units that came back sellable and the ledger has not seen
    to_return: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOutcome:
    """What a line holds after the plan, by location, and what stock could not cover."""

    line_id: str
    held: Mapping[str, int]
    short: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationPlan:
    """Movements to append, in order, with the levels and line outcomes they lead to."""

    movements: tuple[StockMovement, ...]
    levels: Mapping[LevelKey, StockLevel]
    outcomes: tuple[LineOutcome, ...]


class Draft:
    """Levels being changed by movements that are not stored yet."""

    def __init__(
        self, levels: Mapping[LevelKey, StockLevel], *, at: datetime, actor: str = "hub"
    ) -> None:
        self.levels = dict(levels)
        self.movements: list[StockMovement] = []
        self._at = at
        self._actor = actor

    def move(
        self, key: LevelKey, kind: MovementKind, *, reason: str, source: str, **deltas: int
    ) -> None:
        """Append one movement; raises RuleBroken when the level does not allow it."""
        movement = StockMovement(
            sku=key[0], location=key[1], kind=kind, reason=reason, source=source,
            actor=self._actor, at=self._at, **deltas,
        )  # fmt: skip
        level = self.levels.get(key) or StockLevel(sku=key[0], location=key[1])
        self.levels[key] = apply(level, movement)
        self.movements.append(movement)

    def counted(self, need: LineNeed) -> list[str]:
        """The need's locations where its SKU was ever counted, best first."""
        keys = ((need.sku, place) for place in need.locations)
        return [key[1] for key in keys if key in self.levels and self.levels[key].is_counted]

    def free(self, key: LevelKey) -> int:
        """Units free to reserve at `key`; none where nothing was ever counted."""
        level = self.levels.get(key)
        return level.free if level and level.is_counted else 0


def plan_reservations(
    needs: Sequence[LineNeed], levels: Mapping[LevelKey, StockLevel], *, at: datetime
) -> ReservationPlan:
    """Bring every line in `needs` as near to its wanted units as stock allows.

    Gives first (returns, releases), then takes, oldest `placed_at` first.
    """
    draft = Draft(levels, at=at)
    ordered = sorted(needs, key=lambda need: (need.placed_at, need.line_id))
    held = {need.line_id: dict(need.held) for need in ordered}
    if len(held) != len(ordered):
        raise RuleBroken("a line may appear once in a reservation plan")
    for need in ordered:
        _return(draft, need)
    for need in ordered:
        _ship(draft, need, held[need.line_id])
    for need in ordered:
        _release(draft, need, held[need.line_id])
    for need in ordered:
        _reserve(draft, need, held[need.line_id])
    return ReservationPlan(
        movements=tuple(draft.movements),
        levels=draft.levels,
        outcomes=tuple(
            LineOutcome(
                line_id=need.line_id,
                held={place: units for place, units in held[need.line_id].items() if units},
                short=max(0, need.wanted - sum(held[need.line_id].values())),
            )
            for need in ordered
        ),
    )


def take_back(
    level: StockLevel, holders: Sequence[tuple[str, datetime, int]], excess: int
) -> dict[str, int]:
    """Which lines lose how many reserved units when `excess` of `level` is no longer there.

    `holders` are (line id, placed_at, units held here). The newest orders lose first. Raises
    RuleBroken when the holders do not hold that many.
    """
    losses: dict[str, int] = {}
    newest_first = sorted(holders, key=lambda holder: (holder[1], holder[0]), reverse=True)
    for line_id, _, units in newest_first:
        if excess <= 0:
            break
        losses[line_id] = min(units, excess)
        excess -= losses[line_id]
    if excess > 0:
        raise RuleBroken(f"{level.sku} at {level.location}: reservations do not cover {excess}")
    return losses


def _return(draft: Draft, need: LineNeed) -> None:
    back = need.to_return + max(0, -need.to_ship)
    places = draft.counted(need)
    if back > 0 and places:
        reason = "returned" if need.to_return else "shipment undone at the channel"
        draft.move(
            (need.sku, places[0]), MovementKind.RETURN,
            reason=reason, source=need.source, on_hand_delta=back,
        )  # fmt: skip


def _ship(draft: Draft, need: LineNeed, held: dict[str, int]) -> None:
    """Goods that left at the channel's side leave the ledger too: reserved ones first.

    What was never counted is not in the books, so nothing leaves them.
    """
    places = draft.counted(need)
    left = max(0, need.to_ship) if places else 0
    for place in [*held]:
        units = min(left, held[place])
        if units:
            consume(draft, (need.sku, place), units, source=need.source, reserved=units)
            held[place] -= units
            left -= units
    for place in places:
        units = min(left, max(0, draft.free((need.sku, place))))
        if units:
            consume(draft, (need.sku, place), units, source=need.source, reserved=0)
            left -= units
    if left:
        find(draft, (need.sku, places[0]), left, source=need.source)
        consume(draft, (need.sku, places[0]), left, source=need.source, reserved=0)


def consume(draft: Draft, key: LevelKey, units: int, *, source: str, reserved: int) -> None:
    """`units` leave the building, `reserved` of them out of a reservation."""
    draft.move(
        key, MovementKind.SHIP, reason="shipped", source=source,
        on_hand_delta=-units, reserved_delta=-reserved,
    )  # fmt: skip


def find(draft: Draft, key: LevelKey, units: int, *, source: str) -> None:
    """Units that were shipped although the books did not have them: they must have been there."""
    draft.move(
        key, MovementKind.ADJUSTMENT, reason="found when shipping", source=source,
        on_hand_delta=units,
    )  # fmt: skip


def _release(draft: Draft, need: LineNeed, held: dict[str, int]) -> None:
    excess = sum(held.values()) - need.wanted
    for place in reversed([*held]):
        units = min(max(0, excess), held[place])
        if units:
            draft.move(
                (need.sku, place), MovementKind.RELEASE,
                reason="no longer wanted", source=need.source, reserved_delta=-units,
            )  # fmt: skip
            held[place] -= units
            excess -= units


def _reserve(draft: Draft, need: LineNeed, held: dict[str, int]) -> None:
    missing = need.wanted - sum(held.values())
    for place in need.locations:
        units = min(max(0, missing), max(0, draft.free((need.sku, place))))
        if units:
            draft.move(
                (need.sku, place), MovementKind.RESERVE,
                reason="ordered", source=need.source, reserved_delta=units,
            )  # fmt: skip
            held[place] = held.get(place, 0) + units
            missing -= units
