"""A channel's whole list of a window compared with the hub, page by page, and judged at its end.

Nothing is healed before the judgement is stored: a certificate speaks of the list as it was found.
Healing is a re-read, so that also what was missing comes in through the inbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from oms_sync.domain.certificate import Claim, named_differences
from oms_sync.domain.completeness import (
    DifferenceKind,
    ListedOrder,
    Ours,
    Standing,
    Window,
    judge,
    not_listed,
)
from oms_sync.domain.events import Event
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import KnownOrder
from oms_sync.domain.stock import MovementKind, StockMovement, apply
from oms_sync.domain.values import Sku
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.proofs import CertificateRecord, OrderList, Remains
from oms_sync.flows.records import GONE, StoredOrder
from oms_sync.sdk import BadPayload, RawOrder

log = structlog.get_logger(__name__)

#: the name of the daemon's own lists
HUB = "hub"
#: pages one run reads; a longer list goes on in the next
PAGES_MAX = 200
#: pages a list may have at all
PAGES_PER_LIST_MAX = 20_000
#: a list not at its end by then is begun anew
LIST_SECONDS_MAX = 21_600
EXTRAS_MAX = 10_000
EXTRAS_AT_ONCE = 200
#: orders armed for a re-read, or given back their news, in one transaction
HEAL_AT_ONCE = 500
DIFFERENCES_LOGGED_MAX = 10
#: after a refusal the day is tried again, later each time, and then no more
RETRY_SECONDS = (60, 300, 1_800, 7_200, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A list that was compared to its end."""

    claim: Claim
    #: None where the window is no day
    certificate: CertificateRecord | None
    #: orders that are read again because of it
    healing: tuple[str, ...] = field(default=())


def begin_list(context: FlowContext, window: Window, *, owner: str) -> OrderList:
    """A new list of the window, from its first page."""
    fresh = OrderList(
        list_id=context.ids.new(),
        account=context.account.name,
        window=window,
        owner=owner,
        began_at=context.clock.now(),
    )
    with context.open_work() as work:
        old = work.order_lists.under_way(fresh.account, owner)
        if old is not None and is_outdated(old, fresh.began_at):
            work.order_lists.drop(old.list_id)
        work.order_lists.begin(fresh)
        work.commit()
    return fresh


def is_outdated(order_list: OrderList, now: datetime) -> bool:
    """It was begun so long ago that it would not speak of one moment."""
    return now - order_list.began_at > timedelta(seconds=LIST_SECONDS_MAX)


def compare_list(context: FlowContext, order_list: OrderList) -> Compared | None:
    """Read and compare on from where the list stands; None when it is not at its end yet."""
    for _ in range(PAGES_MAX):
        order_list, is_last = _compare_page(context, order_list)
        if is_last:
            return _finish(context, order_list)
        if context.is_stopping():
            return None
    return None


def forget_list(context: FlowContext, order_list: OrderList) -> None:
    """Give up a list that cannot be read to its end."""
    with context.open_work() as work:
        work.order_lists.drop(order_list.list_id)
        work.commit()


def fresh_seconds(context: FlowContext) -> float:
    """How long news may be on their way: two polls, their overlap, and the channel's own lag."""
    account = context.account
    return (
        2 * account.poll_seconds + account.overlap_seconds + context.manifest.visibility_lag_seconds
    )


# --- a page --------------------------------------------------------------------------------------


def _compare_page(context: FlowContext, order_list: OrderList) -> tuple[OrderList, bool]:
    window, read_at = order_list.window, context.clock.now()
    page = context.session.list_orders(window.since, window.until, order_list.cursor)
    if not page.is_last and page.cursor == order_list.cursor:
        raise BadPayload("the list of orders answers the same cursor again without an end")
    if order_list.pages >= PAGES_PER_LIST_MAX:
        raise BadPayload(f"the list of orders has no end among {PAGES_PER_LIST_MAX} pages")
    shown = [
        (raw, known)
        for raw in page.orders
        if _is_within(window, known := _parsed(context, raw, read_at))
    ]
    after = replace(order_list, cursor=page.cursor, pages=order_list.pages + 1)
    with context.open_work() as work:
        work.order_lists.add(after, _judged(context, work, shown, read_at))
        work.commit()
    return after, page.is_last


def _parsed(context: FlowContext, raw: RawOrder, read_at: datetime) -> KnownOrder | None:
    """The listed order, None where nobody can read it: then the inbox says why."""
    try:
        sight = context.session.parse_order(raw.payload, read_at)
        return first_sight(context.account.name, sight)
    except Exception as error:  # noqa: BLE001 - a connector's mistake costs one order only
        log.warning(
            "order.not_comparable",
            account=context.account.name,
            channel_order_id=raw.channel_order_id,
            reason=f"{type(error).__name__}: {error}",
        )
        return None


def _is_within(window: Window, known: KnownOrder | None) -> bool:
    """A list may show neighbours of its window; they belong to another day."""
    placed_at = known.facts.placed_at if known is not None else None
    return placed_at is None or placed_at in window


def _judged(
    context: FlowContext,
    work: UnitOfWork,
    shown: Sequence[tuple[RawOrder, KnownOrder | None]],
    read_at: datetime,
) -> list[ListedOrder]:
    account = context.account.name
    ids = [raw.channel_order_id for raw, _ in shown]
    owners = work.orders.ids_by_channel_ids(account, ids)
    fresh_since = read_at - timedelta(seconds=fresh_seconds(context))
    ours = _ours(work, sorted(set(owners.values())), told_until=fresh_since)
    kept = work.order_lists.kept(account, ids)
    return [
        judge(
            raw.channel_order_id,
            ours=ours.get(owners.get(raw.channel_order_id, "")),
            shown=known,
            kept=kept.get(raw.channel_order_id),
            fresh_since=fresh_since,
        )
        for raw, known in shown
    ]


def _ours(work: UnitOfWork, order_ids: Sequence[str], *, told_until: datetime) -> dict[str, Ours]:
    told = work.order_lists.told(order_ids, until=told_until)
    return {
        order_id: Ours(
            order_id=order_id,
            known=order.known,
            shipped_here={line.channel_line_id: line.shipped_here for line in order.lines},
            told=told.get(order_id, {}),
        )
        for order_id, order in work.orders.load(order_ids).items()
    }


# --- the end -------------------------------------------------------------------------------------


def _finish(context: FlowContext, order_list: OrderList) -> Compared:
    """Add what is here and not listed, judge, certify, forget the list; then heal."""
    now, account = context.clock.now(), context.account
    with context.open_work() as work:
        _add_extras(work, order_list)
        claim = Claim(
            account=account.name,
            connector=account.connector,
            window=order_list.window,
            list_began_at=order_list.began_at,
            list_ended_at=now,
            attempt=_attempt(work, order_list),
            orders=work.order_lists.judged(order_list.list_id),
        )
        certificate = _certify(work, claim, now)
        if certificate is not None:
            work.timeline.add([_event(claim, now)])
        work.order_lists.drop(order_list.list_id)
        work.commit()
    _tell(context, claim, certificate)
    return Compared(claim=claim, certificate=certificate, healing=_heal(context, claim))


def _attempt(work: UnitOfWork, order_list: OrderList) -> int:
    day = order_list.window.day
    if day is None or not order_list.window.is_over:
        return 0
    before = work.certificates.latest(order_list.account, since=day).get(day)
    return before.attempt + 1 if before else 1


def _certify(work: UnitOfWork, claim: Claim, now: datetime) -> CertificateRecord | None:
    if claim.window.day is None:
        return None
    tries = RETRY_SECONDS[claim.attempt - 1 : claim.attempt] if claim.attempt else ()
    is_over = claim.is_complete or not tries
    next_at = None if is_over else now + timedelta(seconds=tries[0])
    return work.certificates.add(claim, at=now, next_at=next_at)


def _add_extras(work: UnitOfWork, order_list: OrderList) -> None:
    ids = work.order_lists.unlisted(order_list, EXTRAS_MAX)
    for start in range(0, len(ids), EXTRAS_AT_ONCE):
        chunk = ids[start : start + EXTRAS_AT_ONCE]
        stored = work.orders.load(chunk)
        extras = [
            not_listed(Ours(order_id=one, known=stored[one].known), is_gone=_is_gone(stored[one]))
            for one in chunk
            if one in stored
        ]
        work.order_lists.add(order_list, extras)


def _is_gone(order: StoredOrder) -> bool:
    is_deleted = order.known.facts.channel_status == "deleted"
    return is_deleted or any(hold.code == GONE for hold in order.holds)


def _event(claim: Claim, now: datetime) -> Event:
    day = claim.window.day
    detail: dict[str, str | int | None] = {
        "day": day.isoformat() if day else None,
        "attempt": claim.attempt,
        "received": claim.received,
    }
    if not claim.is_complete:
        detail["differences"] = named_differences(claim.faults, DIFFERENCES_LOGGED_MAX)
    return Event(
        name="certificate.issued" if claim.is_complete else "certificate.refused",
        at=now,
        actor="hub",
        account=claim.account,
        detail=detail,
    )


def _tell(context: FlowContext, claim: Claim, certificate: CertificateRecord | None) -> None:
    if certificate is None:
        return
    said = {
        "account": claim.account,
        "day": certificate.day.isoformat(),
        "attempts": claim.attempt,
        "received": claim.received,
    }
    if certificate.is_issued:
        log.info("certificate.issued", **said)
        return
    counts = claim.counts
    context.metrics.count("certificates_refused", account=claim.account)
    log.error(
        "certificate.refused",
        **said,
        missing=counts[Standing.MISSING],
        different=counts[Standing.DIFFERENT],
        extra=counts[Standing.EXTRA],
        differences=named_differences(claim.faults, DIFFERENCES_LOGGED_MAX),
        next_at=certificate.next_at.isoformat() if certificate.next_at else None,
    )


def _heal(context: FlowContext, claim: Claim) -> tuple[str, ...]:
    """Have every order read again that is missing, different, extra or behind."""
    account, now = context.account.name, context.clock.now()
    sick = [
        one
        for one in claim.orders
        if one.standing in (Standing.MISSING, Standing.DIFFERENT, Standing.EXTRA, Standing.BEHIND)
    ]
    for start in range(0, len(sick), HEAL_AT_ONCE):
        chunk = sick[start : start + HEAL_AT_ONCE]
        with context.open_work() as work:
            known = sorted({one.order_id for one in chunk if one.order_id is not None})
            # What was merged last counts as no news, though the hub no longer says the same.
            stored = work.orders.lock(known)
            work.orders.save([replace(one, payload_key="") for one in stored.values()])
            missing = [one.channel_order_id for one in chunk if one.standing is Standing.MISSING]
            _bury_remains(context, work, work.order_lists.remains(account, missing))
            work.rereads.arm(account, [one.channel_order_id for one in chunk], at=now)
            work.wake("ingest", account)
            work.commit()
    lost = [
        one.channel_order_id
        for one in claim.orders
        if any(each.kind is DifferenceKind.TRACKING for each in one.differences)
    ]
    for channel_order_id in lost[:DIFFERENCES_LOGGED_MAX]:
        log.warning("tracking.not_shown", account=account, channel_order_id=channel_order_id)
    return tuple(one.channel_order_id for one in sick)


def _bury_remains(context: FlowContext, work: UnitOfWork, remains: Sequence[Remains]) -> None:
    """Release what is reserved for orders that are no more, so that they can come in anew."""
    held = [(one.order_id, *place, units) for one in remains for place, units in one.held.items()]
    levels = work.stock.lock({Sku(sku) for _, sku, _, _ in held})
    movements, after = [], {}
    for order_id, sku, location, units in held:
        key = (Sku(sku), location)
        movement = StockMovement(
            sku=key[0],
            location=location,
            kind=MovementKind.RELEASE,
            reserved_delta=-units,
            reason="its order was deleted from the database",
            source=f"order:{order_id}",
            actor="hub",
            at=context.clock.now(),
        )
        levels = {**levels, key: apply(levels[key], movement)}
        movements.append(movement)
        after[key] = levels[key]
    if movements:
        work.stock.append(movements, after)
        for account in sorted(work.listings.mark_stale([sku for sku, _ in after])):
            work.wake("push_stock", account)
    work.order_lists.clear(remains)
