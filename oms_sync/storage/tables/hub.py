"""Tables of the hub itself: accounts, tokens, leases, wakes, key fingerprints, events."""

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text
from sqlalchemy import text as sql

from oms_sync.storage.columns import Instant, RowNumber
from oms_sync.storage.tables.base import METADATA

_ERASE_WANTED = sql("erase_wanted_at IS NOT NULL")

#: what the hub remembers of each account
accounts = Table(
    "accounts",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("first_connected_at", Instant),
    Column("backfilled_at", Instant),
    Column("is_paused", Boolean, nullable=False),
    Column("health", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("token_expires_at", Instant),
    #: ours minus the channel's, at the last look at the account
    Column("clock_skew_seconds", BigInteger),
)

#: append-only: what the configuration said of an account, since when
account_policies = Table(
    "account_policies",
    METADATA,
    Column("fact", RowNumber, primary_key=True),
    Column("account", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("connector", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("locations", Text, nullable=False),
    Column("buffer", BigInteger, nullable=False),
    Column("cap", BigInteger),
    Index("ix_account_policies_account_at", "account", "at"),
)

#: tokens issued after set-up, encrypted
account_tokens = Table(
    "account_tokens",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("saved_at", Instant, nullable=False),
)

#: how far each feed of each account was read
feeds = Table(
    "feeds",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("feed", Text, primary_key=True),
    Column("cursor", Text),
    Column("since", Instant, nullable=False),
    Column("pass_started_at", Instant),
    Column("drained_at", Instant),
    Column("next_at", Instant),
    Column("is_finished", Boolean, nullable=False),
    #: orders read in the pass under way or last, and when its newest page was stored
    Column("orders_read", BigInteger, nullable=False),
    Column("page_at", Instant),
)

#: who runs what; a token grows with every new owner
leases = Table(
    "leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

#: wake-ups for a daemon in another process; it deletes what it has delivered
wakes = Table(
    "wakes",
    METADATA,
    Column("wake", RowNumber, primary_key=True),
    Column("flow", Text, nullable=False),
    Column("account", Text, nullable=False),
)

#: one-off facts about this database, such as the fingerprints of its key ring
hub_facts = Table(
    "hub_facts",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: people's data keys, wrapped by the key ring; an erased subject has no row
subjects = Table(
    "subjects",
    METADATA,
    Column("subject_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("data_key", LargeBinary, nullable=False),
    #: the buyer asked to be forgotten then
    Column("erase_wanted_at", Instant),
    Index("ix_subjects_account_subject_id", "account", "subject_id"),
    Index(
        "ix_subjects_erase_wanted",
        "account",
        "erase_wanted_at",
        sqlite_where=_ERASE_WANTED,
        postgresql_where=_ERASE_WANTED,
    ),
)

#: append-only events
timeline = Table(
    "timeline",
    METADATA,
    Column("event", RowNumber, primary_key=True),
    Column("name", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("order_id", Text),
    Column("sku", Text),
    Column("account", Text),
    Column("detail", Text, nullable=False),
    Index("ix_timeline_order_id", "order_id", sqlite_where=sql("order_id IS NOT NULL"),
          postgresql_where=sql("order_id IS NOT NULL")),
    Index("ix_timeline_sku", "sku", sqlite_where=sql("sku IS NOT NULL"),
          postgresql_where=sql("sku IS NOT NULL")),
)  # fmt: skip
