"""Global ids and their numeric tails. Pure."""

from typing import Final

from oms_sync.sdk import BadPayload

#: what the hub's own holds of fulfilment orders are called at the shop
HOLD_HANDLE: Final = "oms-sync"


def gid(kind: str, number_text: str) -> str:
    """The global id of the record of this kind and number."""
    return f"gid://shopify/{kind}/{number_text}"


def number(gid: str) -> str:
    """The number at the end of a global id."""
    tail = gid.rpartition("/")[2]
    if not (gid.startswith("gid://shopify/") and tail.isascii() and tail.isdecimal()):
        raise BadPayload(f"{gid[:80]!r} is no id of Shopify")
    return tail
