"""Channel → inbox: reads hints, re-reads orders, polls feeds; stores what it read, decides nothing.

A page and its cursor are stored in one transaction, so a cursor never passes an unstored order.
What a hint says arms a re-read; the answer of the re-read is itself an inbox message, and so is
what a hint shows of its order, where the channel promises that much.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from oms_sync.domain.events import Event
from oms_sync.domain.listing import Listing
from oms_sync.flows import gaps
from oms_sync.flows.hints import settle_hints
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import (
    AccountRecord,
    FeedPosition,
    InboxMessage,
    MessageSource,
    NewMessage,
    Reread,
)
from oms_sync.sdk import (
    BadPayload,
    Bug,
    Capability,
    FixData,
    Hint,
    HintKind,
    OrderFeed,
    OrderPage,
    RawOrder,
)

log = structlog.get_logger(__name__)

HINTS_MAX = 500
REREADS_MAX = 200
PAGES_MAX = 20
#: how often an id some hint named is asked for before we believe there is no such order
ABSENT_TRIES_MAX = 8
ABSENT_WAIT_SECONDS = 1.0
ABSENT_WAIT_SECONDS_MAX = 300.0
#: a sale is often announced after the quantity it lowered: wait this long before looking
LISTING_HINT_WAIT_SECONDS = 2.0
ID_LENGTH_MAX = 255
#: no order stays open for longer than this
OPEN_DAYS_MAX = 180


def run(context: FlowContext) -> FlowReport:
    """Work off hints, then due re-reads, then the feed of changes, then one page of back-fill."""
    _connect(context)
    done = _read_hints(context)
    if Capability.READ_ORDERS not in context.manifest.capabilities:
        return FlowReport(done=done)
    done += _reread(context)
    polled, is_more = _poll(context)
    filled, is_filling = _back_fill(context)
    return FlowReport(
        done=done + polled + filled,
        is_more=is_more or is_filling,
        next_at=_next_at(context),
    )


def _connect(context: FlowContext) -> None:
    """Remember the account at its first run and lay out its feeds."""
    account = context.account
    with context.open_work() as work:
        record = work.accounts.get(account.name)
        if record is not None and record.first_connected_at is not None:
            return
        now = context.clock.now()
        work.accounts.put(
            replace(
                record or AccountRecord(name=account.name, connector=account.connector),
                first_connected_at=now,
            )
        )
        history = now - timedelta(days=account.backfill_days)
        overlap = now - timedelta(seconds=account.overlap_seconds)
        # However much history is wanted: what is open has to be shipped, and holds its stock.
        horizon = now - timedelta(days=min(context.manifest.order_horizon_days, OPEN_DAYS_MAX))
        for feed, since in (
            (OrderFeed.CHANGES, overlap),
            (OrderFeed.OPEN, min(history, horizon)),
            (OrderFeed.HISTORY, history),
        ):
            work.feeds.put(FeedPosition(account=account.name, feed=feed, since=since, next_at=now))
        work.commit()


def _read_hints(context: FlowContext) -> int:
    account = context.account.name
    with context.open_work() as work:
        messages = work.inbox.lock_new(account, [MessageSource.WEBHOOK], HINTS_MAX)
        read = [(one, hint) for one in messages if (hint := _hint(context, work, one)) is not None]
        settle_hints(context, work, read)
        # Listings before feeds, and all at once: whoever locks several does so in one order.
        _compare_listings(context, work, [hint for _, hint in read])
        for _, hint in read:
            _follow(context, work, hint)
        _hear(work, account, read)
        shown = [new for message, hint in read if (new := _shown(message, hint)) is not None]
        if work.inbox.add(shown):
            work.wake("normalise", account)
        if messages:
            work.commit()
        return len(messages)


def _hint(context: FlowContext, work: UnitOfWork, message: InboxMessage) -> Hint | None:
    """What the message says to look at; one that cannot be understood is buried with its bytes."""
    account = context.account.name
    try:
        if context.webhook is None:
            raise BadPayload(f"{context.manifest.id} declares no webhooks, yet one came in")
        hint = context.webhook.read_hint(message.headers, message.body)
        _check_named(hint)
    except Exception as error:  # noqa: BLE001 - a connector's mistake costs one message only
        reason = f"{type(error).__name__}: {error}"
        work.inbox.bury(message.message_id, reason, at=context.clock.now())
        context.metrics.count("messages_dead", account=account)
        log.warning(
            "message.dead_lettered", account=account, message=message.message_id, reason=reason
        )
        return None
    return hint


def _check_named(hint: Hint) -> None:
    """Refuse an id that nothing can have: it would stop whoever is asked for it."""
    if hint.kind in (HintKind.ORDERS, HintKind.ACCOUNT, HintKind.NOTHING):
        return
    if not 0 < len(hint.object_id) <= ID_LENGTH_MAX or not hint.object_id.isprintable():
        raise BadPayload(f"the hint names {hint.object_id[:60]!r}, which is no id")


def _follow(context: FlowContext, work: UnitOfWork, hint: Hint) -> None:
    account, now = context.account.name, context.clock.now()
    if hint.kind in (HintKind.ORDER, HintKind.ORDER_DELETED):
        is_deletion = hint.kind is HintKind.ORDER_DELETED
        work.rereads.arm(account, [hint.object_id], at=now, is_deletion=is_deletion)
    elif hint.kind in (HintKind.ORDERS, HintKind.ACCOUNT):
        work.feeds.hasten(account, OrderFeed.CHANGES, at=now)
    if hint.kind is HintKind.ACCOUNT:
        # The credentials may be good no more, and an old access token would hide it for hours.
        work.wake("tend", account)


def _hear(work: UnitOfWork, account: str, read: list[tuple[InboxMessage, Hint]]) -> None:
    """Note that the channel announces orders: that it stopped to is an alarm."""
    kinds = (HintKind.ORDER, HintKind.ORDER_DELETED)
    heard = [message.received_at for message, hint in read if hint.kind in kinds]
    if heard:
        work.upkeep.hear(account, at=max(heard))


def _shown(message: InboxMessage, hint: Hint) -> NewMessage | None:
    """What the hint itself shows of an order; the re-read it arms confirms it or corrects it.

    It is as old as the message that brought it, however late that one is read.
    """
    if hint.kind is not HintKind.ORDER or hint.order is None or hint.order.is_gone:
        return None
    shown = replace(hint.order, channel_order_id=hint.object_id)
    return _message(message.account, shown, MessageSource.NOTIFICATION, message.received_at)


def _compare_listings(context: FlowContext, work: UnitOfWork, hints: list[Hint]) -> None:
    """An echo of our own push or of a known sale is dropped; anything else deserves a look.

    Of several quantities of one listing each counts: they may be of different places.
    """
    account = context.account.name
    claimed: dict[str, set[int]] = {}
    for hint in hints:
        if hint.kind is HintKind.LISTING and hint.quantity is not None:
            claimed.setdefault(hint.object_id, set()).add(hint.quantity)
    if not claimed:
        return
    known = work.listings.by_channel_ids(account, sorted(claimed))
    locked = work.listings.lock(sorted(one.listing_id for one in known.values()))
    due_at = context.clock.now() + timedelta(seconds=LISTING_HINT_WAIT_SECONDS)
    surprising = [
        replace(one, look_due_at=due_at)
        for one in locked.values()
        if any(_is_surprising(one, units) for units in claimed[one.channel_listing_id])
    ]
    if surprising:
        work.listings.save(surprising)
        work.wake("push_stock", account)


def _is_surprising(listing: Listing, quantity: int) -> bool:
    """True when nothing under way or in the books explains the quantity, and nobody looks yet."""
    is_busy = listing.in_flight or listing.look or listing.look_due_at
    return listing.basis is not None and not is_busy and listing.expected != quantity


def _reread(context: FlowContext) -> int:
    account, done = context.account.name, 0
    with context.open_work() as work:
        due = work.rereads.due(account, at=context.clock.now(), limit=REREADS_MAX)
    size = max(1, context.manifest.order_read_max)
    for start in range(0, len(due), size):
        if context.is_stopping():
            break
        chunk = due[start : start + size]
        _ask(context, chunk)
        done += len(chunk)
    return done


def _ask(context: FlowContext, chunk: list[Reread]) -> None:
    """Read some orders again. Where that fails for the orders' sake, each is asked for alone."""
    seen_at = context.clock.now()
    try:
        answers = context.session.read_orders_by_id([one.channel_order_id for one in chunk])
    except (FixData, Bug) as error:
        if len(chunk) > 1:
            for one in chunk:
                _ask(context, [one])
            return
        log.warning(
            "order.not_readable",
            account=context.account.name,
            channel_order_id=chunk[0].channel_order_id,
            reason=str(error),
        )
        with context.open_work() as work:
            _postpone(context, work, chunk[0])
            work.commit()
        return
    _store_answers(context, chunk, {raw.channel_order_id: raw for raw in answers}, seen_at)


def _postpone(context: FlowContext, work: UnitOfWork, reread: Reread) -> None:
    tries = min(reread.attempts, ABSENT_TRIES_MAX)
    wait = min(ABSENT_WAIT_SECONDS * 2.0**tries, ABSENT_WAIT_SECONDS_MAX)
    until = context.clock.now() + timedelta(seconds=wait)
    work.rereads.postpone(context.account.name, [reread], until=until)


def _store_answers(
    context: FlowContext, chunk: list[Reread], answers: dict[str, RawOrder], seen_at: datetime
) -> None:
    account = context.account.name
    with context.open_work() as work:
        settled: list[Reread] = []
        messages: list[NewMessage] = []
        for reread in chunk:
            raw = answers.get(reread.channel_order_id)
            if raw is not None and not raw.is_gone:
                messages.append(_message(account, raw, MessageSource.READ, seen_at))
                settled.append(reread)
            elif reread.is_deletion or reread.attempts + 1 >= ABSENT_TRIES_MAX:
                messages.append(_absence(account, reread, seen_at))
                settled.append(reread)
            else:
                _postpone(context, work, reread)
        work.inbox.add(messages)
        work.rereads.settle(account, settled)
        if messages:
            work.wake("normalise", account)
        work.commit()


def _message(account: str, raw: RawOrder, source: MessageSource, seen_at: datetime) -> NewMessage:
    return NewMessage(
        account=account,
        topic="order",
        source=source,
        body=raw.payload,
        received_at=seen_at,
        channel_order_id=raw.channel_order_id,
    )


def _absence(account: str, reread: Reread, seen_at: datetime) -> NewMessage:
    return NewMessage(
        account=account,
        topic="order.deleted" if reread.is_deletion else "order.gone",
        source=MessageSource.READ,
        body=b"",
        received_at=seen_at,
        channel_order_id=reread.channel_order_id,
    )


def _poll(context: FlowContext) -> tuple[int, bool]:
    """Read the feed of changes to the end of one pass; answers (orders read, is there more)."""
    read = 0
    for _ in range(PAGES_MAX):
        position = _begin_pass(context)
        if position is None:
            return read, False
        count, is_last = _read_page(context, position)
        read += count
        if is_last:
            return read, False
        if context.is_stopping():
            return read, True
    return read, True


def _begin_pass(context: FlowContext) -> FeedPosition | None:
    """The position of the pass under way, or of a new one if due; None when nothing is due."""
    account, now = context.account.name, context.clock.now()
    with context.open_work() as work:
        position = work.feeds.get(account, OrderFeed.CHANGES)
        assert position is not None, "feeds are laid out at the first connect"
        position = gaps.kept_within_horizon(context, work, position)
        if position.pass_started_at is not None:
            return position
        if position.next_at is not None and position.next_at > now:
            return None
        position = replace(position, pass_started_at=now, next_at=None, orders_read=0)
        work.feeds.put(position)
        work.commit()
        return position


def _read_page(context: FlowContext, position: FeedPosition) -> tuple[int, bool]:
    seen_at = context.clock.now()
    page: OrderPage = context.session.read_orders(position.feed, position.cursor, position.since)
    if not page.is_last and page.cursor == position.cursor:
        raise BadPayload(f"feed {position.feed} answers the same cursor again without an end")
    with context.open_work() as work:
        messages = [
            _message(context.account.name, raw, MessageSource.POLL, seen_at) for raw in page.orders
        ]
        added = work.inbox.add(messages)
        read = position.orders_read + len(page.orders)
        position = replace(position, orders_read=read, page_at=seen_at)
        work.feeds.put(_after_page(context, work, position, page))
        if added:
            work.wake("normalise", context.account.name)
        if page.is_last and position.feed is OrderFeed.CHANGES:
            work.wake("push_stock", context.account.name)
        work.commit()
    return added, page.is_last


def _after_page(
    context: FlowContext, work: UnitOfWork, position: FeedPosition, page: OrderPage
) -> FeedPosition:
    after = replace(position, cursor=page.cursor)
    if not page.is_last:
        return after
    if position.feed is not OrderFeed.CHANGES:
        return replace(after, is_finished=True, pass_started_at=None)
    stored = work.feeds.get(position.account, position.feed)
    # Somebody may have asked for the next pass while this one was under way: keep that.
    period = timedelta(seconds=context.account.poll_seconds)
    hastened = stored.next_at if stored else None
    return replace(
        after,
        drained_at=position.pass_started_at,
        pass_started_at=None,
        next_at=hastened or context.clock.now() + period,
    )


def _back_fill(context: FlowContext) -> tuple[int, bool]:
    """One page of the first unfinished back-fill feed, open orders first."""
    account = context.account.name
    with context.open_work() as work:
        record = work.accounts.get(account)
        if record is None or record.backfilled_at is not None:
            return 0, False
        positions = [work.feeds.get(account, feed) for feed in (OrderFeed.OPEN, OrderFeed.HISTORY)]
    for position in positions:
        if position is not None and not position.is_finished:
            return _read_page(context, position)[0], True
    with context.open_work() as work:
        now = context.clock.now()
        work.accounts.put(replace(record, backfilled_at=now))
        work.timeline.add([Event(name="account.back_filled", at=now, actor="hub", account=account)])
        work.wake("push_stock", account)
        work.commit()
    log.info("account.back_filled", account=account)
    return 0, False


def _next_at(context: FlowContext) -> datetime | None:
    account = context.account.name
    with context.open_work() as work:
        position = work.feeds.get(account, OrderFeed.CHANGES)
        waiting = work.rereads.next_at(account)
    times = [position.next_at if position else None, waiting]
    return min((at for at in times if at is not None), default=None)
