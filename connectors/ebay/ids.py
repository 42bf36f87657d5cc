"""How a listing is named: by its ItemID, and for a variation by its SKU or its specifics. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: stands before the digest of the specifics of a variation the seller gave no SKU
MARK: Final = "~"
_ITEM_ID: Final = re.compile(r"[0-9]{1,19}")
#: unpaid and paid orders have ids of different make; nothing else is ever sent as one
_ORDER_ID: Final = re.compile(r"[0-9A-Za-z!-]{1,64}")
_DIGEST_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingName:
    """A `channel_listing_id` taken apart."""

    item_id: str
    #: of the variation; None where the listing has none
    sku: str | None = None
    #: True for a variation, which without a SKU cannot be written to
    is_variation: bool = False


def listing_id(item_id: str) -> str:
    """The id of a listing without variations."""
    return item_id


def variation_id(item_id: str, sku: str | None, specifics: Mapping[str, tuple[str, ...]]) -> str:
    """The id of one variation; a SKU that begins with the mark is told apart by a second one."""
    if sku:
        return f"{item_id}/{MARK if sku.startswith(MARK) else ''}{sku}"
    plain = json.dumps(sorted(specifics.items()), ensure_ascii=False)
    return f"{item_id}/{MARK}{hashlib.sha256(plain.encode()).hexdigest()[:_DIGEST_DIGITS]}"


def read_listing_id(text: str) -> ListingName | None:
    """What `text` names; None when it is no id of ours."""
    item_id, slash, rest = text.partition("/")
    if not _ITEM_ID.fullmatch(item_id) or (slash and not rest):
        return None
    if not slash:
        return ListingName(item_id=item_id)
    if not rest.startswith(MARK):
        return ListingName(item_id=item_id, sku=rest, is_variation=True)
    sku = rest[1:] if rest.startswith(MARK * 2) else None
    return ListingName(item_id=item_id, sku=sku, is_variation=True)


def is_order_id(text: str) -> bool:
    """True for what may be an order's id."""
    return _ORDER_ID.fullmatch(text) is not None
