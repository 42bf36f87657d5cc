"""Shipments from CSV: `order,sku,quantity,carrier,tracking[,service,shipped_at]`, again and again.

Rows of one order with one carrier, tracking, service and time are one shipment. Its id follows from
these, so that a file imported twice ships once.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime

from oms_sync.domain.errors import DomainError
from oms_sync.domain.shipment import Package, Shipment
from oms_sync.flows.commands.context import CommandContext, CommandRefused, Fault
from oms_sync.flows.commands.csv_rows import (
    Columns,
    Row,
    check_faults,
    keys_of_faults,
    parse_rows,
    read_rows,
)
from oms_sync.flows.commands.shipments import Dispatch, PackingBench
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import StoredOrder

COLUMNS = Columns(
    required=("order", "sku", "quantity", "carrier", "tracking"),
    optional=("service", "shipped_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentsImported:
    """What an import did."""

    made: tuple[Shipment, ...]
    #: shipments an earlier import made
    known: int
    skipped: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One row: units of one SKU in one package of one order."""

    order: str
    sku: str
    quantity: int
    package: Package
    service: str | None
    shipped_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One shipment the file asks for."""

    line: int
    order_id: str
    dispatch: Dispatch


def import_shipments(
    context: CommandContext, content: bytes, *, file: str, skip_bad: bool = False
) -> ShipmentsImported:
    """Ship every row in one transaction; raises BadFile, then nothing was changed."""
    rows, faults = read_rows(content, file=file, columns=COLUMNS)
    parsed = parse_rows(rows, _part, file=file, faults=faults)
    check_faults(faults, skip_bad=skip_bad)
    bad = keys_of_faults(rows, faults, ("order", "tracking"))
    parsed = [
        (line, part)
        for line, part in parsed
        if (part.order, part.package.tracking_number or "") not in bad
    ]
    with context.open_work() as work:
        orders = _lock_orders(work, {part.order for _, part in parsed})
        wanted = _group(parsed, orders, file=file, faults=faults)
        known = work.shipments.get(_shipment_id(one) for one in wanted)
        by_id = {order.order_id: order for order in orders.values()}
        bench = PackingBench(context, work, by_id.values())
        made: list[Shipment] = []
        for one in wanted:
            shipment_id = _shipment_id(one)
            try:
                if shipment_id in known:
                    _check_same(known[shipment_id], one, by_id[one.order_id])
                else:
                    dispatch = replace(one.dispatch, shipment_id=shipment_id)
                    made.append(bench.pack(one.order_id, dispatch))
            except (DomainError, CommandRefused) as error:
                faults.append(Fault(file=file, line=one.line, reason=str(error)))
        check_faults(faults, skip_bad=skip_bad)
        bench.store()
        work.commit()
    return ShipmentsImported(made=tuple(made), known=len(known), skipped=tuple(faults))


def _part(row: Row) -> _Part:
    return _Part(
        order=row.text("order"),
        sku=row.text("sku"),
        quantity=row.units("quantity"),
        package=Package(carrier=row.text("carrier"), tracking_number=row.cells["tracking"] or None),
        service=row.cells["service"] or None,
        shipped_at=row.optional("shipped_at", Row.time),
    )


def _lock_orders(work: UnitOfWork, names: set[str]) -> dict[str, StoredOrder]:
    """The orders by the name the file gives them, locked in the order of their ids."""
    by_account: dict[str, list[str]] = {}
    ids = {name: name for name in names}
    for name in sorted(names):
        account, colon, channel_order_id = name.partition(":")
        if colon:
            by_account.setdefault(account, []).append(channel_order_id)
    for account, channel_order_ids in sorted(by_account.items()):
        found = work.orders.ids_by_channel_ids(account, channel_order_ids)
        ids |= {f"{account}:{channel_id}": order_id for channel_id, order_id in found.items()}
    locked = work.orders.lock(sorted(set(ids.values())))
    return {name: locked[order_id] for name, order_id in ids.items() if order_id in locked}


def _group(
    parsed: list[tuple[int, _Part]],
    orders: dict[str, StoredOrder],
    *,
    file: str,
    faults: list[Fault],
) -> list[_Wanted]:
    """One shipment per order, package, service and time, in the sequence of the file."""
    groups: dict[tuple[object, ...], _Wanted] = {}
    for line, part in parsed:
        order = orders.get(part.order)
        if order is None:
            faults.append(Fault(file=file, line=line, reason=f"there is no order {part.order!r}"))
            continue
        key = (order.order_id, part.package, part.service, part.shipped_at)
        before = groups.get(key)
        lines = dict(before.dispatch.lines) if before else {}
        lines[part.sku] = lines.get(part.sku, 0) + part.quantity
        groups[key] = _Wanted(
            line=before.line if before else line,
            order_id=order.order_id,
            dispatch=Dispatch(
                packages=(part.package,),
                lines=lines,
                service=part.service,
                shipped_at=part.shipped_at,
            ),
        )
    return list(groups.values())


def _shipment_id(wanted: _Wanted) -> str:
    """The same for the same package of the same order; without tracking, for the same lines."""
    dispatch = wanted.dispatch
    package = dispatch.packages[0]
    content = [
        wanted.order_id,
        package.carrier,
        package.tracking_number,
        dispatch.service,
        dispatch.shipped_at.isoformat() if dispatch.shipped_at else None,
        None if package.tracking_number else sorted(dispatch.lines.items()),
    ]
    return "import-" + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _check_same(known: Shipment, wanted: _Wanted, order: StoredOrder) -> None:
    """Refuses a package that was imported before with other units."""
    names = {
        line.line_id: (line.sku, line.line_id, line.channel_line_id, seen.line.channel_sku)
        for line, seen in zip(order.lines, order.known.lines, strict=True)
    }
    left = dict(wanted.dispatch.lines)
    for line in known.lines:
        name = next((name for name in names[line.line_id] if name in left), None)
        if name is not None:
            left[name] -= line.quantity
    shipped = sum(line.quantity for line in known.lines)
    if any(left.values()) or shipped != sum(wanted.dispatch.lines.values()):
        number = wanted.dispatch.packages[0].tracking_number
        raise CommandRefused(
            f"package {number} was imported before with other units; a shipment cannot be changed"
        )
