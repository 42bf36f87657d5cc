"""What a channel itself holds of our listings: recorded with its time, apart from our stock.

It is never reserved, never pushed, and part of no quantity of ours. No flow of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from oms_sync.domain.listing import Listing
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.sdk import ReadPools


def record(work: UnitOfWork, account: str, pools: Mapping[str, int], *, at: datetime) -> int:
    """Note of each listing known here what the channel holds; answers of how many."""
    known = work.listings.by_channel_ids(account, pools)
    wanted = {one.listing_id: pools[name] for name, one in known.items()}
    return _save(work, wanted, at=at)


def refresh(context: FlowContext, now: datetime) -> int:
    """Ask again where what is known is older than a period; answers of how many listings."""
    account = context.account
    with context.open_work() as work:
        pooled = work.listings.pooled(account.name)
    if not _are_due(pooled, now - timedelta(seconds=account.reconcile_seconds)):
        return 0
    if not isinstance(context.session, ReadPools):
        return 0
    pools = context.session.read_pools()
    if pools is None:  # what was known stays, with the time it is from
        return 0
    with context.open_work() as work:
        gone = [one.listing_id for name, one in pooled.items() if name not in pools]
        count = _save(work, dict.fromkeys(gone, None), at=now)
        count += record(work, account.name, pools, at=now)
        work.commit()
    return count


def _are_due(pooled: Mapping[str, Listing], before: datetime) -> bool:
    times = [one.channel_pool_at for one in pooled.values() if one.channel_pool_at is not None]
    return bool(times) and min(times) <= before


def _save(work: UnitOfWork, wanted: Mapping[str, int | None], *, at: datetime) -> int:
    locked = work.listings.lock(sorted(wanted))
    work.listings.save([_noted(one, wanted[name], at=at) for name, one in locked.items()])
    return len(locked)


def _noted(listing: Listing, units: int | None, *, at: datetime) -> Listing:
    return replace(listing, channel_pool=units, channel_pool_at=None if units is None else at)
