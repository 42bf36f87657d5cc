"""What is written into an order besides dispatches: units taken back, money given back. Pure.

Money is counted in the shop's own currency; what the buyer paid in is worked out from the payment
that is given back, never from a rate of our own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from connectors.shopify.ids import gid
from oms_sync import sdk

NOTE_MAX: Final = 255
_KEY: Final = re.compile(r"\[oms-sync ([^\[\]]{1,80})\]$")
_PAYMENTS: Final = frozenset({"SALE", "CAPTURE"})
_GIVEN_BACK: Final = frozenset({"SUCCESS", "PENDING", "AWAITING_RESPONSE", "UNKNOWN"})
_CANCEL_REASONS: Final = frozenset({"CUSTOMER", "DECLINED", "FRAUD", "INVENTORY", "OTHER", "STAFF"})


def result(fields: Mapping[str, Any], name: str, errors: str = "userErrors") -> dict[str, Any]:
    """A mutation's payload; raises OutcomeUnknown where the answer holds none."""
    payload = fields.get(name)
    if not isinstance(payload, dict) or not isinstance(payload.get(errors), list):
        raise sdk.OutcomeUnknown(f"the shop's answer to {name} holds no result")
    return payload


def words(payload: Mapping[str, Any], errors: str = "userErrors") -> str:
    """What the shop says is wrong."""
    return "; ".join(str(each.get("message")) for each in payload[errors])[:300]


def cancel_reason(reason: str, table: sdk.MappingTable) -> str:
    """The shop's word for why; what it has no word for is `OTHER`."""
    code = table.reverse().look_up(reason).value
    return code if code in _CANCEL_REASONS else "OTHER"


# --- our mark in notes -------------------------------------------------------------------------


def with_key(note: str, key: str) -> str:
    """A note that ends in our key, so that a look finds what we made."""
    mark = f"[oms-sync {key}]"
    return f"{note[: NOTE_MAX - len(mark) - 1]} {mark}".strip()


def key_of(note: str | None) -> str | None:
    """Our key in a note, None where there is none."""
    found = _KEY.search(note or "")
    return found[1] if found else None


# --- units -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """Units of one line to be taken back, before and after they shipped."""

    line_id: str
    unshipped: int
    shipped: int
    #: units of the line that are still to be shipped afterwards
    kept: int = 0


def split_units(
    lines: Mapping[str, int], shown: Iterable[Mapping[str, Any]], *, is_return: bool
) -> list[TakenBack]:
    """What of `lines` is still to ship and what has shipped; raises Rejected beyond both."""
    known = {each["id"].rpartition("/")[2]: each for each in shown}
    found = []
    for line_id, units in lines.items():
        line = known.get(line_id)
        if line is None:
            raise sdk.Rejected(f"the order has no line {line_id}")
        left = line["currentQuantity"]
        open_units = min(line["unfulfilledQuantity"], left)
        if units > left:
            raise sdk.Rejected(f"line {line_id} has only {left} units left to take back")
        unshipped = max(0, units - (left - open_units)) if is_return else min(units, open_units)
        shipped, kept = units - unshipped, open_units - unshipped
        taken = TakenBack(line_id=line_id, unshipped=unshipped, shipped=shipped, kept=kept)
        found.append(taken)
    return found


def unplaced_at(works: Iterable[Mapping[str, Any]], line_id: str) -> dict[str | None, int]:
    """Units of a line still to ship, by the location that would ship them."""
    places: dict[str | None, int] = {}
    for work in works:
        if work["status"] not in ("CLOSED", "CANCELLED"):
            location = (work["assignedLocation"]["location"] or {}).get("id")
            for line in work["lineItems"]["nodes"]:
                if line["lineItem"]["id"].rpartition("/")[2] == line_id:
                    places[location] = places.get(location, 0) + line["remainingQuantity"]
    return places


def refund_lines(
    taken: Sequence[TakenBack],
    works: Sequence[Mapping[str, Any]],
    *,
    is_restocked: bool,
    return_to: str | None,
) -> list[dict[str, Any]]:
    """The shop's input: one entry per line, way of restocking and location."""
    entries = []
    for one in taken:
        if not is_restocked and one.shipped and one.kept:
            continue  # the shop could take them from those still to ship: the money alone goes back
        if not is_restocked:
            entries.append(_entry(one.line_id, one.unshipped + one.shipped, "NO_RESTOCK", None))
            continue
        left = one.unshipped
        for location, units in unplaced_at(works, one.line_id).items():
            entries.append(_entry(one.line_id, min(left, units), "CANCEL", location))
            left -= min(left, units)
        entries.append(_entry(one.line_id, left, "CANCEL", None))
        entries.append(_entry(one.line_id, one.shipped, "RETURN", return_to))
    return [entry for entry in entries if entry["quantity"]]


def _entry(line_id: str, units: int, kind: str, location: str | None) -> dict[str, Any]:
    entry = {"lineItemId": gid("LineItem", line_id), "quantity": units, "restockType": kind}
    return entry | ({"locationId": location} if location else {})


# --- money -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Payment:
    """A payment of the order and what is left of it, in the shop's money and the buyer's."""

    gid: str
    gateway: str
    left: Decimal
    left_shown: Decimal

    def shown(self, amount: Decimal, currency: str) -> Decimal:
        """What `amount` of it is in the buyer's money."""
        if amount == self.left:
            return self.left_shown
        exact = amount * self.left_shown / self.left
        unit = Decimal(sdk.Money.zero(currency).text())
        return exact.quantize(unit, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repayment:
    """Money back to where it came from, as the shop wants to be told."""

    transactions: list[dict[str, Any]]
    #: buyer's money per unit of the shop's, where they are not the same
    rate: Decimal
    #: the buyer's currency where it is not the shop's
    currency: str | None

    def fields(self) -> dict[str, Any]:
        """The money's part of a refund's input."""
        currency = {"currency": self.currency} if self.currency else {}
        return {"transactions": self.transactions, **currency}

    def shown(self, amount: sdk.Money) -> str:
        """An amount of the shop's money as the buyer knows it."""
        currency = self.currency or amount.currency
        unit = Decimal(sdk.Money.zero(currency).text())
        return str((amount.amount * self.rate).quantize(unit, rounding=ROUND_HALF_EVEN))


def repay(order: Mapping[str, Any], amount: sdk.Money) -> Repayment:
    """Spread `amount` over the order's payments; raises Rejected beyond what was paid."""
    if amount.currency != order["currencyCode"]:
        raise sdk.Rejected(f"the shop keeps this order in {order['currencyCode']}: refund in that")
    currency: str = order["presentmentCurrencyCode"]
    missing, shown_sum = amount.amount, Decimal(0)
    transactions = []
    for payment in _payments(order["transactions"]):
        part = min(missing, payment.left)
        if part > 0:
            missing -= part
            shown = payment.shown(part, currency)
            shown_sum += shown
            transactions.append(
                {
                    "orderId": order["id"],
                    "parentId": payment.gid,
                    "gateway": payment.gateway,
                    "kind": "REFUND",
                    "amount": str(shown),
                }
            )
    if missing > 0:
        paid = sdk.Money(amount.amount - missing, amount.currency)
        raise sdk.Rejected(f"only {paid.text()} {paid.currency} of the order is left to refund")
    return Repayment(
        transactions=transactions,
        rate=shown_sum / amount.amount if amount.amount else Decimal(1),
        currency=currency if currency != amount.currency else None,
    )


def _payments(transactions: Sequence[Mapping[str, Any]]) -> list[_Payment]:
    back: dict[str, tuple[Decimal, Decimal]] = {}
    for each in transactions:
        parent = (each["parentTransaction"] or {}).get("id")
        if each["kind"] == "REFUND" and each["status"] in _GIVEN_BACK and parent:
            shop, shown = back.get(parent, (Decimal(0), Decimal(0)))
            more, more_shown = _amounts(each)
            back[parent] = (shop + more, shown + more_shown)
    found = []
    for each in transactions:
        if each["kind"] in _PAYMENTS and each["status"] == "SUCCESS":
            (shop, shown), (gone, gone_shown) = _amounts(each), back.get(each["id"], (0, 0))
            left, left_shown = shop - gone, shown - gone_shown
            if left > 0:
                payment = _Payment(
                    gid=each["id"], gateway=each["gateway"] or "", left=left, left_shown=left_shown
                )
                found.append(payment)
    return found


def _amounts(transaction: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    bag = transaction["amountSet"]
    return Decimal(bag["shopMoney"]["amount"]), Decimal(bag["presentmentMoney"]["amount"])
