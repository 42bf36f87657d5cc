"""Orders of the fake channel: its own records, and their translation to payload bytes and back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.values import Money, Person
from oms_sync.sdk.errors import BadPayload
from oms_sync.sdk.mapping import MappingTable

STATUS_TABLE: Final = MappingTable(
    name="order_status",
    unmapped="hold",
    entries={state: state for state in ("pending", "open", "closed", "cancelled")},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeLine:
    """One line of an order, as the channel itself counts it."""

    channel_line_id: str
    channel_listing_id: str
    channel_sku: str
    price_minor: int
    is_stocked: bool
    ordered: int
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    restocked: int = 0

    @property
    def open(self) -> int:
        """Units still to ship."""
        return self.ordered - self.cancelled - self.shipped


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFulfilment:
    """One dispatch at the channel; `lines` are (channel line id, units)."""

    channel_shipment_id: str
    lines: tuple[tuple[str, int], ...]
    tracking_numbers: tuple[str, ...]
    carriers: tuple[str, ...] = ()
    made_at: datetime
    #: the key of our push, empty for one made at the channel
    key: str = ""
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRefund:
    """Money that went back; `lines` are (channel line id, units)."""

    channel_refund_id: str
    minor: int
    lines: tuple[tuple[str, int], ...] = ()
    state: Literal["pending", "done", "failed"] = "done"
    at: datetime
    #: the key it was made with, empty for one made at the channel
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeOrder:
    """One order: the channel's truth at one instant."""

    channel_order_id: str
    placed_at: datetime
    updated_at: datetime
    #: until then neither lists nor reads by id show it
    visible_at: datetime
    lines: tuple[FakeLine, ...]
    currency: str
    is_paid: bool = True
    is_test: bool = False
    fulfilled_by: str = "seller"
    cancelled_at: datetime | None = None
    #: when it has to leave at the latest
    ship_by: datetime | None = None
    #: the channel's own id of who bought, where it tells
    buyer_id: str = ""
    holds: tuple[str, ...] = ()
    fulfilments: tuple[FakeFulfilment, ...] = ()
    refunds: tuple[FakeRefund, ...] = ()
    is_deleted: bool = False

    @property
    def total_minor(self) -> int:
        """What the buyer paid."""
        return sum(line.price_minor * line.ordered for line in self.lines)

    @property
    def state(self) -> str:
        """The channel's word: pending, open, closed or cancelled."""
        if self.cancelled_at is not None or all(
            line.cancelled == line.ordered for line in self.lines
        ):
            return "cancelled"
        if not any(line.open for line in self.lines):
            return "closed"
        return "open" if self.is_paid else "pending"


def render_order(order: FakeOrder, *, status: str | None = None, has_lines: bool = True) -> bytes:
    """The payload the channel answers; `status` overrides its word, `has_lines` may leave them."""
    document: dict[str, Any] = {
        "id": order.channel_order_id,
        "status": status or order.state,
        "placed_at": order.placed_at.isoformat(),
        "updated_at": order.updated_at.isoformat(),
        "cancelled_at": order.cancelled_at.isoformat() if order.cancelled_at else None,
        "ship_by": order.ship_by.isoformat() if order.ship_by else None,
        "currency": order.currency,
        "total": Money.from_minor(order.total_minor, order.currency).text(),
        "fulfilled_by": order.fulfilled_by,
        "test": order.is_test,
        "holds": list(order.holds),
        "buyer": {"name": f"Buyer of {order.channel_order_id}", "id": order.buyer_id or None},
    }
    if has_lines:
        document["lines"] = [_render_line(line, order.currency) for line in order.lines]
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode()


def summarise_order(order: FakeOrder) -> dict[str, Any]:
    """What a notification shows of the order: enough to reserve, no money and no buyer."""
    return {
        "is_summary": True,
        "id": order.channel_order_id,
        "status": order.state,
        "placed_at": order.placed_at.isoformat(),
        "updated_at": order.updated_at.isoformat(),
        "fulfilled_by": order.fulfilled_by,
        "test": order.is_test,
        "lines": [
            {
                "id": line.channel_line_id,
                "listing": line.channel_listing_id,
                "sku": line.channel_sku,
                "stocked": line.is_stocked,
                "ordered": line.ordered,
                "cancelled": line.cancelled,
            }
            for line in order.lines
        ],
    }


def _render_line(line: FakeLine, currency: str) -> dict[str, Any]:
    return {
        "id": line.channel_line_id,
        "listing": line.channel_listing_id,
        "sku": line.channel_sku,
        "price": Money.from_minor(line.price_minor, currency).text(),
        "stocked": line.is_stocked,
        "ordered": line.ordered,
        "cancelled": line.cancelled,
        "shipped": line.shipped,
        "returned": line.returned,
        "restocked": line.restocked,
    }


def parse_order(payload: bytes, seen_at: datetime) -> OrderSight:
    """Translate a payload; pure; raises BadPayload for anything that is not one."""
    try:
        document = json.loads(payload, object_pairs_hook=_no_twins, parse_constant=_no_constant)
        is_summary = isinstance(document, dict) and document.get("is_summary") is True
        return (_parse_summary if is_summary else _parse)(document, seen_at)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidValue) as error:
        raise BadPayload(f"the order cannot be read: {error!r}") from error


def _parse(document: dict[str, Any], seen_at: datetime) -> OrderSight:
    status, currency = _text(document["status"]), _text(document["currency"])
    mapped = STATUS_TABLE.look_up(status)
    lines = document.get("lines")
    cancelled_at, ship_by = document["cancelled_at"], document.get("ship_by")
    sights = tuple(_parse_line(line, currency) for line in lines or ())
    facts = OrderFacts(
        channel_order_number=_text(document["id"]),
        channel_status=status,
        state=OrderState(mapped.value) if mapped.value else None,
        unmapped_codes=(mapped.unmapped,) if mapped.unmapped else (),
        placed_at=_instant(document["placed_at"]),
        cancelled_at=None if cancelled_at is None else _instant(cancelled_at),
        ship_by=None if ship_by is None else _instant(ship_by),
        currency=currency,
        total=Money.parse(_text(document["total"]), currency),
        fulfilled_by="channel" if document["fulfilled_by"] == "channel" else "seller",
        is_test=document["test"] is True,
        channel_holds=tuple(_text(hold) for hold in document["holds"]),
        buyer=_parse_buyer(document["buyer"]),
        line_ids=None if lines is None else tuple(line.channel_line_id for line in sights),
        is_complete=lines is not None,
    )
    version = Version(_instant(document["updated_at"]), seen_at)
    return OrderSight(
        channel_order_id=_text(document["id"]), version=version, facts=facts, lines=sights
    )


def _parse_buyer(buyer: dict[str, Any]) -> Person:
    buyer_id = buyer.get("id")
    return Person(
        name=_text(buyer["name"]),
        channel_buyer_id=None if buyer_id is None else _text(buyer_id),
    )


def _parse_summary(document: dict[str, Any], seen_at: datetime) -> OrderSight:
    status = _text(document["status"])
    mapped = STATUS_TABLE.look_up(status)
    sights = tuple(
        LineSight(
            channel_line_id=_text(line["id"]),
            channel_listing_id=_text(line["listing"]),
            channel_sku=_text(line["sku"]),
            quantity_ordered=line["ordered"],
            quantity_cancelled=line["cancelled"],
            is_stocked=line["stocked"] is True,
        )
        for line in document["lines"]
    )
    facts = OrderFacts(
        channel_status=status,
        state=OrderState(mapped.value) if mapped.value else None,
        unmapped_codes=(mapped.unmapped,) if mapped.unmapped else (),
        placed_at=_instant(document["placed_at"]),
        fulfilled_by="channel" if document["fulfilled_by"] == "channel" else "seller",
        is_test=document["test"] is True,
        line_ids=tuple(line.channel_line_id for line in sights),
    )
    version = Version(_instant(document["updated_at"]), seen_at)
    return OrderSight(
        channel_order_id=_text(document["id"]), version=version, facts=facts, lines=sights
    )


def _parse_line(line: dict[str, Any], currency: str) -> LineSight:
    return LineSight(
        channel_line_id=_text(line["id"]),
        channel_listing_id=_text(line["listing"]),
        channel_sku=_text(line["sku"]),
        quantity_ordered=line["ordered"],
        quantity_cancelled=line["cancelled"],
        quantity_shipped=line["shipped"],
        quantity_returned=line["returned"],
        quantity_restocked=line["restocked"],
        unit_price=Money.parse(_text(line["price"]), currency),
        is_stocked=line["stocked"] is True,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a text")
    return value


def _instant(value: Any) -> datetime:
    at = datetime.fromisoformat(_text(value))
    if at.tzinfo is None:
        raise ValueError(f"{value!r} names no time zone")
    return at


def _no_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("one key stands twice")
    return document


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number anybody can count with")
