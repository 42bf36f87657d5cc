"""How soon a change here shows there: a command of another process, and the last unit sold."""

import time
from datetime import UTC, datetime
from random import Random
from typing import Any

from figures import Figure, at_most, percentile, say, spread
from staged import ChangeLog, every_channel, options, running, wait, wait_level

from oms_sync.bootstrap import Desk
from oms_sync.cli.demo_stage import Stage, command_context
from oms_sync.domain.values import Sku
from oms_sync.flows.commands.stock import adjust
from oms_sync.sdk.seeding import Purchase

AIM_ADJUST_SECONDS = 1.0
AIM_WEBHOOK_SECONDS = 1.0
AIM_POLLING_SECONDS = 3.0


def with_webhooks(*, tries: int) -> list[Figure]:
    """A command's way to every channel, then the last units with push notifications on."""
    say(f"`stock adjust` from another process to every channel, {tries} tries")
    chosen = options(skus=max(tries, 10), has_webhooks=True, accounts=every_channel())
    with running(chosen) as (stage, desk):
        adjusted = _adjust(stage, desk, tries)
        say(f"last units with push notifications, {tries} tries")
        sold = _last_units(stage, desk, tries, jitter_seconds=0.2)
    name = "last_unit_shows_0_elsewhere_webhooks_p95"
    return [
        at_most(
            "stock_adjust_to_channels_p95",
            percentile(adjusted, 95),
            "s",
            AIM_ADJUST_SECONDS,
            **spread(adjusted),
        ),
        at_most(name, percentile(sold, 95), "s", AIM_WEBHOOK_SECONDS, **spread(sold)),
    ]


def by_polling(*, tries: int) -> list[Figure]:
    """The last units with no webhooks and a poll each second."""
    say(f"last units by polling each second, {tries} tries")
    chosen = options(skus=max(tries, 10), has_webhooks=False, accounts=every_channel())
    with running(chosen) as (stage, desk):
        sold = _last_units(stage, desk, tries, jitter_seconds=1.0)
    name = "last_unit_shows_0_elsewhere_polling_p95"
    return [at_most(name, percentile(sold, 95), "s", AIM_POLLING_SECONDS, **spread(sold))]


def _adjust(stage: Stage, desk: Desk, tries: int) -> list[float]:
    """From just before the command's transaction until the last channel was set."""
    context, log, seconds = command_context(desk), ChangeLog(stage), []
    skus = sorted(stage.initial)
    for number in range(tries):
        sku = skus[number % len(skus)]
        log.forget()
        started_at = datetime.now(UTC)
        booked = adjust(context, Sku(sku), location="main", delta=1, reason="bench")
        shown = booked.on_hand
        arrived = [_wait_pushed(log, account, sku, shown) for account in stage.controls]
        seconds.append((max(arrived) - started_at).total_seconds())
    return seconds


def _last_units(stage: Stage, desk: Desk, tries: int, *, jitter_seconds: float) -> list[float]:
    """From the sale of the last unit at one channel until the hub set 0 at all the others."""
    skus = sorted(stage.initial)[:tries]
    _leave_one(stage, desk, skus)
    log, chance, seconds = ChangeLog(stage), Random(1), []
    accounts = list(stage.controls)
    ours = {(account, sku): theirs for (account, theirs), sku in stage.skus.items()}
    for number, sku in enumerate(skus):
        seller = accounts[number % len(accounts)]
        # At any moment of the poll's period, as buyers are.
        time.sleep(0.3 + jitter_seconds * chance.random())
        log.forget()
        stage.controls[seller].place(Purchase(lines=((ours[seller, sku], 1),)))
        others = [account for account in accounts if account != seller]
        arrived = max(_wait_pushed(log, account, sku, 0) for account in others)
        sold = next(
            change.at
            for changed, change in log.read()
            if changed == sku and change.account == seller and not change.is_hub
        )
        seconds.append((arrived - sold).total_seconds())
    return seconds


def _leave_one(stage: Stage, desk: Desk, skus: list[str]) -> None:
    context = command_context(desk)
    for sku in skus:
        item: dict[str, Any] = desk.reports.stock_item(sku)
        delta = 1 - item["available_to_sell"]
        if delta:
            adjust(context, Sku(sku), location="main", delta=delta, reason="bench")
    wait_level(stage, desk)


def _wait_pushed(log: ChangeLog, account: str, sku: str, quantity: int) -> datetime:
    wait(
        f"{sku} at {quantity} in {account}", lambda: log.pushed(account, sku, quantity) is not None
    )
    change = log.pushed(account, sku, quantity)
    assert change is not None, "it was just seen"
    return change.at
