"""What the demo shows while it runs: a live panel on a terminal, plain lines elsewhere.

Draws a `Scene` and knows nothing else; colours follow the terminal and NO_COLOR.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TextIO

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from oms_sync.cli.demo_statement import Statement
from oms_sync.cli.output import clean

COLUMNS: Final = 100
REFRESHES_PER_SECOND: Final = 4
SPARK_SAMPLES: Final = 48
SKU_WIDTH: Final = 20
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


def _headline(scene: Scene) -> Text:
    end = f" of {scene.seconds:.0f} s" if scene.seconds is not None else " s · Ctrl-C ends it"
    text = Text()
    text.append(f"{scene.phase:<9}", style="bold green" if scene.phase == "selling" else "bold")
    text.append(f" {scene.elapsed_seconds:.0f}{end}", style="dim")
    behind = sum(row.placed for row in scene.channels) - scene.orders_in_hub
    text.append(
        f"   orders in hub {scene.orders_in_hub}", style="green" if behind < 1 else "yellow"
    )
    text.append(f"   shipments {scene.shipments}", style="magenta")
    text.append(f"   sold out {scene.skus_sold_out} SKUs", style="yellow")
    return text


def _channels(scene: Scene) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("channel", min_width=SKU_WIDTH)
    for heading in ("orders", "found sold out", "quantity pushes"):
        table.add_column(heading, justify="right", min_width=8)
    table.add_column("")
    for row in scene.channels:
        table.add_row(
            Text(row.account, style="cyan"),
            str(row.placed),
            Text(str(row.refused), style="dim"),
            str(row.pushes),
            Text("out of reach", style="bold red") if row.is_out else Text(""),
        )
    return table


def _stock(scene: Scene) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SKU", min_width=SKU_WIDTH, max_width=SKU_WIDTH, no_wrap=True)
    table.add_column("left", justify="right", min_width=8)
    for row in scene.channels:
        table.add_column(f"offered {row.account}", justify="right", min_width=8)
    table.add_column("")
    for entry in scene.stock:
        offers = (
            Text(str(units), style="green" if units == max(0, entry.left) else "bold yellow")
            for units in entry.offered.values()
        )
        left = Text(str(max(0, entry.left)), style="bold red" if entry.left <= 0 else "")
        table.add_row(Text(clean(entry.sku)), left, *offers, _gauge(entry))
    return table


def _gauge(entry: StockRow) -> Text:
    width = 20
    filled = round(width * max(0, entry.left) / entry.initial) if entry.initial else 0
    return Text("█" * filled, style="blue") + Text("░" * (width - filled), style="dim")


def _lag(scene: Scene) -> Text:
    text = Text("lag  ", style="bold")
    if not scene.lags:
        return text.append("no sale has reached the other channels yet", style="dim")
    newest = scene.lags[-1]
    text.append(sparkline(scene.lags), style="cyan")
    text.append(f"  {newest:.0f} ms", style=_lag_style(newest))
    return text.append("  from a sale here to the new quantity there", style="dim")


def _lag_style(milliseconds: float) -> str:
    if milliseconds < _SLOW_MS:
        return "bold green"
    return "bold yellow" if milliseconds < _VERY_SLOW_MS else "bold red"


def _faults(scene: Scene) -> Text:
    text = Text("faults ", style="bold")
    for kind, count in scene.faults.items():
        text.append(f"{kind}×{count} ", style="red" if count else "dim")
    return text


def statement_table(statement: Statement) -> Table:
    """The closing statement: what the channels say beside what the hub says."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", width=COLUMNS - 20)
    table.add_column("closing statement", ratio=3)
    for heading in ("channels' truth", "hub", ""):
        table.add_column(heading, justify="right", ratio=1)
    compared = statement.comparison
    listed = compared.listings_total - compared.listings_drifted
    rows = [
        ("orders", compared.orders_placed, compared.orders_in_hub, compared.orders_lost == 0),
        ("orders lost / doubled", compared.orders_lost, compared.orders_doubled, None),
        ("listings / agreeing", compared.listings_total, listed, compared.listings_drifted == 0),
        ("shipments shown / made", compared.shipments_confirmed, compared.shipments_made, None),
        ("units oversold / short", compared.units_oversold, compared.units_short, None),
    ]
    marks = {
        "orders lost / doubled": not (compared.orders_lost or compared.orders_doubled),
        "shipments shown / made": compared.shipments_made == compared.shipments_confirmed,
        "units oversold / short": compared.units_oversold == compared.units_short,
    }
    for name, theirs, ours, is_good in rows:
        good = marks[name] if is_good is None else is_good
        mark = Text("✓", style="bold green") if good else Text("✗", style="bold red")
        table.add_row(name, str(theirs), str(ours), mark)
    return table


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
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    width = min(console.width, COLUMNS) if console.is_terminal else COLUMNS
    console.print(statement_table(statement), width=width)
    style = "bold green" if statement.is_clean else "bold red"
    console.print(Text(statement_sentence(statement), style=style), width=width)
