"""Tables of accounts' health: subscriptions, standing alarms, lost stretches, asked consents."""

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
