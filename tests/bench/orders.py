"""Orders per second through ingest, normalise and reserve; a hot SKU under several reservers."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from figures import Figure, at_least, at_most, observed, say, tidy
from prepared import open_hub, pile, quantities

SKUS: Final = tuple(f"SKU-{number:04d}" for number in range(200))
HOT: Final = "HOT-1"
ACCOUNTS: Final = 4
AIMS: Final = {"sqlite": 500.0, "postgresql": 350.0}

#: opens an empty database for the length of a block
OpenDatabase = Callable[[], AbstractContextManager[str]]


@contextmanager
def sqlite_file() -> Iterator[str]:
    """The URL of a SQLite file on a real disk that does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="oms-sync-bench-") as folder:
        yield f"sqlite:///{folder}/hub.db"


def orders_per_second(
    open_database: OpenDatabase, *, accounts: int, orders: int, seed: int
) -> tuple[float, float]:
    """Work off `orders` spread over `accounts`, each of one or two of 200 SKUs; answers the rate
    and the processor's milliseconds per order.
    """
    names = [f"shop-{number}" for number in range(accounts)]
    each = orders // accounts
    with (
        tempfile.TemporaryDirectory(prefix="oms-sync-bench-") as folder,
        open_database() as url,
        open_hub(url, Path(folder)) as hub,
    ):
        hub.count(SKUS)
        for name in names:
            hub.connect(name, pile(name, each, SKUS, seed=seed), SKUS)
        used_before = time.process_time()
        rate = each * accounts / hub.work_off(each * accounts)
        return rate, (time.process_time() - used_before) * 1_000 / (each * accounts)


def throughput(kind: str, open_database: OpenDatabase, *, orders: int, runs: int) -> list[Figure]:
    """The figure at one account and at four."""
    made = []
    for accounts in (1, ACCOUNTS):
        say(f"{kind}: orders per second, {accounts} account(s), {orders} orders, {runs} run(s)")
        measured = [
            orders_per_second(open_database, accounts=accounts, orders=orders, seed=1)
            for _ in range(runs)
        ]
        rates = [rate for rate, _ in measured]
        made.append(
            at_least(
                f"orders_per_second_{kind}_{accounts}_accounts",
                statistics.median(rates),
                "orders/s",
                AIMS[kind],
                runs=[tidy(rate) for rate in rates],
                processor_ms_per_order=tidy(statistics.median(used for _, used in measured)),
            )
        )
    return made


def hot_sku(kind: str, open_database: OpenDatabase, *, orders: int, runs: int) -> list[Figure]:
    """Four accounts sell one SKU of which there are only half as many units as are wanted."""
    say(f"{kind}: one SKU under {ACCOUNTS} reservers, {orders} orders, {runs} run(s)")
    rates, over = [], 0
    each = orders // ACCOUNTS
    units = each * ACCOUNTS // 2
    names = [f"shop-{number}" for number in range(ACCOUNTS)]
    for _ in range(runs):
        with (
            tempfile.TemporaryDirectory(prefix="oms-sync-bench-") as folder,
            open_database() as url,
            open_hub(url, Path(folder)) as hub,
        ):
            hub.count([HOT], units)
            for name in names:
                hub.connect(name, pile(name, each, [HOT], seed=1), [HOT])
            rates.append(each * ACCOUNTS / hub.work_off(each * ACCOUNTS))
            over += _over_reserved(hub.storage.reports, units) + abs(quantities(hub, [HOT])[HOT])
    rate = observed(
        f"hot_sku_reservations_per_second_{kind}",
        statistics.median(rates),
        "orders/s",
        runs=[tidy(rate) for rate in rates],
    )
    return [rate, at_most(f"hot_sku_over_reserved_{kind}", over, "units", 0)]


def _over_reserved(reports: object, units: int) -> int:
    """Units promised beyond what lies there, or not promised although they lie there."""
    item = reports.stock_item(HOT)  # type: ignore[attr-defined]
    verified = reports.verify_ledger()  # type: ignore[attr-defined]
    if not verified["ok"]:
        raise RuntimeError(f"the ledger does not verify: {verified}")
    reserved: int = item["reserved"]
    return abs(reserved - units)
