"""How healthy one account is, for people: silences, lost stretches, subscriptions, reading."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from oms_sync.cli.desk import manifest_of
from oms_sync.cli.output import note, show_heading, show_table

if TYPE_CHECKING:
    from oms_sync.bootstrap import Desk

#: keys of an account that are shown as tables of their own
TABLES: Final = ("alarms", "gaps", "subscriptions", "uncertified", "reading")
#: of an account the hub has not run with yet
NOTHING: Final[Mapping[str, Any]] = {
    "clock_skew_seconds": None,
    "history_left_seconds": None,
    "certified_on": None,
    **{name: [] for name in TABLES},
}
_ALARMS: Final = {"kind": "silent", "since": "since", "reason": "what it means"}
_GAPS: Final = {"since": "lost from", "until": "to", "found_at": "found at"}
_SUBSCRIPTIONS: Final = {
    "kind": "told by",
    "seen_at": "seen fine",
    "heard_at": "last heard",
    "target": "at",
}
_UNCERTIFIED: Final = {"day": "day (UTC)", "reason": "why"}
_READING: Final = {
    "feed": "orders",
    "how_far": "how far",
    "orders_read": "read#",
    "since": "begins at",
    "page_at": "last page",
}


def with_history_left(desk: "Desk", account: Mapping[str, Any]) -> dict[str, Any]:
    """The account, and how long its channel still shows everything not yet read."""
    from oms_sync.runtime.registry import ConnectorUnavailable

    read_at = account["last_order_poll_at"] or account["first_connected_at"]
    if read_at is None:
        return {**account, "history_left_seconds": None}
    try:
        days = desk.manifest(account["name"]).order_horizon_days
    except (ConnectorUnavailable, KeyError):
        return {**account, "history_left_seconds": None}
    left = datetime.fromisoformat(read_at) + timedelta(days=days) - desk.clock.now()
    return {**account, "history_left_seconds": round(left.total_seconds())}


def with_certificates(desk: "Desk", account: Mapping[str, Any]) -> dict[str, Any]:
    """The account, its last certified day, and the days that should be certified and are not."""
    from oms_sync.domain.certificate import PROVED_DAYS, days_due

    name, connected_at = account["name"], account["first_connected_at"]
    if connected_at is None or not _can_list(desk, name):
        return {**account, "certified_on": None, "uncertified": []}
    began_at, now = datetime.fromisoformat(connected_at), desk.clock.now()
    read_since = began_at - timedelta(days=desk.profiles[name].backfill_days)
    with desk.open_work() as work:
        tries = work.certificates.latest(name, since=now.date() - timedelta(days=PROVED_DAYS + 1))
    issued = [day for day, one in tries.items() if one.is_issued]
    due = days_due(connected_at=began_at, read_since=read_since, now=now)
    uncertified = [
        {"day": str(day), "reason": _why_uncertified(desk, name, str(day), was_tried=day in tries)}
        for day in due
        if day not in issued
    ]
    last = max(issued, default=None)
    return {**account, "certified_on": str(last) if last else None, "uncertified": uncertified}


def _why_uncertified(desk: "Desk", account: str, day: str, *, was_tried: bool) -> str:
    from oms_sync.domain.certificate import why_refused

    if not was_tried:
        return "not compared yet"
    (newest,) = desk.reports.certificates(account, day=day, limit=1)
    return why_refused(newest["certificate"])


def _can_list(desk: "Desk", account: str) -> bool:
    from oms_sync.sdk import Capability

    is_configured = account in desk.profiles
    return is_configured and Capability.LIST_ORDERS in manifest_of(desk, account).capabilities


def reason_of(account: Mapping[str, Any]) -> str:
    """Why an account is not simply well: its state's reason, else its silences, and what it asks
    of its channel.
    """
    silent = ", ".join(one["kind"] for one in account["alarms"])
    days = ", ".join(one["day"] for one in account["uncertified"])
    why = str(account["reason"]) or (f"silent: {silent}" if silent else "")
    asked = account.get("write_backs_open", 0)
    open_ones = f"{asked} write-backs open" if asked else ""
    return "; ".join(filter(None, (why, f"not certified: {days}" if days else "", open_ones)))


def show_account_health(account: Mapping[str, Any]) -> None:
    """What there is of alarms, gaps and subscriptions, and how far each feed was read."""
    for title, name, columns in (
        ("silences", "alarms", _ALARMS),
        ("lost for good", "gaps", _GAPS),
        ("subscriptions", "subscriptions", _SUBSCRIPTIONS),
        ("days without a certificate", "uncertified", _UNCERTIFIED),
    ):
        if account[name]:
            show_heading(title)
            show_table(columns, account[name], none="")
    if account["reading"]:
        show_heading("reading")
        rows = [{**one, "how_far": _how_far(one)} for one in account["reading"]]
        show_table(_READING, rows, none="")
    if account["uncertified"]:
        note(
            f"compare a day at once: oms-sync reconcile orders --account {account['name']} --day D"
        )
    if account["alarms"]:
        note("a silence ends by itself; what to do meanwhile: oms-sync doctor")


def _how_far(one: Mapping[str, Any]) -> str:
    if one["is_finished"]:
        return "finished"
    if one["begun_at"] is not None:
        return "under way"
    if one["drained_at"] is not None:
        return "up to date"
    return "under way" if one["page_at"] is not None else "waits"
