"""Shopify's global ids: `gid://shopify/{Type}/{number}`, levels with a query string."""

import re
from typing import Final

from connectors.shopify.sandbox.answers import GraphRefusal

_FORM: Final = re.compile(r"gid://shopify/(\w+)/(\d{1,19})(?:\?inventory_item_id=(\d{1,19}))?")


def gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


def level_gid(place_id: int, item_id: int) -> str:
    return f"gid://shopify/InventoryLevel/{place_id}?inventory_item_id={item_id}"


def split(value: str) -> tuple[str, int, int | None]:
    """(type, number, inventory item) of a gid; malformed ones are refused as the vendor does."""
    match = _FORM.fullmatch(value)
    if match is None:
        raise GraphRefusal(f"Invalid global id '{value}'", "argumentLiteralsIncompatible")
    kind, number, item = match.groups()
    return kind, int(number), int(item) if item else None


def number_of(value: str, *kinds: str) -> int:
    """The number in a gid of one of these types; another type is `RESOURCE_NOT_FOUND`."""
    kind, number, _ = split(value)
    if kind not in kinds:
        raise GraphRefusal(f"Invalid id: {value}", "RESOURCE_NOT_FOUND")
    return number
