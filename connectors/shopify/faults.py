"""What each refusal of the shop means, by layer: transport, HTTP status, top-level errors. Pure."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from oms_sync import sdk

STATUS_OK: Final = range(200, 300)
STATUS_BROKEN: Final = range(500, 600)
STATUS_REDIRECT: Final = range(300, 400)
RATE_SECONDS_DEFAULT: Final = 2.0
#: 430: the shop's protection judged our calls malicious
SUSPECT_SECONDS: Final = 300.0
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")
_STATUSES: Final[Mapping[int, tuple[type[sdk.ChannelError], str]]] = {
    402: (sdk.FixAccount, "the shop is frozen: its owner must pay Shopify's bill"),
    403: (sdk.PermissionMissing, "the token lacks a permission: grant the app its scopes"),
    404: (
        sdk.FixAccount,
        "there is no such shop or API version: check settings.shop and api_version",
    ),
    408: (sdk.ChannelDown, "the shop gave up waiting for our request"),
    423: (sdk.FixAccount, "the shop is locked: its owner must contact Shopify"),
}


class KeyBurnt(sdk.RetryLater):
    """The first write with this key failed for certain: another key may be used."""


_CODES: Final[Mapping[str, tuple[type[sdk.ChannelError], str]]] = {
    "ACCESS_DENIED": (sdk.PermissionMissing, "grant the app the missing scope, then resume"),
    "SHOP_INACTIVE": (sdk.FixAccount, "the shop is inactive"),
    "RESOURCE_NOT_FOUND": (sdk.Rejected, "the shop does not know the object"),
    "IDEMPOTENCY_CONCURRENT_REQUEST": (sdk.OutcomeUnknown, "the same write is still being done"),
    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH": (
        sdk.OutcomeUnknown,
        "the same write was taken in before, in other words: look what became of it",
    ),
    "NOT_FOUND": (sdk.Rejected, "the shop does not know the object"),
}
_BROKEN_CODES: Final = frozenset({"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"})
#: shortest path of an error that withholds a part and not the object itself
_PART_DEPTH: Final = 3


class CostTooHigh(sdk.Bug):
    """The document asks for more objects at once than the shop grants."""


def lost(message: str, *, is_write: bool) -> sdk.RetryLater:
    """The error for an answer that never came whole."""
    return sdk.OutcomeUnknown(message) if is_write else sdk.ChannelDown(message)


def raise_for_status(status: int, headers: Mapping[str, str], *, is_write: bool) -> None:
    """Raise what an HTTP status says; 401 is the caller's."""
    if status in STATUS_OK:
        return
    if status in STATUS_BROKEN:
        raise lost(f"the shop answered {status}", is_write=is_write)
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        wait = _retry_after(headers.get("retry-after", ""))
        raise sdk.RateLimited("the shop answered 429", retry_after_seconds=wait)
    if status == 430:  # noqa: PLR2004 - Shopify's own
        message = "the shop answered 430: it takes our calls for an attack"
        raise sdk.RateLimited(message, retry_after_seconds=SUSPECT_SECONDS)
    if status in STATUS_REDIRECT:
        raise sdk.ChannelDown(f"the shop answered {status}: redirects are not followed")
    kind, message = _STATUSES.get(status, (sdk.Bug, "an answer nobody foresaw"))
    raise kind(f"HTTP {status}: {message}")


def raise_top_level(answer: Mapping[str, Any], *, is_write: bool) -> tuple[str, ...]:
    """Raise what the top-level `errors` say; answers the parts withheld by permissions."""
    errors = answer.get("errors")
    if not errors:
        return ()
    if not isinstance(errors, list):
        raise sdk.PermissionMissing(f"the shop refuses: {str(errors)[:300]}")
    withheld = []
    for error in errors:
        if not isinstance(error, dict):
            raise sdk.BadPayload(f"an error of the shop is no object: {str(error)[:200]}")
        path = error.get("path") or ()
        if _code(error) == "ACCESS_DENIED" and len(path) >= _PART_DEPTH:
            withheld.append(".".join(str(step) for step in path))
        else:
            raise _error(error, answer, is_write=is_write)
    return tuple(withheld)


def _is_answered(answer: Mapping[str, Any]) -> bool:
    """Whether a mutation has a result beside the error: then it ran."""
    fields = answer.get("data")
    return isinstance(fields, dict) and any(value is not None for value in fields.values())


def check_root(name: str, answer: Mapping[str, Any], withheld: tuple[str, ...]) -> dict[str, Any]:
    """The answer's `data`; an object lost to a withheld part is a missing permission."""
    fields = answer.get("data")
    if not isinstance(fields, dict):
        raise sdk.BadPayload(f"{name}: the answer has no data")
    lost = tuple(f"{path}." for field, value in fields.items() for path in _lost(field, value))
    if any(path.startswith(lost) for path in withheld):
        raise sdk.PermissionMissing(f"{name}: no permission for {', '.join(withheld[:5])}")
    return fields


def search_warnings(answer: Mapping[str, Any]) -> str:
    """The warnings of a search the shop did not fully understand; empty when it did."""
    searches = (answer.get("extensions") or {}).get("search") or ()
    warnings = [search.get("warnings") for search in searches if isinstance(search, dict)]
    return "; ".join(str(warning) for warning in warnings if warning)[:500]


def _lost(field: str, value: Any) -> list[str]:
    """The places where an object was asked for and none came."""
    if isinstance(value, list):
        return [f"{field}.{at}" for at, one in enumerate(value) if one is None]
    return [field] if value is None else []


def _code(error: Mapping[str, Any]) -> str:
    return str((error.get("extensions") or {}).get("code") or "")


def _error(
    error: Mapping[str, Any], answer: Mapping[str, Any], *, is_write: bool
) -> sdk.ChannelError:
    code, message = _code(error), str(error.get("message"))[:300]
    if code == "THROTTLED":
        return sdk.RateLimited(f"throttled: {message}", retry_after_seconds=_refill_seconds(answer))
    if code == "MAX_COST_EXCEEDED":
        return CostTooHigh(message)
    if code in _BROKEN_CODES:
        return lost(f"{code}: {message}", is_write=is_write)
    if code == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED":
        return KeyBurnt(message)
    if is_write and _is_answered(answer):
        return lost(f"{code or 'error'} beside a result: {message}", is_write=True)
    kind, remedy = _CODES.get(code, (sdk.Bug, "the shop refuses the document"))
    return kind(f"{code or 'error'}: {message} ({remedy})")


def _refill_seconds(answer: Mapping[str, Any]) -> float:
    cost = (answer.get("extensions") or {}).get("cost") or {}
    status = cost.get("throttleStatus") or {}
    try:
        missing = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        return max(0.1, missing / float(status["restoreRate"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return RATE_SECONDS_DEFAULT


def _retry_after(text: str) -> float | None:
    seconds = float(text) if _SECONDS.fullmatch(text.strip()) else math.nan
    return seconds if math.isfinite(seconds) else None
