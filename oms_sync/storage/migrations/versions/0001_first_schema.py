# ruff: noqa: PLR0915 - written by Alembic, and history
"""The first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_policies",
        sa.Column("fact", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("locations", sa.Text(), nullable=False),
        sa.Column("buffer", sa.BigInteger(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("fact", name=op.f("pk_account_policies")),
    )
    op.create_index(
        "ix_account_policies_account_at", "account_policies", ["account", "at"], unique=False
    )
    op.create_table(
        "account_tokens",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_account_tokens")),
    )
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("first_connected_at", sa.BigInteger(), nullable=True),
        sa.Column("backfilled_at", sa.BigInteger(), nullable=True),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("health", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("token_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("clock_skew_seconds", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_accounts")),
    )
    op.create_table(
        "alarms",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "kind", name=op.f("pk_alarms")),
    )
    op.create_table(
        "consents",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_consents")),
    )
    op.create_table(
        "discoveries",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("tried_at", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_discoveries")),
    )
    op.create_table(
        "identities",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("channel_account_id", sa.Text(), nullable=False),
        sa.Column("channel_account", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_identities")),
    )
    op.create_table(
        "gaps",
        sa.Column(
            "gap",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gap", name=op.f("pk_gaps")),
        sa.UniqueConstraint("account", "since", name=op.f("uq_gaps_account_since")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.Column("is_unsure", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "kind", name=op.f("pk_subscriptions")),
    )
    op.create_table(
        "feeds",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("pass_started_at", sa.BigInteger(), nullable=True),
        sa.Column("drained_at", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("is_finished", sa.Boolean(), nullable=False),
        sa.Column("orders_read", sa.BigInteger(), nullable=False),
        sa.Column("page_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", "feed", name=op.f("pk_feeds")),
    )
    op.create_table(
        "hub_facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hub_facts")),
    )
    op.create_table(
        "inbox_messages",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("channel_order_id", sa.Text(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("subject_id", sa.Text(), nullable=True),
        sa.Column("data_key", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "state IN ('new', 'done', 'dead', 'dropped')", name=op.f("ck_inbox_messages_state")
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_inbox_messages")),
    )
    op.create_index(
        "ix_inbox_messages_closed",
        "inbox_messages",
        ["dedupe_key"],
        unique=False,
        sqlite_where=sa.text("state IN ('dead', 'dropped')"),
        postgresql_where=sa.text("state IN ('dead', 'dropped')"),
    )
    op.create_index(
        "ix_inbox_messages_state_received_at",
        "inbox_messages",
        ["state", "received_at"],
        unique=False,
    )
    op.create_index(
        "ix_inbox_messages_order",
        "inbox_messages",
        ["account", "channel_order_id"],
        unique=False,
        sqlite_where=sa.text("data_key IS NOT NULL"),
        postgresql_where=sa.text("data_key IS NOT NULL"),
    )
    op.create_index(
        "ix_inbox_messages_old_bytes",
        "inbox_messages",
        ["account", "received_at"],
        unique=False,
        sqlite_where=sa.text("data_key IS NOT NULL AND state IN ('done', 'dropped')"),
        postgresql_where=sa.text("data_key IS NOT NULL AND state IN ('done', 'dropped')"),
    )
    op.create_index(
        "ix_inbox_messages_subject_id",
        "inbox_messages",
        ["subject_id"],
        unique=False,
        sqlite_where=sa.text("subject_id IS NOT NULL"),
        postgresql_where=sa.text("subject_id IS NOT NULL"),
    )
    op.create_index(
        "ix_inbox_messages_waiting",
        "inbox_messages",
        ["account", "received_at", "message_id"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )
    op.create_index(
        "ix_inbox_messages_waiting_order",
        "inbox_messages",
        ["account", "channel_order_id"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )
    op.create_index(
        "uq_inbox_messages_waiting_hint",
        "inbox_messages",
        ["account", "topic", "dedupe_key"],
        unique=True,
        sqlite_where=sa.text("state = 'new' AND source = 'webhook'"),
        postgresql_where=sa.text("state = 'new' AND source = 'webhook'"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "ledger_totals",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("levels", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ledger_totals")),
    )
    op.create_table(
        "listing_policies",
        sa.Column("fact", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("listing_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("buffer", sa.BigInteger(), nullable=True),
        sa.Column("cap", sa.BigInteger(), nullable=True),
        sa.Column("desired", sa.BigInteger(), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fact", name=op.f("pk_listing_policies")),
    )
    op.create_index(
        "ix_listing_policies_listing_id_at", "listing_policies", ["listing_id", "at"], unique=False
    )
    op.create_index("ix_listing_policies_sku_at", "listing_policies", ["sku", "at"], unique=False)
    op.create_table(
        "listings",
        sa.Column("listing_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("channel_listing_id", sa.Text(), nullable=False),
        sa.Column("channel_sku", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("buffer", sa.BigInteger(), nullable=True),
        sa.Column("cap", sa.BigInteger(), nullable=True),
        sa.Column("desired", sa.BigInteger(), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("rise_quantity", sa.BigInteger(), nullable=True),
        sa.Column("rise_at", sa.BigInteger(), nullable=True),
        sa.Column("last_rise_at", sa.BigInteger(), nullable=True),
        sa.Column("ready", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=True),
        sa.Column("confirmed", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("basis_quantity", sa.BigInteger(), nullable=True),
        sa.Column("basis_taken", sa.BigInteger(), nullable=True),
        sa.Column("basis_at", sa.BigInteger(), nullable=True),
        sa.Column("basis_since", sa.BigInteger(), nullable=True),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("taken_since", sa.BigInteger(), nullable=False),
        sa.Column("flight_push_id", sa.Text(), nullable=True),
        sa.Column("flight_quantity", sa.BigInteger(), nullable=True),
        sa.Column("flight_compare", sa.BigInteger(), nullable=True),
        sa.Column("flight_generation", sa.BigInteger(), nullable=True),
        sa.Column("flight_taken", sa.BigInteger(), nullable=True),
        sa.Column("flight_sent_at", sa.BigInteger(), nullable=True),
        sa.Column("look_quantity", sa.BigInteger(), nullable=True),
        sa.Column("look_taken", sa.BigInteger(), nullable=True),
        sa.Column("look_at", sa.BigInteger(), nullable=True),
        sa.Column("look_due_at", sa.BigInteger(), nullable=True),
        sa.Column("looked_at", sa.BigInteger(), nullable=True),
        sa.Column("stale_count", sa.BigInteger(), nullable=False),
        sa.Column("unproved_since", sa.BigInteger(), nullable=True),
        sa.Column("held_reason", sa.Text(), nullable=True),
        sa.Column("refused_reason", sa.Text(), nullable=True),
        sa.Column("refused_generation", sa.BigInteger(), nullable=True),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("channel_pool", sa.BigInteger(), nullable=True),
        sa.Column("channel_pool_at", sa.BigInteger(), nullable=True),
        sa.Column("is_stale", sa.Boolean(), nullable=False),
        sa.Column("push_delta", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("listing_id", name=op.f("pk_listings")),
        sa.UniqueConstraint(
            "account", "channel_listing_id", name=op.f("uq_listings_account_channel_listing_id")
        ),
    )
    op.create_index(
        "ix_listings_account_channel_sku", "listings", ["account", "channel_sku"], unique=False
    )
    op.create_index(
        "ix_listings_account_looked_at", "listings", ["account", "looked_at"], unique=False
    )
    op.create_index(
        "ix_listings_in_flight",
        "listings",
        ["account"],
        unique=False,
        sqlite_where=sa.text("flight_push_id IS NOT NULL"),
        postgresql_where=sa.text("flight_push_id IS NOT NULL"),
    )
    op.create_index(
        "ix_listings_looked",
        "listings",
        ["account"],
        unique=False,
        sqlite_where=sa.text("look_quantity IS NOT NULL"),
        postgresql_where=sa.text("look_quantity IS NOT NULL"),
    )
    op.create_index(
        "ix_listings_retried",
        "listings",
        ["account", "retry_at"],
        unique=False,
        sqlite_where=sa.text("retry_at IS NOT NULL"),
        postgresql_where=sa.text("retry_at IS NOT NULL"),
    )
    op.create_index(
        "ix_listings_rising",
        "listings",
        ["account", "rise_at"],
        unique=False,
        sqlite_where=sa.text("rise_at IS NOT NULL"),
        postgresql_where=sa.text("rise_at IS NOT NULL"),
    )
    op.create_index("ix_listings_sku", "listings", ["sku"], unique=False)
    op.create_index(
        "ix_listings_stale",
        "listings",
        ["account"],
        unique=False,
        sqlite_where=sa.text("is_stale = 1"),
        postgresql_where=sa.text("is_stale"),
    )
    op.create_index(
        "ix_listings_wanting_push",
        "listings",
        ["account", "push_delta"],
        unique=False,
        sqlite_where=sa.text("push_delta IS NOT NULL"),
        postgresql_where=sa.text("push_delta IS NOT NULL"),
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("channel_order_id", sa.Text(), nullable=False),
        sa.Column("channel_order_number", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("ship_by", sa.BigInteger(), nullable=True),
        sa.Column("is_waited_for", sa.Boolean(), nullable=False),
        sa.Column("ship_due_at", sa.BigInteger(), nullable=True),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("total_minor", sa.BigInteger(), nullable=True),
        sa.Column("is_reserve_due", sa.Boolean(), nullable=False),
        sa.Column("payload_key", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("holds", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=True),
        sa.Column("personal", sa.LargeBinary(), nullable=True),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("declined", sa.Text(), nullable=True),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["orders.order_id"], name=op.f("fk_orders_merged_into")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
    )
    op.create_index(
        "uq_orders_account_channel_order_id",
        "orders",
        ["account", "channel_order_id"],
        unique=True,
        sqlite_where=sa.text("merged_into IS NULL"),
        postgresql_where=sa.text("merged_into IS NULL"),
    )
    op.create_index(
        "ix_orders_to_erase",
        "orders",
        ["account", "updated_at"],
        unique=False,
        sqlite_where=sa.text("erased_at IS NULL AND state IN ('closed', 'cancelled')"),
        postgresql_where=sa.text("erased_at IS NULL AND state IN ('closed', 'cancelled')"),
    )
    op.create_index(
        "ix_orders_merged_into",
        "orders",
        ["merged_into"],
        unique=False,
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_index("ix_orders_placed_at", "orders", ["placed_at"], unique=False)
    op.create_index(
        "ix_orders_account_imported_at", "orders", ["account", "imported_at"], unique=False
    )
    op.create_index(
        "ix_orders_reserve_due",
        "orders",
        ["account", "placed_at"],
        unique=False,
        sqlite_where=sa.text("is_reserve_due = 1"),
        postgresql_where=sa.text("is_reserve_due"),
    )
    op.create_index("ix_orders_state_ship_by", "orders", ["state", "ship_by"], unique=False)
    op.create_index(
        "ix_orders_ship_due",
        "orders",
        ["account", "ship_due_at"],
        unique=False,
        sqlite_where=sa.text("ship_due_at IS NOT NULL AND state IN ('open', 'held')"),
        postgresql_where=sa.text("ship_due_at IS NOT NULL AND state IN ('open', 'held')"),
    )
    op.create_index(
        "ix_orders_pending",
        "orders",
        ["account", "placed_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_orders_unfinished",
        "orders",
        ["account", "checked_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'open', 'held')"),
        postgresql_where=sa.text("state IN ('pending', 'open', 'held')"),
    )
    op.create_index("ix_orders_subject_id", "orders", ["subject_id"], unique=False)
    op.create_table(
        "rereads",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("channel_order_id", sa.Text(), nullable=False),
        sa.Column("armed", sa.BigInteger(), nullable=False),
        sa.Column("is_deletion", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "channel_order_id", name=op.f("pk_rereads")),
    )
    op.create_index("ix_rereads_account_due_at", "rereads", ["account", "due_at"], unique=False)
    op.create_table(
        "safety_policies",
        sa.Column("fact", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fact", name=op.f("pk_safety_policies")),
    )
    op.create_index("ix_safety_policies_sku_at", "safety_policies", ["sku", "at"], unique=False)
    op.create_table(
        "skus",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("is_fill_due", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_skus")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_skus_fill_due",
        "skus",
        ["sku"],
        unique=False,
        sqlite_where=sa.text("is_fill_due = 1"),
        postgresql_where=sa.text("is_fill_due"),
    )
    op.create_table(
        "stock_batches",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_stock_batches")),
    )
    op.create_index(
        "ix_stock_batches_open",
        "stock_batches",
        ["account", "sent_at"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "stock_movements",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("on_hand_delta", sa.BigInteger(), nullable=False),
        sa.Column("unavailable_delta", sa.BigInteger(), nullable=False),
        sa.Column("reserved_delta", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sku", "location", "sequence", name=op.f("pk_stock_movements")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_stock_movements_source", "stock_movements", ["source"], unique=False)
    op.create_table(
        "stock_pushes",
        sa.Column("fact", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("batch_key", sa.Text(), nullable=False),
        sa.Column("channel_listing_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fact", name=op.f("pk_stock_pushes")),
    )
    op.create_index("ix_stock_pushes_batch_key", "stock_pushes", ["batch_key"], unique=False)
    op.create_table(
        "subjects",
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("data_key", sa.LargeBinary(), nullable=False),
        sa.Column("erase_wanted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_subjects")),
    )
    op.create_index(
        "ix_subjects_account_subject_id", "subjects", ["account", "subject_id"], unique=False
    )
    op.create_index(
        "ix_subjects_erase_wanted",
        "subjects",
        ["account", "erase_wanted_at"],
        unique=False,
        sqlite_where=sa.text("erase_wanted_at IS NOT NULL"),
        postgresql_where=sa.text("erase_wanted_at IS NOT NULL"),
    )
    op.create_table(
        "timeline",
        sa.Column("event", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event", name=op.f("pk_timeline")),
    )
    op.create_index(
        "ix_timeline_order_id",
        "timeline",
        ["order_id"],
        unique=False,
        sqlite_where=sa.text("order_id IS NOT NULL"),
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.create_index(
        "ix_timeline_sku",
        "timeline",
        ["sku"],
        unique=False,
        sqlite_where=sa.text("sku IS NOT NULL"),
        postgresql_where=sa.text("sku IS NOT NULL"),
    )
    op.create_table(
        "wakes",
        sa.Column("wake", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("wake", name=op.f("pk_wakes")),
    )
    op.create_table(
        "order_names",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("channel_order_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.order_id"], name=op.f("fk_order_names_order_id")
        ),
        sa.PrimaryKeyConstraint("account", "channel_order_id", name=op.f("pk_order_names")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_order_names_order_id", "order_names", ["order_id"], unique=False)
    op.create_table(
        "order_lines",
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("channel_line_id", sa.Text(), nullable=False),
        sa.Column("portable_in", sa.Text(), nullable=True),
        sa.Column("channel_listing_id", sa.Text(), nullable=True),
        sa.Column("channel_sku", sa.Text(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("listing_id", sa.Text(), nullable=True),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("quantity_reserved", sa.BigInteger(), nullable=False),
        sa.Column("quantity_short", sa.BigInteger(), nullable=False),
        sa.Column("shipped_here", sa.BigInteger(), nullable=False),
        sa.Column("shipped_booked", sa.BigInteger(), nullable=False),
        sa.Column("returned_booked", sa.BigInteger(), nullable=False),
        sa.Column("taken_booked", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "quantity_reserved >= 0 AND quantity_short >= 0 AND shipped_here >= 0 "
            "AND shipped_booked >= 0 AND returned_booked >= 0",
            name=op.f("ck_order_lines_not_negative"),
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.order_id"], name=op.f("fk_order_lines_order_id")
        ),
        sa.PrimaryKeyConstraint("line_id", name=op.f("pk_order_lines")),
        sa.UniqueConstraint(
            "order_id", "channel_line_id", name=op.f("uq_order_lines_order_id_channel_line_id")
        ),
    )
    op.create_index(
        "uq_order_lines_portable_in_channel_line_id",
        "order_lines",
        ["portable_in", "channel_line_id"],
        unique=True,
        sqlite_where=sa.text("portable_in IS NOT NULL"),
        postgresql_where=sa.text("portable_in IS NOT NULL"),
    )
    op.create_index(
        "ix_order_lines_short",
        "order_lines",
        ["sku"],
        unique=False,
        sqlite_where=sa.text("quantity_short > 0"),
        postgresql_where=sa.text("quantity_short > 0"),
    )
    op.create_index(
        "ix_order_lines_unmapped",
        "order_lines",
        ["order_id"],
        unique=False,
        sqlite_where=sa.text("sku IS NULL"),
        postgresql_where=sa.text("sku IS NULL"),
    )
    op.create_table(
        "shipments",
        sa.Column("shipment_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("channel_order_id", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("shipped_at", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("packages", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.order_id"], name=op.f("fk_shipments_order_id")
        ),
        sa.PrimaryKeyConstraint("shipment_id", name=op.f("pk_shipments")),
    )
    op.create_index("ix_shipments_order_id", "shipments", ["order_id"], unique=False)
    op.create_table(
        "stock_levels",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("is_counted", sa.Boolean(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("unavailable", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("safety_stock", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "on_hand >= 0 AND unavailable >= 0 AND reserved >= 0 AND safety_stock >= 0",
            name=op.f("ck_stock_levels_not_negative"),
        ),
        sa.CheckConstraint(
            "reserved + unavailable <= on_hand", name=op.f("ck_stock_levels_within_on_hand")
        ),
        sa.ForeignKeyConstraint(["sku"], ["skus.sku"], name=op.f("fk_stock_levels_sku")),
        sa.PrimaryKeyConstraint("sku", "location", name=op.f("pk_stock_levels")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reservations",
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("units > 0", name=op.f("ck_reservations_positive")),
        sa.ForeignKeyConstraint(
            ["line_id"], ["order_lines.line_id"], name=op.f("fk_reservations_line_id")
        ),
        sa.PrimaryKeyConstraint("line_id", "location", name=op.f("pk_reservations")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_reservations_sku_location", "reservations", ["sku", "location"], unique=False
    )
    op.create_table(
        "shipment_pushes",
        sa.Column("shipment_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("channel_shipment_ids", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["shipment_id"], ["shipments.shipment_id"], name=op.f("fk_shipment_pushes_shipment_id")
        ),
        sa.PrimaryKeyConstraint("shipment_id", "account", name=op.f("pk_shipment_pushes")),
    )
    op.create_index(
        "ix_shipment_pushes_untold",
        "shipment_pushes",
        ["account", "next_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'sent')"),
        postgresql_where=sa.text("state IN ('waiting', 'sent')"),
    )
    op.create_index(
        "ix_shipment_pushes_refused",
        "shipment_pushes",
        ["account"],
        unique=False,
        sqlite_where=sa.text("state = 'refused'"),
        postgresql_where=sa.text("state = 'refused'"),
    )
    op.create_table(
        "write_backs",
        sa.Column("write_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("known_before", sa.Text(), nullable=True),
        sa.Column("channel_refund_id", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.order_id"], name=op.f("fk_write_backs_order_id")
        ),
        sa.PrimaryKeyConstraint("write_id", name=op.f("pk_write_backs")),
    )
    op.create_index("ix_write_backs_order_id", "write_backs", ["order_id"], unique=False)
    op.create_index(
        "ix_write_backs_untold",
        "write_backs",
        ["account", "next_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'sent')"),
        postgresql_where=sa.text("state IN ('waiting', 'sent')"),
    )
    op.create_table(
        "rate_buckets",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("capacity", sa.Double(), nullable=False),
        sa.Column("refill_per_second", sa.Double(), nullable=False),
        sa.Column("available", sa.Double(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.Double(), nullable=False),
        sa.Column("published_capacity", sa.Double(), nullable=True),
        sa.Column("published_refill", sa.Double(), nullable=True),
        sa.Column("learnt_at", sa.BigInteger(), nullable=True),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "operation", name=op.f("pk_rate_buckets")),
    )
    op.create_table(
        "budget_owners",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_budget_owners")),
    )
    op.create_table(
        "write_costs",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account", "operation", "hour", name=op.f("pk_write_costs")),
    )
    op.create_table(
        "channel_calls",
        sa.Column("call", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("duration_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call", name=op.f("pk_channel_calls")),
    )
    op.create_index(
        "ix_channel_calls_account_call", "channel_calls", ["account", "call"], unique=False
    )
    op.create_table(
        "order_lists",
        sa.Column("list_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("pages", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_order_lists")),
    )
    op.create_index("ix_order_lists_account", "order_lists", ["account"], unique=False)
    op.create_table(
        "listed_orders",
        sa.Column("list_id", sa.Text(), nullable=False),
        sa.Column("channel_order_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("differences", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["order_lists.list_id"], name=op.f("fk_listed_orders_list_id")
        ),
        sa.PrimaryKeyConstraint("list_id", "channel_order_id", name=op.f("pk_listed_orders")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "certificates",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('issued', 'refused')", name=op.f("ck_certificates_outcome")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_certificates")),
    )
    op.create_index(
        "ix_certificates_account_number", "certificates", ["account", "number"], unique=False
    )
    op.create_index(
        "uq_certificates_attempt",
        "certificates",
        ["account", "day", "attempt"],
        unique=True,
        sqlite_where=sa.text("attempt > 0"),
        postgresql_where=sa.text("attempt > 0"),
    )


def downgrade() -> None:
    for table in (
        "listed_orders",
        "order_lists",
        "certificates",
        "channel_calls",
        "write_costs",
        "budget_owners",
        "rate_buckets",
        "write_backs",
        "shipment_pushes",
        "reservations",
        "stock_levels",
        "shipments",
        "order_lines",
        "order_names",
        "wakes",
        "timeline",
        "subjects",
        "stock_pushes",
        "stock_movements",
        "stock_batches",
        "skus",
        "safety_policies",
        "rereads",
        "orders",
        "listings",
        "listing_policies",
        "ledger_totals",
        "leases",
        "inbox_messages",
        "hub_facts",
        "feeds",
        "subscriptions",
        "identities",
        "gaps",
        "discoveries",
        "consents",
        "alarms",
        "accounts",
        "account_tokens",
        "account_policies",
    ):
        op.drop_table(table)
