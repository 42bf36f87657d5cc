"""Table of what orders shall change at their channels: cancellations, refunds, holds, tracking."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text
from sqlalchemy import text as sql

from oms_sync.storage.columns import Instant
from oms_sync.storage.tables.base import METADATA

_UNTOLD = sql("state IN ('waiting', 'sent')")

#: one wish each, and how far the channel was told; `wish` loses its note once it is over
write_backs = Table(
    "write_backs",
    METADATA,
    Column("write_id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("wish", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    #: grows with every claim; who holds an older one stores nothing
    Column("turn", BigInteger, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("receipt", Text, nullable=False),
    Column("answered_at", Instant),
    Column("confirmed_at", Instant),
    Column("known_before", Text),
    Column("channel_refund_id", Text, nullable=False),
    Column("error", Text, nullable=False),
    Index("ix_write_backs_order_id", "order_id"),
    Index(
        "ix_write_backs_untold",
        "account",
        "next_at",
        sqlite_where=_UNTOLD,
        postgresql_where=_UNTOLD,
    ),
)
