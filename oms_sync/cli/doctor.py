"""`oms-sync doctor`: looks at everything once, and says line by line what to do."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from oms_sync.cli.accounts import ask_channel, known_accounts
from oms_sync.cli.desk import config_path, open_desk
from oms_sync.cli.output import Json, show_json, show_table

if TYPE_CHECKING:
    from oms_sync.bootstrap import Desk
    from oms_sync.runtime.doctor import Finding

_STATUSES = ("fail", "warn", "ok")


def doctor(
    context: typer.Context,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no channel; look at this machine alone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at configuration, keys, database, disk, clocks and every account; say what to do."""
    found = list(_findings(context, is_online=not offline))
    if as_json:
        show_json(
            {
                "findings": [one.to_json() for one in found],
                **{status: _count(found, status) for status in _STATUSES},
            }
        )
    else:
        columns = {"status": "status", "place": "place", "said": "found", "remedy": "do"}
        show_table(columns, [one.to_json() for one in found], none="nothing was looked at")
    if _count(found, "fail"):
        raise typer.Exit(1)


def _count(found: "list[Finding]", status: str) -> int:
    return sum(1 for one in found if one.status == status)


def _findings(context: typer.Context, *, is_online: bool) -> "Iterator[Finding]":
    """Everything that can be said; what rests on something broken is left out."""
    from oms_sync.runtime.config_accounts import check_config
    from oms_sync.runtime.doctor import Finding, judge_config, judge_key_file
    from oms_sync.runtime.registry import load_registry
    from oms_sync.storage.errors import StorageError

    path = config_path(context)
    settings, faults = check_config(path, load_registry())
    enabled = sum(1 for one in settings.accounts if one.enabled) if settings else 0
    yield from judge_config(path, faults, enabled)
    if settings is None or faults:
        return
    key_file = judge_key_file(settings.keys.file)
    yield key_file
    if not settings.keys.file.exists():
        return
    try:
        with open_desk(context) as desk:
            yield from _of_machine(desk)
            yield from _of_accounts(desk, is_online=is_online)
    except StorageError as error:
        remedy = "the runbooks “The database is down” and “The wrong key file”"
        yield Finding(status="fail", place="database", said=str(error), remedy=remedy)


def _of_machine(desk: "Desk") -> "Iterator[Finding]":
    from oms_sync.bootstrap import data_folder
    from oms_sync.runtime.doctor import judge_database, judge_disk
    from oms_sync.web.health import DISK_FLOOR_BYTES, DISK_LOW_SHARE

    yield from judge_database(desk.storage.ready(), desk.storage.current_revision())
    folder = data_folder(desk.settings)
    usage = shutil.disk_usage(folder)
    yield judge_disk(
        folder,
        free=usage.free,
        total=usage.total,
        floor=DISK_FLOOR_BYTES,
        low_share=DISK_LOW_SHARE,
    )


def _of_accounts(desk: "Desk", *, is_online: bool) -> "Iterator[Finding]":
    from oms_sync.runtime.doctor import (
        judge_account,
        judge_certificates,
        judge_silences,
        judge_subscriptions,
    )
    from oms_sync.sdk import Capability

    enabled = {one.name for one in desk.settings.accounts if one.enabled}
    for account in known_accounts(desk):
        name = account["name"]
        if name not in enabled:
            continue
        yield from judge_account(account)
        yield from judge_silences(name, _silences(desk, name))
        capabilities = desk.manifest(name).capabilities
        if Capability.LIST_ORDERS in capabilities:
            yield from judge_certificates(account)
        yield from judge_subscriptions(
            account,
            capabilities,
            public_url=desk.settings.web.public_url,
            now=desk.clock.now(),
        )
        if is_online:
            yield from _of_channel(desk, name)


def _of_channel(desk: "Desk", account: str) -> "Iterator[Finding]":
    from oms_sync.runtime.doctor import judge_answer
    from oms_sync.sdk import ChannelError

    try:
        answer = ask_channel(desk, account)
    except ChannelError as error:
        answer = {"problems": [str(error) or type(error).__name__]}
    yield from judge_answer(account, answer)


def _silences(desk: "Desk", account: str) -> dict[str, str]:
    """Judged now, so that it is told also while no hub runs."""
    from oms_sync.domain.silence import silences
    from oms_sync.flows.watch import pace_and_pulse

    with desk.open_work() as work:
        now = desk.clock.now()
        judged = pace_and_pulse(work, desk.profiles[account], desk.manifest(account), now=now)
    if judged is None:
        return {}
    pace, pulse = judged
    found = silences(pulse, pace, now=now)
    return {kind.value: f"{one.reason} ({one.since:%Y-%m-%d %H:%M})" for kind, one in found.items()}
