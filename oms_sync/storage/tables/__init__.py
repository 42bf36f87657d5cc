"""All tables, by theme. Imported whole, so that METADATA is complete."""

from oms_sync.storage.tables import hub, inbox, listings, orders, stock
from oms_sync.storage.tables.base import METADATA

__all__ = ["METADATA", "hub", "inbox", "listings", "orders", "stock"]
