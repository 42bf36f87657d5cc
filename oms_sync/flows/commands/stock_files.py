"""Stock as CSV: `sku,location,on_hand[,safety_stock]`, each row a count; and out again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oms_sync.domain.values import Sku, parse_sku
from oms_sync.flows.commands.context import CommandContext, CommandRefused, Fault
from oms_sync.flows.commands.csv_rows import (
    Columns,
    Row,
    check_faults,
    parse_rows,
    read_rows,
    write_rows,
)
from oms_sync.flows.commands.stock import Booked, Change, ChangesRefused, book

COLUMNS = Columns(required=("sku", "location", "on_hand"), optional=("safety_stock",))


@dataclass(frozen=True, slots=True, kw_only=True)
class StockImported:
    """What an import did."""

    booked: tuple[Booked, ...]
    skipped: tuple[Fault, ...]


def import_stock(
    context: CommandContext, content: bytes, *, file: str, skip_bad: bool = False
) -> StockImported:
    """Count every row's SKU in one transaction; raises BadFile, then nothing was changed."""
    rows, faults = read_rows(content, file=file, columns=COLUMNS)
    parsed = parse_rows(rows, lambda row: _change(row, file), file=file, faults=faults)
    changes: dict[tuple[Sku, str], Change] = {}
    for line, change in parsed:
        try:
            context.check_location(change.location)
        except CommandRefused as error:
            faults.append(Fault(file=file, line=line, reason=str(error)))
            continue
        first = changes.setdefault((change.sku, change.location), change)
        if first is not change:
            reason = f"{change.sku} at {change.location} stands already in line {first.line}"
            faults.append(Fault(file=file, line=line, reason=reason))
    check_faults(faults, skip_bad=skip_bad)
    try:
        booked, refused = book(context, list(changes.values()), skip_bad=skip_bad)
    except ChangesRefused as error:
        check_faults(_faults(error.refused, file), skip_bad=False)
        raise
    return StockImported(booked=booked, skipped=(*faults, *_faults(refused, file)))


def export_stock(stock: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The stock report as the CSV that `import_stock` reads; what was never counted is left out."""
    header = (*COLUMNS.required, *COLUMNS.optional)
    return write_rows(
        header,
        (
            (entry["sku"], place["code"], place["on_hand"], place["safety_stock"])
            for entry in stock
            for place in entry["locations"]
            if place["counted"]
        ),
    )


def _change(row: Row, file: str) -> Change:
    return Change(
        sku=parse_sku(row.text("sku")),
        location=row.text("location"),
        count=row.whole_number("on_hand"),
        safety_stock=row.optional("safety_stock", Row.whole_number),
        reason=f"count imported from {file}",
        source=f"import:{file}",
        line=row.line,
    )


def _faults(refused: Iterable[tuple[Change, str]], file: str) -> list[Fault]:
    return [Fault(file=file, line=change.line, reason=reason) for change, reason in refused]
