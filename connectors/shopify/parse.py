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
#: the buyer comes for it, or the shop's people bring it
_UNSENT: Final = frozenset({"PICK_UP", "LOCAL"})
_MISFORMED: Final = (sdk.InvalidValue, KeyError, TypeError, ValueError, AttributeError)


def parse_order(
    payload: bytes, seen_at: datetime, *, tables: Tables, locations: frozenset[str]
) -> sdk.OrderSight:
    """Translate an envelope of `orders.py`.

    Without `locations` those count that the reader found; where neither names any, every place.
    """
    envelope = read_json(payload)
    try:
        order, is_complete = envelope["order"], envelope["is_complete"] is True
        order["withheld"] = envelope.get("withheld") or ()
        ours = locations or frozenset(envelope.get("places") or ())
        is_settled = is_complete and envelope.get("is_routing") is not True
        units = _count(order, ours, is_complete=is_complete, is_settled=is_settled)
        lines = tuple(_line(line, units) for line in order["lineItems"]["nodes"])
        return sdk.OrderSight(
            channel_order_id=number(order["id"]),
            version=sdk.Version(moment(order["updatedAt"]), seen_at),
            facts=_facts(
                order, lines, tables, is_complete=is_complete, is_placed=not units.unplaced
            ),
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
    #: lines with units to be shipped of which nobody knows where
    unplaced: frozenset[str]


def missing_units(order: Mapping[str, Any], locations: frozenset[str]) -> dict[str, int]:
    """Units to be shipped, by line id, that no work accounts for: hidden, or not routed yet."""
    if order["cancelledAt"] is not None:
        return {}
    open_here, open_elsewhere = _open_units(order["fulfillmentOrders"]["nodes"], locations)
    left = {
        line["id"]: line["unfulfilledQuantity"] - open_here[line["id"]] - open_elsewhere[line["id"]]
        for line in order["lineItems"]["nodes"]
        if line["requiresShipping"]
    }
    return {line_id: units for line_id, units in left.items() if units > 0}


def _count(
    order: Mapping[str, Any], locations: frozenset[str], *, is_complete: bool, is_settled: bool
) -> _Units:
    shipped, shipped_elsewhere = _shipped_units(order["fulfillments"], locations)
    works = order["fulfillmentOrders"]["nodes"]
    shown = [line for work in works for line in work["lineItems"]["nodes"]]
    named = (line for line in shown if line["inventoryItemId"])
    items = {line["lineItem"]["id"]: line["inventoryItemId"] for line in named}
    _, open_elsewhere = _open_units(works, locations)
    missing = missing_units(order, locations) if is_complete or not works else {}
    if is_settled and any(
        _is_ours(work["assignedLocation"]["location"], locations) for work in works
    ):
        # Our own work shows, so that of a fulfilment service is all that can be hidden from us.
        open_elsewhere.update(missing)
        missing = {}
    return _Units(
        shipped=shipped,
        shipped_elsewhere=shipped_elsewhere,
        open_elsewhere=open_elsewhere,
        refunds=_refunds(order["refunds"], order.get("returns"), locations),
        items=items,
        unplaced=frozenset(missing),
    )


def _shipped_units(
    dispatches: Iterable[Mapping[str, Any]], locations: frozenset[str]
) -> tuple[Counter[str], Counter[str]]:
    """Units under way or delivered by line: from our places, and from others."""
    here: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for dispatch in dispatches:
        if dispatch["status"] not in _DEAD_DISPATCHES:
            counter = here if _is_ours(dispatch["location"], locations) else elsewhere
            for line in dispatch["fulfillmentLineItems"]["nodes"]:
                counter[line["lineItem"]["id"]] += line["quantity"] or 0
    return here, elsewhere


def _open_units(
    works: Iterable[Mapping[str, Any]], locations: frozenset[str]
) -> tuple[Counter[str], Counter[str]]:
    """Units of open work by line: at our places, and at others."""
    here: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for work in works:
        if work["status"] not in _DONE_WORK:
            is_ours = _is_ours(work["assignedLocation"]["location"], locations)
            for line in work["lineItems"]["nodes"]:
                counter = here if is_ours else elsewhere
                counter[line["lineItem"]["id"]] += line["remainingQuantity"]
    return here, elsewhere


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
        quantity_elsewhere=None if gid in units.unplaced else away + units.open_elsewhere[gid],
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
    order: Mapping[str, Any],
    lines: tuple[sdk.LineSight, ...],
    tables: Tables,
    *,
    is_complete: bool,
    is_placed: bool,
) -> sdk.OrderFacts:
    money, shown = _money(order["totalPriceSet"]), _money(order["totalPriceSet"], "presentment")
    state, unmapped = _state(order, tables)
    cancelled_at, address = order["cancelledAt"], order["shippingAddress"]
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
        shipping_service=_look_up(tables, "services", _service(order)),
        buyer_note=_note(order),
        buyer=_person(order["billingAddress"], order),
        recipient=_person(address, None),
        channel_holds=_holds(order, tables, is_placed=is_placed),
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
    if "shippingAddress" in order["withheld"]:
        words.append("ADDRESS_WITHHELD")
    return " ".join(word for word in words if word)


def _holds(order: Mapping[str, Any], tables: Tables, *, is_placed: bool) -> tuple[str, ...]:
    holds = set()
    if not is_placed:
        holds.add("not_routed")
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


def _service(order: Mapping[str, Any]) -> str | None:
    """How it goes to the buyer: where nothing is sent, by the way its work says."""
    shown = (work.get("deliveryMethod") for work in order["fulfillmentOrders"]["nodes"])
    unsent = {each["methodType"] for each in shown if each} & _UNSENT
    line = order["shippingLine"] or {}
    return min(unsent, default=None) or line.get("code") or line.get("title")


def _note(order: Mapping[str, Any]) -> str | None:
    """What was written to whoever packs; attributes with a leading _ are the theme's own."""
    fields = order.get("customAttributes") or ()
    shown = (each for each in fields if each["value"] and each["key"][:1] != "_")
    parts = [f"{each['key']}: {each['value']}" for each in shown]
    return "\n".join([part for part in (order.get("note"), *parts) if part]) or None


def _look_up(tables: Tables, table: str, code: str | None) -> str | None:
    return tables[table].look_up(code).value if code else None


def _money(bag: Mapping[str, Any] | None, side: str = "shop") -> sdk.Money | None:
    if bag is None:
        return None
    money = bag[f"{side}Money"]
    return sdk.Money.parse(str(money["amount"]), money["currencyCode"])


def _person(
    address: Mapping[str, Any] | None, of_order: Mapping[str, Any] | None
) -> sdk.Person | None:
    """Who stands at the address; `of_order` adds what the order itself says of its buyer."""
    own = of_order or {}
    email, phone, customer = own.get("email"), own.get("phone"), own.get("customer")
    buyer_id = number(customer["id"]) if customer else None
    if address is None:
        known = sdk.Person(email=email, phone=phone, channel_buyer_id=buyer_id)
        return known if email or phone or buyer_id else None
    streets = tuple(line for line in (address["address1"], address["address2"]) if line)
    return sdk.Person(
        name=address["name"],
        company=address["company"],
        email=email,
        phone=address["phone"] or phone,
        channel_buyer_id=buyer_id,
        address=sdk.Address(
            lines=streets,
            city=address["city"],
            region=address["provinceCode"],
            postal_code=address["zip"],
            country=address["countryCodeV2"],
        ),
    )
