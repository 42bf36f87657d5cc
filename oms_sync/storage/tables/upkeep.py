"""Tables of accounts' health: who they are, subscriptions, standing alarms, lost stretches."""

from sqlalchemy import Boolean, Column, Table, Text, UniqueConstraint

from oms_sync.storage.columns import Instant, RowNumber
from oms_sync.storage.tables.base import METADATA

#: how each channel was made to tell us of changes
subscriptions = Table(
    "subscriptions",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("seen_at", Instant),
    Column("heard_at", Instant),
    Column("is_unsure", Boolean, nullable=False),
)

#: silences that were told and are not over
alarms = Table(
    "alarms",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
)

#: append-only: stretches of time whose changes no channel shows any more
gaps = Table(
    "gaps",
    METADATA,
    Column("gap", RowNumber, primary_key=True),
    Column("account", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("found_at", Instant, nullable=False),
    UniqueConstraint("account", "since"),
)

#: owners who were sent to a channel's page and have not answered
consents = Table(
    "consents",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
)

#: whose shop each account's credentials opened when they were first accepted
identities = Table(
    "identities",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("channel_account_id", Text, nullable=False),
    Column("channel_account", Text, nullable=False),
    Column("kept_at", Instant, nullable=False),
)

#: when each account's listings were last looked through, and since when that is wanted
discoveries = Table(
    "discoveries",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("asked_at", Instant),
    Column("tried_at", Instant),
    Column("done_at", Instant),
)
