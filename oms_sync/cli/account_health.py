"""How healthy one account is, for people: silences, lost stretches, subscriptions, reading."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from oms_sync.cli.output import note, show_heading, show_table

if TYPE_CHECKING:
    from oms_sync.bootstrap import Desk

#: keys of an account that are shown as tables of their own
TABLES: Final = ("alarms", "gaps", "subscriptions", "reading")
#: of an account the hub has not run with yet
NOTHING: Final[Mapping[str, Any]] = {
    "clock_skew_seconds": None,
    "history_left_seconds": None,
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


def reason_of(account: Mapping[str, Any]) -> str:
    """Why an account is not simply well: its state's reason, else its silences."""
    silent = ", ".join(one["kind"] for one in account["alarms"])
    return str(account["reason"]) or (f"silent: {silent}" if silent else "")


def show_account_health(account: Mapping[str, Any]) -> None:
    """What there is of alarms, gaps and subscriptions, and how far each feed was read."""
    for title, name, columns in (
        ("silences", "alarms", _ALARMS),
        ("lost for good", "gaps", _GAPS),
        ("subscriptions", "subscriptions", _SUBSCRIPTIONS),
    ):
        if account[name]:
            show_heading(title)
            show_table(columns, account[name], none="")
    if account["reading"]:
        show_heading("reading")
        rows = [{**one, "how_far": _how_far(one)} for one in account["reading"]]
        show_table(_READING, rows, none="")
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
