"""Sandboxes and a hub, each a process of its own, and ways to wait for them."""

import csv
import io
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from oms_sync.bootstrap import Desk
from oms_sync.cli.demo_propagation import Change
from oms_sync.cli.demo_stage import (
    Stage,
    StageOptions,
    command_context,
    demo_accounts,
    open_stage,
)
from oms_sync.flows.commands.stock_files import import_stock
from oms_sync.runtime.registry import load_registry

ONE_SHOP: Final = {"shop-us": "shopify"}
TWO_SHOPS: Final = {**ONE_SHOP, "shop-eu": "shopify"}
WAIT_SECONDS_MAX: Final = 180.0
LOOK_SECONDS: Final = 0.05


def every_channel() -> dict[str, str]:
    """One account of each channel there is, as in the demo."""
    return demo_accounts(load_registry())


def options(
    *, skus: int, has_webhooks: bool, accounts: Mapping[str, str] = TWO_SHOPS
) -> StageOptions:
    """Accounts polled each second, without a rate limit: the hub is measured, not a plan."""
    return StageOptions(
        accounts=accounts,
        skus=skus,
        poll_seconds=1.0,
        reconcile_seconds=3600.0,
        has_webhooks=has_webhooks,
        limits_published=False,
    )


@contextmanager
def running(chosen: StageOptions) -> Iterator[tuple[Stage, Desk]]:
    """A stage whose hub is ready and whose channels show the hub's quantities, and a desk at it."""
    with open_stage(chosen) as stage:
        stage.start_hub()
        stage.wait_ready()
        with stage.open_desk() as desk:
            wait_level(stage, desk)
            yield stage, desk


def wait(what: str, is_done: Callable[[], bool], *, look_seconds: float = LOOK_SECONDS) -> float:
    """Until `is_done`; answers the seconds, raises when that takes too long."""
    started_at = time.monotonic()
    while not is_done():
        if time.monotonic() - started_at > WAIT_SECONDS_MAX:
            raise RuntimeError(f"waited {WAIT_SECONDS_MAX:.0f} s for {what}")
        time.sleep(look_seconds)
    return time.monotonic() - started_at


def wait_level(stage: Stage, desk: Desk) -> None:
    """Until every channel shows what the hub has to sell, and the hub knows that it does."""

    def is_level() -> bool:
        stage.check()
        shown = {name: control.truth()["quantities"] for name, control in stage.controls.items()}
        left = {item["sku"]: item for item in desk.reports.stock()}
        return all(
            shown[account][channel_sku] == max(0, left[sku]["available_to_sell"])
            for (account, channel_sku), sku in stage.skus.items()
        ) and all(
            listing["expected"] is not None and listing["expected"] == listing["channel_quantity"]
            for item in left.values()
            for listing in item["listings"]
        )

    wait("level channels", is_level, look_seconds=0.25)


def change_counts(stage: Stage, desk: Desk, changed: int) -> None:
    """One import that gives so many SKUs one unit more."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sku", "location", "on_hand"])
    for item in desk.reports.stock()[:changed]:
        writer.writerow([item["sku"], "main", item["on_hand"] + 1])
    import_stock(command_context(desk), text.getvalue().encode(), file="counted.csv")


class ChangeLog:
    """The changes of offered quantities at every channel, from now on, by our SKU."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._seen = dict.fromkeys(stage.controls, 0)
        self.forget()

    def forget(self) -> None:
        """Begin anew: what happened until now is of no interest."""
        self.read()
        self.changes: list[tuple[str, Change]] = []

    def read(self) -> list[tuple[str, Change]]:
        """Everything since `forget`, as (our SKU, change)."""
        changes: list[tuple[str, Change]] = getattr(self, "changes", [])
        for account, control in self._stage.controls.items():
            for number, change in control.changes(self._seen[account]):
                self._seen[account] = number
                changes.append((self._stage.skus[account, change.sku], change))
        return changes

    def pushed(self, account: str, sku: str, quantity: int) -> Change | None:
        """The hub's change of this listing to this quantity."""
        for ours, change in self.read():
            found = (ours, change.account, change.quantity, change.is_hub)
            if found == (sku, account, quantity, True):
                return change
        return None


def memory_bytes(pid: int) -> tuple[int, int]:
    """What the process has in memory now, and had at most."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    now, most = (re.search(rf"{name}:\s+(\d+) kB", status) for name in ("VmRSS", "VmHWM"))
    if now is None or most is None:
        raise RuntimeError(f"the system does not tell the memory of process {pid}")
    return int(now[1]) * 1024, int(most[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """Processor time the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
