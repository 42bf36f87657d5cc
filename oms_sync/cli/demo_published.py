"""What a merchant will see under the limits and lags the channels publish.

The demo itself runs without either. Here each channel's work is done once more in virtual time,
against a sandbox that keeps the published limits, and the rest follows from the manifest.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from oms_sync.cli.demo_view import COLUMNS, wide_console
from oms_sync.cli.demo_virtual import (
    NeverDone,
    Share,
    Spent,
    VirtualAccount,
    measured,
    open_virtual,
)
from oms_sync.cli.output import clean
from oms_sync.runtime.registry import Registry
from oms_sync.sdk import Capability, ChannelError

CHANGED: Final = 1_000
DAY_SECONDS: Final = 86_400.0
_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0
_MANY: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One channel under its published limits."""

    connector: str
    label: str
    #: how the channel speaks up by itself: webhook, queue, or not at all
    told_by: str | None
    poll_seconds: float
    visibility_lag_seconds: float
    #: how old an order is when a poll first shows it, in the middle and at worst
    polled_after_seconds: float
    polled_after_seconds_max: float
    listings_changed: int
    #: how long it takes to push them, beginning with full buckets
    push_seconds: float
    push_calls: int
    #: the bucket that ends first when changes go on coming, and how many it lets out
    push_limited_by: str | None
    pushes_per_minute: float | None
    #: calls of polling alone, and what the tightest of their buckets refills
    poll_limited_by: str | None
    polls_a_day: float
    polls_a_day_max: float | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def outlook(registry: Registry, connector: str, *, changed: int = CHANGED) -> Outlook:
    """Do a channel's work in virtual time and say what its limits make of it."""
    with open_virtual(registry, connector, skus=changed) as account:
        pushed = measured(account, lambda: account.push(account.listings))
        account.place(1)
        polled = measured(account, lambda: account.read_changes(back_seconds=_HOUR))
        return _outlook(account, pushed, polled, connector)


def outlooks_of(
    registry: Registry,
    connectors: Iterable[str],
    *,
    measure: Callable[[Registry, str], Outlook] = outlook,
) -> tuple[dict[str, Outlook], list[str]]:
    """The outlook of each connector, and a sentence for each that could not be measured."""
    found: dict[str, Outlook] = {}
    missing = []
    for connector in connectors:
        try:
            found[connector] = measure(registry, connector)
        except (NeverDone, ChannelError) as error:
            missing.append(f"{connector}: not measured with published limits: {error}")
    return found, missing


def _outlook(account: VirtualAccount, pushed: Spent, polled: Spent, connector: str) -> Outlook:
    manifest = account.manifest
    limits, poll, lag = (
        manifest.rate_limits,
        manifest.poll_seconds,
        manifest.visibility_lag_seconds,
    )
    push_share, poll_share = pushed.tightest(limits), polled.tightest(limits)
    # A poll waits for its calls where they come more slowly than it is due.
    period = max(poll, poll_share.steady_seconds if poll_share else 0.0)
    return Outlook(
        connector=connector,
        label=manifest.label,
        told_by=_told_by(account),
        poll_seconds=poll,
        visibility_lag_seconds=lag,
        polled_after_seconds=lag + period / 2,
        polled_after_seconds_max=lag + period,
        listings_changed=len(account.listings),
        push_seconds=pushed.seconds,
        push_calls=pushed.calls_total,
        push_limited_by=_named(push_share),
        pushes_per_minute=_per_minute(push_share, len(account.listings)),
        poll_limited_by=_named(poll_share),
        polls_a_day=(poll_share.cost if poll_share else polled.calls_total) * DAY_SECONDS / period,
        polls_a_day_max=poll_share.limit.refill_per_second * DAY_SECONDS if poll_share else None,
    )


def _told_by(account: VirtualAccount) -> str | None:
    capabilities = account.manifest.capabilities
    if Capability.PULL_NOTIFICATIONS in capabilities and account.session.has_queue():
        return "queue"
    return "webhook" if Capability.RECEIVE_WEBHOOKS in capabilities else None


def _named(share: Share | None) -> str | None:
    return share.limit.operation if share else None


def _per_minute(share: Share | None, listings: int) -> float | None:
    if share is None or share.steady_seconds <= 0:
        return None
    return listings * _MINUTE / share.steady_seconds


def outlook_table(outlooks: Sequence[Outlook]) -> Table:
    """The second table of the demo: the same hub under published limits and lags."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, width=COLUMNS)
    table.add_column("with published\nlimits and lags", no_wrap=True)
    for heading in (
        "tells of\norders by",
        "or polled after\nusual / worst",
        "changed listings\na minute",
        f"{CHANGED:,} changes\nare out",
        "polls a day\nof allowed",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in outlooks:
        most = "–" if one.polls_a_day_max is None else _count(one.polls_a_day_max)
        rate = "–" if one.pushes_per_minute is None else _count(one.pushes_per_minute)
        usual, worst = one.polled_after_seconds, one.polled_after_seconds_max
        table.add_row(
            Text(one.label, style="cyan"),
            one.told_by or "nothing",
            f"{_span(usual)} / {_span(worst)}",
            rate,
            f"after {_span(one.push_seconds)}" if one.push_seconds else "at once",
            f"{_count(one.polls_a_day)} of {most}",
        )
    return table


def sources(outlooks: Iterable[Outlook]) -> list[str]:
    """Where the numbers come from, a sentence or two for each channel."""
    return [
        f"{one.label}: polled every {_span(one.poll_seconds)}, shows an order after "
        f"{_span(one.visibility_lag_seconds)} (its manifest). {one.push_calls:,} calls for "
        f"{one.listings_changed:,} listings, counted against a look-alike that keeps the published "
        f"limits, in virtual time; {_bound(one.push_limited_by)} bounds pushes, "
        f"{_bound(one.poll_limited_by)} polls."
        for one in outlooks
    ]


def _bound(operation: str | None) -> str:
    """The bucket's name for people: `*` is the one every call is paid from."""
    return "the budget of all calls" if operation == "*" else operation or "no limit"


def show_outlooks(outlooks: Sequence[Outlook], missing: Sequence[str], file: TextIO) -> None:
    """Print the table for people."""
    console = wide_console(file)
    if outlooks:
        console.print(outlook_table(outlooks))
    for sentence in sources(outlooks):
        console.print(Text(clean(sentence), style="dim"))
    for sentence in missing:
        console.print(Text(clean(sentence), style="yellow"))


def _span(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.1f} s" if 0 < seconds < 1 else f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.1f} min".replace(".0 min", " min")
    return f"{seconds / _HOUR:.1f} h"


def _count(number: float) -> str:
    return f"{number:,.0f}" if number < _MANY else f"{number / _MANY:.1f} M"
