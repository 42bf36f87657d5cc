"""`oms-sync accounts …`, and the online half of `oms-sync check`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli import accounts_setup
from oms_sync.cli.account_health import NOTHING, with_certificates, with_history_left
from oms_sync.cli.account_view import show_account_facts, show_accounts, show_calls
from oms_sync.cli.desk import check_of, command_context, manifest_of, open_desk
from oms_sync.cli.output import Json, note, say, show_facts, show_json, show_table
from oms_sync.flows.budgets import CALLS_MAX
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.manual import MANUAL

if TYPE_CHECKING:
    from oms_sync.bootstrap import Desk
    from oms_sync.sdk import AccountCheck

app = typer.Typer(help="Channel accounts: health, lag, and going live.", no_args_is_help=True)

accounts_setup.add_to(app)

#: O-09: further apart than this, versions and windows cannot be trusted
SKEW_SECONDS_MAX = 300

_NEVER_RAN: dict[str, Any] = {
    "state": "ok",
    "reason": "the hub has not run with it yet",
    "last_order_poll_at": None,
    "cursor_age_seconds": None,
    "first_connected_at": None,
    "backfilled_at": None,
    "token_expires_at": None,
    "rate_budget": [],
    "budget_shared_with": [],
    "drain_seconds": 0.0,
    "listings": 0,
    "listings_behind": 0,
    "listings_settling": 0,
    "shipments_behind": 0,
    "write_backs_open": 0,
    "dead_letters": 0,
    **NOTHING,
}

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")]


@app.command("list")
def list_accounts(context: typer.Context, as_json: Json = False) -> None:
    """List every account with its health and how far behind it is."""
    with open_desk(context) as desk:
        found = known_accounts(desk)
    if as_json:
        show_json(found)
        return
    show_accounts(found)


@app.command("show")
def show_account(
    context: typer.Context,
    account: Account,
    with_calls: Annotated[
        bool, typer.Option("--calls", help="Also the last calls to its channel, newest first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one account: health, cursor, lag, token and rate budget."""
    with open_desk(context) as desk:
        command_context(desk).profile(account)
        found = next((one for one in known_accounts(desk) if one["name"] == account), None)
        calls = desk.reports.calls(account, limit=CALLS_MAX) if with_calls else None
    if found is None:
        raise CommandRefused(f"account {account} takes orders from files, there is no channel")
    if calls is not None:
        found = {**found, "calls": calls}
    if as_json:
        show_json(found)
        return
    show_account_facts(found)
    if calls is not None:
        show_calls(calls)


@app.command("test")
def check_one(context: typer.Context, account: Account, as_json: Json = False) -> None:
    """Open an account and ask its channel who we are and what we may do."""
    with open_desk(context) as desk:
        command_context(desk).profile(account)
        found = ask_channel(desk, account)
    if as_json:
        show_json(found)
    else:
        show_facts(found)
    if found["problems"]:
        raise typer.Exit(1)


@app.command("pause")
def pause_account(
    context: typer.Context,
    account: Account,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown with the account.")] = "",
) -> None:
    """Stop everything of an account until it is resumed, across restarts."""
    from oms_sync.flows.commands.accounts import pause

    with open_desk(context) as desk:
        pause(command_context(desk), account, reason=reason)
    say(f"account {account} is paused")


@app.command("resume")
def resume_account(context: typer.Context, account: Account) -> None:
    """Let an account run again, after a pause or with new credentials."""
    from oms_sync.flows.commands.accounts import resume

    with open_desk(context) as desk:
        resume(command_context(desk), account)
    say(f"account {account} runs again")


@app.command("preview")
def preview_account(context: typer.Context, account: Account, as_json: Json = False) -> None:
    """Show, listing by listing, what going live would change."""
    from oms_sync.flows.commands.accounts import agreement, preview

    with open_desk(context) as desk:
        command_context(desk).profile(account)
        found = preview(desk.reports.listings(account=account))
    if as_json:
        show_json(found)
        return
    columns = {
        "channel_sku": "channel SKU",
        "sku": "SKU",
        "shows": "shows#",
        "would_show": "would show#",
        "change": "change#",
        "action": "live would",
    }
    show_table(columns, found, none=f"{account} has no listings yet: oms-sync listings discover")
    stands = agreement(found)
    if stands["compared"]:
        note(
            f"{stands['agreeing']} of {stands['compared']} listings ({stands['percent']} %) show "
            f"what would be pushed; {stands['would_change']} would change, by "
            f"{stands['units_off']} units in all"
        )
    elif found:
        note("no listing was seen and counted yet: nothing is known that would change")


def known_accounts(desk: "Desk") -> list[dict[str, Any]]:
    """What the hub knows of every account, and what is configured but never ran."""
    found: list[dict[str, Any]] = desk.reports.accounts(
        settle_seconds={
            name: _lag_of(desk, name) + profile.poll_seconds
            for name, profile in desk.profiles.items()
            if name != MANUAL
        }
    )
    listed = {one["name"] for one in found}
    fresh = [
        {
            **_NEVER_RAN,
            **desk.reports.upkeep(profile.name),
            "name": profile.name,
            "connector": profile.connector,
            "mode": profile.mode,
        }
        for profile in desk.profiles.values()
        if profile.name not in listed and profile.name != MANUAL
    ]
    shown = [with_certificates(desk, with_history_left(desk, one)) for one in (*found, *fresh)]
    return sorted(shown, key=lambda one: str(one["name"]))


def _lag_of(desk: "Desk", account: str) -> float:
    """How late the account's orders may show: its own setting, where it has one."""
    from oms_sync.runtime.config_faults import ConfigError
    from oms_sync.runtime.registry import ConnectorUnavailable
    from oms_sync.runtime.wiring import own_manifest

    (own,) = (one for one in desk.settings.accounts if one.name == account)
    try:
        return own_manifest(own, desk.registry).visibility_lag_seconds
    except (ConnectorUnavailable, ConfigError):
        return manifest_of(desk, account).visibility_lag_seconds  # the account does not run


def ask_channel(desk: "Desk", account: str) -> dict[str, Any]:
    """What the channel answers about the account; `problems` is empty when all is well."""
    if account == MANUAL:
        raise CommandRefused(f"account {account} takes orders from files, there is no channel")
    session: Any = desk.open_session(account)
    try:
        check = check_of(desk, account, session)
    finally:
        session.close()
    if check is None:
        return {"account": account, "problems": [], "note": "its connector checks nothing"}
    skew = (check.channel_time - desk.clock.now()).total_seconds()
    problems = [f"permission missing: {name}" for name in check.missing_permissions]
    if abs(skew) > SKEW_SECONDS_MAX:
        problems.append(f"this machine's clock is {-skew:+.0f} s off the channel's; set it")
    problems += _of_another(desk, account, check)
    expires = check.token_expires_at
    return {
        "account": account,
        "channel_account": check.channel_account,
        "channel_account_id": check.channel_account_id,
        "clock_skew_seconds": round(skew),
        "token_expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ") if expires else None,
        "problems": problems,
        "warnings": list(check.warnings),
        **{name: value for name, value in check.detail.items() if name != "problems"},
    }


def _of_another(desk: "Desk", account: str, check: "AccountCheck") -> list[str]:
    """That the credentials open another shop than the account's, where they do."""
    from oms_sync.flows.identity import OtherAccount, compare

    with desk.open_work() as work:
        known = work.upkeep.identity(account)
    try:
        compare(known, account, check)
    except OtherAccount as error:
        return [str(error)]
    return []
