"""What the configuration says of accounts, as append-only facts: the past stays explainable."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select

from oms_sync.flows.records import AccountProfile
from oms_sync.storage.columns import Instant, to_json
from oms_sync.storage.connections import Parameters, Transaction
from oms_sync.storage.tables.hub import account_policies

_NEWEST = select(account_policies).where(
    account_policies.c.fact.in_(
        select(func.max(account_policies.c.fact))
        .where(account_policies.c.at <= bindparam("until", type_=Instant()))
        .group_by(account_policies.c.account)
    )
)
_EARLIEST = select(account_policies).where(
    account_policies.c.fact.in_(
        select(func.min(account_policies.c.fact)).group_by(account_policies.c.account)
    )
)
_ADD = insert(account_policies)
#: the mode noted for an account that left the configuration
REMOVED = "removed"


def changes(
    transaction: Transaction, profiles: Iterable[AccountProfile], *, at: datetime
) -> list[Parameters]:
    """The facts to append so that `profiles`, all there are, is what was noted last."""
    known = profiles_at(transaction, at)
    configured = {one.name: one for one in profiles}
    fresh = [one for name, one in configured.items() if _policy(known.get(name)) != _policy(one)]
    gone = [one for name, one in known.items() if name not in configured]
    return [_fact(one, at, one.mode) for one in fresh] + [_fact(one, at, REMOVED) for one in gone]


def append(transaction: Transaction, facts: list[Parameters]) -> None:
    """Store what `changes` found."""
    transaction.run_many(_ADD, facts)


def profiles_at(transaction: Transaction, at: datetime) -> dict[str, AccountProfile]:
    """The policy of each account as it was at `at`; before the first, the first."""
    rows = [*transaction.rows(_EARLIEST), *transaction.rows(_NEWEST, {"until": at})]
    newest = {row.account: row for row in rows}
    return {name: _profile(row) for name, row in sorted(newest.items()) if row.mode != REMOVED}


def _fact(one: AccountProfile, at: datetime, mode: str) -> Parameters:
    return {
        "account": one.name,
        "at": at,
        "connector": one.connector,
        "mode": mode,
        "locations": to_json(list(one.locations)),
        "buffer": one.buffer,
        "cap": one.cap,
    }


def _profile(row: Any) -> AccountProfile:
    return AccountProfile(
        name=row.account,
        connector=row.connector,
        mode=row.mode,
        locations=tuple(json.loads(row.locations)),
        buffer=row.buffer,
        cap=row.cap,
    )


def _policy(profile: AccountProfile | None) -> object:
    if profile is None:
        return None
    return profile.connector, profile.mode, profile.locations, profile.buffer, profile.cap
