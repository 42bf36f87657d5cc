"""How accounts are shown to people: a line each, or one with its call budget and last calls."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from oms_sync.cli.account_health import TABLES, reason_of, show_account_health
from oms_sync.cli.output import note, show_facts, show_heading, show_table

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
#: from here on a duration is told in the next larger unit
_TWICE: Final = 2

_COLUMNS: Final = {
    "name": "account",
    "connector": "connector",
    "mode": "mode",
    "state": "state",
    "polled": "polled#",
    "listings_behind": "behind#",
    "dead_letters": "dead#",
    "budget": "budget#",
    "drain": "drains#",
    "reason": "reason",
}
_BUDGET: Final = {
    "operation": "operation",
    "available": "left#",
    "capacity": "of#",
    "rate": "refills#",
    "full": "full in#",
}
_CALLS: Final = {
    "at": "at",
    "operation": "operation",
    "status": "status",
    "cost": "cost#",
    "duration_seconds": "seconds#",
    "request_id": "request id",
}


def show_accounts(found: Iterable[Mapping[str, Any]]) -> None:
    """Every account in a line; `budget` is what is left of the bucket most used up."""
    rows = [
        {
            **one,
            "polled": _ago(one["cursor_age_seconds"]),
            "budget": _least_left(one["rate_budget"]),
            "drain": span(one["drain_seconds"]),
            "reason": reason_of(one),
        }
        for one in found
    ]
    show_table(_COLUMNS, rows, none="no accounts; add one to the configuration")


def show_account_facts(found: Mapping[str, Any]) -> None:
    """One account, then its call budget, an operation a line."""
    apart = (
        "rate_budget",
        "drain_seconds",
        "budget_shared_with",
        "calls",
        "history_left_seconds",
        *TABLES,
    )
    facts = {name: value for name, value in found.items() if name not in apart}
    left = history_words(found["history_left_seconds"])
    show_facts({**facts, "history_left": left, "drains_in": span(found["drain_seconds"])})
    show_account_health(found)
    shared = found["budget_shared_with"]
    show_heading(f"call budget, shared with {', '.join(shared)}" if shared else "call budget")
    rows = [
        {
            **one,
            "rate": _rate(one["refill_per_second"]),
            "full": span(_full_seconds(one)),
            "available": f"{one['available']:g}",
            "capacity": f"{one['capacity']:g}",
        }
        for one in found["rate_budget"]
    ]
    show_table(_BUDGET, rows, none="no call was made yet, or its channel sets no limits")


def show_calls(calls: Iterable[Mapping[str, Any]]) -> None:
    """The last calls, newest first."""
    show_heading("last calls")
    rows = [
        {**one, "cost": f"{one['cost']:g}", "duration_seconds": f"{one['duration_seconds']:.3f}"}
        for one in calls
    ]
    show_table(_CALLS, rows, none="no call was noted yet")
    if rows:
        note("quote the request id to the channel's support")


def history_words(seconds: float | None) -> str:
    """How long the channel still shows what was not yet read."""
    return "none: some is lost" if seconds is not None and seconds < 0 else span(seconds)


def span(seconds: float | None) -> str:
    """A duration as people say it; an unknown one is a dash."""
    if seconds is None:
        return "–"
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= _TWICE * size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s"


def _ago(seconds: float | None) -> str:
    return "–" if seconds is None else f"{span(seconds)} ago"


def _least_left(budget: Iterable[Mapping[str, Any]]) -> str:
    shares = [max(0.0, one["available"]) / one["capacity"] for one in budget if one["capacity"] > 0]
    return f"{min(shares):.0%}" if shares else "–"


def _full_seconds(one: Mapping[str, Any]) -> float | None:
    missing = one["capacity"] - one["available"]
    if missing <= 0:
        return 0.0
    return missing / one["refill_per_second"] if one["refill_per_second"] > 0 else None


def _rate(per_second: float) -> str:
    for unit, size in (("s", 1), ("min", _MINUTE), ("h", _HOUR)):
        if per_second * size >= 1:
            return f"{per_second * size:.1f}/{unit}".replace(".0/", "/")
    return f"{per_second * _DAY:.1f}/d".replace(".0/", "/") if per_second > 0 else "–"
