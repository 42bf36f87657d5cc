"""A JSON_LISTINGS_FEED document: understood message by message, with its processing report."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from connectors.amazon.sandbox.answers import Refused, fields
from connectors.amazon.sandbox.listings import check_patches
from connectors.amazon.sandbox.stock import ATTRIBUTE, Offers, Wanted, issue

MESSAGES_MAX: Final = 25_000
MESSAGE_ID_MAX: Final = 2**31 - 1
VERSION: Final = "2.0"
_CODE_SHAPE: Final = "4000001"
_HEADER_OPTIONAL: Final = {"issueLocale": str, "report": dict}
_REQUIRED: Final = {"messageId": int, "sku": str, "operationType": str}
_OPTIONAL: Final = {"productType": str, "patches": list, "attributes": dict, "requirements": str}
#: what goes with which operation, beside what every message has
_BELONGS: Final = {
    "PATCH": {"productType", "patches"},
    "PARTIAL_UPDATE": {"productType", "attributes"},
    "UPDATE": {"productType", "attributes", "requirements"},
    "DELETE": set[str](),
}
_DESTRUCTIVE: Final = ("UPDATE", "DELETE")


class Unreadable(Exception):
    """The document as a whole is refused: the feed ends FATAL."""


@dataclass(slots=True, kw_only=True)
class Message:
    """One message and what became of it."""

    id: int
    sku: str
    wanted: Wanted


class FeedReader:
    """Reads documents against the offers."""

    def __init__(self, offers: Offers, seller: str) -> None:
        self._offers, self._seller = offers, seller

    def read(self, content: bytes) -> list[Message]:
        try:
            document = json.loads(content)
            document = fields(document, {"header": dict, "messages": list}, {}, at="feed")
            required = {"sellerId": str, "version": str}
            header = fields(document["header"], required, _HEADER_OPTIONAL, at="header")
        except (ValueError, RecursionError, Refused) as error:
            raise Unreadable(str(error)) from error
        messages = document["messages"]
        if header["sellerId"] != self._seller or header["version"] != VERSION:
            raise Unreadable("the header names another seller or version")
        if not 0 < len(messages) <= MESSAGES_MAX:
            raise Unreadable(f"a feed holds 1 to {MESSAGES_MAX} messages")
        ids = [each.get("messageId") if isinstance(each, dict) else None for each in messages]
        if any(not _is_id(each) for each in ids) or len(set(ids)) != len(ids):
            raise Unreadable("every message needs a messageId of its own")
        return [self._message(each) for each in messages]

    def _message(self, given: dict[str, Any]) -> Message:
        sku = given.get("sku")
        try:
            wanted = self._wanted(given)
        except Refused as refused:
            wanted = Wanted(issues=(issue(_CODE_SHAPE, refused.message),))
        return Message(
            id=given["messageId"], sku=sku if isinstance(sku, str) else "", wanted=wanted
        )

    def _wanted(self, given: dict[str, Any]) -> Wanted:
        fields(given, _REQUIRED, _OPTIONAL, at="message")
        operation, sku = given["operationType"], given["sku"]
        belongs = _BELONGS.get(operation)
        if belongs is None or set(given) - set(_REQUIRED) - belongs:
            message = f"'{operation}' does not go with the fields of this message."
            return Wanted(issues=(issue(_CODE_SHAPE, message),))
        if operation in _DESTRUCTIVE:
            self._offers.fba.forbid("destructive_feed", channel_sku=sku, operation=operation)
            message = f"'{operation}' would replace or remove the whole listing."
            return Wanted(issues=(issue(_CODE_SHAPE, message),))
        missing = belongs - set(given)
        if missing:
            message = f"'{min(missing)}' is required but not supplied."
            return Wanted(issues=(issue(_CODE_SHAPE, message),))
        return self._offers.read_patches(sku, _patches(operation, given))


def _patches(operation: str, given: dict[str, Any]) -> list[Any]:
    if operation == "PATCH":
        check_patches(given["patches"])
        return list(given["patches"])
    attributes = given["attributes"].items()
    return [
        {"op": "merge", "path": f"/attributes/{name}", "value": value} for name, value in attributes
    ]


def _is_id(value: Any) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and 1 <= value <= MESSAGE_ID_MAX


def lose_part(messages: list[Message]) -> None:
    """Forget the later half: not applied, not counted, and no issue says so."""
    del messages[(len(messages) + 1) // 2 :]


def apply(messages: list[Message], set_quantity: Callable[[str, int], None]) -> None:
    for message in messages:
        if not message.wanted.issues and message.wanted.quantity is not None:
            set_quantity(message.sku, message.wanted.quantity)


def processing_report(messages: list[Message], seller: str, feed_id: str) -> bytes:
    """The result document; issues come in no order the sender could rely on."""
    issues = [
        {"messageId": message.id, "sku": message.sku}
        | {name: each[name] for name in ("code", "severity", "message")}
        | ({"attributeName": ATTRIBUTE} if "attributeNames" in each else {})
        for message in reversed(messages)
        for each in message.wanted.issues
    ]
    invalid_count = sum(1 for message in messages if message.wanted.issues)
    total = len(messages)
    summary = {
        "errors": len(issues),
        "warnings": 0,
        "messagesProcessed": total,
        "messagesAccepted": total - invalid_count,
        "messagesInvalid": invalid_count,
    }
    header = {"sellerId": seller, "version": VERSION, "feedId": feed_id}
    return json.dumps({"header": header, "issues": issues, "summary": summary}).encode()
