"""Tables of listings: their four numbers, their policies as facts, and what was pushed."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, UniqueConstraint
from sqlalchemy import text as sql

from oms_sync.storage.columns import Instant, RowNumber
from oms_sync.storage.tables.base import METADATA

_STALE = sql("is_stale")
_STALE_SQLITE = sql("is_stale = 1")  # as SQLite, without booleans, is asked
_WANTS_PUSH = sql("push_delta IS NOT NULL")
_LOOKED = sql("look_quantity IS NOT NULL")
_IN_FLIGHT = sql("flight_push_id IS NOT NULL")
_RISING = sql("rise_at IS NOT NULL")
_RETRIED = sql("retry_at IS NOT NULL")
_OPEN = sql("settled_at IS NULL")

#: our SKUs offered through accounts
listings = Table(
    "listings",
    METADATA,
    Column("listing_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("channel_listing_id", Text, nullable=False),
    Column("channel_sku", Text, nullable=False),
    Column("sku", Text),
    Column("buffer", BigInteger),
    Column("cap", BigInteger),
    Column("desired", BigInteger),
    Column("generation", BigInteger, nullable=False),
    #: growths of desired that wait for orders: what the first is up to, and the moments
    Column("rise_quantity", BigInteger),
    Column("rise_at", Instant),
    Column("last_rise_at", Instant),
    Column("ready", BigInteger, nullable=False),
    Column("sent", BigInteger),
    Column("confirmed", BigInteger),
    Column("confirmed_at", Instant),
    Column("basis_quantity", BigInteger),
    Column("basis_taken", BigInteger),
    Column("basis_at", Instant),
    Column("basis_since", Instant),
    Column("taken", BigInteger, nullable=False),
    #: how many of those desired was not computed anew for
    Column("taken_since", BigInteger, nullable=False),
    Column("flight_push_id", Text),
    Column("flight_quantity", BigInteger),
    Column("flight_compare", BigInteger),
    Column("flight_generation", BigInteger),
    Column("flight_taken", BigInteger),
    Column("flight_sent_at", Instant),
    Column("look_quantity", BigInteger),
    Column("look_taken", BigInteger),
    Column("look_at", Instant),
    Column("look_due_at", Instant),
    Column("looked_at", Instant),
    Column("stale_count", BigInteger, nullable=False),
    Column("unproved_since", Instant),
    Column("held_reason", Text),
    Column("refused_reason", Text),
    Column("refused_generation", BigInteger),
    #: not sent again before this, unless desired changes
    Column("retry_at", Instant),
    #: what the channel says is wrong with it
    Column("problem", Text),
    #: what the channel itself holds and ships, and when it said so
    Column("channel_pool", BigInteger),
    Column("channel_pool_at", Instant),
    #: the desired quantity must be computed anew
    Column("is_stale", Boolean, nullable=False),
    #: desired minus expected while the listing wants a push
    Column("push_delta", BigInteger),
    UniqueConstraint("account", "channel_listing_id"),
    Index("ix_listings_sku", "sku"),
    Index("ix_listings_account_channel_sku", "account", "channel_sku"),
    Index("ix_listings_account_looked_at", "account", "looked_at"),
    Index("ix_listings_stale", "account", sqlite_where=_STALE_SQLITE, postgresql_where=_STALE),
    Index(
        "ix_listings_wanting_push",
        "account",
        "push_delta",
        sqlite_where=_WANTS_PUSH,
        postgresql_where=_WANTS_PUSH,
    ),
    Index("ix_listings_looked", "account", sqlite_where=_LOOKED, postgresql_where=_LOOKED),
    Index(
        "ix_listings_rising",
        "account",
        "rise_at",
        sqlite_where=_RISING,
        postgresql_where=_RISING,
    ),
    Index(
        "ix_listings_retried",
        "account",
        "retry_at",
        sqlite_where=_RETRIED,
        postgresql_where=_RETRIED,
    ),
    Index("ix_listings_in_flight", "account", sqlite_where=_IN_FLIGHT, postgresql_where=_IN_FLIGHT),
)

#: append-only: what a listing should show and by which policy, since when
listing_policies = Table(
    "listing_policies",
    METADATA,
    Column("fact", RowNumber, primary_key=True),
    Column("listing_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("sku", Text),
    Column("buffer", BigInteger),
    Column("cap", BigInteger),
    Column("desired", BigInteger),
    Column("generation", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_listing_policies_listing_id_at", "listing_id", "at"),
    Index("ix_listing_policies_sku_at", "sku", "at"),
)

#: stock batches as they were stored before sending
stock_batches = Table(
    "stock_batches",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("entries", Text, nullable=False),
    Column("sent_at", Instant, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("settled_at", Instant),
    Index(
        "ix_stock_batches_open", "account", "sent_at", sqlite_where=_OPEN, postgresql_where=_OPEN
    ),
)

#: append-only: what became of each entry of each batch
stock_pushes = Table(
    "stock_pushes",
    METADATA,
    Column("fact", RowNumber, primary_key=True),
    Column("batch_key", Text, nullable=False),
    Column("channel_listing_id", Text, nullable=False),
    Column("quantity", BigInteger),
    Column("outcome", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_stock_pushes_batch_key", "batch_key"),
)
