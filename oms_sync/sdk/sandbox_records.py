"""A sandbox's own records: what it remembers, mutable because it is the truth itself."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

QUANTITY_NAMES: Final = (
    "available committed incoming on_hand damaged quality_control reserved safety_stock".split()
)


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """One location the seller ships from."""

    id: int
    code: str
    name: str


@dataclass(slots=True, kw_only=True, eq=False)
class Level:
    """Counts of one offer at one location; on hand follows from the others."""

    place: Place
    available: int
    committed: int = 0
    updated_at: datetime
    #: available before our caller's last write, for reads that answer from a stale copy
    available_before: int = 0
    written_at: datetime | None = None

    def quantity(self, name: str) -> int:
        """The count of that name; 0 for those a sandbox does not move."""
        known = {"available": self.available, "committed": self.committed}
        return known.get(name, self.available + self.committed if name == "on_hand" else 0)


@dataclass(slots=True, kw_only=True, eq=False)
class Variant:
    """One SKU on offer with the channel's ids for it and its levels by location id."""

    id: int
    product_id: int
    item_id: int
    sku: str
    title: str
    price: Decimal
    created_at: datetime
    updated_at: datetime
    is_tracked: bool = True
    levels: dict[int, Level] = field(default_factory=dict)

    def available(self) -> int:
        """Units on sale, over all locations."""
        return sum(level.available for level in self.levels.values())


@dataclass(slots=True, kw_only=True, eq=False)
class Line:
    """One line item: ordered, taken off before shipping, shipped, and come back."""

    id: int
    variant: Variant
    quantity: int
    removed: int = 0
    fulfilled: int = 0
    #: refunded after shipping; `kept` of them stay with the buyer or are thrown away
    returned: int = 0
    kept: int = 0

    @property
    def unfulfilled(self) -> int:
        """Units still to be shipped."""
        return self.quantity - self.removed - self.fulfilled

    @property
    def current(self) -> int:
        """Units the buyer still wants or has."""
        return self.quantity - self.removed - self.returned


@dataclass(slots=True, kw_only=True, eq=False)
class Hold:
    """Why work stands still."""

    id: int
    reason: str
    notes: str | None = None
    label: str | None = None
    is_ours: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class WorkLine:
    """Units of one order line to be shipped by one piece of work."""

    id: int
    line: Line
    total: int
    remaining: int


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """Units of one order to be shipped from one location; Shopify calls it fulfilment order."""

    id: int
    place: Place
    lines: list[WorkLine]
    created_at: datetime
    updated_at: datetime
    holds: list[Hold] = field(default_factory=list)

    @property
    def status(self) -> str:
        """OPEN, ON_HOLD or CLOSED."""
        if not any(line.remaining for line in self.lines):
            return "CLOSED"
        return "ON_HOLD" if self.holds else "OPEN"


@dataclass(slots=True, kw_only=True, eq=False)
class Sent:
    """Units of a work line in a dispatch."""

    id: int
    work_line: WorkLine
    quantity: int


@dataclass(slots=True, kw_only=True, eq=False)
class Dispatch:
    """Goods on their way; packages are `{company, number, url}`."""

    id: int
    name: str
    work: list[Work]
    lines: list[Sent]
    packages: list[dict[str, str | None]]
    created_at: datetime
    updated_at: datetime
    is_cancelled: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Return:
    """One refunded line: CANCEL, RETURN or NO_RESTOCK, and where the units went back to."""

    id: int
    line: Line
    quantity: int
    restock_type: str
    place: Place | None


@dataclass(slots=True, kw_only=True, eq=False)
class Refund:
    """Money given back, for lines or none."""

    id: int
    lines: list[Return]
    note: str | None
    created_at: datetime
    amount: Decimal


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """One buyer's order and all that became of it."""

    id: int
    number: int
    lines: list[Line]
    buyer: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    visible_in_lists_at: datetime
    visible_at: datetime
    is_paid: bool
    is_test: bool
    #: "seller", or "channel" when the goods lie in the channel's own warehouse
    fulfilled_by: str = "seller"
    tags: list[str] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)
    dispatches: list[Dispatch] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    closed_at: datetime | None = None
    is_edited: bool = False

    @property
    def name(self) -> str:
        """The number as people read it."""
        return f"#{self.number}"

    @property
    def financial_status(self) -> str:
        """PENDING, PAID, PARTIALLY_REFUNDED, REFUNDED or VOIDED."""
        if not self.is_paid:
            return "PENDING" if self.cancelled_at is None else "VOIDED"
        if not self.refunds:
            return "PAID"
        return "PARTIALLY_REFUNDED" if any(line.current for line in self.lines) else "REFUNDED"

    @property
    def fulfilment_status(self) -> str:
        """UNFULFILLED, ON_HOLD, PARTIALLY_FULFILLED or FULFILLED."""
        is_left = any(line.unfulfilled for line in self.lines)
        if any(line.fulfilled for line in self.lines):
            return "PARTIALLY_FULFILLED" if is_left else "FULFILLED"
        return "ON_HOLD" if self._is_held else "UNFULFILLED"

    @property
    def _is_held(self) -> bool:
        return any(work.status == "ON_HOLD" for work in self.work)

    @property
    def state(self) -> str:
        """The order's state in the hub's words."""
        if self.cancelled_at is not None:
            return "cancelled"
        if not any(line.unfulfilled for line in self.lines):
            return "closed" if any(line.fulfilled for line in self.lines) else "cancelled"
        if self._is_held:
            return "held"
        return "open" if self.is_paid else "pending"


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    """Somebody who wants to hear of a topic."""

    id: int
    topic: str
    uri: str
    created_at: datetime
    updated_at: datetime
    include_fields: list[str] = field(default_factory=list)
    metafield_namespaces: list[str] = field(default_factory=list)
    filter: str | None = None
    name: str | None = None
    #: made by the app's configuration, not through the API: neither listed nor ever deleted
    is_configured: bool = False
