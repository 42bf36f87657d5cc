"""`oms-sync connectors …`."""

import typer

from oms_sync.cli.desk import config_path
from oms_sync.cli.output import Json, show_json, show_table

app = typer.Typer(help="The channels this hub can speak to.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `connectors` a group though it has one command."""


@app.command("list")
def list_connectors(context: typer.Context, as_json: Json = False) -> None:
    """List installed connectors: version, capabilities, and whether they are usable."""
    from oms_sync.runtime.registry import load_registry

    listed = [
        {
            "name": one.name,
            "version": one.version,
            "state": one.state,
            "reason": one.reason,
            "capabilities": [capability.value for capability in one.capabilities],
        }
        for one in load_registry().listed(enabled=_enabled(context))
    ]
    if as_json:
        show_json(listed)
        return
    columns = {"name": "connector", "version": "version", "state": "state"}
    columns |= {"reason": "reason", "capabilities": "capabilities"}
    show_table(columns, listed, none="no connector is installed")


def _enabled(context: typer.Context) -> set[str] | None:
    """Connectors some enabled account uses; None where there is no configuration yet."""
    from oms_sync.runtime.settings import load_settings

    path = config_path(context)
    if not path.exists():
        return None
    return {one.connector for one in load_settings(path).accounts if one.enabled}
