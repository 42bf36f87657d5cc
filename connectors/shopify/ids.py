"""Global ids and their numeric tails. Pure."""

from oms_sync.sdk import BadPayload


def number(gid: str) -> str:
    """The number at the end of a global id."""
    tail = gid.rpartition("/")[2]
    if not (gid.startswith("gid://shopify/") and tail.isascii() and tail.isdecimal()):
        raise BadPayload(f"{gid[:80]!r} is no id of Shopify")
    return tail
