"""The REST doors: routes, bearer tokens, and the shape of errors and answers."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from connectors.ebay.sandbox.limits import Limits
from connectors.ebay.sandbox.signatures import SellerKey
from connectors.ebay.sandbox.tokens import Tokens
from connectors.ebay.sandbox.wrongs import RestError
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

APPLICATION: Final = "application"
USER: Final = "user"
EITHER: Final = "either"

#: what eBay takes from sellers in the EU and the UK only when it is signed
SIGNED: Final = frozenset({"issueRefund", "createCancellation", "approveCancellation"})
Api = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """One REST request: what its path named, its query and its body."""

    path: tuple[str, ...]
    query: Mapping[str, str]
    body: Any
    is_user: bool
    #: the same API, for Location headers
    base: str
    #: False where nothing was sent, not even an empty object
    has_body: bool = True


Handler = Callable[[RestCall], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One operation; `name` is what truth counts it under."""

    name: str
    method: str
    path: str
    api: Api
    opens_to: str
    handle: Handler
    #: taken only with the seller's digital signature
    is_signed: bool = False

    @property
    def scheme(self) -> str:
        """The word before the token; the other one is refused."""
        return "IAF" if self.api[0] == "post-order" else "Bearer"


def make_door(name: str, where: str, handle: Handler, api: Api, opens_to: str) -> Door:
    """A door at `METHOD path`."""
    method, _, path = where.partition(" ")
    return Door(
        name=name,
        method=method,
        path=path,
        api=api,
        opens_to=opens_to,
        handle=handle,
        is_signed=name in SIGNED,
    )


class Rest:
    """Finds the door of a request and goes through it."""

    def __init__(
        self, store: Store, tokens: Tokens, limits: Limits, doors: tuple[Door, ...]
    ) -> None:
        self._store, self._tokens, self._limits = store, tokens, limits
        self.key = SellerKey(store.secret("signing_key"), store.secret("signing_jwe"))
        self._doors = tuple((door, re.compile(_pattern(door.path))) for door in doors)

    def find(self, method: str, path: str) -> tuple[Door, "re.Match[str]"] | None:
        """The door of a path, whatever stands before it; None when nobody lives there."""
        for door, pattern in self._doors:
            match = pattern.search(path)
            if match and door.method == method:
                return door, match
        return None

    def answer(
        self, found: tuple[Door, "re.Match[str]"], headers: Mapping[str, str], request: Any
    ) -> Reply:
        """One whole answer; `request` is (query string, body)."""
        door, match = found
        scheme, _, token = headers.get("authorization", "").partition(" ")
        with self._store.act():
            try:
                self._check(door, token if scheme == door.scheme else "")
                if door.is_signed:
                    self.key.check(door.method, match.string, headers, request[1])
                call = RestCall(
                    path=match.groups(),
                    query=dict(parse_qsl(request[0])),
                    body=_parse(request[1]),
                    is_user=self._tokens.is_user(token),
                    base=self._store.options.base_url + match.string[: match.end()],
                    has_body=bool(request[1]),
                )
                return door.handle(call)
            except RestError as error:
                named = "error" if door.api[0] == "post-order" else "errors"
                return show(error.status, {named: [error.entry()]})

    def _check(self, door: Door, token: str) -> None:
        if self._tokens.refusal(token):
            raise RestError(1001)
        wanted = {USER: True, APPLICATION: False}.get(door.opens_to)
        if wanted is not None and self._tokens.is_user(token) is not wanted:
            raise RestError(1100)
        self._store.calls[door.name] += 1
        if not self._limits.spend(door.api):
            raise RestError(2001)


def _pattern(path: str) -> str:
    return re.sub(r"\{\w+\}", r"([^/]{1,200})", path) + "/?$"


def _parse(body: bytes) -> Any:
    if not body:
        return {}
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RestError(2004) from error
    if not isinstance(parsed, dict):
        raise RestError(2004)
    return parsed


def show(status: int, body: Any = None, *, location: str = "") -> Reply:
    """An answer; None has no body."""
    headers = [("content-type", "application/json")]
    if location:
        headers.append(("location", location))
    raw = b"" if body is None else json.dumps(body).encode()
    return Reply(status=status, body=raw, headers=tuple(headers))


def refuse_unknown(body: Mapping[str, Any], known: frozenset[str], code: int) -> None:
    """Fields the contract does not know are refused."""
    unknown = sorted(set(body) - known)
    if unknown:
        raise RestError(code, f"Unknown field: {', '.join(unknown)[:200]}")
