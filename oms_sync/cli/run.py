"""`oms-sync init`, `check`, `config schema`, `run`, `sandbox`, `demo`: setting up and running."""

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli.accounts import ask_channel
from oms_sync.cli.desk import config_path, open_desk
from oms_sync.cli.output import complain, note, say, show_json
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.runtime.memory import collector_held

if TYPE_CHECKING:
    from oms_sync.sdk.sandbox import Sandbox

config_app = typer.Typer(help="The configuration file.", no_args_is_help=True)
_PUBLISHED = "published"
_LIMITS = (_PUBLISHED, "off")


class Faults(StrEnum):
    """How badly the demo's channels behave."""

    NONE = "none"
    LIGHT = "light"
    HEAVY = "heavy"


def add_to(app: typer.Typer) -> None:
    """Put these commands at the top level of `app`."""
    app.command("init")(init)
    app.command("check")(check)
    app.command("run")(run)
    app.command("demo")(demo)
    app.command("sandbox")(sandbox)
    app.add_typer(config_app, name="config")


def init(context: typer.Context) -> None:
    """Write a commented configuration file and a key file; never replaces one."""
    from oms_sync.runtime.config_template import write_template
    from oms_sync.runtime.settings import KeySettings
    from oms_sync.storage.crypto import create_key_file

    path = config_path(context)
    key_path = path.parent / KeySettings.model_fields["file"].default
    for present in (path, key_path):
        if os.path.lexists(present):
            raise CommandRefused(f"{present} is there already; it is not replaced")
    write_template(path)
    create_key_file(key_path)
    say(f"{path}: add your accounts, then: oms-sync check")
    say(f"{key_path}: keep a copy elsewhere; without it personal data and backups are lost")


def check(
    context: typer.Context,
    online: Annotated[
        bool, typer.Option("--online", help="Ask each account's channel, too.")
    ] = False,
) -> None:
    """Validate the configuration: every fault with line, column and remedy."""
    from oms_sync.runtime.config_accounts import check_config
    from oms_sync.runtime.config_faults import ConfigError
    from oms_sync.runtime.registry import load_registry

    path = config_path(context)
    settings, faults = check_config(path, load_registry())
    if settings is None or faults:
        raise ConfigError(faults)
    if not settings.keys.file.exists():
        note(f"{settings.keys.file}: there is no key file yet; `oms-sync init` writes one")
    enabled = [account.name for account in settings.accounts if account.enabled]
    say(f"{path}: no faults, {len(enabled)} of {len(settings.accounts)} accounts enabled")
    if online and not _check_online(context, enabled):
        raise typer.Exit(1)


def _check_online(context: typer.Context, accounts: list[str]) -> bool:
    from oms_sync.sdk import ChannelError

    is_fine = True
    with open_desk(context) as desk:
        for account in accounts:
            try:
                found = ask_channel(desk, account)
            except ChannelError as error:
                found = {"problems": [str(error)]}
            for problem in found["problems"]:
                complain(f"{account}: {problem}")
            for warning in found.get("warnings", ()):
                note(f"{account}: {warning}")
            if found["problems"]:
                is_fine = False
            else:
                say(f"{account}: connected as {found.get('channel_account', 'itself')}")
        if desk.settings.web.public_url is None and accounts:
            note("web.public_url is not set: accounts poll only, no webhook comes in")
    return is_fine


@config_app.callback()
def _config_group() -> None:
    """Keeps `config` a group though it has one command."""


@config_app.command("schema")
def schema() -> None:
    """Print a JSON Schema of the configuration file, for editors."""
    from oms_sync.runtime.config_accounts import config_schema
    from oms_sync.runtime.registry import load_registry

    show_json(config_schema(load_registry()))


def run(context: typer.Context) -> None:
    """Run the hub until it is told to stop; SIGTERM and Ctrl-C let it finish what it began."""
    with collector_held():
        from oms_sync import bootstrap

    status = bootstrap.run_hub(config_path(context))
    if status:
        raise typer.Exit(status)


def demo(
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=1, max=86_400, help="Sell so long, settle, and leave."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same plan.")] = 1,
    orders_per_second: Annotated[
        float,
        typer.Option("--orders-per-second", min=0.01, max=1_000, help="Attempts of all buyers."),
    ] = 2.0,
    skus: Annotated[int, typer.Option("--skus", min=7, max=100_000, help="SKUs on sale.")] = 40,
    faults: Annotated[
        Faults, typer.Option("--faults", help="How badly the channels behave.")
    ] = Faults.NONE,
    as_json: Annotated[
        bool, typer.Option("--json", help="The closing statement as JSON, on the last line.")
    ] = False,
) -> None:
    """Show the hub at work: look-alike channels, a crowd of buyers, a warehouse; no set-up."""
    from oms_sync.cli.demo import DemoOptions, run_demo

    options = DemoOptions(
        seconds=seconds,
        seed=seed,
        orders_per_second=orders_per_second,
        skus=skus,
        faults=faults.value,
        as_json=as_json,
    )
    status = run_demo(options)
    if status:
        raise typer.Exit(status)


def sandbox(  # noqa: PLR0913, PLR0917 - one parameter an option
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Connector to look like.")],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Loopback port; 0 takes a free one.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same shop.")] = 1,
    buyers: Annotated[
        float, typer.Option("--buyers", min=0, max=1_000, help="Attempted purchases a second.")
    ] = 0.0,
    limits: Annotated[
        str, typer.Option("--limits", help="Rate limits: published or off.")
    ] = _PUBLISHED,
    lag: Annotated[
        float, typer.Option("--lag", min=0, max=3_600, help="How late orders appear in lists.")
    ] = 0.0,
    public_hub: Annotated[
        str | None, typer.Option("--public-hub", help="Base URL of the hub, for its webhooks.")
    ] = None,
) -> None:
    """Run the look-alike of one channel, and say how to connect a hub to it."""
    from oms_sync import bootstrap
    from oms_sync.sdk.seeding import SandboxOptions

    if limits not in _LIMITS:
        raise typer.BadParameter(f"--limits is one of {', '.join(_LIMITS)}, not {limits!r}")
    options = SandboxOptions(
        account=f"{channel}-sandbox",
        port=port,
        seed=seed,
        buyers_per_second=buyers,
        limits_published=limits == _PUBLISHED,
        lag_seconds=lag,
        public_hub=public_hub,
    )
    bootstrap.run_sandbox(channel, options, on_ready=_announce)


def _announce(made: "Sandbox", url: str) -> None:
    """Say how to connect: an entry to paste, and where the seed CSVs are."""
    say("accounts:")
    for line in _yaml_entry(made.account_entry()):
        say(line)
    say("")
    for name in ("stock", "listings"):
        say(f"# {name}: {url}/_sandbox/seed/{name}.csv")
    say(f"# truth: {url}/_sandbox/truth")
    sys.stdout.flush()


def _yaml_entry(entry: dict[str, Any]) -> list[str]:
    """The entry as an element of a YAML list, quoted so that any text is safe."""
    import json

    lines = [
        f"    {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items()
    ]
    lines[0] = f"  - {lines[0].strip()}"
    return lines
