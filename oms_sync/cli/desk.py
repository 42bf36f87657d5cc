"""From a command's options to everything it works with; closes it again, whatever happens."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.domain.errors import InvalidValue
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.commands.csv_rows import BYTES_MAX

if TYPE_CHECKING:
    from datetime import datetime

    from oms_sync.bootstrap import Desk
    from oms_sync.domain.values import Sku
    from oms_sync.sdk import AccountCheck, Manifest

ImportFile = Annotated[
    Path,
    typer.Argument(help="The CSV file.", exists=True, dir_okay=False, readable=True),
]


def config_path(context: typer.Context) -> Path:
    """The configuration file this command line means."""
    from oms_sync.runtime.settings import find_config

    chosen = context.find_root().obj
    return find_config(chosen if isinstance(chosen, Path) else None)


@contextmanager
def open_desk(context: typer.Context) -> Iterator["Desk"]:
    """The configured hub, for one command."""
    from oms_sync import bootstrap

    with bootstrap.open_desk(config_path(context)) as desk:
        yield desk


def command_context(desk: "Desk") -> CommandContext:
    """What the acts of `flows/commands` work with, in the name of whoever runs the command."""
    return CommandContext(
        open_work=desk.open_work,
        clock=desk.clock,
        ids=desk.ids,
        actor=actor(),
        profiles=desk.profiles,
        locations=frozenset(location.code for location in desk.settings.locations),
        manifest_of=lambda account: manifest_of(desk, account),
        cancel_words_of=lambda account: cancel_words_of(desk, account),
    )


def manifest_of(desk: "Desk", account: str) -> "Manifest":
    """What the account's connector declares; nothing where it cannot be used."""
    from oms_sync.runtime.registry import ConnectorUnavailable
    from oms_sync.sdk import Manifest

    try:
        return desk.manifest(account)
    except ConnectorUnavailable:
        return Manifest(id=account, label=account)  # `oms-sync connectors list` says why


def cancel_words_of(desk: "Desk", account: str) -> frozenset[str] | None:
    """The reasons for cancelling the account's channel has words for; None where any will do."""
    from oms_sync.runtime.mapping_files import load_tables

    manifest = manifest_of(desk, account)
    if not manifest.cancel_reason_table:
        return None
    tables = load_tables(manifest, overlay=desk.settings.mappings.directory)
    return frozenset(tables[manifest.cancel_reason_table].entries.values())


def actor() -> str:
    """Who runs the command, as timelines show it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"  # a user without a name, as in some containers


@contextmanager
def own_session(desk: "Desk", account: str) -> Iterator[Any]:
    """A session of the account for the length of the block; refuses credentials of another shop."""
    from oms_sync.flows.identity import compare

    session: Any = desk.open_session(account)
    try:
        check = check_of(desk, account, session)
        if check is not None:
            with desk.open_work() as work:
                known = work.upkeep.identity(account)
            compare(known, account, check)
        yield session
    finally:
        session.close()


def check_of(desk: "Desk", account: str, session: Any) -> "AccountCheck | None":
    """What the channel says of the credentials; None where the connector cannot ask."""
    from oms_sync.sdk import Capability

    if Capability.CHECK_ACCOUNT not in manifest_of(desk, account).capabilities:
        return None
    check: AccountCheck = session.check()
    return check


def read_file(path: Path) -> bytes:
    """The file's bytes, at most one more than an import takes."""
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


def sku_of(text: str) -> "Sku":
    """A SKU as typed; a usage error where it is none."""
    from oms_sync.domain.values import parse_sku

    try:
        return parse_sku(text)
    except InvalidValue as error:
        raise typer.BadParameter(str(error)) from error


def time_of(text: str | None, name: str) -> "datetime | None":
    """An instant as typed; a usage error where it is none."""
    from oms_sync.flows.commands.csv_rows import read_time

    if text is None:
        return None
    try:
        return read_time(text, name)
    except InvalidValue as error:
        raise typer.BadParameter(str(error)) from error


def location_of(context: CommandContext, location: str | None) -> str:
    """The location meant: the one named, else the only one there is."""
    if location is not None:
        return location
    if len(context.locations) == 1:
        return next(iter(context.locations))
    raise CommandRefused(f"say --location: one of {', '.join(sorted(context.locations))}")
