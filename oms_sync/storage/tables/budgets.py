"""Tables of call budgets: what is left, whose it is, what writes cost, and the last calls."""

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text

from oms_sync.storage.columns import Instant, RowNumber
from oms_sync.storage.tables.base import METADATA

#: what is left of each operation's budget; shared by the processes that take from it
rate_buckets = Table(
    "rate_buckets",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("capacity", Double, nullable=False),
    Column("refill_per_second", Double, nullable=False),
    Column("available", Double, nullable=False),
    Column("at", Instant, nullable=False),
    Column("spent", Double, nullable=False),
    Column("published_capacity", Double),
    Column("published_refill", Double),
    Column("learnt_at", Instant),
    Column("claims", Text, nullable=False),
)

#: whose budget an account takes from: its own, or one shared with others
budget_owners = Table(
    "budget_owners",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("owner", Text, nullable=False),
)

#: what writes of an account took from a budget, by the hour of the clock, for a day
write_costs = Table(
    "write_costs",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("hour", Instant, primary_key=True),
    Column("cost", Double, nullable=False),
)

#: the last calls to each account's channel
channel_calls = Table(
    "channel_calls",
    METADATA,
    Column("call", RowNumber, primary_key=True),
    Column("account", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("operation", Text, nullable=False),
    Column("duration_micros", BigInteger, nullable=False),
    Column("cost", Double, nullable=False),
    Column("status", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Index("ix_channel_calls_account_call", "account", "call"),
)
