"""Facts in the past tense: what the timeline of an order or a SKU is made of.

An event never holds personal data; `detail` holds short, JSON-ready values named by the glossary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a timeline: what happened, when, who caused it."""

    #: "order.imported", "order.changed", "order.reserved", "stock.ran_short", …
    name: str
    at: datetime
    actor: str
    order_id: str | None = None
    sku: str | None = None
    account: str | None = None
    detail: Mapping[str, str | int | None] = field(default_factory=dict)
