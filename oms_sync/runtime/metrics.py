"""Metrics for Prometheus, in a registry of their own. Unknown names and labels are refused.

Labels come from the configuration and from connectors' declarations, never from a channel's
payloads, so their number is bounded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

PREFIX: Final = "oms_sync_"
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 900)
#: from what a webhook takes to a day
_LAG_SECONDS: Final = (1, 5, 15, 60, 120, 300, 600, 900, 1_800, 3_600, 14_400, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one metric is."""

    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...]
    #: upper bounds of a histogram
    buckets: tuple[float, ...] = _SECONDS
    #: every outcome, of a counter whose first one has to be seen, too
    outcomes: tuple[str, ...] = ()


#: every metric of the hub, by the name the code uses
METRICS: Final[Mapping[str, Declared]] = {
    "orders_in": Declared(
        kind="counter", meaning="Orders taken in for the first time.", labels=("account",)
    ),
    "orders_unbalanced": Declared(
        kind="counter",
        meaning="Orders whose total is not the sum of its parts, and nothing explains the rest.",
        labels=("account",),
    ),
    "order_lag_seconds": Declared(
        kind="histogram",
        meaning="Seconds from placing an order to its first sight here, back-filled ones left out.",
        labels=("account",),
        buckets=_LAG_SECONDS,
    ),
    "cursor_age_seconds": Declared(
        kind="gauge",
        meaning="Seconds since the account's orders were last read to the end.",
        labels=("account",),
    ),
    "push_seconds": Declared(
        kind="histogram",
        meaning="Seconds from a change here to its confirmation by the channel.",
        labels=("account", "flow"),
    ),
    "listings_behind": Declared(
        kind="gauge",
        meaning="Listings whose channel quantity is not yet what it should be.",
        labels=("account",),
    ),
    "listings_discovered": Declared(
        kind="counter",
        meaning="New listings the hub found by itself, linked or not.",
        labels=("account", "outcome"),
        outcomes=("linked", "unlinked"),
    ),
    "drift": Declared(
        kind="counter",
        meaning="Channel quantities found to differ from what was expected.",
        labels=("account",),
    ),
    "certificates_refused": Declared(
        kind="counter",
        meaning="Days that could not be certified when they were compared with the channel's list.",
        labels=("account",),
    ),
    "dead_letters": Declared(
        kind="gauge", meaning="Messages that failed for good.", labels=("account",)
    ),
    "messages_dead": Declared(
        kind="counter", meaning="Messages that became dead letters.", labels=("account",)
    ),
    "orders_erased": Declared(
        kind="counter",
        meaning="Orders whose personal data was destroyed.",
        labels=("account",),
    ),
    "messages_erased": Declared(
        kind="counter",
        meaning="Messages whose bytes were destroyed.",
        labels=("account",),
    ),
    "write_backs_open": Declared(
        kind="gauge",
        meaning="Cancellations, refunds, holds and corrections the channel does not show yet.",
        labels=("account",),
    ),
    "write_backs_refused": Declared(
        kind="counter",
        meaning="Write-backs that ended without the channel doing what was asked.",
        labels=("account",),
    ),
    "write_backs_not_shown": Declared(
        kind="counter",
        meaning="Write-backs the channel took and did not show within an hour.",
        labels=("account",),
    ),
    "alarms": Declared(
        kind="gauge",
        meaning="1 while the account is silent in this way, else 0.",
        labels=("account", "kind"),
    ),
    "overdue": Declared(
        kind="gauge",
        meaning="Orders or shipments behind an alarm: not shipped, not told of, not paid for.",
        labels=("account", "kind"),
    ),
    "history_left_seconds": Declared(
        kind="gauge",
        meaning="Seconds until the channel shows less than what was not yet read.",
        labels=("account",),
    ),
    "clock_skew_seconds": Declared(
        kind="gauge",
        meaning="Seconds this machine's clock is ahead of the channel's.",
        labels=("account",),
    ),
    "gaps": Declared(
        kind="counter",
        meaning="Stretches of time whose changes no channel shows any more.",
        labels=("account",),
    ),
    "subscriptions_lost": Declared(
        kind="counter",
        meaning="Times a channel had stopped to tell us of changes, and was made to again.",
        labels=("account",),
    ),
    "rate_budget": Declared(
        kind="gauge",
        meaning="Calls or points left in the bucket of one operation.",
        labels=("account", "operation"),
    ),
    "flow_runs": Declared(
        kind="counter",
        meaning="Runs of a flow, by outcome.",
        labels=("flow", "account", "outcome"),
    ),
    "notifications": Declared(
        kind="counter",
        meaning="Notifications pulled from the account's queue and stored.",
        labels=("account",),
    ),
    "webhooks": Declared(
        kind="counter",
        meaning="Webhook requests, by outcome.",
        labels=("account", "outcome"),
    ),
}


class NullMetrics:
    """Counts nothing: for commands that end soon."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Forget it."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""


class PrometheusMetrics:
    """The metrics of one hub. Names and labels are those of `METRICS`, anything else raises."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for name, each in METRICS.items():
            self._declare(PREFIX + name, name, each)

    def begin(self, accounts: Iterable[str]) -> None:
        """Show every account's counters at zero.

        A counter that is first shown with its first count has not grown, as Prometheus sees it: of
        what happens once no rule would ever tell.
        """
        for account in accounts:
            for name, each in METRICS.items():
                if each.kind == "counter" and each.labels == ("account",):
                    self.count(name, 0, account=account)
                for outcome in each.outcomes:
                    self.count(name, 0, account=account, outcome=outcome)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._counters[name].labels(**labels).inc(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._gauges[name].labels(**labels).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one observation to a histogram."""
        self._histograms[name].labels(**labels).observe(value)

    def exposition(self) -> tuple[bytes, str]:
        """What `/metrics` answers: the body and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _declare(self, full: str, name: str, each: Declared) -> None:
        match each.kind:
            case "counter":
                self._counters[name] = Counter(
                    full, each.meaning, each.labels, registry=self.registry
                )
            case "gauge":
                self._gauges[name] = Gauge(full, each.meaning, each.labels, registry=self.registry)
            case "histogram":
                self._histograms[name] = Histogram(
                    full, each.meaning, each.labels, registry=self.registry, buckets=each.buckets
                )
