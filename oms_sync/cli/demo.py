"""`oms-sync demo`: shops, buyers and a warehouse on one machine, and a closing statement.

Everything is thrown away at the end; PostgreSQL instead of SQLite where the variable
OMS_SYNC_DEMO_DATABASE holds the URL of an empty database.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from oms_sync.cli.demo_control import SandboxDown
from oms_sync.cli.demo_faults import FaultLevel
from oms_sync.cli.demo_play import Play, PlayOptions
from oms_sync.cli.demo_published import outlooks_of, show_outlooks
from oms_sync.cli.demo_stage import StageFailed, StageOptions, demo_accounts, open_stage
from oms_sync.cli.demo_statement import Statement
from oms_sync.cli.demo_view import open_view, show_statement
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.runtime.registry import Registry, load_registry
from oms_sync.runtime.signals import caught_signals

DATABASE_VARIABLE: Final = "OMS_SYNC_DEMO_DATABASE"
BULK_SETTING: Final = "bulk_threshold"
BULK_THRESHOLD: Final = 1
STATUS_CLEAN: Final = 0
STATUS_UNCLEAN: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the command line asked for."""

    #: None until Ctrl-C
    seconds: float | None = None
    seed: int = 1
    orders_per_second: float = 2.0
    skus: int = 40
    faults: FaultLevel = "none"
    as_json: bool = False


def run_demo(options: DemoOptions) -> int:
    """Perform, print the statement, answer the exit status: 0 only when it is clean."""
    statement = perform(options)
    if options.as_json:
        sys.stdout.write(json.dumps(statement.document(), ensure_ascii=False) + "\n")
        sys.stdout.flush()
    return STATUS_CLEAN if statement.is_clean else STATUS_UNCLEAN


def perform(options: DemoOptions) -> Statement:
    """The whole demo; with `as_json` people are spoken to on standard error."""
    file = sys.stderr if options.as_json else sys.stdout
    registry = load_registry()
    accounts = demo_accounts(registry)
    if not accounts:
        raise CommandRefused("no installed connector ships a sandbox: there is nothing to show")
    staged = StageOptions(
        accounts=accounts,
        seed=options.seed,
        skus=options.skus,
        database_url=os.environ.get(DATABASE_VARIABLE) or None,
        # The crowd buys as in large shops, whose plans allow far more calls than a small one's.
        limits_published=False,
        settings=_small_bulks(registry, accounts) if options.faults != "none" else {},
    )
    asked = PlayOptions(
        seed=options.seed,
        seconds=options.seconds,
        orders_per_second=options.orders_per_second,
        skus=options.skus,
        faults=options.faults,
    )
    try:
        with open_view(file) as view, open_stage(staged) as stage:
            view.say(f"{' and '.join(accounts)} are open and share one stock; the hub starts …")
            stage.start_hub()
            view.say(f"hub ready after {stage.wait_ready():.1f} s at {stage.hub_url}/readyz")
            with caught_signals() as signals, stage.open_desk() as desk:
                statement = Play(stage, desk, asked, view).run(lambda: signals.count > 0)
            stage.keeps_folder = not statement.is_clean
    except (StageFailed, SandboxDown) as error:
        raise CommandRefused(str(error)) from error
    show_statement(statement, file)
    outlooks, missing = outlooks_of(registry, dict.fromkeys(accounts.values()))
    show_outlooks(tuple(outlooks.values()), missing, file)
    if stage.keeps_folder:
        sys.stderr.write(f"logs and database are kept in {stage.folder}\n")
    documents = {
        account: outlooks[connector].document()
        for account, connector in accounts.items()
        if connector in outlooks
    }
    return replace(statement, published=documents)


def _small_bulks(registry: Registry, accounts: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Let a channel with a way for bulk go it often: its faults shall have their chances."""
    return {
        account: {BULK_SETTING: BULK_THRESHOLD}
        for account, connector in accounts.items()
        if BULK_SETTING in registry.settings_model(connector).model_fields
    }
