"""How healthy accounts are: alarms, lost stretches, subscriptions, how far each feed was read."""

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from oms_sync.storage.connections import Transaction
from oms_sync.storage.reports.shapes import Json, when
from oms_sync.storage.tables.hub import feeds
from oms_sync.storage.tables.upkeep import alarms, discoveries, gaps, identities, subscriptions

GAPS_MAX = 1_000
_ALARMS = select(alarms).order_by(alarms.c.since)
_GAPS = select(gaps).order_by(gaps.c.since.desc()).limit(GAPS_MAX)
_SUBSCRIPTIONS = select(subscriptions).order_by(subscriptions.c.kind)
_FEEDS = select(feeds).order_by(feeds.c.feed)
_IDENTITIES = select(identities)
_DISCOVERIES = select(discoveries)


def upkeep_rows(transaction: Transaction) -> dict[str, Json]:
    """The health of every account that has any, by name."""
    found: dict[str, Json] = defaultdict(nothing_known)
    for name, query, shape in (
        ("alarms", _ALARMS, _alarm),
        ("gaps", _GAPS, _gap),
        ("subscriptions", _SUBSCRIPTIONS, _subscription),
        ("reading", _FEEDS, _reading),
    ):
        for row in transaction.rows(query):
            listed: Any = found[row.account][name]
            listed.append(shape(row))
    for row in transaction.rows(_IDENTITIES):
        found[row.account]["channel_account"] = row.channel_account
        found[row.account]["channel_account_id"] = row.channel_account_id
    for row in transaction.rows(_DISCOVERIES):
        found[row.account]["discovered_at"] = when(row.done_at)
    return found


def nothing_known() -> Json:
    """Of an account nothing was heard of yet."""
    return {
        "channel_account": None,
        "channel_account_id": None,
        "discovered_at": None,
        "alarms": [],
        "gaps": [],
        "subscriptions": [],
        "reading": [],
    }


def _alarm(row: Any) -> Json:
    return {
        "kind": row.kind,
        "since": when(row.since),
        "raised_at": when(row.raised_at),
        "reason": row.reason,
    }


def _gap(row: Any) -> Json:
    return {
        "since": when(row.since),
        "until": when(row.until),
        "found_at": when(row.found_at),
    }


def _subscription(row: Any) -> Json:
    return {
        "kind": row.kind,
        "target": row.target,
        "seen_at": when(row.seen_at),
        "heard_at": when(row.heard_at),
    }


def _reading(row: Any) -> Json:
    return {
        "feed": row.feed,
        "since": when(row.since),
        "is_finished": row.is_finished,
        "orders_read": row.orders_read,
        "begun_at": when(row.pass_started_at),
        "page_at": when(row.page_at),
        "drained_at": when(row.drained_at),
    }
