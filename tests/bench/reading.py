"""How long reading the available to sell of a thousand SKUs takes."""

import tempfile
import time
from pathlib import Path

from figures import Figure, at_most, percentile, say, tidy
from orders import OpenDatabase
from prepared import open_hub

from oms_sync.domain.values import Sku
from oms_sync.flows.commands.context import CommandContext
from oms_sync.flows.commands.stock_files import import_stock

AIM_MILLISECONDS = 3.0
SKUS = [f"SKU-{number:05d}" for number in range(1_000)]
OTHERS = 4_000


def available_to_sell(kind: str, open_database: OpenDatabase, *, tries: int) -> list[Figure]:
    """One call of the read side for a thousand of five thousand counted SKUs."""
    say(f"{kind}: available to sell of {len(SKUS)} SKUs, {tries} tries")
    with (
        tempfile.TemporaryDirectory(prefix="oms-sync-bench-") as folder,
        open_database() as url,
        open_hub(url, Path(folder)) as hub,
    ):
        _count_many(hub.command)
        wanted = [Sku(sku) for sku in SKUS]
        hub.storage.available(wanted)  # the first call prepares the statement
        milliseconds = []
        for _ in range(tries):
            started_at = time.perf_counter()
            found = hub.storage.available(wanted)
            milliseconds.append((time.perf_counter() - started_at) * 1_000)
            if len(found) != len(SKUS) or found[wanted[7]] != 7:
                raise RuntimeError(f"{len(found)} SKUs were read, the eighth with {found}")
    value = percentile(milliseconds, 50)
    name = f"read_1000_skus_available_{kind}"
    return [
        at_most(
            name,
            value,
            "ms",
            AIM_MILLISECONDS,
            p95=tidy(percentile(milliseconds, 95)),
            best=tidy(min(milliseconds)),
            tries=tries,
        )
    ]


def _count_many(context: CommandContext) -> None:
    rows = [f"{sku},main,{number}" for number, sku in enumerate(SKUS)]
    rows += [f"OTHER-{number:05d},main,5" for number in range(OTHERS)]
    content = "\n".join(["sku,location,on_hand", *rows]).encode()
    import_stock(context, content, file="stock.csv")
