"""Orders our own people type in or import: phone, e-mail, B2B. One JSON shape, ours on both ends.

They take the same way as every other order: inbox, merge, reservation. Their lines name our SKUs.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.values import Address, Money, Person, parse_sku
from oms_sync.sdk import BadPayload

MANUAL = "manual"
"""Connector id and account name of orders that come from no channel."""


def parse_manual_order(body: bytes, seen_at: datetime) -> OrderSight:
    """Read one imported order; raises BadPayload when it is not what `orders import` writes.

    Keys: `channel_order_id`, `placed_at`, `currency`, `lines` of `line_id`, `sku`, `quantity`,
    and optionally `title`, `unit_price`; `ship_by`, `service`, `recipient`, `is_cancelled`.
    """
    try:
        order = json.loads(body, parse_float=str)
        currency = order["currency"]
        lines = tuple(_line(line, currency) for line in order["lines"])
        is_cancelled = bool(order.get("is_cancelled", False))
        return OrderSight(
            channel_order_id=order["channel_order_id"],
            version=Version(at=seen_at, seen_at=seen_at),
            facts=OrderFacts(
                channel_order_number=order["channel_order_id"],
                channel_status="cancelled" if is_cancelled else "imported",
                state=OrderState.CANCELLED if is_cancelled else OrderState.OPEN,
                placed_at=datetime.fromisoformat(order["placed_at"]),
                ship_by=datetime.fromisoformat(order["ship_by"]) if order.get("ship_by") else None,
                currency=currency,
                total=_total(lines, currency),
                fulfilled_by="seller",
                is_test=False,
                shipping_service=order.get("service"),
                recipient=_recipient(order.get("recipient")),
                line_ids=tuple(line.channel_line_id for line in lines),
                is_complete=True,
            ),
            lines=lines,
        )
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        InvalidValue,
    ) as error:
        raise BadPayload(f"an imported order cannot be read: {error}") from error


def _line(line: Mapping[str, Any], currency: str) -> LineSight:
    price = line.get("unit_price")
    return LineSight(
        channel_line_id=line["line_id"],
        channel_sku=parse_sku(line["sku"]),
        title=line.get("title"),
        quantity_ordered=line["quantity"],
        quantity_cancelled=0,
        unit_price=Money.parse(price, currency) if price is not None else None,
        is_stocked=True,
    )


def _total(lines: tuple[LineSight, ...], currency: str) -> Money | None:
    total = Money.zero(currency)
    for line in lines:
        if line.unit_price is None or line.quantity_ordered is None:
            return None
        total += line.unit_price.times(line.quantity_ordered)
    return total


def _recipient(recipient: Mapping[str, Any] | None) -> Person | None:
    if not recipient:
        return None
    return Person(
        name=recipient.get("name"),
        company=recipient.get("company"),
        email=recipient.get("email"),
        phone=recipient.get("phone"),
        address=Address(
            lines=tuple(recipient.get("lines", ())),
            city=recipient.get("city"),
            region=recipient.get("region"),
            postal_code=recipient.get("postal_code"),
            country=recipient.get("country"),
        ),
    )
