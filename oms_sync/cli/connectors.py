"""`oms-sync connectors …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli.desk import config_path
from oms_sync.cli.output import Json, complain, long_work, say, show_heading, show_json, show_table

if TYPE_CHECKING:
    from oms_sync.sdk import Connector

app = typer.Typer(help="The channels this hub can speak to.", no_args_is_help=True)


def _installed(incomplete: str) -> list[str]:
    """Shell completion: the connectors whose names begin so."""
    from oms_sync.runtime.registry import load_registry

    return [name for name in load_registry().names if name.startswith(incomplete)]


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


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A lower-case word, such as etsy.")],
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", help="The folder to write, new or empty; else ./oms-sync-NAME."
        ),
    ] = None,
) -> None:
    """Write a connector that passes its tests and declares no capability yet."""
    from oms_sync.cli.scaffold import BadName, check_name, distribution_name, write_connector
    from oms_sync.runtime.registry import load_registry

    try:
        check_name(name)
    except BadName as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    folder = directory or Path(distribution_name(name))
    written = write_connector(name, folder, taken=load_registry().names)
    say(f"{folder}: {len(written)} files written")
    say("next:")
    say(f"  cd {folder}")
    say("  python -m pip install --editable . pytest")
    say("  python -m pytest")
    say(f"  oms-sync connectors check {name}")
    say("then declare a first capability in __init__.py; connectors/README.md of oms-sync goes on")


@app.command("check")
def check(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="An installed connector.", autocompletion=_installed),
    ],
    is_strict: Annotated[
        bool, typer.Option("--strict", help="Fail for a rule that is still to do, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the contract suite against the connector's own sandbox, and judge its checklist.

    Status 1 when a check fails, or the checklist leaves a rule out or says more than is true.
    """
    from oms_sync.runtime.registry import load_registry

    connector = load_registry().get(name)
    checks, rules = _contract(connector), _checklist(connector)
    failed = [f"{each['name']}: {each['reason']}" for each in checks if each["state"] == "failed"]
    failed += [f"{each['name']}: {each['problem']}" for each in rules if each["problem"]]
    if is_strict:
        failed += [f"{each['name']}: to do" for each in rules if each["status"] == "todo"]
    if as_json:
        manifest = connector.manifest
        show_json(
            {
                "name": manifest.id,
                "version": manifest.version,
                "capabilities": sorted(each.value for each in manifest.capabilities),
                "ok": not failed,
                "checks": checks,
                "rules": rules,
            }
        )
    else:
        _show(checks, rules)
    if failed:
        complain("\n".join(failed))
        raise typer.Exit(1)


def _contract(connector: "Connector") -> list[dict[str, Any]]:
    from oms_sync.cli.workbench import start_contract
    from oms_sync.sdk.contract import run_contract
    from oms_sync.sdk.contract_access import CHECKS

    applying = [one for one in CHECKS if one.applies(connector.manifest)]
    results, start = [], start_contract(connector)
    with long_work(f"contract suite of {connector.manifest.id}", len(applying)) as tell:
        for number, one in enumerate(applying, start=1):
            results += run_contract([one], connector.manifest, start)
            tell(number)
    return [
        {
            "name": one.name,
            "state": "failed" if one.problem else "skipped" if one.skipped else "passed",
            "reason": one.problem or one.skipped,
        }
        for one in results
    ]


def _checklist(connector: "Connector") -> list[dict[str, Any]]:
    from oms_sync.runtime.checklists import read_checklist
    from oms_sync.sdk.checklist import judge

    return [
        {
            "name": one.name,
            "status": one.answer.status if one.answer else None,
            "reason": one.answer.reason if one.answer else "",
            "problem": one.problem,
        }
        for one in judge(read_checklist(connector.package), connector.manifest)
    ]


def _show(checks: list[dict[str, Any]], rules: list[dict[str, Any]]) -> None:
    show_heading("Contract")
    columns = {"name": "check", "state": "state", "reason": "reason"}
    show_table(columns, checks, none="no check applies")
    show_heading("Checklist")
    columns = {"name": "rule", "status": "status", "reason": "reason", "problem": "problem"}
    show_table(columns, rules, none="no rule is asked")
    states = [each["state"] for each in checks] + [each["status"] for each in rules]
    words = ("passed", "skipped", "failed", "done", "exempt", "todo")
    say("")
    say(", ".join(f"{states.count(word)} {word}" for word in words if word in states))


def _enabled(context: typer.Context) -> set[str] | None:
    """Connectors some enabled account uses; None where there is no configuration yet."""
    from oms_sync.runtime.settings import load_settings

    path = config_path(context)
    if not path.exists():
        return None
    return {one.connector for one in load_settings(path).accounts if one.enabled}
