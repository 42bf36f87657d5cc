"""Mutations of fulfilments and fulfilment orders. None of them is idempotent, as in real life."""

from collections.abc import Callable
from typing import Any, Final

from connectors.shopify.sandbox.answers import Payload, user_error
from connectors.shopify.sandbox.gids import gid, number_of
from connectors.shopify.sandbox.order_views import OrderViews
from connectors.shopify.sandbox.views import Arguments
from oms_sync.sdk.sandbox_records import Dispatch, Hold, Line, Order, Sent, Work, WorkLine
from oms_sync.sdk.sandbox_store import Store

HOLDS_MAX: Final = 10

Act = Callable[[Arguments], Payload]
Chosen = list[tuple[WorkLine, int]]
Packages = list[dict[str, str | None]]
_FIELD: Final = ["fulfillment"]


class Wrong(Exception):
    """A precondition failed: becomes the payload's user errors."""

    def __init__(self, field: list[str] | None, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.errors = [user_error(field, message, code)]


def checked(act: Act) -> Act:
    def run(given: Arguments) -> Payload:
        try:
            return act(given)
        except Wrong as wrong:
            return Payload(userErrors=wrong.errors, orderCancelUserErrors=wrong.errors)

    return run


class WorkChanges:
    """Resolvers of what happens in the warehouse."""

    def __init__(self, store: Store, views: OrderViews) -> None:
        self._store, self._views = store, views
        self.root = {
            "fulfillmentCreate": checked(self._fulfil),
            "fulfillmentTrackingInfoUpdate": checked(self._correct_tracking),
            "fulfillmentCancel": checked(self._cancel),
            "fulfillmentOrderHold": checked(self._hold),
            "fulfillmentOrderReleaseHold": checked(self._release),
            "fulfillmentOrderMove": checked(self._move),
        }

    def _fulfil(self, given: Arguments) -> Payload:
        asked, chosen, touched = given["fulfillment"], [], []
        for at, group in enumerate(asked["lineItemsByFulfillmentOrder"]):
            order, work = self._work(group["fulfillmentOrderId"], _FIELD)
            status = self._views.merchant.status(work).lower()
            if status != "open":
                message = f"Fulfillment order {work.id} has an unfulfillable status= {status}."
                raise Wrong(_FIELD, message)
            chosen += _choose(work, group.get("fulfillmentOrderLineItems"), at)
            touched.append((order, work))
        orders = sorted({order.id for order, _ in touched})
        places = sorted({work.place.id for _, work in touched})
        if len(orders) != 1:
            message = "All fulfillment orders must belong to the same order. Multiple orders with"
            raise Wrong(_FIELD, f"{message} ids {orders} were found.")
        if len(places) != 1:
            message = "All fulfillment orders must be assigned to a single location. Multiple"
            raise Wrong(_FIELD, f"{message} locations with ids {places} were found.")
        together = sorted((each for _, each in touched), key=lambda work: work.id)
        dispatch = self._send(touched[0][0], together, chosen, _packages(asked.get("trackingInfo")))
        shown = self._views.dispatch(touched[0][0], dispatch)
        return Payload(fulfillment=shown, userErrors=[])

    def _send(self, order: Order, work: list[Work], chosen: Chosen, packages: Packages) -> Dispatch:
        store, at = self._store, self._store.second()
        dispatch = Dispatch(
            id=store.next_id(),
            name=f"{order.name}-F{len(order.dispatches) + 1}",
            work=work,
            lines=[Sent(id=store.next_id(), work_line=w, quantity=n) for w, n in chosen],
            packages=packages,
            created_at=at,
            updated_at=at,
        )
        for line, units in chosen:
            line.remaining -= units
            line.line.fulfilled += units
            store.move(line.line.variant, work[0].place, 0, -units)
        for each in work:
            each.updated_at = at
        order.dispatches.append(dispatch)
        store.dispatches[dispatch.id] = order
        if order.is_paid and not any(line.unfulfilled for line in order.lines):
            order.closed_at = at
        store.touch(order)
        store.tell("order.shipped", order, dispatch)
        store.changed(order)
        return dispatch

    def _dispatch(self, value: str, field: str) -> tuple[Order, Dispatch]:
        number = number_of(value, "Fulfillment")
        order = self._store.dispatches.get(number)
        if order is None:
            raise Wrong([field], "Fulfillment does not exist.")
        return order, next(each for each in order.dispatches if each.id == number)

    def _correct_tracking(self, given: Arguments) -> Payload:
        order, dispatch = self._dispatch(given["fulfillmentId"], "fulfillmentId")
        if dispatch.is_cancelled:
            raise Wrong(["fulfillmentId"], "Fulfillment is cancelled.")
        dispatch.packages = _packages(given["trackingInfoInput"])
        dispatch.updated_at = self._store.second()
        self._store.changed(order)
        return Payload(fulfillment=self._views.dispatch(order, dispatch), userErrors=[])

    def _cancel(self, given: Arguments) -> Payload:
        store = self._store
        order, dispatch = self._dispatch(given["id"], "id")
        if not dispatch.is_cancelled:
            dispatch.is_cancelled, dispatch.updated_at = True, store.second()
            place, again = dispatch.work[0].place, []
            for sent in dispatch.lines:
                line, units = sent.work_line.line, sent.quantity
                line.fulfilled -= units
                sent.work_line.total -= units
                store.move(line.variant, place, 0, units)
                again.append((line, units))
            store.new_work(order, place, again)
            order.closed_at = None
            store.changed(order)
        return Payload(fulfillment=self._views.dispatch(order, dispatch), userErrors=[])

    def _work(self, value: str, field: list[str] | None) -> tuple[Order, Work]:
        entry = self._store.work.get(number_of(value, "FulfillmentOrder"))
        if entry is None:
            message, code = "Fulfillment order does not exist.", "FULFILLMENT_ORDER_NOT_FOUND"
            raise Wrong(field, message, code)
        return entry

    def _split(self, order: Order, work: Work, chosen: Chosen) -> Work | None:
        """Leave the chosen units in `work`; the rest, if any, becomes new work."""
        kept, rest = dict(chosen), list[tuple[Line, int]]()
        for line in work.lines:
            units = line.remaining - kept.get(line, 0)
            if units:
                line.remaining -= units
                line.total -= units
                rest.append((line.line, units))
        return self._store.new_work(order, work.place, rest) if rest else None

    def _hold(self, given: Arguments) -> Payload:
        order, work = self._work(given["id"], None)
        wanted = given["fulfillmentHold"]
        ours = [hold for hold in work.holds if hold.is_ours]
        if len(ours) >= HOLDS_MAX:
            message = "The maximum number of fulfillment holds for this app has been reached."
            raise Wrong(["id"], message, "FULFILLMENT_ORDER_HOLD_LIMIT_REACHED")
        if any(hold.label == wanted.get("handle") for hold in ours):
            message = "The handle provided for the fulfillment hold is already in use by this app."
            code = "DUPLICATE_FULFILLMENT_HOLD_HANDLE"
            raise Wrong(["fulfillmentHold", "handle"], message, code)
        if work.status == "CLOSED":
            raise Wrong(None, "The fulfillment order is not in a state that can be held.")
        chosen = _choose(work, wanted.get("fulfillmentOrderLineItems"), 0)
        rest = self._split(order, work, chosen)
        hold = Hold(id=self._store.next_id(), reason=wanted["reason"], is_ours=True)
        hold.notes, hold.label = wanted.get("reasonNotes"), wanted.get("handle")
        work.holds.append(hold)
        self._touch(order, work, "held")
        return Payload(
            fulfillmentHold=self._views.hold(hold),
            fulfillmentOrder=self._views.work(order, work),
            remainingFulfillmentOrder=rest and self._views.work(order, rest),
            userErrors=[],
        )

    def _release(self, given: Arguments) -> Payload:
        order, work = self._work(given["id"], None)
        ids = given.get("holdIds")
        kept = [] if ids is None else [*work.holds]
        work.holds = [hold for hold in kept if gid("FulfillmentHold", hold.id) not in (ids or ())]
        self._touch(order, work, "released")
        return Payload(fulfillmentOrder=self._views.work(order, work), userErrors=[])

    def _touch(self, order: Order, work: Work, fact: str) -> None:
        self._views.merchant.touch_work(order, work, f"work.{fact}")

    def _move(self, given: Arguments) -> Payload:
        order, work = self._work(given["id"], None)
        place = self._store.place(number_of(given["newLocationId"], "Location"))
        if place is None:
            raise Wrong(["id"], "Location not found.")
        if work.status == "CLOSED" or place is work.place:
            raise Wrong(None, "Cannot change location.")
        chosen = _choose(work, given.get("fulfillmentOrderLineItems"), 0)
        rest = self._split(order, work, chosen)
        for line in work.lines:
            self._store.move(line.line.variant, work.place, line.remaining, -line.remaining)
            self._store.move(line.line.variant, place, -line.remaining, line.remaining)
        work.place = place
        self._touch(order, work, "moved")
        return Payload(
            movedFulfillmentOrder=self._views.work(order, work),
            originalFulfillmentOrder=self._views.work(order, rest or work),
            remainingFulfillmentOrder=rest and self._views.work(order, rest),
            userErrors=[],
        )


def _choose(work: Work, asked: list[Any] | None, at: int) -> Chosen:
    """The lines named, or everything left; checked as a whole before anything happens."""
    if not asked:
        return [(line, line.remaining) for line in work.lines if line.remaining]
    known = {gid("FulfillmentOrderLineItem", line.id): line for line in work.lines}
    chosen: dict[WorkLine, int] = {}
    for index, entry in enumerate(asked):
        line = known.get(entry["id"])
        if entry["quantity"] < 1:
            path = ["lineItemsByFulfillmentOrder", str(at), "fulfillmentOrderLineItems"]
            field = [*_FIELD, *path, str(index), "quantity"]
            raise Wrong(field, "Quantity must be greater than 0")
        if line is None:
            raise Wrong(_FIELD, "Fulfillment order line item does not exist.")
        chosen[line] = chosen.get(line, 0) + entry["quantity"]
        if chosen[line] > line.remaining:
            raise Wrong(_FIELD, "Invalid fulfillment order line item quantity requested.")
    return list(chosen.items())


def _packages(tracking: Any) -> Packages:
    if not tracking:
        return []
    numbers = tracking.get("numbers") or [tracking.get("number")]
    urls = [*(tracking.get("urls") or [tracking.get("url")]), *([None] * len(numbers))]
    company = tracking.get("company")
    return [
        {"company": company, "number": number, "url": url}
        for number, url in zip(numbers, urls, strict=False)
        if number or url or company
    ]
