"""What `oms-sync doctor` says of what it is shown: well, worth a look, or broken, with the remedy.

It judges; who calls it asks the database, the disk and the channels.
"""

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from oms_sync.domain.silence import OVERDUE_KINDS
from oms_sync.runtime.config_faults import Fault
from oms_sync.runtime.health import NEEDS_REAUTH, OK, PAUSED
from oms_sync.sdk import Capability

Status = Literal["ok", "warn", "fail"]

#: a subscription is looked at hourly: older than this, nobody looks
SUBSCRIPTION_MAX: Final = timedelta(hours=3)
SKEW_SECONDS_MAX: Final = 300
#: worth a look long before it stops anything
SKEW_SECONDS_ODD: Final = 30
_SILENT: Final = "is the hub running? then the runbook “An account is silent”"
_LATE: Final = "the runbook “Orders are late”"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's."""

    status: Status
    #: what was looked at
    place: str
    said: str
    #: what to do; empty where all is well
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """The line as a program reads it."""
        return {
            "status": self.status,
            "place": self.place,
            "said": self.said,
            "remedy": self.remedy,
        }


def judge_config(path: Path, faults: Sequence[Fault], accounts: int) -> list[Finding]:
    """The configuration file."""
    if not faults:
        said = f"{path}: no faults, {accounts} accounts enabled"
        return [Finding(status="ok", place="config", said=said)]
    remedy = "correct the line; oms-sync check"
    return [
        Finding(status="fail", place="config", said=str(fault), remedy=remedy) for fault in faults
    ]


def judge_key_file(path: Path) -> Finding:
    """Who may read the key file."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        said = f"{path}: {error.strerror}"
        remedy = "put your key file there; `oms-sync init` makes one for a new installation"
        return Finding(status="fail", place="key file", said=said, remedy=remedy)
    if mode & 0o077:
        said = f"{path}: others may read it (mode {mode:04o})"
        return Finding(status="fail", place="key file", said=said, remedy=f"chmod 600 {path}")
    return Finding(status="ok", place="key file", said=f"{path}: mode {mode:04o}")


def judge_database(problems: Iterable[str], revision: str | None) -> list[Finding]:
    """Whether the database can be written and has the schema of this version."""
    found = list(problems)
    if not found:
        said = f"writable, schema {revision}"
        return [Finding(status="ok", place="database", said=said)]
    remedy = "oms-sync db upgrade where it says so; else the runbook “The database is down”"
    return [Finding(status="fail", place="database", said=one, remedy=remedy) for one in found]


def judge_disk(folder: Path, *, free: int, total: int, floor: int, low_share: float) -> Finding:
    """Whether there is room beside the database."""
    said = f"{folder}: {free // 1_000_000} of {total // 1_000_000} MB free"
    status: Status = "fail" if free < floor else "warn" if free < total * low_share else "ok"
    remedy = "" if status == "ok" else "make room, never by deleting a file of the database"
    return Finding(status=status, place="disk", said=said, remedy=remedy)


def judge_answer(account: str, answer: Mapping[str, Any]) -> list[Finding]:
    """What the channel answered about the account, as `accounts test` has it."""
    place = f"{account} channel"
    look = f"oms-sync accounts test {account}; the runbook that fits what it says"
    found = [
        Finding(status="fail", place=place, said=problem, remedy=look)
        for problem in answer["problems"]
    ]
    found += [
        Finding(status="warn", place=place, said=warning, remedy=look)
        for warning in answer.get("warnings", ())
    ]
    skew = answer.get("clock_skew_seconds") or 0
    if SKEW_SECONDS_ODD < abs(skew) <= SKEW_SECONDS_MAX:
        said = f"this machine's clock is {-skew:+.0f} s off the channel's"
        remedy = "let the machine keep time: timedatectl set-ntp true"
        found.append(Finding(status="warn", place=place, said=said, remedy=remedy))
    if found:
        return found
    said = f"connected as {answer.get('channel_account', 'itself')}, clocks agree"
    return [Finding(status="ok", place=place, said=said)]


def judge_account(account: Mapping[str, Any]) -> list[Finding]:
    """What the hub knows of the account by itself: state, silences, lost stretches."""
    name, state = str(account["name"]), account["state"]
    found: list[Finding] = []
    if state == NEEDS_REAUTH:
        remedy = f"oms-sync accounts authorize {name}, or new credentials and accounts resume"
        found.append(_of(name, "fail", str(account["reason"]), remedy))
    elif state == PAUSED:
        said = f"paused: {account['reason'] or 'no reason given'}"
        found.append(_of(name, "warn", said, f"oms-sync accounts resume {name}"))
    elif state != OK:
        remedy = "the runbook “The account is degraded”"
        found.append(_of(name, "warn", str(account["reason"]), remedy))
    for gap in account["gaps"]:
        said = f"changes from {_minute(gap['since'])} to {_minute(gap['until'])} are lost"
        remedy = "the runbook “A gap”: compare the channel's own export of that time"
        found.append(_of(name, "warn", said, remedy))
    return found or [_of(name, "ok", "state ok, no gap", "")]


def judge_certificates(account: Mapping[str, Any]) -> list[Finding]:
    """Whether every day that is over is proved complete."""
    name = str(account["name"])
    if account["uncertified"]:
        return [
            _of(
                name,
                "warn",
                f"{one['day']} has no certificate: {one['reason']}",
                f"oms-sync reconcile orders --account {name} --day {one['day']}",
            )
            for one in account["uncertified"]
        ]
    if account["certified_on"] is None:
        return []
    return [_of(name, "ok", f"certified up to {account['certified_on']}", "")]


def judge_silences(account: str, found: Mapping[str, str]) -> list[Finding]:
    """Silences by kind, in words."""
    return [
        _of(account, "warn", f"{kind}: {said}", _LATE if kind in OVERDUE_KINDS else _SILENT)
        for kind, said in found.items()
    ]


def judge_subscriptions(
    account: Mapping[str, Any],
    capabilities: frozenset[Capability],
    *,
    public_url: str | None,
    now: datetime,
) -> list[Finding]:
    """Whether the channel tells of changes, and somebody looks after that."""
    name = str(account["name"])
    can_be_told = {Capability.RECEIVE_WEBHOOKS, Capability.PULL_NOTIFICATIONS} & capabilities
    if not can_be_told or account["mode"] == "shadow":
        said = "polled only: " + ("mode is shadow" if can_be_told else "its channel tells nothing")
        return [_of(name, "ok", said, "")]
    if not account["subscriptions"]:
        no_url = Capability.RECEIVE_WEBHOOKS in can_be_told and public_url is None
        remedy = "set web.public_url, then " if no_url else ""
        said = "no subscription: orders come by polling alone"
        return [_of(name, "warn", said, f"{remedy}oms-sync accounts subscribe {name}")]
    return [_subscription(name, one, now) for one in account["subscriptions"]]


def _subscription(name: str, one: Mapping[str, Any], now: datetime) -> Finding:
    seen_at = datetime.fromisoformat(one["seen_at"]) if one["seen_at"] else None
    said = f"{one['kind']} seen fine {_minute(one['seen_at']) if seen_at else 'never'}"
    if seen_at is None or now - seen_at > SUBSCRIPTION_MAX:
        remedy = f"start the hub, it looks every hour; or oms-sync accounts subscribe {name}"
        return _of(name, "warn", said, remedy)
    return _of(name, "ok", said, "")


def _minute(instant: str) -> str:
    """An RFC 3339 instant as people read it, in UTC."""
    return datetime.fromisoformat(instant).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _of(account: str, status: Status, said: str, remedy: str) -> Finding:
    return Finding(status=status, place=account, said=said, remedy=remedy)
