"""`oms-sync reconcile …` and `oms-sync certificate`: both ends compared, and what that proves."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli.account_view import span
from oms_sync.cli.desk import actor, command_context, open_desk, read_file, time_of
from oms_sync.cli.output import (
    Json,
    complain,
    long_work,
    note,
    say,
    show_facts,
    show_json,
    show_table,
)
from oms_sync.flows.commands.context import CommandRefused

if TYPE_CHECKING:
    from oms_sync.bootstrap import Desk
    from oms_sync.domain.completeness import Window
    from oms_sync.flows.ports import FlowContext
    from oms_sync.sdk import Capability

app = typer.Typer(help="Both ends compared: orders and stock.", no_args_is_help=True)

CERTIFICATES_SHOWN_MAX = 31
DIFFERENCES_SHOWN_MAX = 50

OneAccount = Annotated[
    str | None, typer.Option("--account", help="Only this account; else every one that can.")
]
Day = Annotated[
    datetime | None,
    typer.Option("--day", formats=["%Y-%m-%d"], help="The UTC day, as 2026-03-01."),
]


@app.command("orders")
def reconcile_orders(
    context: typer.Context,
    account: OneAccount = None,
    day: Day = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Every day from this time on, up to now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the channel's own list of orders with ours; certify each day, heal what differs."""
    if day is not None and since is not None:
        raise typer.BadParameter("say --day or --since, not both")
    with open_desk(context) as desk:
        accounts = _accounts(desk, account, "list_orders")
        begin = time_of(since, "--since")
        found = [
            _compared(desk, name, window)
            for name in accounts
            for window in _windows(desk, name, day, begin)
        ]
    if as_json:
        show_json(found)
    else:
        _show_compared(found)
    if any(one["outcome"] in ("refused", "different") for one in found):
        raise typer.Exit(1)


@app.command("stock")
def reconcile_stock(
    context: typer.Context, account: OneAccount = None, as_json: Json = False
) -> None:
    """Read every listing back and name what differs from expected; the policy is applied next."""
    from oms_sync.flows.commands.reconcile import compare_stock

    found: list[dict[str, Any]] = []
    with open_desk(context) as desk:
        for name in _accounts(desk, account, "read_stock"):
            rows = desk.reports.listings(account=name)
            with _flow_context(desk, name) as flow, long_work(f"reading {name}", len(rows)) as told:
                found += compare_stock(flow, rows, told=told, waits=_waiting(name))
    if as_json:
        show_json(found)
        return
    columns = {
        "account": "account",
        "channel_sku": "channel SKU",
        "expected": "expected#",
        "found": "found#",
        "since": "last right",
        "cause": "probable cause",
        "policy": "policy",
    }
    show_table(columns, found, none="every listing shows what is expected")


def certificate(
    context: typer.Context,
    day: Day = None,
    account: OneAccount = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            exists=True,
            dir_okay=False,
            help="Check a certificate saved with --json: its signature, and the ledger it names.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the newest certificate of each account and day, or verify one."""
    with open_desk(context) as desk:
        if verify is not None:
            _verify(desk, verify, as_json=as_json)
            return
        if account is not None:
            command_context(desk).profile(account)
        rows = desk.reports.certificates(
            account,
            day=day.date().isoformat() if day else None,
            limit=CERTIFICATES_SHOWN_MAX * max(1, len(desk.profiles)),
        )
    if as_json:
        show_json(rows)
        return
    if day is None or len(rows) != 1:
        _show_certificates(rows)
        return
    _show_certificate(rows[0])


# --- comparing -----------------------------------------------------------------------------------


def _accounts(desk: "Desk", account: str | None, capability: str) -> list[str]:
    """The accounts meant: the one named, which must be able to, else every one that is."""
    from oms_sync.sdk import Capability

    if account is not None:
        command_context(desk).profile(account)
        if not _can(desk, account, Capability(capability)):
            raise CommandRefused(f"the connector of {account} does not declare {capability}")
        return [account]
    enabled = {one.name for one in desk.settings.accounts if one.enabled}
    return sorted(name for name in enabled if _can(desk, name, Capability(capability)))


def _can(desk: "Desk", account: str, capability: "Capability") -> bool:
    from oms_sync.flows.manual import MANUAL

    return account != MANUAL and capability in desk.manifest(account).capabilities


def _windows(
    desk: "Desk", account: str, day: datetime | None, since: datetime | None
) -> "list[Window]":
    """The windows meant, without a choice yesterday; what is younger than two polls is left out."""
    from oms_sync.domain.completeness import window_until, windows_since

    lag = desk.wire(account).manifest.visibility_lag_seconds  # the account's own, where it is set
    now = desk.clock.now() - timedelta(seconds=2 * desk.profiles[account].poll_seconds + lag)
    if since is not None:
        return list(windows_since(since, now))
    chosen: date = day.date() if day else now.astimezone(UTC).date() - timedelta(days=1)
    window = window_until(chosen, now)
    if window.since >= window.until:
        raise typer.BadParameter(f"{chosen} has not begun; days are UTC")
    return [window]


@contextmanager
def _flow_context(desk: "Desk", account: str) -> "Iterator[FlowContext]":
    """What a flow works with, for one command, beside a running daemon or without one."""
    from oms_sync.flows.ports import FlowContext
    from oms_sync.runtime.metrics import NullMetrics

    wiring = desk.wire(account)
    session = wiring.open()
    try:
        yield FlowContext(
            account=wiring.profile,
            profiles=desk.profiles,
            manifest=wiring.manifest,
            session=session,
            webhook=None,
            open_work=desk.open_work,
            clock=desk.clock,
            ids=desk.ids,
            metrics=NullMetrics(),
            is_stopping=lambda: False,
        )
    finally:
        session.close()


def _compared(desk: "Desk", account: str, window: "Window") -> dict[str, Any]:
    from oms_sync.flows.commands.reconcile import compare_orders

    label = f"{account}, {window.since:%Y-%m-%d}"
    with _flow_context(desk, account) as flow, long_work(f"listing {label}") as told:
        found: dict[str, Any] = compare_orders(
            flow, window, owner=actor(), told=told, waits=_waiting(account)
        )
    return found


def _waiting(account: str) -> Callable[[float, str], None]:
    """Says why nothing goes on, so that a spent call budget does not look like a hang."""

    def say_so(seconds: float, reason: str) -> None:
        why = reason or "its channel cannot answer now"
        note(f"{account}: {why}; asking again in {span(seconds)} (Ctrl-C gives up)")

    return say_so


def _show_compared(found: list[dict[str, Any]]) -> None:
    columns = {
        "account": "account",
        "window": "day",
        "received": "received#",
        "in_hub": "in hub#",
        "quarantined": "quarantined#",
        "ignored": "ignored#",
        "missing": "missing#",
        "different": "differ#",
        "extra": "extra#",
        "outcome": "outcome",
    }
    rows = [{**one, "window": _window_words(one)} for one in found]
    show_table(columns, rows, none="no account's connector can list its orders")
    if any(one["day"] is not None and not one["is_day_over"] for one in found):
        note("a day that is not over is compared and certified as far as it has come")
    for one in found:
        for each in one["differences"][:DIFFERENCES_SHOWN_MAX]:
            complain(f"{one['account']}:{each['channel_order_id']}: {_words(each)}")
        if one["healing"]:
            note(f"{one['account']}: {one['healing']} orders are read again")


def _window_words(one: dict[str, Any]) -> str:
    if one["day"] is None:
        return f"from {_minute(one['since'])}"
    return str(one["day"])


def _words(order: dict[str, Any]) -> str:
    return "; ".join(
        f"{one['kind']}"
        + (f" of line {one['line']}" if one["line"] else "")
        + (f": ours {one['ours'] or 'none'}, theirs {one['theirs'] or 'none'}")
        for one in order["differences"]
    )


# --- certificates --------------------------------------------------------------------------------


def _show_certificates(rows: list[dict[str, Any]]) -> None:
    columns = {
        "day": "day",
        "account": "account",
        "outcome": "outcome",
        "attempt": "try#",
        "received": "received#",
        "in_hub": "in hub#",
        "quarantined": "quarantined#",
        "ignored": "ignored#",
        "issued_at": "at",
    }
    none = "nothing was certified yet; a day is, some minutes after it is over"
    found = [row["certificate"] for row in rows]
    shown = [
        {**one, "attempt": one["attempt"] or None, "issued_at": _minute(one["issued_at"])}
        for one in found
    ]
    show_table(columns, shown, none=none)


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")


def _show_certificate(row: dict[str, Any]) -> None:
    found = row["certificate"]
    hidden = ("ids", "differences", "tracking", "reasons", "ledger")
    show_facts(
        {
            **{name: value for name, value in found.items() if name not in hidden},
            "reasons": found["reasons"],
            "ledger": f"{found['ledger']['levels']} levels, {found['ledger']['digest']}",
            "signature": row["signature"],
            "next try": row["next_at"],
        }
    )
    for each in (*found["differences"], *found["tracking"])[:DIFFERENCES_SHOWN_MAX]:
        complain(f"{each['channel_order_id']}: {_words(each)}")


def _verify(desk: "Desk", path: Path, *, as_json: bool) -> None:
    try:
        document = json.loads(read_file(path))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CommandRefused(f"{path}: not a certificate as --json prints it: {error}") from error
    signed = document if isinstance(document, list) else [document]
    problems = [
        f"{_name(one, number)}: {problem}"
        for number, one in enumerate(signed, start=1)
        for problem in _problems(desk.reports.certificate_problems, one)
    ]
    if not signed:
        problems = [f"{path}: it holds no certificate"]
    if as_json:
        show_json({"certificates": len(signed), "ok": not problems, "problems": problems})
    for problem in problems if not as_json else ():
        complain(problem)
    if problems:
        raise typer.Exit(1)
    if not as_json:
        say(f"{len(signed)} genuine, and the ledger is what it was")


def _problems(check: Callable[[dict[str, Any]], list[str]], one: Any) -> list[str]:
    return check(one) if isinstance(one, dict) else ["it is no certificate"]


def _name(one: Any, number: int) -> str:
    found = one.get("certificate") if isinstance(one, dict) else None
    if not isinstance(found, dict):
        return f"certificate {number}"
    return f"{found.get('account')}, {found.get('day')}"
