"""Stock levels and their ledger: movements are chained and appended, counters follow them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, or_, select, update

from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.reservation import LevelKey
from oms_sync.domain.stock import MovementKind, StockLevel, StockMovement
from oms_sync.domain.values import Sku
from oms_sync.storage import locks
from oms_sync.storage.chain import level_seal, movement_hash, totals_seal
from oms_sync.storage.columns import Instant, among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.tables.orders import order_lines, orders, reservations
from oms_sync.storage.tables.stock import (
    ledger_totals,
    safety_policies,
    skus,
    stock_levels,
    stock_movements,
)
from oms_sync.storage.writing import insert_or_ignore, insert_or_update

LEVEL_COLUMNS = (
    stock_levels.c.sku,
    stock_levels.c.location,
    stock_levels.c.is_counted,
    stock_levels.c.on_hand,
    stock_levels.c.unavailable,
    stock_levels.c.reserved,
    stock_levels.c.safety_stock,
    stock_levels.c.sequence,
    stock_levels.c.head,
)
_LEVELS = select(*LEVEL_COLUMNS).where(among(stock_levels.c.sku, "skus"))
_LOCK_LEVELS = locks.levels_in_order(_LEVELS)
_APPEND = insert(stock_movements)
_SAVE_LEVEL = insert_or_update(
    stock_levels,
    (
        "is_counted",
        "on_hand",
        "unavailable",
        "reserved",
        "safety_stock",
        "sequence",
        "head",
        "seal",
    ),
)
_ENSURE = insert_or_ignore(skus)
_ADD_TOTALS = insert(ledger_totals)
_SAVE_TOTALS = update(ledger_totals).values(levels=bindparam("b_levels"), seal=bindparam("b_seal"))
_MARK_FILL = (
    update(skus)
    .where(
        among(skus.c.sku, "skus"),
        select(order_lines.c.line_id)
        .where(order_lines.c.sku == skus.c.sku, order_lines.c.quantity_short > 0)
        .exists(),
    )
    .values(is_fill_due=True)
)
_FILL_DUE = (
    select(skus.c.sku).where(skus.c.is_fill_due).order_by(skus.c.sku).limit(bindparam("limit"))
)
_CLEAR_FILL = update(skus).where(among(skus.c.sku, "skus")).values(is_fill_due=False)
_HOLDERS = (
    select(
        reservations.c.line_id,
        order_lines.c.order_id,
        orders.c.placed_at,
        reservations.c.units,
    )
    .join(order_lines, order_lines.c.line_id == reservations.c.line_id)
    .join(orders, orders.c.order_id == order_lines.c.order_id)
    .where(reservations.c.sku == bindparam("sku"), reservations.c.location == bindparam("location"))
    .order_by(orders.c.placed_at, reservations.c.line_id)
)
_KNOWN = select(skus.c.sku).where(among(skus.c.sku, "skus"))
_PAGE = (
    select(skus.c.sku)
    .where(skus.c.sku > bindparam("after"))
    .order_by(skus.c.sku)
    .limit(bindparam("limit"))
)
_MOVED = select(func.coalesce(func.sum(stock_movements.c.on_hand_delta), 0)).where(
    stock_movements.c.sku == bindparam("sku"),
    stock_movements.c.location == bindparam("location"),
    stock_movements.c.at > bindparam("since", type_=Instant()),
)
_LAST_COUNT = select(func.max(stock_movements.c.at)).where(
    stock_movements.c.sku == bindparam("sku"),
    stock_movements.c.location == bindparam("location"),
    stock_movements.c.kind == MovementKind.ADJUSTMENT.value,
    or_(stock_movements.c.source == "count", stock_movements.c.source.startswith("import:")),
)
_ADD_SAFETY = insert(safety_policies)
_LEDGER = "ledger"
#: summed here and not there: the database would sort the rows first
_AVAILABLE = select(
    stock_levels.c.sku,
    stock_levels.c.on_hand
    - stock_levels.c.unavailable
    - stock_levels.c.reserved
    - stock_levels.c.safety_stock,
).where(among(stock_levels.c.sku, "skus"), stock_levels.c.is_counted)


def read_level(row: Any) -> StockLevel:
    """The level of a row that begins with LEVEL_COLUMNS."""
    return StockLevel(
        sku=row[0],
        location=row[1],
        is_counted=row[2],
        on_hand=row[3],
        unavailable=row[4],
        reserved=row[5],
        safety_stock=row[6],
        sequence=row[7],
        head=row[8],
    )


def available(transaction: Transaction, wanted: Iterable[Sku]) -> dict[Sku, int]:
    """Available to sell over all locations, for the counted ones of many SKUs in one round."""
    found: dict[Sku, int] = {}
    for sku, units in transaction.rows(_AVAILABLE, {"skus": list(wanted)}):
        found[sku] = found.get(sku, 0) + units
    return found


class Stock:
    """Implements the flows' port `Stock`."""

    __slots__ = ("_filling", "_keys", "_transaction", "locked")

    def __init__(self, transaction: Transaction, keys: KeyRing) -> None:
        self._transaction = transaction
        self._keys = keys
        #: what this unit of work has locked; a SKU without levels is locked with none
        self.locked: dict[str, dict[str, StockLevel]] = {}
        #: SKUs chosen for filling whose mark is still set
        self._filling: set[Sku] = set()

    def lock(self, skus: Iterable[Sku]) -> dict[LevelKey, StockLevel]:
        wanted = sorted(set(skus))
        if not wanted:
            return {}
        locks.lock_skus(self._transaction, wanted)
        levels = self._read(_LOCK_LEVELS, wanted)
        filling = self._filling.intersection(wanted)
        if filling:
            self._transaction.run(_CLEAR_FILL, {"skus": sorted(filling)})
            self._filling -= filling
        for sku in wanted:
            self.locked[sku] = {}
        for (sku, location), level in levels.items():
            self.locked[sku][location] = level
        return levels

    def levels(self, skus: Iterable[Sku]) -> dict[LevelKey, StockLevel]:
        wanted = sorted(set(skus))
        return self._read(_LEVELS, wanted) if wanted else {}

    def append(
        self, movements: Sequence[StockMovement], levels: Mapping[LevelKey, StockLevel]
    ) -> None:
        if not movements:
            return
        key = self._keys.ledger_key
        before: dict[LevelKey, StockLevel] = {}
        reached: dict[LevelKey, _Reached] = {}
        rows = []
        for movement in movements:
            place = (movement.sku, movement.location)
            if place not in reached:
                before[place] = self._known(place)
                reached[place] = _Reached(before[place])
            reached[place].step(key, movement)
            rows.append(_movement_row(movement, reached[place]))
        after = {place: reached[place].level(levels[place]) for place in sorted(reached)}
        self._add_new(before)
        self._transaction.run_many(_APPEND, rows)
        self._write_levels(after)
        self.mark_fill_due([key[0] for key, one in after.items() if one.free > before[key].free])

    def ensure(self, skus: Iterable[Sku]) -> None:
        batch = [{"sku": sku, "is_fill_due": False} for sku in sorted(set(skus))]
        _ENSURE.run(self._transaction, batch)

    def holders(self, sku: Sku, location: str) -> list[tuple[str, str, datetime, int]]:
        rows = self._transaction.rows(_HOLDERS, {"sku": sku, "location": location})
        return [tuple(row) for row in rows]

    def set_safety_stock(
        self, sku: Sku, location: str, units: int, *, at: datetime, actor: str
    ) -> None:
        if units < 0:
            raise RuleBroken(f"{sku} at {location}: safety stock cannot be {units}")
        if sku not in self.locked:
            self.lock([sku])
        before = self._known((sku, location))
        if before.safety_stock == units:
            return
        if location not in self.locked[sku]:
            self._add_new({(sku, location): before})
        fact = {"sku": sku, "location": location, "units": units, "at": at, "actor": actor}
        self._transaction.run_many(_ADD_SAFETY, [fact])
        self._write_levels({(sku, location): replace(before, safety_stock=units)})

    def known(self, skus: Iterable[Sku]) -> set[Sku]:
        wanted = list(skus)
        rows = self._transaction.rows(_KNOWN, {"skus": wanted}) if wanted else ()
        return {row.sku for row in rows}

    def page_of_skus(self, *, after: Sku | None, limit: int) -> list[Sku]:
        rows = self._transaction.rows(_PAGE, {"after": after or "", "limit": limit})
        return [row.sku for row in rows]

    def on_hand_moved(self, sku: Sku, location: str, *, since: datetime) -> int:
        parameters = {"sku": sku, "location": location, "since": since}
        return int(self._transaction.row(_MOVED, parameters)[0])

    def last_counted_at(self, sku: Sku, location: str) -> datetime | None:
        row = self._transaction.row(_LAST_COUNT, {"sku": sku, "location": location})
        return row[0] if row is not None else None

    def lock_fill_due(self, limit: int) -> list[Sku]:
        # The marks go in `lock`, under the SKUs' locks taken in order with all the others: locking
        # here would take some SKUs out of order.
        found = [row.sku for row in self._transaction.rows(_FILL_DUE, {"limit": limit})]
        self._filling |= set(found)
        return found

    def _read(self, statement: Any, wanted: list[Sku]) -> dict[LevelKey, StockLevel]:
        rows = self._transaction.rows(statement, {"skus": wanted})
        return {(row.sku, row.location): read_level(row) for row in rows}

    def _known(self, place: LevelKey) -> StockLevel:
        """The level as this unit of work locked it; one not there yet is all zeros."""
        sku, location = place
        if sku not in self.locked:
            raise RuleBroken(f"{sku} at {location} is moved without its lock")
        return self.locked[sku].get(location) or StockLevel(sku=sku, location=location)

    def _add_new(self, before: Mapping[LevelKey, StockLevel]) -> None:
        """Count levels that are about to be inserted, under the totals' own lock."""
        fresh = [place for place in before if place[1] not in self.locked[place[0]]]
        if not fresh:
            return
        self.ensure(place[0] for place in fresh)
        totals = locks.lock_totals(self._transaction)
        count = (totals.levels if totals else 0) + len(fresh)
        seal = totals_seal(self._keys.ledger_key, count)
        if totals:
            self._transaction.run(_SAVE_TOTALS, {"b_levels": count, "b_seal": seal})
        else:
            row = {"name": _LEDGER, "levels": count, "seal": seal}
            self._transaction.run_many(_ADD_TOTALS, [row])

    def _write_levels(self, after: Mapping[LevelKey, StockLevel]) -> None:
        key = self._keys.ledger_key
        rows = []
        for (sku, location), level in after.items():
            self.locked[sku][location] = level
            rows.append(
                {
                    "sku": sku,
                    "location": location,
                    "is_counted": level.is_counted,
                    "on_hand": level.on_hand,
                    "unavailable": level.unavailable,
                    "reserved": level.reserved,
                    "safety_stock": level.safety_stock,
                    "sequence": level.sequence,
                    "head": level.head,
                    "seal": level_seal(key, level),
                }
            )
        _SAVE_LEVEL.run(self._transaction, rows)

    def mark_fill_due(self, skus: Sequence[Sku]) -> None:
        if skus:
            self._transaction.run(_MARK_FILL, {"skus": sorted(set(skus))})


class _Reached:
    """Where a level's movements have led so far."""

    __slots__ = ("head", "on_hand", "reserved", "safety_stock", "sequence", "unavailable")

    def __init__(self, before: StockLevel) -> None:
        self.on_hand = before.on_hand
        self.unavailable = before.unavailable
        self.reserved = before.reserved
        self.safety_stock = before.safety_stock
        self.sequence = before.sequence
        self.head = before.head

    def step(self, key: bytes, movement: StockMovement) -> None:
        self.on_hand += movement.on_hand_delta
        self.unavailable += movement.unavailable_delta
        self.reserved += movement.reserved_delta
        self.sequence += 1
        self.head = movement_hash(key, self.head, self.sequence, movement)

    def level(self, claimed: StockLevel) -> StockLevel:
        """The level to store; refuses counters the movements do not lead to."""
        counters = (claimed.on_hand, claimed.unavailable, claimed.reserved)
        if counters != (self.on_hand, self.unavailable, self.reserved):
            raise RuleBroken(
                f"{claimed.sku} at {claimed.location}: its counters {counters} are not what its "
                "movements lead to; nothing was stored"
            )
        return replace(
            claimed, safety_stock=self.safety_stock, sequence=self.sequence, head=self.head
        )


def _movement_row(movement: StockMovement, reached: _Reached) -> dict[str, Any]:
    return {
        "sku": movement.sku,
        "location": movement.location,
        "sequence": reached.sequence,
        "kind": movement.kind.value,
        "on_hand_delta": movement.on_hand_delta,
        "unavailable_delta": movement.unavailable_delta,
        "reserved_delta": movement.reserved_delta,
        "reason": movement.reason,
        "source": movement.source,
        "actor": movement.actor,
        "at": movement.at,
        "hash": reached.head,
    }
