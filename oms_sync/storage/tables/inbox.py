"""Tables of what came in: messages, and the orders some hint says to read again."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, LargeBinary, Table, Text
from sqlalchemy import text as sql

from oms_sync.storage.columns import Instant
from oms_sync.storage.tables.base import METADATA

_HINT_WAITS = sql("state = 'new' AND source = 'webhook'")
_CLOSED = sql("state IN ('dead', 'dropped')")
_WAITS = sql("state = 'new'")
_HAS_BYTES = sql("data_key IS NOT NULL")
_HAS_OLD_BYTES = sql("data_key IS NOT NULL AND state IN ('done', 'dropped')")

#: every message that came in, encrypted, and what became of it
inbox_messages = Table(
    "inbox_messages",
    METADATA,
    Column("message_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("source", Text, nullable=False),
    #: of a hint, once it was worked off: the order it named
    Column("channel_order_id", Text),
    Column("received_at", Instant, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("settled_at", Instant),
    Column("attempts", BigInteger, nullable=False),
    Column("order_id", Text),
    Column("subject_id", Text),
    #: the message's own data key, wrapped by the key ring; destroyed by erasure, and with it the
    #: sealed bytes, which are empty then
    Column("data_key", LargeBinary),
    Column("sealed", LargeBinary, nullable=False),
    CheckConstraint("state IN ('new', 'done', 'dead', 'dropped')", name="state"),
    Index(
        "uq_inbox_messages_waiting_hint",
        "account",
        "topic",
        "dedupe_key",
        unique=True,
        sqlite_where=_HINT_WAITS,
        postgresql_where=_HINT_WAITS,
    ),
    Index(
        "ix_inbox_messages_waiting",
        "account",
        "received_at",
        "message_id",
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    ),
    Index(
        "ix_inbox_messages_waiting_order",
        "account",
        "channel_order_id",
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    ),
    Index(
        "ix_inbox_messages_closed",
        "dedupe_key",
        sqlite_where=_CLOSED,
        postgresql_where=_CLOSED,
    ),
    Index("ix_inbox_messages_state_received_at", "state", "received_at"),
    Index(
        "ix_inbox_messages_subject_id",
        "subject_id",
        sqlite_where=sql("subject_id IS NOT NULL"),
        postgresql_where=sql("subject_id IS NOT NULL"),
    ),
    Index(
        "ix_inbox_messages_order",
        "account",
        "channel_order_id",
        sqlite_where=_HAS_BYTES,
        postgresql_where=_HAS_BYTES,
    ),
    Index(
        "ix_inbox_messages_old_bytes",
        "account",
        "received_at",
        sqlite_where=_HAS_OLD_BYTES,
        postgresql_where=_HAS_OLD_BYTES,
    ),
)

#: one row per order to read again, however many hints came
rereads = Table(
    "rereads",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("channel_order_id", Text, primary_key=True),
    Column("armed", BigInteger, nullable=False),
    Column("is_deletion", Boolean, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("due_at", Instant, nullable=False),
    Index("ix_rereads_account_due_at", "account", "due_at"),
)
