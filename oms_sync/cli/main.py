"""The command `oms-sync`: puts the command groups together and turns every refusal into a sentence.

Exit status: 0 done, 1 failed with a reason on standard error, 2 wrong usage or configuration.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from oms_sync.cli import (
    accounts,
    connectors,
    db,
    doctor,
    inbox,
    listings,
    orders,
    orders_erase,
    orders_writes,
    reconcile,
    run,
    stock,
)
from oms_sync.cli.output import complain

STATUS_FAILED = 1
STATUS_USAGE = 2
STATUS_INTERRUPTED = 130
STATUS_BROKEN_PIPE = 141
_CONFIG = "--config"


class RootGroup(TyperGroup):
    """Lets `--config` stand anywhere on the line, and maps errors to messages and statuses."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Bring `--config FILE` to the front before anything is parsed."""
        return super().parse_args(ctx, hoist_config(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it refuses becomes a sentence, not a traceback."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(STATUS_INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output has gone; let the interpreter's last flush go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(STATUS_BROKEN_PIPE) from None
        except _refusals() as error:
            complain(_sentence(error))
            raise typer.Exit(_status(error)) from None
        return result


def hoist_config(args: Sequence[str]) -> list[str]:
    """`args` with `--config FILE` in front, wherever it stood before a lone `--`."""
    end = args.index("--") if "--" in args else len(args)
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(args[:end])
    for arg in waiting:
        if arg == _CONFIG:
            front = [arg, *[value for value in [next(waiting, None)] if value is not None]]
        elif arg.startswith(f"{_CONFIG}="):
            front = [arg]
        else:
            rest.append(arg)
    return [*front, *rest, *args[end:]]


app = typer.Typer(
    name="oms-sync",
    cls=RootGroup,
    help="Takes every order in, reserves one stock once, tells every channel, explains every "
    "number. `--config FILE` may stand anywhere on the line.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        sys.stdout.write(f"oms-sync {version('oms-sync')}\n")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            _CONFIG,
            help="The configuration file; else $OMS_SYNC_CONFIG, else ./oms-sync.yaml.",
        ),
    ] = None,
    is_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Keep the choice of configuration file for the command."""
    context.obj = config


run.add_to(app)
orders_writes.add_to(orders.app, orders.shipments)
orders_erase.add_to(orders.app)
for _name, _group in (
    ("accounts", accounts.app),
    ("orders", orders.app),
    ("shipments", orders.shipments),
    ("stock", stock.app),
    ("listings", listings.app),
    ("inbox", inbox.app),
    ("dead-letters", inbox.dead_letters),
    ("ledger", db.ledger),
    ("db", db.app),
    ("reconcile", reconcile.app),
    ("connectors", connectors.app),
):
    app.add_typer(_group, name=_name)
app.command("ship")(orders.ship)
app.command("certificate")(reconcile.certificate)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name
    app()


def _refusals() -> tuple[type[Exception], ...]:
    """Every error that is an answer to the operator; loaded only once one has come up."""
    from oms_sync.domain.errors import DomainError
    from oms_sync.flows.commands.context import CommandRefused
    from oms_sync.flows.ports import LeaseLost
    from oms_sync.runtime.config_faults import ConfigError
    from oms_sync.runtime.registry import ConnectorUnavailable
    from oms_sync.sdk import ChannelError
    from oms_sync.storage.errors import StorageError

    return (
        ConfigError,
        CommandRefused,
        DomainError,
        ChannelError,
        StorageError,
        ConnectorUnavailable,
        LeaseLost,
        OSError,
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}"
    return str(error) or (type(error).__doc__ or type(error).__name__).splitlines()[0]


def _status(error: Exception) -> int:
    from oms_sync.runtime.config_faults import ConfigError

    return STATUS_USAGE if isinstance(error, ConfigError) else STATUS_FAILED
