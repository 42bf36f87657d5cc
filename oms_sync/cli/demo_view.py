"""What the demo shows while it runs: a live panel on a terminal, plain lines elsewhere.

Draws a `Scene` and knows nothing else; colours follow the terminal and NO_COLOR.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TextIO

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from oms_sync.cli.demo_statement import ChannelComparison, Comparison, Statement
from oms_sync.cli.output import clean

COLUMNS: Final = 100
REFRESHES_PER_SECOND: Final = 4
SPARK_SAMPLES: Final = 48
SKU_WIDTH: Final = 18
NUMBER_WIDTH: Final = 6
HEAD_BAR: Final = 14
ORDER_BAR: Final = 16
STOCK_BAR: Final = 14
FAULT_COLUMNS: Final = 12
FAULT_WIDTH: Final = 6
_BARS: Final = "▁▂▃▄▅▆▇█"
_SLOW_MS: Final = 1_000.0
_VERY_SLOW_MS: Final = 5_000.0
#: no plain line more often than this
LINE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """One account as it stands."""

    account: str
    placed: int
    refused: int
    pushes: int
    is_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRow:
    """One SKU: what is left to sell in truth, and what each channel offers."""

    sku: str
    initial: int
    left: int
    offered: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything on show at one moment."""

    phase: str
    elapsed_seconds: float
    seconds: float | None
    address: str
    database: str
    channels: Sequence[ChannelRow]
    stock: Sequence[StockRow]
    orders_in_hub: int
    skus_sold_out: int
    shipments: int
    #: newest last, milliseconds
    lags: Sequence[float] = ()
    faults: Mapping[str, int] = field(default_factory=dict)


class View(Protocol):
    """Somewhere scenes are shown."""

    def show(self, scene: Scene) -> None:
        """Show how things stand now."""
        ...

    def say(self, text: str) -> None:
        """One line about what happens."""
        ...


@contextmanager
def open_view(file: TextIO, *, is_plain: bool = False) -> Iterator[View]:
    """The live panel where `file` is a terminal with colours, else plain lines."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if is_plain or not console.is_terminal or console.no_color or console.is_dumb_terminal:
        yield _PlainView(Console(file=file, highlight=False, markup=False, width=COLUMNS))
        return
    with Live(
        console=console, auto_refresh=True, refresh_per_second=REFRESHES_PER_SECOND, transient=True
    ) as live:
        yield _LiveView(live)


class _LiveView:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, scene: Scene) -> None:
        self._live.update(panel(scene))

    def say(self, text: str) -> None:
        self._live.console.print(Text(clean(text), style="dim"))


class _PlainView:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = -LINE_SECONDS

    def show(self, scene: Scene) -> None:
        if 0 <= scene.elapsed_seconds - self._shown_at < LINE_SECONDS:
            return
        self._shown_at = scene.elapsed_seconds
        self.say(plain_line(scene))

    def say(self, text: str) -> None:
        self._console.print(Text(clean(text)), soft_wrap=True)


def plain_line(scene: Scene) -> str:
    """The scene in one line."""
    channels = "  ".join(
        f"{row.account} {row.placed} orders, {row.pushes} pushes" for row in scene.channels
    )
    lag = f"{scene.lags[-1]:.0f} ms" if scene.lags else "–"
    fired = sum(scene.faults.values())
    faults = f"  {fired} faults" if fired else ""
    return (
        f"{scene.phase} {scene.elapsed_seconds:6.1f} s  {channels}  "
        f"in hub {scene.orders_in_hub}  shipped {scene.shipments}  "
        f"sold out {scene.skus_sold_out}  lag {lag}{faults}"
    )


def sparkline(values: Sequence[float]) -> str:
    """The newest values as bars between nothing and the highest."""
    newest = values[-SPARK_SAMPLES:]
    highest = max(newest, default=0.0) or 1.0
    return "".join(_BARS[min(7, int(value / highest * 7.999))] for value in newest)


def panel(scene: Scene) -> Panel:
    """The whole picture."""
    parts: list[Any] = [_headline(scene), Text(""), _channels(scene), Text(""), _stock(scene)]
    parts += [Text(""), _lag(scene)]
    if scene.faults:
        parts.append(_faults(scene))
    footer = f"hub {scene.address} · health {scene.address}/readyz · {scene.database}"
    return Panel(
        Group(*parts),
        title=Text(" oms-sync demo ", style="bold cyan"),
        subtitle=Text(f" {footer} ", style="dim"),
        border_style="cyan",
        box=box.ROUNDED,
        width=COLUMNS,
        padding=(0, 1),
    )


def _headline(scene: Scene) -> Table:
    """Phase and time on the left, what was reached on the right."""
    left = Text()
    left.append(f"{scene.phase:<9}", style="bold green" if scene.phase == "selling" else "bold")
    if scene.seconds is None:
        left.append(f" {scene.elapsed_seconds:.0f} s · Ctrl-C ends it", style="dim")
    else:
        share = min(1.0, scene.elapsed_seconds / scene.seconds)
        left.append(" ").append_text(_bar(share, HEAD_BAR, "green"))
        left.append(f" {scene.elapsed_seconds:.0f} of {scene.seconds:.0f} s", style="dim")
    right = Text()
    behind = sum(row.placed for row in scene.channels) - scene.orders_in_hub
    right.append(f"{scene.orders_in_hub}", style="bold green" if behind < 1 else "bold yellow")
    right.append(" orders in the hub   ")
    right.append(f"{scene.shipments}", style="bold magenta").append(" shipments   ")
    right.append(f"{scene.skus_sold_out}", style="bold yellow").append(" SKUs sold out")
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(left, right)
    return line


def _channels(scene: Scene) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    table.add_column("channel", min_width=SKU_WIDTH)
    table.add_column("orders", justify="right", min_width=NUMBER_WIDTH)
    table.add_column("", min_width=ORDER_BAR)
    table.add_column("found sold out", justify="right")
    table.add_column("quantities pushed", justify="right")
    table.add_column("", min_width=NUMBER_WIDTH)
    most = max((row.placed for row in scene.channels), default=0) or 1
    for row in scene.channels:
        table.add_row(
            Text(clean(row.account), style="cyan"),
            str(row.placed),
            Text("▇" * round(ORDER_BAR * row.placed / most), style="cyan"),
            Text(str(row.refused), style="dim"),
            str(row.pushes),
            Text("out of reach", style="bold red") if row.is_out else Text("●", style="green"),
        )
    return table


def _stock(scene: Scene) -> Table:
    """A few SKUs, scarcest first: what is left, and what each channel says is left."""
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    table.add_column("SKU", min_width=SKU_WIDTH, max_width=SKU_WIDTH, no_wrap=True)
    table.add_column("left", justify="right", min_width=NUMBER_WIDTH)
    table.add_column("", min_width=STOCK_BAR, no_wrap=True)
    for row in scene.channels:
        name = Text(clean(row.account), overflow="ellipsis")
        table.add_column(name, justify="right", min_width=NUMBER_WIDTH, no_wrap=True)
    for entry in scene.stock:
        offers = (
            Text(str(units), style="green" if units == max(0, entry.left) else "bold yellow")
            for units in entry.offered.values()
        )
        left = Text(str(max(0, entry.left)), style="bold red" if entry.left <= 0 else "")
        share = max(0, entry.left) / entry.initial if entry.initial else 0.0
        table.add_row(Text(clean(entry.sku)), left, _bar(share, STOCK_BAR, "blue"), *offers)
    return table


def _bar(share: float, width: int, style: str) -> Text:
    filled = round(width * share)
    return Text("█" * filled, style=style) + Text("░" * (width - filled), style="dim")


def _lag(scene: Scene) -> Text:
    text = Text("lag  ", style="bold dim")
    if not scene.lags:
        return text.append("no sale has reached the other channels yet", style="not bold")
    newest, ordered = scene.lags[-1], sorted(scene.lags)
    text.append(sparkline(scene.lags), style="not dim cyan")
    text.append(f"  {newest:.0f} ms", style=f"not dim {_lag_style(newest)}")
    usual, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, _late(len(ordered)))]
    return text.append(f" · half within {usual:.0f} · 95 % {late:.0f} ms", style="not bold")


def _late(count: int) -> int:
    return int(count * 0.95)


def _lag_style(milliseconds: float) -> str:
    if milliseconds < _SLOW_MS:
        return "bold green"
    return "bold yellow" if milliseconds < _VERY_SLOW_MS else "bold red"


def _faults(scene: Scene) -> Table:
    """Every fault by number, those that happened in red, in columns that stay where they are."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(min_width=FAULT_WIDTH)
    for _ in range(FAULT_COLUMNS):
        grid.add_column(min_width=FAULT_WIDTH, no_wrap=True)
    shown = [
        Text(f"{kind}×{count}", style="red" if count else "dim")
        for kind, count in scene.faults.items()
    ]
    for begin in range(0, len(shown), FAULT_COLUMNS):
        heading = Text("" if begin else "faults", style="bold dim")
        grid.add_row(heading, *shown[begin : begin + FAULT_COLUMNS])
    return grid


def statement_table(statement: Statement) -> Table:
    """The closing statement: what each channel says, all together, beside what the hub says."""
    compared = statement.comparison
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("closing statement", no_wrap=True)
    for account in compared.channels:
        table.add_column(Text(clean(account), style="cyan"), justify="right")
    for heading in ("all channels", "hub", ""):
        table.add_column(heading, justify="right")
    for row in _statement_rows(compared):
        mark = Text("✓", style="bold green") if row.is_good else Text("✗", style="bold red")
        each = (row.of(channel) for channel in compared.channels.values())
        table.add_row(row.name, *each, row.theirs, row.ours, mark)
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the statement."""

    name: str
    of: Callable[[ChannelComparison], str]
    theirs: str
    ours: str
    is_good: bool


def _statement_rows(all_: Comparison) -> list[_Row]:
    agreeing = all_.listings_total - all_.listings_drifted
    return [
        _Row(
            name="orders",
            of=lambda one: str(one.orders_placed),
            theirs=str(all_.orders_placed),
            ours=str(all_.orders_in_hub),
            is_good=all_.orders_lost == 0,
        ),
        _Row(
            name="orders lost / doubled",
            of=lambda one: f"{one.orders_missing + one.orders_differing} / {one.orders_doubled}",
            theirs=f"{all_.orders_lost} / {all_.orders_doubled}",
            ours="",
            is_good=not (all_.orders_lost or all_.orders_doubled),
        ),
        _Row(
            name="listings / agreeing",
            of=lambda one: str(one.listings),
            theirs=str(all_.listings_total),
            ours=str(agreeing),
            is_good=all_.listings_drifted == 0,
        ),
        _Row(
            name="shipments shown / made",
            of=lambda one: str(one.shipments_confirmed),
            theirs=str(all_.shipments_confirmed),
            ours=str(all_.shipments_made),
            is_good=all_.shipments_confirmed == all_.shipments_made,
        ),
        _Row(
            name="units oversold / short",
            of=lambda one: "",
            theirs=str(all_.units_oversold),
            ours=str(all_.units_short),
            is_good=all_.units_oversold == all_.units_short,
        ),
    ]


def statement_sentence(statement: Statement) -> str:
    """The statement in words."""
    compared, lags = statement.comparison, statement.propagation_ms
    fired = sum(statement.faults_fired.values())
    seen = (
        f"half of the sales showed elsewhere within {lags['p50']:.0f} ms, " if lags["p50"] else ""
    )
    late = f"95 % within {lags['p95']:.0f} ms; " if lags["p95"] else ""
    verdict = (
        "Clean: the hub and the channels agree on every order, quantity and shipment"
        if statement.is_clean
        else "NOT clean: the hub and the channels disagree where the table says ✗"
    )
    return (
        f"{verdict}. {compared.orders_placed} orders, {statement.skus_sold_out} SKUs sold out, "
        f"{compared.shipments_made} shipments, {fired} faults; {seen}{late}"
        f"settled {statement.settled_seconds:.1f} s after the last sale."
    )


def show_statement(statement: Statement, file: TextIO) -> None:
    """Print the closing statement for people."""
    console = wide_console(file)
    console.print(statement_table(statement))
    style = "bold green" if statement.is_clean else "bold red"
    console.print(Text(statement_sentence(statement), style=style))


def wide_console(file: TextIO) -> Console:
    """A console of the terminal's width and 100 columns at most; in a pipe of exactly so many."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, COLUMNS) if console.is_terminal else COLUMNS
    return console
