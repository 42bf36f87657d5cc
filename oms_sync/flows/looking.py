"""Looking at what a channel shows: the half of `push_stock` that reads.

A look is noted first and accepted only when every order visible at its time is merged: a sale that
is inside the quantity but not yet in our books would otherwise be erased by the next push.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from oms_sync.domain.certificate import instant_text
from oms_sync.domain.drift import Cause, DriftSigns, last_right_at, probable_cause
from oms_sync.domain.events import Event
from oms_sync.domain.listing import UNPROVED_MAX, DriftPolicy, Listing, give_up, lose
from oms_sync.domain.looks import Drift, accept_look, agree, is_look_expected, look, look_later
from oms_sync.domain.reservation import LevelKey
from oms_sync.domain.stock import MovementKind, StockLevel, StockMovement, apply
from oms_sync.domain.values import Sku
from oms_sync.flows import asked_discovery
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import FeedPosition
from oms_sync.sdk import OrderFeed

log = structlog.get_logger(__name__)

LOOKS_MAX = 500
ROUNDS_MAX = 50
#: a look that disagrees is repeated from so many seconds on and up to so many, and once more
#: before it is accepted: in between nothing is to be learnt, and calls are few
LOOK_AGAIN_SECONDS = 1.0
LOOK_AGAIN_SECONDS_MAX = 5.0
#: how long a push that was only accepted may stay invisible before it is sent again: each time in
#: a row twice as long, for what a channel does in bulk or under load takes its time
PATIENCE_SECONDS = 30.0
PATIENCE_SECONDS_MAX = 900.0
#: how often it is looked at meanwhile, at most
PATIENT_LOOKS_MAX = 16
LOOK_EARLY_SECONDS_MIN = 7.5
#: drift of so many days tells a habit from an accident
DRIFT_DAYS = 7
#: what was given up is tried again so much later
GIVEN_UP_SECONDS = 3600.0


def look_at_due(context: FlowContext) -> int:
    """Ask the channel what it shows, where that is not known or in doubt."""
    account = context.account.name
    size = max(1, context.manifest.stock_read_max)
    done = 0
    for _ in range(ROUNDS_MAX):
        with context.open_work() as work:
            due = work.listings.lock_look_due(account, at=context.clock.now(), limit=size)
        if not due:
            break
        at, taken = context.clock.now(), {one.listing_id: one.taken for one in due}
        reading = context.session.read_stock([one.channel_listing_id for one in due])
        with context.open_work() as work:
            current = work.listings.lock([one.listing_id for one in due])
            looked = []
            for one in current.values():
                if one.taken != taken[one.listing_id]:
                    # Nobody can say whether a sale imported meanwhile is inside: look again.
                    continue
                quantity = reading.quantities.get(one.channel_listing_id)
                if quantity is None:
                    log.warning("listing.not_found", account=account, listing=one.listing_id)
                    looked.append(lose(one, "the channel does not know this listing"))
                else:
                    problem = reading.problems.get(one.channel_listing_id)
                    seen = look(one, quantity, read_at=reading.read_at, at=at, problem=problem)
                    looked.append(_unless_early(context, seen))
            work.listings.save(looked)
            asked_discovery.ask_for_listings(context, work, looked, due)
            if any(one.look is not None and not is_look_expected(one) for one in looked):
                # A pass may explain it; it begins when every order of that time is visible.
                lag = timedelta(seconds=context.manifest.visibility_lag_seconds)
                work.feeds.hasten(account, OrderFeed.CHANGES, at=at + lag)
                work.wake("ingest", account)
            work.commit()
        done += len(due)
        if len(due) < size:
            break
    return done + _look_again(context)


def _look_again(context: FlowContext) -> int:
    """Look once more where a look disagrees, and drop it when the channel now shows the expected.

    Times are known to the second: of a sale in the very second of a look nobody can say whether it
    was inside. What disagrees for good waits on under its first look.
    """
    account = context.account.name
    at = context.clock.now()
    with context.open_work() as work:
        looked = work.listings.lock_looked(
            account,
            until=at - timedelta(seconds=LOOK_AGAIN_SECONDS),
            limit=max(1, context.manifest.stock_read_max),
        )
    early, due = at - timedelta(seconds=LOOK_AGAIN_SECONDS_MAX), explained_until(context)
    doubtful = [
        one
        for one in looked
        if one.expected is not None
        and one.looked_at is not None
        and (one.looked_at > early or (due is not None and one.looked_at <= due))
    ]
    if not doubtful:
        return 0
    taken = {one.listing_id: one.taken for one in doubtful}
    reading = context.session.read_stock([one.channel_listing_id for one in doubtful])
    with context.open_work() as work:
        current = work.listings.lock([one.listing_id for one in doubtful])
        settled = []
        for one in current.values():
            quantity = reading.quantities.get(one.channel_listing_id)
            if quantity is None or one.look is None or one.taken != taken[one.listing_id]:
                continue
            problem = reading.problems.get(one.channel_listing_id)
            fresh = look(one, quantity, read_at=reading.read_at, at=at, problem=problem)
            if is_look_expected(fresh):
                settled.append(agree(fresh))
        if settled:
            work.listings.save(settled)
            work.commit()
    return len(settled)


def accept_looks(context: FlowContext) -> tuple[int, bool]:
    """Accept looks whose orders are imported; answers (accepted, do some still wait)."""
    account = context.account.name
    until = explained_until(context)
    accepted = _accept_agreeing(context)
    if until is not None:
        for _ in range(ROUNDS_MAX):
            count = _accept_batch(context, until)
            accepted += count
            if count < LOOKS_MAX:
                break
    with context.open_work() as work:
        waiting = work.listings.lock_looked(account, until=context.clock.now(), limit=1)
    return accepted, bool(waiting)


def _accept_agreeing(context: FlowContext) -> int:
    """Accept looks that show what the books expect: no order can be missing from them.

    So a look that only confirms keeps no push waiting, and one that does not is settled as soon as
    the sale behind it is imported.
    """
    with context.open_work() as work:
        looked = work.listings.lock_looked(
            context.account.name, until=context.clock.now(), limit=LOOKS_MAX
        )
        agreeing = [one for one in looked if is_look_expected(one)]
        if agreeing:
            work.listings.save([agree(one) for one in agreeing])
            work.commit()
    return len(agreeing)


def _accept_batch(context: FlowContext, until: datetime) -> int:
    account, policy = context.account, _policy(context)
    skus: list[Sku] = []
    if policy == "adopt":
        # Stock levels are locked before listings, so learn first which ones it will be.
        with context.open_work() as work:
            peek = work.listings.lock_looked(account.name, until=until, limit=LOOKS_MAX)
            skus = sorted({one.sku for one in peek if one.sku is not None})
    with context.open_work() as work:
        levels = work.stock.lock(skus) if skus else {}
        looked = work.listings.lock_looked(account.name, until=until, limit=LOOKS_MAX)
        if looked:
            _accept_all(context, work, looked, levels)
            work.commit()
    return len(looked)


def _policy(context: FlowContext) -> DriftPolicy:
    """The account's policy; in shadow mode somebody else sets the quantities, and may."""
    return context.account.drift if context.account.mode == "live" else "overwrite"


def explained_until(context: FlowContext) -> datetime | None:
    """Every sale before this moment is in the books; None while messages still wait."""
    account = context.account.name
    with context.open_work() as work:
        # In this order: what a pass brings is stored together with its end.
        position = work.feeds.get(account, OrderFeed.CHANGES)
        until = _read_until(context, position)
        if position is None or until is None:
            return None
        # What came in after that pass is about later orders, or was in the pass, too.
        ended_at = position.pass_started_at or position.page_at
        return None if work.inbox.has_new(account, until=ended_at) else until


def read_until(context: FlowContext) -> datetime | None:
    """Every sale before this moment was read, if not yet booked; None before the first pass."""
    with context.open_work() as work:
        return _read_until(context, work.feeds.get(context.account.name, OrderFeed.CHANGES))


def _read_until(context: FlowContext, position: FeedPosition | None) -> datetime | None:
    if position is None or position.drained_at is None:
        return None
    return position.drained_at - timedelta(seconds=context.manifest.visibility_lag_seconds)


def _accept_all(
    context: FlowContext,
    work: UnitOfWork,
    looked: Sequence[Listing],
    levels: Mapping[LevelKey, StockLevel],
) -> None:
    after, events, policy = [], [], _policy(context)
    for one in looked:
        accepted, drift = accept_look(one, policy)
        if one.unproved_since is not None:
            tell_unproved(context, accepted)
            if not _is_seen(one):
                accepted = _given_up(context, accepted)
        after.append(accepted)
        if drift is None or context.account.mode != "live":
            continue
        events.append(_drifted(context, work, one, drift))
        if policy == "adopt" and one.sku is not None:
            levels = _adopt(context, work, one.sku, drift, levels)
    work.listings.save(after)
    work.timeline.add(events)


def _unless_early(context: FlowContext, listing: Listing) -> Listing:
    """The look, but for one that only shows that the channel is not done: that one is repeated."""
    if is_look_expected(listing) or not _is_early(context, listing):
        return listing
    wait = max(LOOK_EARLY_SECONDS_MIN, _patience(context, listing) / PATIENT_LOOKS_MAX)
    return look_later(listing, at=context.clock.now() + timedelta(seconds=wait))


def _is_early(context: FlowContext, listing: Listing) -> bool:
    """The channel may still be about to apply what it accepted and nobody saw applied."""
    if listing.unproved_since is None or listing.looked_at is None or _is_seen(listing):
        return False
    patience = timedelta(seconds=_patience(context, listing))
    return listing.looked_at < listing.unproved_since + patience


def _is_seen(listing: Listing) -> bool:
    """What the books go by was seen at the channel, or set there by its own word."""
    return listing.basis is not None and listing.basis.since is not None


def _patience(context: FlowContext, listing: Listing) -> float:
    least = max(PATIENCE_SECONDS, context.manifest.visibility_lag_seconds)
    tries = min(listing.stale_count, UNPROVED_MAX * 3)
    return max(least, min(least * 2.0**tries, PATIENCE_SECONDS_MAX))


def _given_up(context: FlowContext, listing: Listing) -> Listing:
    """As refused, where the channel again and again took in what it does not show."""
    # What was not sent yet cannot have been in vain.
    is_wrong = listing.due == listing.sent and listing.due != listing.expected
    if listing.stale_count < UNPROVED_MAX or not is_wrong:
        return listing
    reason = f"accepted {listing.stale_count} times and not shown"
    if listing.problem:
        reason += f": {listing.problem}"
    until = context.clock.now() + timedelta(seconds=GIVEN_UP_SECONDS)
    return give_up(listing, reason, until=until)


def tell_unproved(context: FlowContext, listing: Listing) -> None:
    """The channel shows something else than the books, unsure themselves, went by."""
    said = {
        "account": context.account.name,
        "sku": listing.sku,
        "listing": listing.listing_id,
        "expected": listing.sent,
        "found": listing.shown,
        "retries": listing.stale_count,
        "reason": listing.problem or "",
    }
    if listing.stale_count >= UNPROVED_MAX:
        log.error("stock.not_proved", **said)
    else:
        log.warning("stock.not_proved", **said)


def _drifted(context: FlowContext, work: UnitOfWork, listing: Listing, drift: Drift) -> Event:
    account, name = context.account, "listing.drifted"
    right_at = last_right_at(listing)
    detail: dict[str, str | int | None] = {
        "expected": drift.expected,
        "found": drift.found,
        "policy": account.drift,
        "cause": str(drift_cause(context, work, listing, drift.expected, drift.found)),
        "since": instant_text(right_at) if right_at else None,
    }
    context.metrics.count("drift", account=account.name)
    log.warning(
        "listing.drifted",
        account=account.name,
        sku=listing.sku,
        **detail,
    )
    return Event(
        name=name,
        at=context.clock.now(),
        actor="channel",
        account=account.name,
        sku=listing.sku,
        detail=detail,
    )


def drift_cause(
    context: FlowContext, work: UnitOfWork, listing: Listing, expected: int, found: int
) -> Cause:
    """The probable cause of a quantity nothing here explains."""
    account, since = context.account.name, context.clock.now() - timedelta(days=DRIFT_DAYS)
    sku = str(listing.sku)
    before = work.timeline.count("listing.drifted", account=account, skus=[sku], since=since)
    return probable_cause(
        DriftSigns(
            expected=expected,
            found=found,
            is_refused=listing.refused_reason is not None,
            is_news_waiting=work.order_lists.has_unread(account),
            times_before=before.get(sku, 0),
        )
    )


def _adopt(
    context: FlowContext,
    work: UnitOfWork,
    sku: Sku,
    drift: Drift,
    levels: Mapping[LevelKey, StockLevel],
) -> Mapping[LevelKey, StockLevel]:
    """Take the channel's word: correct the stock by what the channel shows too much or too little.

    Never below what is reserved: the rest stays drift, and the next push corrects the channel.
    """
    key = next(
        (
            (sku, place)
            for place in context.account.locations
            if (sku, place) in levels and levels[sku, place].is_counted
        ),
        None,
    )
    if key is None:
        return levels
    units = max(drift.found - drift.expected, -levels[key].free)
    if units == 0:
        return levels
    movement = StockMovement(
        sku=sku,
        location=key[1],
        kind=MovementKind.ADJUSTMENT,
        on_hand_delta=units,
        reason="adopted from the channel",
        source=f"drift:{context.account.name}",
        actor="hub",
        at=context.clock.now(),
    )
    after = {**levels, key: apply(levels[key], movement)}
    work.stock.append([movement], {key: after[key]})
    for account in sorted(work.listings.mark_stale([sku])):
        work.wake("push_stock", account)
    return after
