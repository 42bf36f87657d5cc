"""Verification of the stock ledger: every balance and every hash recomputed, in one stream.

Memory stays bounded whatever the ledger's length. The first bad row is named with its reason.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from hmac import compare_digest
from typing import Any

from sqlalchemy import and_, func, select

from oms_sync.domain.stock import MovementKind, StockLevel, StockMovement
from oms_sync.domain.values import Sku
from oms_sync.storage.chain import level_seal, movement_hash, totals_seal
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.stock import LEVEL_COLUMNS, read_level
from oms_sync.storage.tables.orders import reservations
from oms_sync.storage.tables.stock import ledger_totals, stock_levels, stock_movements

ROWS_AT_ONCE = 1_000
_SAME = and_(
    stock_movements.c.sku == stock_levels.c.sku,
    stock_movements.c.location == stock_levels.c.location,
)
_HELD = (
    select(func.coalesce(func.sum(reservations.c.units), 0))
    .where(
        reservations.c.sku == stock_levels.c.sku,
        reservations.c.location == stock_levels.c.location,
    )
    .scalar_subquery()
)
_ALL = (
    select(
        *LEVEL_COLUMNS,
        stock_levels.c.seal,
        stock_movements.c.sequence.label("number"),
        stock_movements.c.kind,
        stock_movements.c.on_hand_delta,
        stock_movements.c.unavailable_delta,
        stock_movements.c.reserved_delta,
        stock_movements.c.reason,
        stock_movements.c.source,
        stock_movements.c.actor,
        stock_movements.c.at,
        stock_movements.c.hash,
    )
    .select_from(stock_levels.outerjoin(stock_movements, _SAME))
    .order_by(stock_levels.c.sku, stock_levels.c.location, stock_movements.c.sequence)
    .execution_options(yield_per=ROWS_AT_ONCE)
)
_RESERVED = (
    select(stock_levels.c.sku, stock_levels.c.location, stock_levels.c.sequence)
    .where(stock_levels.c.reserved != _HELD)
    .order_by(stock_levels.c.sku, stock_levels.c.location)
    .limit(1)
)
_ORPHAN = (
    select(stock_movements.c.sku, stock_movements.c.location, stock_movements.c.sequence)
    .where(~select(stock_levels.c.sku).where(_SAME).exists())
    .order_by(stock_movements.c.sku, stock_movements.c.location, stock_movements.c.sequence)
    .limit(1)
)
_HOMELESS = (
    select(reservations.c.sku, reservations.c.location)
    .where(
        ~select(stock_levels.c.sku)
        .where(
            stock_levels.c.sku == reservations.c.sku,
            stock_levels.c.location == reservations.c.location,
        )
        .exists()
    )
    .limit(1)
)
_TOTALS = select(ledger_totals.c.levels, ledger_totals.c.seal)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """The first row that does not fit, and why."""

    sku: str
    location: str
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerVerdict:
    """What a verification found."""

    rows: int
    balances: int
    first_bad: BadRow | None

    def to_json(self) -> dict[str, Any]:
        """The verdict in the shape of `ledger verify --json`."""
        bad = self.first_bad
        return {
            "rows": self.rows,
            "balances": self.balances,
            "ok": bad is None,
            "first_bad": bad
            and {
                "sku": bad.sku,
                "location": bad.location,
                "sequence": bad.sequence,
                "reason": bad.reason,
            },
        }


class _Walk:
    """The level under the walk: what the stored row says, what its movements have led to."""

    def __init__(self, stored: StockLevel, seal: str) -> None:
        self.stored = stored
        self.seal = seal
        self.reached = StockLevel(sku=stored.sku, location=stored.location)

    def bad(self, sequence: int, reason: str) -> BadRow:
        return BadRow(
            sku=self.stored.sku, location=self.stored.location, sequence=sequence, reason=reason
        )

    def step(self, key: bytes, row: Any) -> BadRow | None:
        """Follow one movement."""
        expected = self.reached.sequence + 1
        if row.number != expected:
            if row.number < expected:
                return self.bad(row.number, "this movement was inserted")
            return self.bad(expected, "this movement was removed")
        try:
            movement = _movement(row)
        except ValueError:
            return self.bad(row.number, "this movement was changed")
        head = movement_hash(key, self.reached.head, row.number, movement)
        if not compare_digest(head, row.hash):
            return self.bad(row.number, "this movement was changed, or one before it replaced")
        self.reached = replace(
            self.reached,
            on_hand=self.reached.on_hand + movement.on_hand_delta,
            unavailable=self.reached.unavailable + movement.unavailable_delta,
            reserved=self.reached.reserved + movement.reserved_delta,
            sequence=row.number,
            head=head,
        )
        return None

    def end(self, key: bytes) -> BadRow | None:
        """All movements were followed: the level row must say the same, under its own seal."""
        stored, reached = self.stored, self.reached
        if stored.sequence > reached.sequence:
            return self.bad(stored.sequence, "the last movements were removed")
        is_genuine = compare_digest(level_seal(key, stored), self.seal)
        if stored.sequence < reached.sequence or stored.head != reached.head:
            what = "was edited" if not is_genuine else "is older than its movements"
            return self.bad(reached.sequence, f"the stock level {what}")
        counters = (stored.on_hand, stored.unavailable, stored.reserved)
        if counters != (reached.on_hand, reached.unavailable, reached.reserved):
            return self.bad(stored.sequence, "a counter of the stock level was edited")
        if not is_genuine:
            return self.bad(
                stored.sequence, "the stock level was edited, or its last movements were removed"
            )
        return None


def verify(transaction: Transaction, keys: KeyRing) -> LedgerVerdict:
    """Recompute the whole ledger; the transaction must see one snapshot."""
    key = keys.ledger_key
    counted = _Count()
    with closing(_bad_rows(transaction, key, counted)) as bad_rows:
        first_bad = next(bad_rows, None)
    return LedgerVerdict(rows=counted.rows, balances=counted.balances, first_bad=first_bad)


class _Count:
    rows = 0
    balances = 0


def _bad_rows(
    transaction: Transaction, key: bytes, counted: _Count
) -> Generator[BadRow, None, None]:
    yield from _bad_chains(transaction, key, counted)
    yield from _bad_totals(transaction, key, counted)
    row = transaction.row(_RESERVED)
    if row is not None:
        yield BadRow(
            sku=row.sku,
            location=row.location,
            sequence=row.sequence,
            reason="reserved is not the sum of the open reservations",
        )
    row = transaction.row(_HOMELESS)
    if row is not None:
        yield BadRow(
            sku=row.sku, location=row.location, sequence=0, reason="reserved without a stock level"
        )


def _bad_chains(transaction: Transaction, key: bytes, counted: _Count) -> Iterator[BadRow]:
    with closing(transaction.stream(_ALL)) as rows:
        yield from _follow(rows, key, counted)


def _follow(rows: Iterator[Any], key: bytes, counted: _Count) -> Iterator[BadRow]:
    walk: _Walk | None = None
    for row in rows:
        if walk is None or (walk.stored.sku, walk.stored.location) != (row.sku, row.location):
            if walk is not None and (bad := walk.end(key)):
                yield bad
            walk = _Walk(read_level(row), row.seal)
            counted.balances += 1
        if row.number is not None:
            counted.rows += 1
            if bad := walk.step(key, row):
                yield bad
    if walk is not None and (bad := walk.end(key)):
        yield bad


def _bad_totals(transaction: Transaction, key: bytes, counted: _Count) -> Iterator[BadRow]:
    row = transaction.row(_ORPHAN)
    if row is not None:
        yield BadRow(
            sku=row.sku,
            location=row.location,
            sequence=row.sequence,
            reason="the stock level of this movement was removed",
        )
    totals = transaction.row(_TOTALS)
    levels, seal = (totals.levels, totals.seal) if totals else (0, "")
    is_genuine = compare_digest(totals_seal(key, levels), seal) if totals else True
    if levels != counted.balances or not is_genuine:
        yield BadRow(
            sku="",
            location="",
            sequence=0,
            reason=f"{levels} stock levels were made, {counted.balances} are there"
            if is_genuine
            else "the number of stock levels was edited",
        )


def _movement(row: Any) -> StockMovement:
    return StockMovement(
        sku=Sku(row.sku),
        location=row.location,
        kind=MovementKind(row.kind),
        on_hand_delta=row.on_hand_delta,
        unavailable_delta=row.unavailable_delta,
        reserved_delta=row.reserved_delta,
        reason=row.reason,
        source=row.source,
        actor=row.actor,
        at=row.at,
    )
