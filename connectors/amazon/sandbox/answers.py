"""Amazon's shapes of answers and refusals; what is not understood is refused, never ignored."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from connectors.amazon.sandbox.marketplace import MARKETPLACES, read_time
from oms_sync.sdk.sandbox_wire import Reply

#: what the official Python SDK adds to queries and bodies that name no marketplace themselves
QUERY_EXTRAS: Final = ("MarketplaceId", "MarketplaceIds", "marketplace_ids", "marketplaceIds")
BODY_EXTRAS: Final = ("marketplaceIds", "MarketplaceIds")
#: what its `create_feed` and `create_feed_document` leak into the body
PATH_EXTRA: Final = "path"
INVALID: Final = "InvalidInput"
JSON_TYPE: Final = ("content-type", "application/json")


class Refused(Exception):
    """Amazon refuses a request with a status and one error."""

    def __init__(self, status: int, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details

    def reply(self) -> Reply:
        error = {"code": self.code, "message": self.message, "details": self.details}
        return answer(self.status, {"errors": [error]})


def invalid(message: str, details: str = "") -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, INVALID, message, details)


def not_found(message: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "NotFound", message)


def answer(status: int, body: Any = None) -> Reply:
    raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    return Reply(status=status, body=raw, headers=() if body is None else (JSON_TYPE,))


class Query:
    """The query of one request; a parameter the operation does not know is refused."""

    def __init__(self, text: str, known: Iterable[str]) -> None:
        self._given: dict[str, str] = {}
        allowed = {*known, *QUERY_EXTRAS}
        for name, value in parse_qsl(text, keep_blank_values=True):
            if name not in allowed:
                raise invalid(f"Unknown parameter: {name}")
            if name in self._given:
                raise invalid(f"Parameter given more than once: {name}", "Separate by commas.")
            self._given[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def names(self) -> set[str]:
        return set(self._given)

    def text(self, name: str) -> str | None:
        value = self._given.get(name)
        if value == "":
            raise invalid(f"Parameter is empty: {name}")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise invalid(f"Invalid value for {name}: {value}", f"Allowed: {', '.join(allowed)}")
        return value

    def listed(
        self, name: str, allowed: Collection[str] | None = None, *, most: int = 50
    ) -> list[str]:
        """The values of a comma-separated parameter, empty when it is not given."""
        value = self.text(name)
        values = [] if value is None else [each.strip() for each in value.split(",")]
        if len(values) > most:
            raise invalid(f"Too many values for {name}", f"At most {most}.")
        for each in values:
            if not each or (allowed is not None and each not in allowed):
                raise invalid(f"Invalid value for {name}: {each}")
        return values

    def whole(self, name: str, low: int, high: int, *, default: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        is_number = value.isascii() and value.isdecimal() and len(value) < len(str(high)) + 1
        if not is_number or not low <= int(value) <= high:
            raise invalid(f"Invalid value for {name}: {value}", f"Allowed: {low} to {high}")
        return int(value)

    def time(self, name: str) -> datetime | None:
        value = self.text(name)
        moment = None if value is None else read_time(value)
        if value is not None and moment is None:
            raise invalid(f"Invalid value for {name}: {value}", "Must be in ISO 8601 format.")
        return moment

    def marketplaces(self, name: str = "marketplaceIds", *, is_required: bool) -> None:
        """Refuse anything but the seller's marketplaces."""
        given = self.listed(name)
        if is_required and not given:
            raise invalid(f"Missing required parameter: {name}")
        check_marketplaces(given)


def check_marketplaces(given: Any) -> None:
    if not isinstance(given, list) or any(each not in MARKETPLACES for each in given):
        raise invalid(f"Invalid marketplace: {given}", "The seller does not sell there.")


def fields(
    body: Any, required: Mapping[str, type], optional: Mapping[str, type], *, at: str = "body"
) -> dict[str, Any]:
    """The body as an object with exactly these fields; a type of bool, int, list, dict or str."""
    if not isinstance(body, dict):
        raise invalid(f"Invalid {at}", "Must be a JSON object.")
    known = {**required, **optional}
    for name in required:
        if name not in body:
            raise invalid(f"Missing required field: {at}.{name}")
    for name, value in body.items():
        if name not in known:
            raise invalid(f"Unknown field: {at}.{name}")
        if not _fits(value, known[name]):
            raise invalid(f"Invalid value for {at}.{name}", f"Must be {known[name].__name__}.")
    return body


def _fits(value: Any, kind: type) -> bool:
    if kind is object:
        return True
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
