"""`make bench`: measures oms-sync and prints one JSON document; progress is on standard error.

`--quick` takes seconds instead of minutes and says less; `--only WORD` measures what is named so.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import limits
import orders
import process
import propagation
import reading
import shared
import writes
from databases import private_postgres
from figures import Figure, machine, say

from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.logs import set_up_logs
from oms_sync.runtime.memory import settle_memory
from oms_sync.runtime.redaction import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is done for each figure."""

    orders: int = 2_000
    runs: int = 3
    tries: int = 30
    reads: int = 200
    starts: int = 5
    rest_seconds: float = 5.0
    listings: int = 10_000
    changed: int = 1_000
    webhook_seconds: float = 8.0
    published: int = 5_000


QUICK = Effort(
    orders=100,
    runs=1,
    tries=3,
    reads=20,
    starts=2,
    rest_seconds=1.0,
    listings=300,
    changed=100,
    webhook_seconds=1.0,
    published=100,
)

Group = Callable[[], list[Figure]]


def in_process(effort: Effort, kind: str, open_database: orders.OpenDatabase) -> dict[str, Group]:
    """Figures of one database, measured inside this process."""
    size = {"orders": effort.orders, "runs": effort.runs}
    return {
        f"orders {kind}": lambda: orders.throughput(kind, open_database, **size),
        f"hot {kind}": lambda: orders.hot_sku(kind, open_database, **size),
        f"read {kind}": lambda: reading.available_to_sell(kind, open_database, tries=effort.reads),
    }


def on_postgres(effort: Effort, open_database: orders.OpenDatabase) -> dict[str, Group]:
    """Figures of PostgreSQL: the same as for any database, and what several hubs share."""
    return in_process(effort, "postgresql", open_database) | {
        "published limits shared postgresql": lambda: shared.three_accounts_in_two_hubs(
            open_database, count=effort.published
        ),
    }


def as_processes(effort: Effort) -> dict[str, Group]:
    """Figures of a hub that runs as it does for an operator."""
    return {
        "start memory": lambda: process.start_and_rest(
            starts=effort.starts, rest_seconds=effort.rest_seconds
        ),
        "propagation webhooks": lambda: propagation.with_webhooks(tries=effort.tries),
        "propagation polling": lambda: propagation.by_polling(tries=effort.tries),
        "listings memory": lambda: process.many_listings(
            listings=effort.listings, changed=effort.changed
        ),
        "webhook acks": lambda: process.webhooks(seconds=effort.webhook_seconds),
        "writes": lambda: writes.per_channel(changed=effort.changed),
        "published limits": lambda: limits.orders_and_quantities(count=effort.published),
    }


def measure(effort: Effort, only: str) -> dict[str, Any]:
    """Everything, or the groups whose name has the word."""
    facts = machine()
    with ExitStack() as stack:
        groups = in_process(effort, "sqlite", orders.sqlite_file)
        if any(only in name for name in on_postgres(effort, orders.sqlite_file)):
            open_database, version = stack.enter_context(private_postgres())
            facts["postgresql"] = version
            groups |= on_postgres(effort, open_database)
        groups |= as_processes(effort)
        figures = list(_figures(group for name, group in groups.items() if only in name))
    facts["load_at_the_end"] = machine()["load"]
    missed = [each.name for each in figures if each.ratio is not None and each.ratio < 1]
    return {
        "machine": facts,
        "figures": {each.name: each.document() for each in figures},
        "missed": missed,
    }


def _figures(groups: Iterable[Group]) -> Iterator[Figure]:
    for group in groups:
        for figure in group():
            shown = figure.document()
            say(f"  {figure.name}: {shown['value']} {shown['unit']} ({shown.get('aim', 'no aim')})")
            yield figure


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--only", default="", help="a word of the group's name")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryFile("w", encoding="utf-8", prefix="oms-sync-bench-") as log:
        # As the daemon: its level, its form, and its memory settled.
        clock, redactor = SystemClock(), Redactor()
        set_up_logs(level="info", form="json", clock=clock, redactor=redactor, stream=log)
        settle_memory()
        document = measure(QUICK if chosen.quick else Effort(), chosen.only)
    sys.stdout.write(json.dumps({"is_quick": chosen.quick, **document}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
