"""`oms-sync db …` and `oms-sync ledger …`."""

from typing import Any

import typer

from oms_sync.cli.desk import open_desk
from oms_sync.cli.output import Json, complain, long_work, say, show_json

app = typer.Typer(help="The database.", no_args_is_help=True)
ledger = typer.Typer(help="The stock ledger.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `db` a group though it has one command."""


@ledger.callback()
def _ledger_group() -> None:
    """Keeps `ledger` a group though it has one command."""


@app.command("upgrade")
def upgrade(context: typer.Context) -> None:
    """Bring the database's schema up to this version; safe to repeat."""
    with open_desk(context) as desk, long_work("upgrading the schema") as progress:
        before = desk.storage.current_revision()
        desk.storage.upgrade()
        after = desk.storage.needed_revision()
        progress(1)
    if before == after:
        say(f"the schema is up to date ({after})")
    else:
        say(f"the schema went from {before or 'nothing'} to {after}")


@ledger.command("verify")
def verify(context: typer.Context, as_json: Json = False) -> None:
    """Recompute every balance and the whole hash chain; name the first bad row."""
    with open_desk(context) as desk, long_work("verifying the ledger") as progress:
        found: dict[str, Any] = desk.reports.verify_ledger()
        progress(found["rows"])
    if as_json:
        show_json(found)
    else:
        say(f"{found['rows']} movements, {found['balances']} balances")
    if not found["ok"]:
        complain(f"the ledger was tampered with; the first bad row: {found['first_bad']}")
        raise typer.Exit(1)
    if not as_json:
        say("every balance and every hash is right")
