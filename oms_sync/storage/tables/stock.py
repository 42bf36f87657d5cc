"""Tables of stock: SKUs, levels, the movements that change them, policies as facts."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
)
from sqlalchemy import text as sql

from oms_sync.storage.columns import Instant, RowNumber
from oms_sync.storage.tables.base import METADATA

_FILL_DUE = sql("is_fill_due")
_FILL_DUE_SQLITE = sql("is_fill_due = 1")  # as SQLite, without booleans, is asked

#: every SKU known, counted or not
skus = Table(
    "skus",
    METADATA,
    Column("sku", Text, primary_key=True),
    #: supply grew while orders are short of it
    Column("is_fill_due", Boolean, nullable=False),
    Index("ix_skus_fill_due", "sku", sqlite_where=_FILL_DUE_SQLITE, postgresql_where=_FILL_DUE),
    sqlite_with_rowid=False,
)

#: counters per SKU and location: a cache of the movements, sealed by the key ring
stock_levels = Table(
    "stock_levels",
    METADATA,
    Column("sku", Text, ForeignKey("skus.sku"), primary_key=True),
    Column("location", Text, primary_key=True),
    Column("is_counted", Boolean, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("unavailable", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("safety_stock", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    #: keyed hash of the last movement
    Column("head", Text, nullable=False),
    #: keyed hash of this row, so that no counter is edited unseen
    Column("seal", Text, nullable=False),
    CheckConstraint("reserved + unavailable <= on_hand", name="within_on_hand"),
    CheckConstraint(
        "on_hand >= 0 AND unavailable >= 0 AND reserved >= 0 AND safety_stock >= 0",
        name="not_negative",
    ),
    sqlite_with_rowid=False,
)

#: append-only: the stock ledger
stock_movements = Table(
    "stock_movements",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("location", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("on_hand_delta", BigInteger, nullable=False),
    Column("unavailable_delta", BigInteger, nullable=False),
    Column("reserved_delta", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
    #: keyed hash over the hash before and this row
    Column("hash", Text, nullable=False),
    Index("ix_stock_movements_source", "source"),
    sqlite_with_rowid=False,
)

#: how many levels exist, sealed, so that no level vanishes with all its movements unseen
ledger_totals = Table(
    "ledger_totals",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("levels", BigInteger, nullable=False),
    Column("seal", Text, nullable=False),
)

#: append-only: units kept from every channel
safety_policies = Table(
    "safety_policies",
    METADATA,
    Column("fact", RowNumber, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Index("ix_safety_policies_sku_at", "sku", "at"),
)
