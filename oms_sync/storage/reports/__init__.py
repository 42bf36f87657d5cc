"""The read side: JSON-ready answers in the shapes of the product's contract. Changes nothing."""

from oms_sync.storage.reports.reader import Reports

__all__ = ["Reports"]
