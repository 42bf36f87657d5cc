"""Orders as CSV, one row a line: taken by phone or on paper coming in, everything going out.

What comes in becomes inbox messages of the account `manual`, in the JSON `flows/manual.py` reads.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.values import Money, currency_exponent, parse_sku
from oms_sync.flows.commands.context import (
    CommandContext,
    Fault,
)
from oms_sync.flows.commands.csv_rows import (
    Columns,
    Row,
    check_faults,
    keys_of_faults,
    parse_rows,
    read_rows,
    write_rows,
)
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.records import MessageSource, NewMessage

LINES_MAX = 1_000

_PERSON = ("name", "company", "email", "phone")
_ADDRESS = ("address1", "address2", "city", "region", "postal_code", "country")
COLUMNS = Columns(
    required=("order", "placed_at", "currency", "sku", "quantity"),
    optional=("title", "unit_price", "ship_by", "service", "cancelled", *_PERSON, *_ADDRESS),
)
_COUNTRY = re.compile("[A-Z]{2}")
_ANSWERS = {"": False, "no": False, "yes": True}

_OUT = (
    *("account", "channel_order_id", "order_id", "channel_order_number", "state", "placed_at"),
    *("ship_by", "currency", "total", "tax", "tax_remitted", "import_tax_number"),
    *("line_id", "channel_sku", "sku", "title"),
    *("quantity_ordered", "quantity_cancelled", "quantity_reserved", "quantity_short"),
    *("quantity_shipped", "quantity_returned", "unit_price"),
)
_OUT_REVEALED = (
    *("buyer_name", "buyer_email", "buyer_phone"),
    *("recipient_name", "recipient_company", "recipient_email", "recipient_phone"),
    *("address", "city", "region", "postal_code", "country", "buyer_note", "erased_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersImported:
    """What an import did."""

    #: orders taken in as messages; equal ones already merged are not among them
    accepted: int
    orders: int
    skipped: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One row: a line, and what it says of its order."""

    order: str
    line: dict[str, Any]
    facts: dict[str, Any]


def import_orders(
    context: CommandContext, content: bytes, *, file: str, skip_bad: bool = False
) -> OrdersImported:
    """Take the file's orders in, in one transaction; raises BadFile, then nothing was changed."""
    rows, faults = read_rows(content, file=file, columns=COLUMNS)
    parsed = parse_rows(rows, _part, file=file, faults=faults)
    now = context.clock.now()
    with context.open_work() as work:
        skus = {parse_sku(part.line["sku"]) for _, part in parsed}
        unknown = skus - work.stock.known(skus)
        payloads = _group(parsed, unknown, file=file, faults=faults)
        for (order,) in keys_of_faults(rows, faults, ("order",)):
            payloads.pop(order, None)
        check_faults(faults, skip_bad=skip_bad)
        accepted = work.inbox.add(
            [
                NewMessage(
                    account=MANUAL,
                    topic="order",
                    source=MessageSource.IMPORT,
                    body=json.dumps(payload, sort_keys=True, ensure_ascii=False).encode(),
                    received_at=now,
                    channel_order_id=order,
                    headers={"actor": context.actor},
                )
                for order, payload in payloads.items()
            ]
        )
        work.wake("normalise", MANUAL)
        work.commit()
    return OrdersImported(accepted=accepted, orders=len(payloads), skipped=tuple(faults))


def export_orders(orders: Iterable[Mapping[str, Any]], *, is_revealed: bool) -> Iterator[str]:
    """Order reports as CSV, one row a line; personal data only when `is_revealed`."""
    header = (*_OUT, *_OUT_REVEALED) if is_revealed else _OUT
    return write_rows(header, (row for order in orders for row in _out(order, is_revealed)))


def _out(order: Mapping[str, Any], is_revealed: bool) -> Iterator[list[object]]:
    shared = {**order, "order_id": order["id"], **(_people(order) if is_revealed else {})}
    for line in order["lines"]:
        cells = {**shared, **line}
        yield [cells.get(name) for name in (*_OUT, *(_OUT_REVEALED if is_revealed else ()))]


def _people(order: Mapping[str, Any]) -> dict[str, object]:
    buyer, recipient = order.get("buyer") or {}, order.get("recipient") or {}
    address = recipient.get("address") or {}
    return {
        **{f"buyer_{name}": buyer.get(name) for name in ("name", "email", "phone")},
        **{f"recipient_{name}": recipient.get(name) for name in _PERSON},
        "address": "\n".join(address.get("lines") or ()),
        **{name: address.get(name) for name in ("city", "region", "postal_code", "country")},
    }


def _part(row: Row) -> _Part:
    currency = row.text("currency").upper()
    price = row.optional("unit_price", Row.amount)
    if price is not None:
        Money(price, currency).minor()
    ship_by = row.optional("ship_by", Row.time)
    is_cancelled = _ANSWERS.get(row.cells["cancelled"].lower())
    if is_cancelled is None:
        raise InvalidValue(f"cancelled must be yes, no or empty: {row.cells['cancelled']!r}")
    currency_exponent(currency)
    return _Part(
        order=row.text("order"),
        facts={
            "placed_at": row.time("placed_at").isoformat(),
            "currency": currency,
            "ship_by": ship_by.isoformat() if ship_by else None,
            "service": row.cells["service"] or None,
            "is_cancelled": is_cancelled,
            "recipient": _recipient(row),
        },
        line={
            "sku": parse_sku(row.text("sku")),
            "title": row.cells["title"] or None,
            "quantity": row.units("quantity"),
            "unit_price": str(price) if price is not None else None,
        },
    )


def _recipient(row: Row) -> dict[str, Any] | None:
    cells = row.cells
    if not any(cells[name] for name in (*_PERSON, *_ADDRESS)):
        return None
    country = cells["country"].upper()
    if country and not _COUNTRY.fullmatch(country):
        raise InvalidValue(f"country must be two letters such as US: {cells['country']!r}")
    plain = (*_PERSON, "city", "region", "postal_code")
    return {
        **{name: cells[name] or None for name in plain},
        "country": country or None,
        "lines": [cells[name] for name in ("address1", "address2") if cells[name]],
    }


def _group(
    parsed: list[tuple[int, _Part]], unknown: set[Any], *, file: str, faults: list[Fault]
) -> dict[str, dict[str, Any]]:
    """One payload per order; rows that do not fit go to `faults`."""
    payloads: dict[str, dict[str, Any]] = {}
    for line, part in parsed:
        payload = payloads.setdefault(
            part.order, {"channel_order_id": part.order, **part.facts, "lines": []}
        )
        reason = _objection(part, payload, unknown)
        if reason:
            faults.append(Fault(file=file, line=line, reason=reason))
            continue
        payload["lines"].append({**part.line, "line_id": _line_name(part, payload)})
    return payloads


def _objection(part: _Part, payload: Mapping[str, Any], unknown: set[Any]) -> str:
    if part.line["sku"] in unknown:
        return f"nobody knows the SKU {part.line['sku']!r}; count it first: oms-sync stock set"
    if len(payload["lines"]) >= LINES_MAX:
        return f"order {part.order} has more than {LINES_MAX} lines"
    for name, value in part.facts.items():
        if value is not None and payload[name] != value:
            return f"{name} differs from an earlier row of order {part.order}"
    return ""


def _line_name(part: _Part, payload: Mapping[str, Any]) -> str:
    """The line's own id within its order: its SKU, numbered where the SKU comes again."""
    before = sum(1 for line in payload["lines"] if line["sku"] == part.line["sku"])
    return f"{part.line['sku']}#{before + 1}" if before else str(part.line["sku"])
