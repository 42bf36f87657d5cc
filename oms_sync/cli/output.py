"""How commands speak: tables for people, one JSON document for programs, reasons on standard error.

Colours and bars appear on a terminal only; nothing a channel sent can steer the terminal.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

COLUMNS_MAX = 100
CELL_MAX = 400
ID_KEYS = frozenset({"id", "shipment_id", "name", "account"})
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_TIME_LENGTH_MIN = len("2026-01-01T00:00:00Z")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show personal data, too. Who did so is logged.")
]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Import the good rows although others are bad."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to this file instead of standard output."),
]


def say(text: str) -> None:
    """One plain line on standard output."""
    _console(sys.stdout).print(Text(clean(text)), soft_wrap=True)


def complain(text: str, *, style: str = "red") -> None:
    """A reason on standard error, line by line."""
    console = _console(sys.stderr)
    for line in text.splitlines() or [""]:
        console.print(Text(clean(line), style=style), soft_wrap=True)


def note(text: str) -> None:
    """Something worth knowing that is no failure, on standard error."""
    complain(text, style="yellow")


def show_json(document: object) -> None:
    """The one JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def show_table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]], *, none: str) -> None:
    """Rows as a table; `columns` maps keys to headings, one ending in `#` is a number.

    `none` is what is said where there are no rows.
    """
    listed = list(rows)
    if not listed:
        note(none)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        side: Literal["right", "left"] = "right" if heading.endswith("#") else "left"
        # What is broken over two lines cannot be copied: ids and accounts keep their width.
        width = max((len(row_id) for row_id in _ids(listed, columns, heading)), default=0)
        table.add_column(
            heading.removesuffix("#"), justify=side, overflow="fold", min_width=width or None
        )
    for row in listed:
        table.add_row(*(Text(cell_text(row.get(key)), overflow="fold") for key in columns))
    _console(sys.stdout).print(table)


def _ids(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], heading: str
) -> Iterable[str]:
    """The ids under `heading`, where its key says that it holds ids."""
    keys = [key for key, title in columns.items() if title == heading and key in ID_KEYS]
    return (cell_text(row.get(key)) for row in rows for key in keys)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one a line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name.replace("_", " ")), Text(cell_text(value)))
    _console(sys.stdout).print(table)


def show_heading(text: str) -> None:
    """A heading above a table."""
    _console(sys.stdout).print(Text(f"\n{clean(text)}", style="bold"))


def cell_text(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={cell_text(one)}" for name, one in value.items())
    return clean(short_time(str(value)))[:CELL_MAX]


def short_time(text: str) -> str:
    """An RFC 3339 instant without its `T`, its fractions and its zone (always UTC)."""
    if len(text) < _TIME_LENGTH_MIN or not text.endswith("Z") or not text[:4].isdigit():
        return text
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return text
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def clean(text: str) -> str:
    """The text without characters that steer a terminal or hide what is written."""
    return "".join(
        "�" if unicodedata.category(character) in _UNSAFE_CATEGORIES else character
        for character in text
    )


def write_text(chunks: Iterable[str], output: Path | None) -> None:
    """Text to a new or replaced file, else to standard output; the file is whole or not there.

    Half a character, which UTF-8 cannot hold, is written as its code.
    """
    if output is None:
        for chunk in chunks:
            sys.stdout.write(chunk)
        return
    write_file(output, "".join(chunks).encode(errors="backslashreplace"))


def write_file(output: Path, content: bytes) -> None:
    """Write a file readable by its owner alone, whole or not at all."""
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def long_work(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows work under way on standard error: a bar on a terminal, plain lines elsewhere.

    Yields a function that is told how much is done so far.
    """
    console = _console(sys.stderr)
    if not console.is_terminal:
        complain(f"{label} …", style="")
        done = 0

        def note_done(count: int) -> None:
            nonlocal done
            done = count

        yield note_done
        complain(f"{label}: {done} done", style="")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.update(task, completed=count)


def show_faults(faults: Sequence[object]) -> None:
    """The rows an import left out."""
    for fault in faults:
        note(f"skipped: {fault}")


def _console(file: Any) -> Console:
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    width = min(console.width, COLUMNS_MAX) if console.is_terminal else COLUMNS_MAX
    return Console(file=file, highlight=False, markup=False, emoji=False, width=width)
