"""Stock → channel: brings every listing of one account to its desired quantity.

Claim in one transaction, call outside any transaction, record in another. Absolute values only,
decreases first; an unknown outcome is sent again under the same key or looked up, never assumed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from oms_sync.domain.listing import (
    Listing,
    accept_push,
    claim,
    confirm,
    doubt,
    postpone,
    refuse,
    release,
    turn_stale,
    want,
)
from oms_sync.domain.stock import StockLevel, channel_quantity
from oms_sync.domain.values import Sku
from oms_sync.flows import asked_discovery, waiting
from oms_sync.flows.looking import accept_looks, look_at_due, tell_unproved
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.flows.records import AccountProfile, PushRecord, StoredBatch
from oms_sync.sdk import (
    BadPayload,
    Capability,
    ChannelError,
    FixData,
    OrderFeed,
    OutcomeUnknown,
    PushOutcome,
    PushResult,
    StockBatch,
    StockPush,
)

log = structlog.get_logger(__name__)

STALE_MAX = 500
ROUNDS_MAX = 50
RESEND_MAX = 5
#: channels forget idempotency keys; after this a batch is looked up instead of sent again
KEY_LIFE_SECONDS = 3600
STALE_TRIES_MAX = 5
STALE_WAIT_SECONDS_MAX = 300.0
ACCEPTED_WAIT_SECONDS = 5.0
UNKNOWN_WAIT_SECONDS = 1.0
LOOKED_WAIT_SECONDS = 1.0
#: what a channel takes later is offered again as often
POSTPONED_SECONDS = 300.0


def run(context: FlowContext) -> FlowReport:
    """Compute what is stale, settle what was left open, look where needed, push what differs."""
    done = _refresh(context)
    if not _may_push(context):
        return FlowReport(done=done)
    # Shadow mode looks as live does, so that a preview can say what going live would change.
    is_live = context.account.mode == "live"
    is_unsettled = is_live and _settle_open(context)
    done += look_at_due(context)
    accepted, is_looking = accept_looks(context)
    done += waiting.end_waits(context)
    pushed, is_more = _push(context) if is_live else (0, False)
    wait = UNKNOWN_WAIT_SECONDS if is_unsettled else LOOKED_WAIT_SECONDS
    is_waiting = is_unsettled or is_looking
    next_at = context.clock.now() + timedelta(seconds=wait) if is_waiting else None
    return FlowReport(
        done=done + accepted + pushed,
        is_more=is_more,
        next_at=_soonest(next_at, _next_look(context), waiting.next_at(context)),
    )


def _may_push(context: FlowContext) -> bool:
    """Nothing is pushed before the first back-fill is complete, or where nobody can look."""
    if not {Capability.PUSH_STOCK, Capability.READ_STOCK} <= context.manifest.capabilities:
        return False
    with context.open_work() as work:
        record = work.accounts.get(context.account.name)
    return record is not None and record.backfilled_at is not None


def _refresh(context: FlowContext) -> int:
    """Compute the desired quantity of every listing marked stale."""
    done = 0
    for _ in range(ROUNDS_MAX):
        with context.open_work() as work:
            stale = work.listings.lock_stale(context.account.name, STALE_MAX)
            if not stale:
                break
            levels = work.stock.levels({one.sku for one in stale if one.sku is not None})
            by_sku: dict[Sku, list[StockLevel]] = {}
            for level in levels.values():
                by_sku.setdefault(level.sku, []).append(level)
            at = context.clock.now() if waiting.delays_growths(context) else None
            work.listings.save([_wanted(one, by_sku, context.account, at=at) for one in stale])
            work.commit()
        done += len(stale)
        if len(stale) < STALE_MAX:
            break
    return done


def _wanted(
    listing: Listing,
    by_sku: Mapping[Sku, Sequence[StockLevel]],
    account: AccountProfile,
    *,
    at: datetime | None,
) -> Listing:
    if listing.sku is None:
        return want(listing, None)
    counted = [
        level
        for level in by_sku.get(listing.sku, ())
        if level.is_counted and level.location in account.locations
    ]
    if not counted:
        return want(listing, None)
    quantity = channel_quantity(
        counted,
        buffer=account.buffer if listing.buffer is None else listing.buffer,
        cap=account.cap if listing.cap is None else listing.cap,
    )
    return want(listing, quantity.value, at=at)


def _settle_open(context: FlowContext) -> bool:
    """Answer for batches a crash or a lost answer left open; True while some still are."""
    with context.open_work() as work:
        batches = work.outbox.open_batches(context.account.name)
    is_open = False
    for stored in batches:
        age = (context.clock.now() - stored.sent_at).total_seconds()
        may_resend = (
            context.manifest.is_push_idempotent
            and stored.attempts < RESEND_MAX
            and age < KEY_LIFE_SECONDS
        )
        if not may_resend:
            _record_all(context, stored.batch, PushOutcome.UNKNOWN, "the answer was lost")
            continue
        with context.open_work() as work:
            work.outbox.retry(stored.batch.key)
            work.commit()
        is_open = not _resend(context, stored.batch) or is_open
    return is_open


def _resend(context: FlowContext, batch: StockBatch) -> bool:
    """Send an open batch again under its key; should that fail, it stays as open as it was."""
    try:
        return _send(context, batch)
    except _RefusedWhole as refusal:
        # Refused now, yet the first attempt may have been applied: only a look can tell.
        _record_all(context, batch, PushOutcome.UNKNOWN, str(refusal))
        return True


def _push(context: FlowContext) -> tuple[int, bool]:
    """Send what differs, batch by batch; a batch refused whole is cut in halves."""
    size_max = max(1, context.manifest.stock_batch_max)
    size, done = size_max, 0
    for _ in range(ROUNDS_MAX):
        if context.is_stopping():
            return done, True
        batch = _claim(context, size)
        if batch is None:
            return done, False
        try:
            is_settled = _send(context, batch)
        except _RefusedWhole as refusal:
            if len(batch.entries) == 1:
                _record_all(context, batch, PushOutcome.REJECTED, str(refusal))
                size = size_max
            else:
                _record_all(context, batch, PushOutcome.NOT_APPLIED, "refused in company")
                size = len(batch.entries) // 2
            continue
        except ChannelError as error:
            # Every other error of the contract says that nothing was applied.
            _record_all(context, batch, PushOutcome.NOT_APPLIED, str(error))
            raise
        if not is_settled:
            return done, False
        done += len(batch.entries)
    return done, True


def _claim(context: FlowContext, size: int) -> StockBatch | None:
    account, now = context.account.name, context.clock.now()
    with context.open_work() as work:
        is_comparing = context.manifest.has_compare_and_set
        # With a policy that asks what the channel shows, a look must be answered for first.
        may_cut = context.account.drift == "overwrite" and not is_comparing
        wanting = work.listings.lock_wanting_push(account, size, may_cut=may_cut)
        if not wanting:
            return None
        key = context.ids.uuid()
        claimed = [claim(one, push_id=key, at=now, is_comparing=is_comparing) for one in wanting]
        batch = StockBatch(key=key, entries=tuple(_entries(claimed)))
        work.listings.save(claimed)
        work.outbox.add(StoredBatch(account=account, batch=batch, sent_at=now))
        work.commit()
    for before, after in zip(wanting, claimed, strict=True):
        if after.stale_count > before.stale_count:
            tell_unproved(context, after)
    return batch


def _entries(claimed: Iterable[Listing]) -> Iterable[StockPush]:
    for one in claimed:
        assert one.in_flight is not None, "a claimed listing is in flight"
        yield StockPush(
            channel_listing_id=one.channel_listing_id,
            channel_sku=one.channel_sku,
            quantity=one.in_flight.quantity,
            expected=one.in_flight.compare,
        )


class _RefusedWhole(Exception):
    """The channel refused the whole batch without naming entries."""


def _send(context: FlowContext, batch: StockBatch) -> bool:
    """Send one stored batch and record its outcome; False when the outcome is unknown.

    An error that is none of the contract leaves the batch open, too: it is settled by the next run.
    """
    started = context.clock.monotonic()
    try:
        results = context.session.push_stock(batch)
    except OutcomeUnknown as error:
        log.warning("stock.outcome_unknown", account=context.account.name, reason=str(error))
        return False
    except (FixData, BadPayload) as error:
        raise _RefusedWhole(str(error)) from error
    _record(context, batch, results)
    context.metrics.observe(
        "push_seconds",
        context.clock.monotonic() - started,
        account=context.account.name,
        flow="push_stock",
    )
    return True


def _record_all(context: FlowContext, batch: StockBatch, outcome: PushOutcome, reason: str) -> None:
    at = context.clock.now()
    _record(
        context,
        batch,
        [
            PushResult(
                channel_listing_id=entry.channel_listing_id,
                outcome=outcome,
                applied_at=at,
                reason=reason,
            )
            for entry in batch.entries
        ],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    outcome: PushOutcome
    applied_at: datetime
    reason: str


def _record(context: FlowContext, batch: StockBatch, results: Sequence[PushResult]) -> None:
    """Take the batch apart by key; an entry without a result has an unknown outcome."""
    account, now = context.account.name, context.clock.now()
    by_key = {result.channel_listing_id: result for result in results}
    with context.open_work() as work:
        ids = [entry.channel_listing_id for entry in batch.entries]
        found = work.listings.by_channel_ids(account, ids)
        locked = work.listings.lock(sorted(one.listing_id for one in found.values()))
        after, records, has_stale = [], [], False
        for listing in locked.values():
            result = by_key.get(listing.channel_listing_id)
            answer = _Answer(
                outcome=result.outcome if result else PushOutcome.UNKNOWN,
                applied_at=result.applied_at if result else now,
                reason=result.reason if result else "the answer did not name this listing",
            )
            records.append(
                PushRecord(
                    batch_key=batch.key,
                    channel_listing_id=listing.channel_listing_id,
                    outcome=answer.outcome.value,
                    at=answer.applied_at,
                    reason=answer.reason,
                )
            )
            has_stale = has_stale or answer.outcome is PushOutcome.STALE
            if listing.in_flight is not None and listing.in_flight.push_id == batch.key:
                after.append(_answered(context, listing, answer, now))
        work.listings.save(after)
        asked_discovery.ask_for_listings(context, work, after, locked.values())
        work.outbox.settle(batch.key, records)
        if has_stale:
            work.feeds.hasten(account, OrderFeed.CHANGES, at=now)
            work.wake("ingest", account)
        work.commit()
    log.info("stock.pushed", account=account, listings=len(after), batch=batch.key)


def _answered(context: FlowContext, listing: Listing, answer: _Answer, now: datetime) -> Listing:
    """The listing after the channel's answer to its push in flight."""
    match answer.outcome:
        case PushOutcome.APPLIED:
            return confirm(listing, applied_at=answer.applied_at, at=now)
        case PushOutcome.ACCEPTED:
            look_at = now + timedelta(seconds=ACCEPTED_WAIT_SECONDS)
            return accept_push(listing, applied_at=answer.applied_at, at=now, look_at=look_at)
        case PushOutcome.STALE:
            return turn_stale(listing, at=now + timedelta(seconds=_stale_wait(listing)))
        case PushOutcome.REJECTED:
            log.warning(
                "stock.push_refused",
                account=context.account.name,
                sku=listing.sku,
                reason=answer.reason,
            )
            return refuse(listing, answer.reason)
        case PushOutcome.NOT_APPLIED:
            return release(listing)
        case PushOutcome.POSTPONED:
            again = now + timedelta(seconds=POSTPONED_SECONDS)
            return postpone(listing, answer.reason, until=again)
        case _:
            return doubt(listing, at=now)


def _stale_wait(listing: Listing) -> float:
    excess = listing.stale_count - STALE_TRIES_MAX
    return min(2.0**excess, STALE_WAIT_SECONDS_MAX) if excess >= 0 else 0.0


def _next_look(context: FlowContext) -> datetime | None:
    with context.open_work() as work:
        return work.listings.next_look_at(context.account.name)


def _soonest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)
