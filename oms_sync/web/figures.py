"""What `/metrics` shows: the counters of this process, and figures read from the database."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oms_sync.runtime.metrics import PrometheusMetrics
from oms_sync.sdk import Clock
from oms_sync.web.health import RenderMetrics

#: how old the figures from the database may be
GAUGE_SECONDS_MAX: Final = 5.0
_GAUGES: Final = (
    "cursor_age_seconds",
    "listings_behind",
    "dead_letters",
    "write_backs_open",
)


def metrics_renderer(
    metrics: PrometheusMetrics,
    accounts: Callable[[], Sequence[Mapping[str, Any]]],
    *,
    clock: Clock,
) -> RenderMetrics:
    """The exposition; `accounts` is the report of `oms-sync accounts list --json`."""
    lock = threading.Lock()
    read_at = clock.monotonic() - GAUGE_SECONDS_MAX

    def render() -> tuple[bytes, str]:
        nonlocal read_at
        with lock:
            if clock.monotonic() - read_at >= GAUGE_SECONDS_MAX:
                read_at = clock.monotonic()
                _set_gauges(metrics, accounts())
        return metrics.exposition()

    return render


def _set_gauges(metrics: PrometheusMetrics, accounts: Sequence[Mapping[str, Any]]) -> None:
    for account in accounts:
        for name in _GAUGES:
            if account[name] is not None:
                metrics.gauge(name, account[name], account=account["name"])
