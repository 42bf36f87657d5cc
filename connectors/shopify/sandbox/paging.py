"""Connections with keyset cursors: a cursor names the last record seen, not a position."""

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final

from connectors.shopify.sandbox.answers import GraphRefusal

PAGE_MAX: Final = 250
_BAD_CURSOR: Final = "Invalid cursor for current pagination sort."

Key = tuple[Any, int]
View = Callable[[Any], Any]


def connection(
    records: Sequence[Any],
    arguments: dict[str, Any],
    view: View,
    key: Callable[[Any], Key] = lambda record: (0, record.id),
) -> dict[str, Any]:
    """Page `records`, which are in ascending order of `key`."""
    reverse = bool(arguments.get("reverse"))
    low, high = 0, len(records)
    for name, keeps_greater in (("after", not reverse), ("before", reverse)):
        if arguments.get(name):
            bound = read_cursor(arguments[name])
            try:
                if keeps_greater:
                    low = max(low, bisect_right(records, bound, key=key))
                else:
                    high = min(high, bisect_left(records, bound, key=key))
            except TypeError as error:  # a cursor of another sort key
                raise GraphRefusal(_BAD_CURSOR, "BAD_REQUEST") from error
    ordered = records[low:high][::-1] if reverse else records[low:high]
    has_previous = bool(high < len(records) if reverse else low) and "after" in arguments
    first, last = arguments.get("first"), arguments.get("last")
    _check_size(first if last is None else last)
    page = ordered[:first] if last is None else ordered[max(0, len(ordered) - last) :]
    is_cut = len(page) < len(ordered)
    shown = [(make_cursor(key(each)), each) for each in page]
    info = {
        "hasNextPage": is_cut and last is None,
        "hasPreviousPage": has_previous or (is_cut and last is not None),
        "startCursor": shown[0][0] if shown else None,
        "endCursor": shown[-1][0] if shown else None,
    }
    return as_connection(shown, view, info)


def as_connection(page: list[tuple[str, Any]], view: View, info: dict[str, Any]) -> dict[str, Any]:
    return {
        "page": page,  # no field of the API: for those who tamper with the page
        "nodes": lambda _: [view(each) for _, each in page],
        "edges": lambda _: [{"cursor": at, "node": view(each)} for at, each in page],
        "pageInfo": info,
    }


def make_cursor(key: Key, **extra: Any) -> str:
    text = json.dumps({"last_id": key[1], "last_value": key[0], **extra})
    return base64.b64encode(text.encode()).decode()


def read_cursor(cursor: str) -> Key:
    try:
        value = json.loads(base64.b64decode(cursor, validate=True))
        return (value["last_value"], int(value["last_id"]))
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise GraphRefusal(_BAD_CURSOR, "BAD_REQUEST") from error


def _check_size(size: int | None) -> None:
    if size is None:
        raise GraphRefusal("you must provide one of first or last", "BAD_REQUEST")
    if not 0 <= size <= PAGE_MAX:
        raise GraphRefusal(f"a page holds 0 to {PAGE_MAX} records, not {size}", "BAD_REQUEST")
