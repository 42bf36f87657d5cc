"""The Trading endpoint: header checks, quota, dispatch by call name, the frame of every answer."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from connectors.ebay.sandbox.account_calls import AccountCalls
from connectors.ebay.sandbox.books import Books
from connectors.ebay.sandbox.complete import CompleteSale
from connectors.ebay.sandbox.get_orders import GetOrders
from connectors.ebay.sandbox.limits import Limits
from connectors.ebay.sandbox.listing_calls import ListingCalls
from connectors.ebay.sandbox.markup import NAMESPACE, Markup, tag
from connectors.ebay.sandbox.order_views import OrderViews
from connectors.ebay.sandbox.revise import Answer, Revise
from connectors.ebay.sandbox.shapes import Asked, read
from connectors.ebay.sandbox.tokens import Tokens
from connectors.ebay.sandbox.wrongs import INTERNAL, Refused, Wrong, wrong
from oms_sync.sdk.sandbox_wire import Reply

#: the contract this sandbox plays, and the oldest level it still answers
VERSION: Final = 1487
LOWEST_LEVEL: Final = 941
BUILD: Final = f"E{VERSION}_SANDBOX_R1"
REVISION: Final = "ReviseInventoryStatus"
REVISION_OF_MANY: Final = "ReviseFixedPriceItem"
WRITES: Final = frozenset({REVISION, REVISION_OF_MANY, "CompleteSale", "SetUserPreferences"})
_CALL: Final = re.compile(r"[A-Za-z]{1,64}")
_LEVEL: Final = re.compile(r"\d{1,5}")
_XML: Final = (("content-type", "text/xml;charset=utf-8"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the headers of a request say."""

    call: str
    level: int
    site: str


_Handler = Callable[[Asked, Heading], Markup | Answer]


class Trading:
    """Answers `POST /ws/api.dll`."""

    def __init__(
        self, books: Books, tokens: Tokens, limits: Limits, complete: CompleteSale
    ) -> None:
        self._books, self._store = books, books.store
        self._tokens, self._limits = tokens, limits
        self._lies = cycle(("failure", "empty"))
        #: refuse elements out of the schema's order, which production does not
        self.is_strict = False
        orders, listings = GetOrders(books, OrderViews(books)), ListingCalls(books)
        account, revise = AccountCalls(books), Revise(books)
        self._handlers: dict[str, _Handler] = {
            "GetOrders": lambda asked, heading: orders(asked, heading.level),
            "GetItem": lambda asked, _: listings.item(asked),
            "GetMyeBaySelling": lambda asked, _: listings.my_selling(asked),
            REVISION: lambda asked, _: revise(asked),
            REVISION_OF_MANY: lambda asked, _: revise.many(asked),
            "CompleteSale": lambda asked, heading: complete(asked, heading.site),
            "GetUser": lambda asked, _: account.user(asked),
            "GetUserPreferences": lambda asked, _: account.preferences(asked),
            "SetUserPreferences": lambda asked, _: account.set_preferences(asked),
            "GeteBayDetails": lambda asked, _: account.details(asked),
        }

    def answer(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """One whole answer; every refusal of the API is inside a 200."""
        call = headers.get("x-ebay-api-call-name", "")
        name = call if _CALL.fullmatch(call) else "Unknown"
        with self._store.act():
            try:
                heading = self._heading(call, headers)
                if self._store.faults.fires("F07"):
                    return self._lie(heading, body)
                asked = read(call, body, is_strict=self.is_strict)
                return self._answered(heading, asked)
            except Refused as refused:
                return self._reply(name, Markup(""), refused.wrongs, ack="Failure")

    def _heading(self, call: str, headers: Mapping[str, str]) -> Heading:
        level = headers.get("x-ebay-api-compatibility-level", "")
        if call not in self._handlers:
            raise Refused(wrong(2, f'The API call "{call[:64]}" is invalid or not supported.'))
        if not _LEVEL.fullmatch(level) or int(level) < LOWEST_LEVEL:
            text = f"Compatibility level {level[:8]!r} is below {LOWEST_LEVEL}."
            raise Refused(wrong(21, text))
        token = headers.get("x-ebay-api-iaf-token", "")
        code = self._tokens.refusal(token)
        if code or not self._tokens.is_user(token):
            raise Refused(wrong(code or 931, "Validation of the authentication token failed."))
        self._store.calls[call] += 1
        is_within = self._limits.spend() and (call != REVISION or self._limits.spend_revision())
        if not is_within:
            raise Refused(wrong(518, "Your application has exceeded its usage limit."))
        site = headers.get("x-ebay-api-siteid", "0")
        return Heading(call=call, level=int(level), site=site)

    def _lie(self, heading: Heading, body: bytes) -> Reply:
        """F07 and its brother: a failure inside a 200, and a 200 without anything in it."""
        if next(self._lies) == "failure":
            text = "Internal error to the application."
            return self._reply(heading.call, Markup(""), [wrong(INTERNAL, text)], ack="Failure")
        self._answered(heading, read(heading.call, body, is_strict=self.is_strict))
        return Reply(status=200, body=b"", headers=_XML)

    def _answered(self, heading: Heading, asked: Asked) -> Reply:
        found = self._handlers[heading.call](asked, heading)
        answer = found if isinstance(found, Answer) else Answer(body=found)
        errors = [each for each in answer.wrongs if not each.is_warning]
        ack = "Warning" if answer.wrongs else "Success"
        if errors:
            ack = "PartialFailure" if answer.is_partial else "Failure"
        message = asked.text("MessageID")
        return self._reply(heading.call, answer.body, answer.wrongs, ack=ack, message=message)

    def _reply(
        self,
        call: str,
        body: Markup,
        wrongs: Iterable[Wrong],
        *,
        ack: str,
        message: str | None = None,
    ) -> Reply:
        whole = tag(
            f"{call}Response",
            tag("Timestamp", self._store.now()),
            tag("Ack", ack),
            tag("CorrelationID", message),
            *(each.shown() for each in wrongs),
            tag("Version", VERSION),
            tag("Build", BUILD),
            body,
            xmlns=NAMESPACE,
        )
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}'
        return Reply(status=200, body=text.encode(), headers=_XML)
