"""Post-Order: cancellations a buyer asks for, or the seller makes. One per order at a time.

Nothing of a cancelled order goes back on sale by itself: the seller sets quantities.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connectors.ebay.sandbox.books import Books, Sheet, is_cancelled
from connectors.ebay.sandbox.markup import stamp
from connectors.ebay.sandbox.rest import USER, RestCall, make_door, refuse_unknown, show
from connectors.ebay.sandbox.sales import SellerSales
from connectors.ebay.sandbox.wrongs import RestError
from oms_sync.sdk.sandbox import Refusal
from oms_sync.sdk.sandbox_records import Order
from oms_sync.sdk.sandbox_wire import Reply

REQUESTED: Final = "CANCEL_REQUESTED"
REJECTED: Final = "CANCEL_REJECTED"
PAGE_MAX: Final = 200
REASONS: Final = frozenset(
    "ADDRESS_ISSUES BUYER_ASKED_CANCEL ORDER_UNPAID OUT_OF_STOCK_OR_CANNOT_FULFILL".split()
)
_BASE: Final = "/post-order/v2/cancellation"
_API: Final = ("post-order", "cancellation")
_REJECT: Final = frozenset({"shipmentDate", "trackingNumber"})
_CREATE: Final = frozenset({"legacyOrderId", "cancelReason", "buyerPaid", "buyerPaidDate"})


@dataclass(slots=True, kw_only=True, eq=False)
class Cancellation:
    """One cancellation of one order."""

    id: int
    order: Order
    requestor: str
    reason: str
    status: str
    asked_at: datetime


class PostOrderDoors:
    """The operations, and what buyers ask for."""

    def __init__(self, books: Books, sales: SellerSales) -> None:
        self._books, self._store, self._sales = books, books.store, sales
        self.known: dict[int, Cancellation] = {}
        ask, find = f"POST {_BASE}/check_eligibility", f"GET {_BASE}/search"
        one, agree = f"GET {_BASE}/{{id}}", f"POST {_BASE}/{{id}}/approve"
        refuse = f"POST {_BASE}/{{id}}/reject"
        self.doors = (
            make_door("checkCancelEligibility", ask, self._ask, _API, USER),
            make_door("searchCancellations", find, self._search, _API, USER),
            make_door("createCancellation", f"POST {_BASE}", self._create, _API, USER),
            make_door("approveCancellation", agree, self._approve, _API, USER),
            make_door("rejectCancellation", refuse, self._reject, _API, USER),
            make_door("getCancellation", one, self._get, _API, USER),
        )

    def request(self, channel_order_id: str) -> str:
        """The buyer asks to cancel."""
        with self._store.act():
            order = self._books.order(channel_order_id)
            if is_cancelled(order) or self._of(order) is not None:
                raise Refusal(409, "already_cancelled")
            if self._is_shipped(order):
                raise Refusal(409, "already_shipped")
            asked = self._note(order, "BUYER", "BUYER_CANCEL_ORDER", REQUESTED)
            self._books.sheets[order.id].is_cancel_asked = True
            self._store.changed(order)
            return str(asked.id)

    def reject(self, channel_order_id: str) -> None:
        """The seller's hand refuses what the buyer asked for."""
        with self._store.act():
            order = self._books.order(channel_order_id)
            asked = self._of(order)
            if asked is None:
                raise Refusal(409, "nothing_asked")
            self._refuse(asked)

    def _refuse(self, asked: Cancellation) -> None:
        asked.status = REJECTED
        self._sheet(asked.order).is_cancel_asked = False
        self._store.changed(asked.order)

    def _note(self, order: Order, requestor: str, reason: str, status: str) -> Cancellation:
        now = self._store.second()
        noted = Cancellation(
            id=self._store.next_id(),
            order=order,
            requestor=requestor,
            reason=reason,
            status=status,
            asked_at=now,
        )
        self.known[noted.id] = noted
        return noted

    def _of(self, order: Order) -> Cancellation | None:
        alive = (one for one in self.known.values() if one.status != REJECTED)
        return next((one for one in alive if one.order is order), None)

    def _is_shipped(self, order: Order) -> bool:
        return bool(self._sheet(order).shipped_at)

    def _sheet(self, order: Order) -> Sheet:
        return self._books.sheets[order.id]

    def _named(self, call: RestCall) -> Order:
        order = self._books.find(str(call.body.get("legacyOrderId")))
        if order is None:
            raise RestError(1616)
        return order

    def _ask(self, call: RestCall) -> Reply:
        order = self._named(call)
        reasons = []
        if is_cancelled(order) or self._of(order) is not None:
            reasons.append("CANCEL_ALREADY_EXISTS")
        if self._is_shipped(order):
            reasons.append("ORDER_SHIPPED")
        told: dict[str, Any] = {"legacyOrderId": self._sheet(order).name}
        told |= {"eligible": not reasons, "failureReason": reasons}
        return show(200, told)

    def _search(self, call: RestCall) -> Reply:
        """The order's id is no filter here: neither is every filter at the vendor."""
        size = int(call.query.get("limit", "25"))
        page = int(call.query.get("offset", "1"))
        if not 1 <= size <= PAGE_MAX or page < 1:
            raise RestError(1619)
        found = sorted(self.known.values(), key=lambda one: -one.id)
        shown = [self._shown(one) for one in found[(page - 1) * size : page * size]]
        pages = {"offset": page, "limit": size, "totalPages": -(-len(found) // size)}
        pages |= {"totalEntries": len(found)}
        answer = {"total": len(found), "cancellations": shown, "paginationOutput": pages}
        return show(200, answer)

    def _create(self, call: RestCall) -> Reply:
        refuse_unknown(call.body, _CREATE, 1619)
        order = self._named(call)
        if call.body.get("cancelReason") not in REASONS:
            raise RestError(1619)
        if not isinstance(call.body.get("buyerPaid"), bool):
            raise RestError(1619)
        if is_cancelled(order) or self._of(order) is not None:
            raise RestError(1620)
        if self._is_shipped(order):
            raise RestError(1621)
        reason = str(call.body["cancelReason"])
        made = self._note(order, "SELLER", reason, "CANCEL_PENDING")
        if self._store.faults.fires("F09"):
            del self.known[made.id]
        else:
            self._close(made)
        return show(200, {"cancelId": str(made.id)})

    def _approve(self, call: RestCall) -> Reply:
        asked = self._find(call)
        if asked.status != REQUESTED:
            raise RestError(1620)
        if self._is_shipped(asked.order):
            raise RestError(1621)
        if not self._store.faults.fires("F09"):
            self._close(asked)
        return show(200, {})

    def _reject(self, call: RestCall) -> Reply:
        if not call.has_body:
            raise RestError(1619)
        refuse_unknown(call.body, _REJECT, 1619)
        asked = self._find(call)
        if asked.status != REQUESTED:
            raise RestError(1620)
        if not self._store.faults.fires("F09"):
            self._refuse(asked)
        return show(200, {})

    def _get(self, call: RestCall) -> Reply:
        return show(200, {"cancelDetail": self._shown(self._find(call))})

    def _find(self, call: RestCall) -> Cancellation:
        number = call.path[0]
        found = self.known.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise RestError(1618)
        return found

    def _close(self, one: Cancellation) -> None:
        sheet = self._sheet(one.order)
        sheet.is_cancel_asked = False
        paid = "WITH_REFUND" if one.order.is_paid else "FOR_COMMITMENT"
        one.status = f"CANCEL_CLOSED_{paid}"
        self._sales.cancel(sheet.name, restock=False)

    def _shown(self, one: Cancellation) -> dict[str, Any]:
        is_closed = one.status.startswith("CANCEL_CLOSED")
        shown: dict[str, Any] = {"cancelId": str(one.id), "marketplaceId": "EBAY_US"}
        shown |= {"legacyOrderId": self._sheet(one.order).name, "cancelReason": one.reason}
        shown |= {"requestorType": one.requestor, "cancelStatus": one.status}
        shown |= {"cancelState": "CLOSED" if is_closed else "APPROVAL_PENDING"}
        shown |= {"cancelRequestDate": {"value": stamp(one.asked_at)}}
        return shown
