"""All tables, by theme. Imported whole, so that METADATA is complete."""

from oms_sync.storage.tables import (
    budgets,
    certificates,
    hub,
    inbox,
    listings,
    orders,
    stock,
    upkeep,
    write_backs,
)
from oms_sync.storage.tables.base import METADATA

__all__ = [
    "METADATA",
    "budgets",
    "certificates",
    "hub",
    "inbox",
    "listings",
    "orders",
    "stock",
    "upkeep",
    "write_backs",
]
