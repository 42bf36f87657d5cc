"""An order as the shop answered it, translated into one sight. Pure; raises BadPayload.

Units at locations outside this hub's care count as *elsewhere*: those still to be shipped there,
and those shipped from there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connectors.shopify.ids import HOLD_HANDLE, number
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment, read_json

Tables = Mapping[str, sdk.MappingTable]
_DEAD_DISPATCHES: Final = frozenset({"CANCELLED", "ERROR", "FAILURE"})
_DONE_WORK: Final = frozenset({"CLOSED", "CANCELLED"})
_MISFORMED: Final = (sdk.InvalidValue, KeyError, TypeError, ValueError, AttributeError)


def parse_order(
    payload: bytes, seen_at: datetime, *, tables: Tables, locations: frozenset[str]
) -> sdk.OrderSight:
    """Translate an envelope of `orders.py`; without `locations` every place is in our care."""
    envelope = read_json(payload)
    try:
        order, is_complete = envelope["order"], envelope["is_complete"]
        units = _count(order, locations)
        lines = tuple(_line(line, units) for line in order["lineItems"]["nodes"])
        return sdk.OrderSight(
            channel_order_id=number(order["id"]),
            version=sdk.Version(moment(order["updatedAt"]), seen_at),
            facts=_facts(order, lines, tables, is_complete=is_complete is True),
            lines=lines,
        )
    except _MISFORMED as error:
        raise sdk.BadPayload(f"this is no order of Shopify: {error!r}"[:300]) from error


# --- units -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Units:
    """Units by line id: shipped from here, in others' care, and refunded by how they came back."""

    shipped: Counter[str]
    shipped_elsewhere: Counter[str]
    open_elsewhere: Counter[str]
    refunds: Mapping[str, Counter[str]]
    items: Mapping[str, str]
    is_routed: bool


def _count(order: Mapping[str, Any], locations: frozenset[str]) -> _Units:
    shipped: Counter[str] = Counter()
    shipped_elsewhere: Counter[str] = Counter()
    for dispatch in order["fulfillments"]:
        if dispatch["status"] not in _DEAD_DISPATCHES:
            is_ours = _is_ours(dispatch["location"], locations)
            for line in dispatch["fulfillmentLineItems"]["nodes"]:
                counter = shipped if is_ours else shipped_elsewhere
                counter[line["lineItem"]["id"]] += line["quantity"] or 0
    open_elsewhere: Counter[str] = Counter()
    items: dict[str, str] = {}
    for work in order["fulfillmentOrders"]["nodes"]:
        is_open = work["status"] not in _DONE_WORK
        is_ours = _is_ours(work["assignedLocation"]["location"], locations)
        for line in work["lineItems"]["nodes"]:
            if line["inventoryItemId"]:
                items[line["lineItem"]["id"]] = line["inventoryItemId"]
            if is_open and not is_ours:
                open_elsewhere[line["lineItem"]["id"]] += line["remainingQuantity"]
    return _Units(
        shipped=shipped,
        shipped_elsewhere=shipped_elsewhere,
        open_elsewhere=open_elsewhere,
        refunds=_refunds(order["refunds"], order.get("returns"), locations),
        items=items,
        is_routed=not locations or bool(order["fulfillmentOrders"]["nodes"]),
    )


def _refunds(
    refunds: Iterable[Any], returns: Iterable[Any] | None, locations: frozenset[str]
) -> dict[str, Counter[str]]:
    """Refunded units by line and kind; `HERE` are those that came back to us and are on sale.

    A refund of a return says nothing of the goods: where the return itself is shown, what was
    done with them counts, and such a refund's own word does not.
    """
    by_line: dict[str, Counter[str]] = {}
    for entry in returns or ():
        sent = entry["fulfillmentLineItem"]
        for done in entry["dispositions"] if sent else ():
            if done["type"] == "RESTOCKED" and _is_ours(done["location"], locations):
                by_line.setdefault(sent["lineItem"]["id"], Counter())["HERE"] += done["quantity"]
    for refund in refunds:
        is_told = bool(returns) and refund.get("return") is not None
        for line in refund["refundLineItems"]["nodes"]:
            kinds = by_line.setdefault(line["lineItem"]["id"], Counter())
            kind = line["restockType"]
            kinds[kind] += line["quantity"]
            is_back = kind == "RETURN" and line["restocked"] and not is_told
            if is_back and _is_ours(line["location"], locations):
                kinds["HERE"] += line["quantity"]
    return by_line


def _is_ours(location: Mapping[str, Any] | None, locations: frozenset[str]) -> bool:
    return not locations or location is None or location["id"] in locations


def _line(line: Mapping[str, Any], units: _Units) -> sdk.LineSight:
    gid, ordered = line["id"], line["quantity"]
    kinds = units.refunds.get(gid, Counter())
    shipped, away = units.shipped[gid], units.shipped_elsewhere[gid]
    variant = line["variant"]
    stock_item = variant["inventoryItem"] if variant else None
    is_stocked = _is_stocked(line, stock_item, has_known_item=gid in units.items)
    left = max(0, ordered - shipped - away - line["unfulfilledQuantity"])
    cancelled = min(left, max(0, ordered - line["currentQuantity"]))
    if is_stocked is False:
        shipped += left - cancelled  # a tip is never shipped, and never waits to be
    return sdk.LineSight(
        channel_line_id=number(gid),
        channel_listing_id=stock_item["id"] if stock_item else units.items.get(gid),
        channel_sku=line["sku"] or None,
        title=line["name"],
        quantity_ordered=ordered,
        quantity_cancelled=cancelled,
        quantity_shipped=shipped,
        quantity_returned=kinds["HERE"],
        quantity_elsewhere=away + units.open_elsewhere[gid] if units.is_routed else None,
        quantity_restocked=min(ordered, _put_back(line, cancelled, kinds) + kinds["HERE"]),
        unit_price=_money(line["originalUnitPriceSet"]),
        is_stocked=is_stocked,
    )


def _put_back(line: Mapping[str, Any], cancelled: int, kinds: Counter[str]) -> int:
    """Unshipped units on sale again: all but those a refund wrote off.

    An edit or a cancellation takes units off without a refund; these are taken to be put back.
    """
    ordered: int = line["quantity"]
    refunded_later = max(0, ordered - line["currentQuantity"] - cancelled)
    kept_by_buyer = max(0, refunded_later - kinds["RETURN"])
    written_off: int = max(0, kinds["NO_RESTOCK"] - kept_by_buyer)
    return max(0, cancelled - written_off)


def _is_stocked(
    line: Mapping[str, Any], stock_item: Mapping[str, Any] | None, *, has_known_item: bool
) -> bool | None:
    if line["isGiftCard"] or not line["requiresShipping"]:
        return False
    if stock_item is not None:
        return stock_item["tracked"] is True
    # The variant was deleted after the sale: what was known of the line stays true.
    return None if has_known_item else False


# --- facts ---------------------------------------------------------------------------------------


def _facts(
    order: Mapping[str, Any], lines: tuple[sdk.LineSight, ...], tables: Tables, *, is_complete: bool
) -> sdk.OrderFacts:
    money, shown = _money(order["totalPriceSet"]), _money(order["totalPriceSet"], "presentment")
    state, unmapped = _state(order, tables)
    cancelled_at, address = order["cancelledAt"], order["shippingAddress"]
    service = order["shippingLine"] or {}
    return sdk.OrderFacts(
        channel_order_number=order["name"],
        channel_status=_status_words(order, tables),
        state=state,
        placed_at=moment(order["createdAt"]),
        cancelled_at=moment(cancelled_at) if cancelled_at else None,
        ship_by=_ship_by(order),
        currency=order["currencyCode"],
        total=money,
        shipping=_money(order["totalShippingPriceSet"]),
        tax=_money(order["totalTaxSet"]),
        discount=_money(order["totalDiscountsSet"]),
        are_taxes_included=order["taxesIncluded"],
        presentment_total=shown if shown != money else None,
        fulfilled_by="seller",
        is_test=order["test"] is True,
        shipping_service=_look_up(tables, "services", service.get("code") or service.get("title")),
        buyer=_person(order["billingAddress"], email=order["email"], phone=order["phone"]),
        recipient=_person(address, email=None, phone=None),
        channel_holds=_holds(order, tables),
        unmapped_codes=(unmapped,) if unmapped else (),
        line_ids=tuple(line.channel_line_id for line in lines) if is_complete else None,
        is_complete=is_complete,
    )


def _state(order: Mapping[str, Any], tables: Tables) -> tuple[sdk.OrderState | None, str | None]:
    status = order["displayFinancialStatus"]
    if order["cancelledAt"] is not None:
        return sdk.OrderState.CANCELLED, None
    if status is None:
        return None, None
    mapped = tables["order_status"].look_up(status)
    return (sdk.OrderState(mapped.value) if mapped.value else None), mapped.unmapped


def _status_words(order: Mapping[str, Any], tables: Tables) -> str:
    words = [order["displayFinancialStatus"], order["displayFulfillmentStatus"]]
    if order["cancelledAt"] is not None:
        reason = _look_up(tables, "cancel_reasons", order["cancelReason"])
        words.append(f"CANCELLED ({reason})" if reason else "CANCELLED")
    return " ".join(word for word in words if word)


def _holds(order: Mapping[str, Any], tables: Tables) -> tuple[str, ...]:
    holds = set()
    for work in order["fulfillmentOrders"]["nodes"]:
        if work["status"] == "ON_HOLD":
            held = work["fulfillmentHolds"] or [{"reason": "OTHER"}]
            holds |= {_hold_word(each, tables) for each in held}
        elif work["status"] == "SCHEDULED":
            holds.add("scheduled")
    return tuple(sorted(holds))


def _hold_word(hold: Mapping[str, Any], tables: Tables) -> str:
    if hold.get("heldByRequestingApp") and hold.get("handle") == HOLD_HANDLE:
        return "hub"
    return _look_up(tables, "hold_reasons", hold["reason"]) or "other"


def _ship_by(order: Mapping[str, Any]) -> datetime | None:
    """The earliest deadline; `fulfillAt` is one only where the work is scheduled for it."""
    times = []
    for work in order["fulfillmentOrders"]["nodes"]:
        if work["status"] not in _DONE_WORK:
            scheduled = work["fulfillAt"] if work["status"] == "SCHEDULED" else None
            times.append(work["fulfillBy"] or scheduled)
    return min((moment(time) for time in times if time), default=None)


def _look_up(tables: Tables, table: str, code: str | None) -> str | None:
    return tables[table].look_up(code).value if code else None


def _money(bag: Mapping[str, Any] | None, side: str = "shop") -> sdk.Money | None:
    if bag is None:
        return None
    money = bag[f"{side}Money"]
    return sdk.Money.parse(str(money["amount"]), money["currencyCode"])


def _person(
    address: Mapping[str, Any] | None, *, email: str | None, phone: str | None
) -> sdk.Person | None:
    if address is None:
        return sdk.Person(email=email, phone=phone) if email or phone else None
    streets = tuple(line for line in (address["address1"], address["address2"]) if line)
    return sdk.Person(
        name=address["name"],
        company=address["company"],
        email=email,
        phone=address["phone"] or phone,
        address=sdk.Address(
            lines=streets,
            city=address["city"],
            region=address["provinceCode"],
            postal_code=address["zip"],
            country=address["countryCodeV2"],
        ),
    )
