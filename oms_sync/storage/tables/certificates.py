"""Tables of completeness: a channel's list under comparison, and what was certified."""

from sqlalchemy import (
    BigInteger,
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

_IS_OVER = sql("attempt > 0")

#: a channel's list of orders being compared; gone once it is judged
order_lists = Table(
    "order_lists",
    METADATA,
    Column("list_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    #: the UTC day it is about, empty where it is no whole day
    Column("day", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    #: who compares: "hub", or whoever typed the command
    Column("owner", Text, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("cursor", Text),
    Column("pages", BigInteger, nullable=False),
    Index("ix_order_lists_account", "account"),
)

#: every order of such a list, judged
listed_orders = Table(
    "listed_orders",
    METADATA,
    Column("list_id", Text, ForeignKey("order_lists.list_id"), primary_key=True),
    Column("channel_order_id", Text, primary_key=True),
    Column("order_id", Text),
    Column("standing", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("differences", Text, nullable=False),
    sqlite_with_rowid=False,
)

#: append-only: certificates and refusals, as they were signed
certificates = Table(
    "certificates",
    METADATA,
    Column("number", RowNumber, primary_key=True),
    Column("account", Text, nullable=False),
    Column("day", Text, nullable=False),
    #: 0 where the day was not over
    Column("attempt", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("issued_at", Instant, nullable=False),
    #: when the next try of a refused day is due; none where there is nothing to try
    Column("next_at", Instant),
    Column("document", Text, nullable=False),
    Column("signature", Text, nullable=False),
    CheckConstraint("outcome IN ('issued', 'refused')", name="outcome"),
    Index(
        "uq_certificates_attempt",
        "account",
        "day",
        "attempt",
        unique=True,
        sqlite_where=_IS_OVER,
        postgresql_where=_IS_OVER,
    ),
    Index("ix_certificates_account_number", "account", "number"),
)
