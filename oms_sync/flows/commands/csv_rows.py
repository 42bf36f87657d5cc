"""CSV in and out: strict about what comes in, harmless to spreadsheets in what goes out.

Knows no table of ours; refuses files that are too big, badly encoded, or of another shape.
"""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.values import QUANTITY_MAX
from oms_sync.flows.commands.context import BadFile, Fault

BYTES_MAX = 20_000_000
ROWS_MAX = 100_000
FAULTS_MAX = 200

# What a spreadsheet takes for a formula; apostrophes before it are our own mark, doubled.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - full-width signs count too
_MARKED = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - full-width signs count too
_WHOLE_NUMBER = re.compile("[0-9]{1,10}")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns a file must and may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The header as the documentation writes it: a,b[,c]."""
        return ",".join(self.required) + "".join(f"[,{name}]" for name in self.optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: where it stands and what its cells say, trimmed; absent columns are empty."""

    line: int
    cells: Mapping[str, str]

    def text(self, name: str) -> str:
        """The cell, which may not be empty."""
        cell = self.cells[name]
        if not cell:
            raise InvalidValue(f"{name} is empty")
        return cell

    def optional(self, name: str, read: Callable[["Row", str], Value]) -> Value | None:
        """`read` the cell, None where it is empty."""
        return read(self, name) if self.cells[name] else None

    def whole_number(self, name: str) -> int:
        """A whole number from 0 to QUANTITY_MAX, in plain digits."""
        cell = self.text(name)
        if not _WHOLE_NUMBER.fullmatch(cell) or int(cell) > QUANTITY_MAX:
            raise InvalidValue(f"{name} must be a whole number from 0 to {QUANTITY_MAX}: {cell!r}")
        return int(cell)

    def units(self, name: str) -> int:
        """A whole number of at least 1."""
        number = self.whole_number(name)
        if number == 0:
            raise InvalidValue(f"{name} must be at least 1")
        return number

    def amount(self, name: str) -> Decimal:
        """A decimal amount such as 12.50."""
        cell = self.text(name)
        if not _AMOUNT.fullmatch(cell):
            raise InvalidValue(f"{name} must be an amount such as 12.50: {cell!r}")
        return Decimal(cell)

    def time(self, name: str) -> datetime:
        """An instant with its zone, in UTC."""
        return read_time(self.text(name), name)


def read_time(text: str, name: str) -> datetime:
    """An RFC 3339 instant with its zone, in UTC; raises InvalidValue."""
    remedy = f"{name} must be a time with its zone, such as 2026-05-01T14:30:00Z: {text!r}"
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise InvalidValue(remedy)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidValue(remedy) from error


def read_rows(content: bytes, *, file: str, columns: Columns) -> tuple[list[Row], list[Fault]]:
    """The rows of a CSV file and the faults of those that cannot be read.

    Raises BadFile where the file as a whole cannot be read: too big, not UTF-8, a wrong header.
    """
    text = _decode(content, file)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = _header(reader, file, columns)
    rows: list[Row] = []
    faults: list[Fault] = []
    begin = reader.line_num + 1
    for cells in _records(reader, file):
        line, begin = begin, reader.line_num + 1
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            reason = f"{len(cells)} cells where the header has {len(header)}"
            faults.append(Fault(file=file, line=line, reason=reason))
        else:
            named = dict.fromkeys((*columns.required, *columns.optional), "")
            named |= {name: _restore(cell) for name, cell in zip(header, cells, strict=True)}
            rows.append(Row(line=line, cells=named))
        if len(rows) > ROWS_MAX:
            reason = f"more than {ROWS_MAX} rows; split the file"
            raise BadFile([Fault(file=file, line=line, reason=reason)])
    return rows, faults


def parse_rows(
    rows: Iterable[Row], parse: Callable[[Row], Value], *, file: str, faults: list[Fault]
) -> list[tuple[int, Value]]:
    """Each good row parsed, with its line; what is bad goes to `faults`."""
    parsed: list[tuple[int, Value]] = []
    for row in rows:
        try:
            parsed.append((row.line, parse(row)))
        except InvalidValue as error:
            faults.append(Fault(file=file, line=row.line, reason=str(error)))
    return parsed


def keys_of_faults(
    rows: Iterable[Row], faults: Iterable[Fault], names: tuple[str, ...]
) -> set[tuple[str, ...]]:
    """What the bad rows belong to, so that nothing is imported in part."""
    bad = {fault.line for fault in faults}
    return {tuple(row.cells[name] for name in names) for row in rows if row.line in bad}


def check_faults(faults: Sequence[Fault], *, skip_bad: bool) -> None:
    """Raise BadFile for any fault unless bad rows are to be skipped."""
    if faults and not skip_bad:
        ordered = sorted(faults, key=lambda fault: fault.line)
        shown = ordered[:FAULTS_MAX]
        if len(ordered) > FAULTS_MAX:
            more = f"{len(ordered) - FAULTS_MAX} more bad rows from here on"
            shown.append(Fault(file=shown[-1].file, line=ordered[FAULTS_MAX].line, reason=more))
        raise BadFile(shown)


def write_rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """CSV text, record by record: every cell quoted, formulas made inert."""
    for cells in itertools.chain([header], rows):
        buffer = io.StringIO()
        csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(
            [neutralise("" if cell is None else str(cell)) for cell in cells]
        )
        yield buffer.getvalue()


def neutralise(cell: str) -> str:
    """The cell so that no spreadsheet runs it; `read_rows` takes the mark off again."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _restore(cell: str) -> str:
    trimmed = cell.strip()
    return trimmed[1:] if _MARKED.match(trimmed) else trimmed


def _decode(content: bytes, file: str) -> str:
    if len(content) > BYTES_MAX:
        reason = f"the file has more than {BYTES_MAX} bytes; split it"
        raise BadFile([Fault(file=file, line=1, reason=reason)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFile(
            [Fault(file=file, line=line, reason="not UTF-8; save it as UTF-8")]
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BadFile([Fault(file=file, line=line, reason="NUL bytes; this is no CSV text")])
    return text


def _records(reader: Any, file: str) -> Iterator[list[str]]:
    """The records of a csv.reader, which has no public type."""
    try:
        yield from reader
    except csv.Error as error:
        fault = Fault(file=file, line=reader.line_num, reason=f"not CSV: {error}")
        raise BadFile([fault]) from error


def _header(reader: Any, file: str, columns: Columns) -> list[str]:
    header = [name.strip().lower() for name in next(_records(reader, file), [])]
    allowed = (*columns.required, *columns.optional)
    doubled = sorted({name for name in header if header.count(name) > 1})
    unknown = [name for name in header if name not in allowed]
    absent = [name for name in columns.required if name not in header]
    for what, names in (("twice", doubled), ("unknown", unknown), ("missing", absent)):
        if names:
            reason = f"columns {what}: {', '.join(names)[:200]}; the header is {columns.text}"
            raise BadFile([Fault(file=file, line=1, reason=reason)])
    return header
