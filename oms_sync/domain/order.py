"""The canonical order: what a channel shows (sights), what is known, and what follows from it.

How sights become knowledge is `merge.py`; what stock does about it is `reservation.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.values import QUANTITY_MAX, ChannelRef, Money, Person


class OrderState(StrEnum):
    """Where an order stands; "partly shipped" is computed from quantities, not stored."""

    PENDING = "pending"
    OPEN = "open"
    HELD = "held"
    CLOSED = "closed"
    CANCELLED = "cancelled"


FulfilledBy = Literal["seller", "channel"]


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """How new a sight is: the channel's own time of the object, then when we were shown it.

    The second part decides between two sights of one second, where a channel's clock is coarse.
    """

    at: datetime
    seen_at: datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or self.seen_at.tzinfo is None:
            raise InvalidValue("a version needs aware times")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSight:
    """One order line as one sight showed it; None means the sight did not say."""

    channel_line_id: str
    channel_listing_id: str | None = None
    channel_sku: str | None = None
    title: str | None = None
    quantity_ordered: int | None = None
    #: units that left the order unshipped
    quantity_cancelled: int | None = None
    #: units the channel knows as shipped
    quantity_shipped: int | None = None
    #: True where the channel calls the line shipped and counts no units: it means all of them,
    #: unless this hub shipped some itself and knows better
    is_marked_shipped: bool | None = None
    #: units that came back and are sellable again
    quantity_returned: int | None = None
    #: units that places outside this hub's care fulfil
    quantity_elsewhere: int | None = None
    #: units the channel itself put back into its own quantity
    quantity_restocked: int | None = None
    unit_price: Money | None = None
    #: False for tips, gift cards and custom lines: nothing on a shelf stands behind them
    is_stocked: bool | None = None

    def __post_init__(self) -> None:
        for name in _QUANTITIES:
            quantity = getattr(self, name)
            if quantity is None:
                continue
            if type(quantity) is not int or not 0 <= quantity <= QUANTITY_MAX:
                raise InvalidValue(
                    f"line {self.channel_line_id}: {name} must be a whole number from 0 to "
                    f"{QUANTITY_MAX}, not {quantity!r}"
                )


_QUANTITIES = (
    "quantity_ordered",
    "quantity_cancelled",
    "quantity_shipped",
    "quantity_returned",
    "quantity_elsewhere",
    "quantity_restocked",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """Everything a channel can say of an order besides its lines; None means it did not say."""

    channel_order_number: str | None = None
    #: the channel's word for the status, kept for people
    channel_status: str | None = None
    #: what that word means: pending, open, closed or cancelled
    state: OrderState | None = None
    placed_at: datetime | None = None
    cancelled_at: datetime | None = None
    ship_by: datetime | None = None
    currency: str | None = None
    total: Money | None = None
    shipping: Money | None = None
    tax: Money | None = None
    discount: Money | None = None
    #: the part of `tax` the channel collects and pays itself: never the seller's money
    tax_remitted: Money | None = None
    are_taxes_included: bool | None = None
    #: what the buyer saw, where it is another currency than the books
    presentment_total: Money | None = None
    fulfilled_by: FulfilledBy | None = None
    is_test: bool | None = None
    shipping_service: str | None = None
    #: under which number import tax was paid by the channel already, for the customs form
    import_tax_number: str | None = None
    #: what the buyer wrote to whoever packs; personal
    buyer_note: str | None = None
    #: programmes of the channel that promise the buyer more, in its own words; () means none
    channel_programmes: tuple[str, ...] | None = None
    buyer: Person | None = None
    recipient: Person | None = None
    #: reasons the channel itself gives for not shipping yet; () means none
    channel_holds: tuple[str, ...] | None = None
    #: codes no mapping table knows, as "table: code"; () means all were known
    unmapped_codes: tuple[str, ...] | None = None
    #: the lines a complete sight listed; a known line missing here has left the order
    line_ids: tuple[str, ...] | None = None
    #: False while parts could not be read; such an order neither reserves nor ships
    is_complete: bool | None = None

    def __post_init__(self) -> None:
        for instant in (self.placed_at, self.cancelled_at, self.ship_by):
            if instant is not None and instant.tzinfo is None:
                raise InvalidValue(f"{instant} names no time zone; an order needs aware times")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSight:
    """One look at one order, as a connector translated it."""

    channel_order_id: str
    version: Version
    facts: OrderFacts = field(default_factory=OrderFacts)
    lines: tuple[LineSight, ...] = ()
    #: other ids the channel answers for the same order
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLine:
    """Everything all sights together say of one line."""

    line: LineSight
    version: Version
    #: fields whose value is from another version than `version`
    versions: tuple[tuple[str, Version], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOrder:
    """Everything all sights together say of one order."""

    ref: ChannelRef
    version: Version
    facts: OrderFacts
    lines: tuple[KnownLine, ...]
    versions: tuple[tuple[str, Version], ...] = ()

    @property
    def is_cancelled(self) -> bool:
        """True once any sight showed a cancellation."""
        return self.facts.cancelled_at is not None

    def field_version(self, name: str) -> Version:
        """The version at which the field `name` of the facts was last seen."""
        return dict(self.versions).get(name, self.version)

    def has_left(self, line: KnownLine) -> bool:
        """True when a newer complete sight no longer listed this line."""
        listed = self.facts.line_ids
        if listed is None or line.line.channel_line_id in listed:
            return False
        return line.version < self.field_version("line_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One reason an order waits for a human, or for the channel to let go."""

    #: "unmapped_sku", "unmapped_code", "incomplete", "manual", or "channel:" + the channel's reason
    code: str
    since: datetime
    #: "hub", "channel", or who asked for it
    actor: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCounts:
    """Where every unit of a line is: `ordered == open + shipped + cancelled + elsewhere`."""

    ordered: int
    shipped: int
    elsewhere: int
    cancelled: int
    open: int
    #: shipped units that came back and are sellable again
    returned: int
    #: units the channel took from its own quantity and has not put back
    taken: int
    #: units the channel took and put back
    put_back: int


def line_counts(order: KnownOrder, line: KnownLine, shipped_here: int) -> LineCounts:
    """Resolve what all sights say, and what this hub shipped itself, into one split of the units.

    Shipped wins over everything (goods that left have left), then units in others' care, then
    cancellations; so the split adds up whatever was seen, in whatever order.
    """
    sight = line.line
    ordered = sight.quantity_ordered or 0
    marked = ordered if sight.is_marked_shipped and not shipped_here else 0
    shipped = min(ordered, max(sight.quantity_shipped or 0, shipped_here, marked))
    elsewhere = min(ordered - shipped, sight.quantity_elsewhere or 0)
    rest = ordered - shipped - elsewhere
    is_gone = order.is_cancelled or order.has_left(line)
    cancelled = rest if is_gone else min(rest, sight.quantity_cancelled or 0)
    is_ours = order.facts.fulfilled_by != "channel" and sight.is_stocked is not False
    sold = max(0, ordered - (sight.quantity_elsewhere or 0)) if is_ours else 0
    put_back = min(sold, sight.quantity_restocked or 0)
    return LineCounts(
        ordered=ordered,
        shipped=shipped,
        elsewhere=elsewhere,
        cancelled=cancelled,
        open=rest - cancelled,
        returned=min(shipped, sight.quantity_returned or 0),
        taken=sold - put_back,
        put_back=put_back,
    )


def moves_stock(order: KnownOrder, line: KnownLine) -> bool:
    """True when this hub's own stock stands behind the line.

    Channel-fulfilled and test orders, orders never read whole, and lines with nothing on a shelf
    move nothing here. One that was read whole before keeps what it holds while it is read in part.
    """
    facts = order.facts
    is_half_read = facts.is_complete is False and facts.line_ids is None
    return (
        facts.fulfilled_by != "channel"
        and facts.is_test is not True
        and not is_half_read
        and line.line.is_stocked is not False
    )


def wanted(order: KnownOrder, line: KnownLine, counts: LineCounts) -> int:
    """Units the line should hold in reserve now; zero when no stock of ours is behind it."""
    return counts.open if moves_stock(order, line) else 0


def hold_codes(order: KnownOrder, *, has_unmapped_sku: bool) -> tuple[str, ...]:
    """The holds the facts themselves call for, sorted; they go when their cause goes."""
    facts = order.facts
    codes = {f"channel:{reason}" for reason in facts.channel_holds or ()}
    if has_unmapped_sku:
        codes.add("unmapped_sku")
    if facts.unmapped_codes:
        codes.add("unmapped_code")
    if facts.is_complete is False:
        codes.add("incomplete")
    return tuple(sorted(codes))


def order_state(
    order: KnownOrder, counts: tuple[LineCounts, ...], *, has_holds: bool
) -> OrderState:
    """Compute the state from what is known, the units still open, and the holds."""
    if order.is_cancelled:
        return OrderState.CANCELLED
    units_open = sum(count.open for count in counts)
    if counts and units_open == 0:
        shipped = sum(count.shipped + count.elsewhere for count in counts)
        return OrderState.CLOSED if shipped else OrderState.CANCELLED
    if has_holds:
        return OrderState.HELD
    return order.facts.state or OrderState.PENDING


def money_residual(order: KnownOrder) -> Money | None:
    """Total minus (lines + shipping + tax − discount); None when a part is unknown.

    Line prices are after no discount; taxes inside prices are not added again.
    """
    facts = order.facts
    if facts.total is None or facts.currency is None:
        return None
    expected = Money.zero(facts.currency)
    for known in order.lines:
        line = known.line
        if line.unit_price is None or line.quantity_ordered is None:
            return None
        expected += line.unit_price.times(line.quantity_ordered)
    for extra in (facts.shipping, None if facts.are_taxes_included else facts.tax):
        expected += extra or Money.zero(facts.currency)
    return facts.total - (expected - (facts.discount or Money.zero(facts.currency)))
