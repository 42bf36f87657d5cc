"""Tables of orders: facts, lines, reservations, shipments and how far channels were told."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql

from oms_sync.storage.columns import Instant
from oms_sync.storage.tables.base import METADATA

_DUE = sql("is_reserve_due")
_DUE_SQLITE = sql("is_reserve_due = 1")  # as SQLite, without booleans, is asked
_SHORT = sql("quantity_short > 0")
_UNMAPPED = sql("sku IS NULL")
_UNTOLD = sql("state IN ('waiting', 'sent')")
_REFUSED = sql("state = 'refused'")
_SHIP_DUE = sql("ship_due_at IS NOT NULL AND state IN ('open', 'held')")
_PENDING = sql("state = 'pending'")
_UNFINISHED = sql("state IN ('pending', 'open', 'held')")
_ALIVE = sql("merged_into IS NULL")
_MERGED = sql("merged_into IS NOT NULL")
_TO_ERASE = sql("erased_at IS NULL AND state IN ('closed', 'cancelled')")
_PORTABLE = sql("portable_in IS NOT NULL")

#: canonical orders; `facts` holds no personal data, `personal` is encrypted for its subject
orders = Table(
    "orders",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("channel_order_id", Text, nullable=False),
    Column("channel_order_number", Text),
    Column("state", Text, nullable=False),
    Column("placed_at", Instant, nullable=False),
    Column("ship_by", Instant),
    #: the channel itself shows units open that have to be shipped from here; and until when
    Column("is_waited_for", Boolean, nullable=False),
    Column("ship_due_at", Instant),
    Column("imported_at", Instant, nullable=False),
    #: when it was last read again for its age alone; until then, when it came in
    Column("checked_at", Instant, nullable=False),
    #: the channel's own time of the newest sight
    Column("updated_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("currency", Text),
    Column("total_minor", BigInteger),
    Column("is_reserve_due", Boolean, nullable=False),
    Column("payload_key", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("holds", Text, nullable=False),
    Column("subject_id", Text),
    Column("personal", LargeBinary),
    #: the order that has all lines of this one now; it has this one's ids, too
    Column("merged_into", Text, ForeignKey("orders.order_id")),
    #: the buyer's request to cancel that somebody here said no to
    Column("declined", Text),
    #: when its personal data was destroyed; none is stored with it any more
    Column("erased_at", Instant),
    Index(
        "uq_orders_account_channel_order_id",
        "account",
        "channel_order_id",
        unique=True,
        sqlite_where=_ALIVE,
        postgresql_where=_ALIVE,
    ),
    Index(
        "ix_orders_reserve_due",
        "account",
        "placed_at",
        sqlite_where=_DUE_SQLITE,
        postgresql_where=_DUE,
    ),
    Index("ix_orders_placed_at", "placed_at"),
    Index("ix_orders_account_imported_at", "account", "imported_at"),
    Index("ix_orders_state_ship_by", "state", "ship_by"),
    Index(
        "ix_orders_ship_due",
        "account",
        "ship_due_at",
        sqlite_where=_SHIP_DUE,
        postgresql_where=_SHIP_DUE,
    ),
    Index(
        "ix_orders_pending",
        "account",
        "placed_at",
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    ),
    Index(
        "ix_orders_unfinished",
        "account",
        "checked_at",
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    ),
    Index("ix_orders_subject_id", "subject_id"),
    Index(
        "ix_orders_to_erase",
        "account",
        "updated_at",
        sqlite_where=_TO_ERASE,
        postgresql_where=_TO_ERASE,
    ),
    Index("ix_orders_merged_into", "merged_into", sqlite_where=_MERGED, postgresql_where=_MERGED),
)

#: every id an order answers to, where the channel changes ids or moves lines between orders
order_names = Table(
    "order_names",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("channel_order_id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
    Index("ix_order_names_order_id", "order_id"),
    sqlite_with_rowid=False,
)

#: what the channel says of each line, and what this hub booked for it
order_lines = Table(
    "order_lines",
    METADATA,
    Column("line_id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
    Column("channel_line_id", Text, nullable=False),
    #: the account in which no other line has this id; none where ids count in their order only
    Column("portable_in", Text),
    Column("channel_listing_id", Text),
    Column("channel_sku", Text),
    Column("sku", Text),
    Column("listing_id", Text),
    Column("facts", Text, nullable=False),
    #: the sum of the line's reservations
    Column("quantity_reserved", BigInteger, nullable=False),
    Column("quantity_short", BigInteger, nullable=False),
    Column("shipped_here", BigInteger, nullable=False),
    Column("shipped_booked", BigInteger, nullable=False),
    Column("returned_booked", BigInteger, nullable=False),
    Column("taken_booked", BigInteger, nullable=False),
    CheckConstraint(
        "quantity_reserved >= 0 AND quantity_short >= 0 AND shipped_here >= 0 "
        "AND shipped_booked >= 0 AND returned_booked >= 0",
        name="not_negative",
    ),
    UniqueConstraint("order_id", "channel_line_id"),
    Index(
        "uq_order_lines_portable_in_channel_line_id",
        "portable_in",
        "channel_line_id",
        unique=True,
        sqlite_where=_PORTABLE,
        postgresql_where=_PORTABLE,
    ),
    Index("ix_order_lines_short", "sku", sqlite_where=_SHORT, postgresql_where=_SHORT),
    Index(
        "ix_order_lines_unmapped", "order_id", sqlite_where=_UNMAPPED, postgresql_where=_UNMAPPED
    ),
)

#: units of a SKU at a location promised to an order line, whichever order it is in
reservations = Table(
    "reservations",
    METADATA,
    Column("line_id", Text, ForeignKey("order_lines.line_id"), primary_key=True),
    Column("location", Text, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("units", BigInteger, nullable=False),
    CheckConstraint("units > 0", name="positive"),
    Index("ix_reservations_sku_location", "sku", "location"),
    sqlite_with_rowid=False,
)

#: dispatches as we made them
shipments = Table(
    "shipments",
    METADATA,
    Column("shipment_id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("channel_order_id", Text, nullable=False),
    Column("service", Text),
    Column("shipped_at", Instant, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("lines", Text, nullable=False),
    Column("packages", Text, nullable=False),
    Index("ix_shipments_order_id", "order_id"),
)

#: how far an account was told of a shipment
shipment_pushes = Table(
    "shipment_pushes",
    METADATA,
    Column("shipment_id", Text, ForeignKey("shipments.shipment_id"), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("channel_shipment_ids", Text, nullable=False),
    Column("error", Text, nullable=False),
    Index(
        "ix_shipment_pushes_untold",
        "account",
        "next_at",
        sqlite_where=_UNTOLD,
        postgresql_where=_UNTOLD,
    ),
    Index(
        "ix_shipment_pushes_refused", "account", sqlite_where=_REFUSED, postgresql_where=_REFUSED
    ),
)
