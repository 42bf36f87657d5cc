"""One order as `oms-sync orders show` prints it."""

from collections.abc import Mapping
from typing import Any

from oms_sync.cli.output import note, say, show_facts, show_heading, show_table

_PARTS = ("lines", "shipments", "write_backs", "holds", "timeline")
_PEOPLE = ("buyer", "recipient")
_NOTE = "buyer_note"


def show_order_parts(order: Mapping[str, Any]) -> None:
    """Its facts, then people where they are revealed, then every part as a table of its own."""
    apart = (*_PARTS, *_PEOPLE, _NOTE)
    show_facts({name: value for name, value in order.items() if name not in apart})
    for name in _PEOPLE:
        if order.get(name):
            show_heading(name.capitalize())
            show_facts(order[name])
    if order.get(_NOTE):
        show_heading("The buyer wrote")
        for line in str(order[_NOTE]).splitlines():
            say(line)
    if order.get("erased_at"):
        note(f"personal data was erased on {str(order['erased_at'])[:10]}")
    for hold in order["holds"]:
        note(f"held: {hold['code']} since {hold['since']} by {hold['actor']}")
    show_heading("Lines")
    counts = ("ordered", "reserved", "short", "shipped", "cancelled", "returned")
    columns = {"sku": "SKU", "title": "title"}
    columns |= {f"quantity_{count}": f"{count}#" for count in counts}
    columns |= {"unit_price": "price#", "places": "reserved at"}
    show_table(columns, (_line(one) for one in order["lines"]), none="no lines")
    _show_told(order)
    show_heading("Timeline")
    columns = {"at": "when", "name": "what", "actor": "who", "detail": "detail"}
    show_table(columns, order.get("timeline", ()), none="nothing happened yet")


def _show_told(order: Mapping[str, Any]) -> None:
    """What the channel was told, or shall be."""
    if order["shipments"]:
        show_heading("Shipments")
        columns = {"shipment_id": "shipment", "packages": "packages", "units": "units#"}
        rows = (_shipment(one) for one in order["shipments"])
        show_table({**columns, "state": "channel told", "error": "error"}, rows, none="none")
    if order["write_backs"]:
        show_heading("Told to the channel")
        columns = {"kind": "what", "what": "how much", "state": "state", "error": "reason"}
        show_table(columns, (_write_back(one) for one in order["write_backs"]), none="none")


def _line(one: Mapping[str, Any]) -> dict[str, Any]:
    places = [f"{each['location']}: {each['quantity']}" for each in one["reservations"]]
    return {**one, "sku": one["sku"] or f"? {one['channel_sku']}", "places": places or None}


def _write_back(one: Mapping[str, Any]) -> dict[str, Any]:
    units = sum(one["lines"].values())
    money = f"{one['amount']} {one['currency']}" if one["amount"] else None
    return {**one, "what": money or (f"{units} units" if units else None)}


def _shipment(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "shipment_id": one["shipment_id"],
        "packages": [f"{each['carrier']} {each['tracking_number']}" for each in one["packages"]],
        "units": sum(line["quantity"] for line in one["lines"]),
        "state": one["push"]["state"],
        "error": one["push"]["error"] or None,
    }
