"""Comparing with a channel at an operator's word: its orders of a window, its quantities now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from oms_sync.domain.certificate import instant_text, named
from oms_sync.domain.completeness import Standing, Window
from oms_sync.domain.drift import last_right_at
from oms_sync.domain.listing import Listing
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.looking import drift_cause
from oms_sync.flows.ports import FlowContext
from oms_sync.flows.proofs import OrderList
from oms_sync.flows.reconcile_orders import Compared, begin_list, compare_list, forget_list
from oms_sync.sdk import RateLimited, RetryLater, StockReading

#: how often a channel that asks to wait is asked again, and how long at most each time
TRIES_MAX = 120
WAIT_SECONDS = 5.0
WAIT_SECONDS_MAX = 300.0
#: runs over one list; each reads many pages
RUNS_MAX = 1_000

Answer = TypeVar("Answer")
Told = Callable[[int], None]
#: hears, before each wait, how many seconds it is and why
Waits = Callable[[float, str], None]


def _unheard(seconds: float, reason: str) -> None:
    """Nobody wants to hear of waits."""


def compare_orders(
    context: FlowContext, window: Window, *, owner: str, told: Told, waits: Waits = _unheard
) -> dict[str, Any]:
    """Compare the window to its end, waiting where the channel asks to; JSON-ready."""
    order_list: OrderList | None = begin_list(context, window, owner=f"{owner} {context.ids.new()}")
    try:
        for _ in range(RUNS_MAX):
            if order_list is None:
                break
            compared = _patiently(context, order_list, waits)
            if compared is not None:
                told(len(compared.claim.orders))
                return _shown(compared)
            order_list = _reached(context, order_list)
        name = context.account.name
        raise CommandRefused(f"the list of {name} has no end; try a shorter window")
    except BaseException:
        if order_list is not None:
            forget_list(context, order_list)
        raise


def compare_stock(
    context: FlowContext, rows: Sequence[Mapping[str, Any]], *, told: Told, waits: Waits = _unheard
) -> list[dict[str, Any]]:
    """Read every linked listing back; answers those that differ from what is expected.

    `rows` is the listing report. What differs is looked at next by the daemon, which applies the
    account's policy once every order of that moment is in.
    """
    linked = [row for row in rows if row["sku"] is not None and row["expected"] is not None]
    size = max(1, context.manifest.stock_read_max)
    found: list[dict[str, Any]] = []
    for start in range(0, len(linked), size):
        chunk = linked[start : start + size]
        taken = _taken(context, [row["listing_id"] for row in chunk])
        ids = [row["channel_listing_id"] for row in chunk]
        ask = partial(context.session.read_stock, ids)
        reading: StockReading = _asked(context, ask, waits)
        found += _differing(context, taken, reading)
        told(start + len(chunk))
    return found


def _taken(context: FlowContext, listing_ids: Sequence[str]) -> dict[str, Listing]:
    with context.open_work() as work:
        return work.listings.lock(listing_ids)


def _differing(
    context: FlowContext, before: Mapping[str, Listing], reading: StockReading
) -> list[dict[str, Any]]:
    """Those that differ and did not change while they were read; a look at them is due."""
    account, found = context.account, []
    with context.open_work() as work:
        due = []
        for one in work.listings.lock(list(before)).values():
            quantity = reading.quantities.get(one.channel_listing_id)
            if not _is_comparable(one, before[one.listing_id]) or quantity == one.expected:
                continue
            expected, right_at = one.expected or 0, last_right_at(one)
            cause = (
                "the channel does not know it"
                if quantity is None
                else str(drift_cause(context, work, one, expected, quantity))
            )
            due.append(replace(one, look_due_at=context.clock.now()))
            found.append(
                {
                    "account": account.name,
                    "channel_sku": one.channel_sku,
                    "channel_listing_id": one.channel_listing_id,
                    "sku": one.sku,
                    "expected": expected,
                    "found": quantity,
                    "since": instant_text(right_at) if right_at else None,
                    "cause": cause,
                    "policy": account.drift,
                }
            )
        work.listings.save(due)
        if due:
            work.wake("push_stock", account.name)
        work.commit()
    return found


def _is_comparable(one: Listing, before: Listing) -> bool:
    """False while the books are not sure themselves, or moved while the channel was read."""
    is_sure = one.unproved_since is None and one.in_flight is None and one.expected is not None
    return is_sure and (one.taken, one.basis) == (before.taken, before.basis)


def _patiently(context: FlowContext, order_list: OrderList, waits: Waits) -> Compared | None:
    """One run over the list; a page that must wait is asked for again from where it stands."""

    def run() -> Compared | None:
        return compare_list(context, _reached(context, order_list) or order_list)

    return _asked(context, run, waits)


def _reached(context: FlowContext, order_list: OrderList) -> OrderList | None:
    with context.open_work() as work:
        return work.order_lists.under_way(order_list.account, order_list.owner)


def _asked(context: FlowContext, ask: Callable[[], Answer], waits: Waits) -> Answer:
    """The answer, waited for where the channel is busy or out of reach for a while."""
    for _ in range(TRIES_MAX - 1):
        try:
            return ask()
        except RateLimited as error:
            wait = min(error.retry_after_seconds or WAIT_SECONDS, WAIT_SECONDS_MAX)
            reason = str(error)
        except RetryLater as error:
            wait, reason = WAIT_SECONDS, str(error)
        waits(wait, reason)
        context.clock.sleep(wait)
    return ask()


def _shown(compared: Compared) -> dict[str, Any]:
    claim, counts = compared.claim, compared.claim.counts
    if compared.certificate is None:
        outcome = "same" if claim.is_complete else "different"
    else:
        outcome = "issued" if compared.certificate.is_issued else "refused"
    return {
        "account": claim.account,
        "day": claim.window.day.isoformat() if claim.window.day else None,
        "since": instant_text(claim.window.since),
        "until": instant_text(claim.window.until),
        "is_day_over": claim.window.is_over,
        "received": claim.received,
        "in_hub": counts[Standing.IN_HUB] + counts[Standing.BEHIND],
        **{str(one): counts[one] for one in Standing if one is not Standing.IN_HUB},
        "outcome": outcome,
        "differences": [named(one) for one in claim.orders if one.differences],
        "healing": len(compared.healing),
    }
