"""eBay's Trading WSDL and its REST documents.

The WSDL does not compile as it is: an attribute is misspelt in two places, and its wildcards make
it ambiguous. Both are mended in memory.
"""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from contract_routes import METHODS, Route, answer_problems, find, pattern_of, request_problems
from contract_shapes import Shapes
from contract_tap import Exchange
from lxml import etree

XS = "{http://www.w3.org/2001/XMLSchema}"
TRADING_PATH = "/ws/api.dll"
TOKEN_PATH = "/identity/v1/oauth2/token"
#: the fields of a grant, by its type; the token service has no contract in machine-readable form
GRANTS = {"refresh_token": {"refresh_token"}, "client_credentials": {"scope"}}
GRANTS |= {"authorization_code": {"code", "redirect_uri"}}
#: path → why there is no contract to hold it against
WITHOUT_CONTRACT = {"/post-order/v2/": "the vendor publishes Post-Order, and no copy is at hand"}
#: what is known of the operations below it from how others speak to them: method, end of the path →
#: every field, and whether the digital signature is asked for
POST_ORDER = {
    ("GET", r"/search"): (set(), False),
    ("GET", r"/\d+"): (set(), False),
    ("POST", r"/check_eligibility"): ({"legacyOrderId"}, False),
    ("POST", r""): ({"legacyOrderId", "cancelReason", "buyerPaid", "buyerPaidDate"}, True),
    ("POST", r"/\d+/approve"): (set(), True),
    ("POST", r"/\d+/reject"): ({"shipmentDate", "trackingNumber"}, False),
}
SIGNED_WITH = ("x-ebay-signature-key", "signature-input", "signature")
#: the documents' one name for an entry of a refusal's list
ERROR = {"$ref": "#/components/schemas/Error"}
REFUSAL = {
    "type": "object",
    "required": ["errors"],
    "properties": {"errors": {"type": "array", "items": ERROR}},
}
#: come from the gateway in front of every operation
UNLISTED = {
    401: "a token that is none, or has ended",
    403: "a token without the scope, or of the wrong kind",
    429: "the day's quota is used up",
}
REFUSED_FROM = 400
WRONG_ON_PURPOSE = {
    "F07": "a failure, or nothing at all, inside a 200",
    "F42": "an order that is odd as real ones are: a control character, an empty time, a new word",
}


class EbayContracts:
    """Checks what is sent to eBay, and what its sandbox answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def wsdl(self) -> Any:
        """The WSDL's schema as a tree, mended."""
        (path,) = self._folder.glob("eBaySvc_*.wsdl.gz")
        text = gzip.decompress(path.read_bytes()).replace(b"maxOccur=", b"maxOccurs=")
        root = etree.fromstring(text, etree.XMLParser(huge_tree=True))
        for wildcard in list(root.iter(f"{XS}any", f"{XS}annotation")):
            wildcard.getparent().remove(wildcard)
        return etree.fromstring(etree.tostring(next(root.iter(f"{XS}schema"))))

    @cached_property
    def trading(self) -> Any:
        """The WSDL's types, in their order."""
        return etree.XMLSchema(self.wsdl)

    @cached_property
    def _elements(self) -> set[str]:
        return {each.get("name") for each in self.wsdl.iterchildren(f"{XS}element")}

    @cached_property
    def routes(self) -> list[Route]:
        """Every REST operation; the longest path first."""
        found = []
        for path in sorted(self._folder.glob("*_oas3.json")):
            found += list(_routes(json.loads(path.read_text("utf-8"))))
        return sorted(found, key=lambda route: -len(route.pattern.pattern))

    def check_request(self, exchange: Exchange) -> tuple[str, list[str]]:
        """The operation's name, and where the request does not fit it."""
        path = urlsplit(exchange.url).path
        if path.endswith(TRADING_PATH):
            call = exchange.headers.get("x-ebay-api-call-name", "")
            return call, list(self._trading_problems(f"{call}Request", exchange))
        if path.endswith(TOKEN_PATH):
            return "token", list(_grant_problems(exchange))
        route = find(self.routes, exchange, is_prefix_free=True)
        if route is not None:
            problems = list(request_problems(route, exchange, {}))
            if not exchange.headers.get("authorization", "").startswith("Bearer "):
                problems.append("header authorization: no bearer token")
            if route.name == "issueRefund":
                problems += _signature_problems(exchange)
            return route.name, problems
        for start, reason in WITHOUT_CONTRACT.items():
            if path.startswith(start):
                problems = list(_post_order_problems(path.removeprefix(start), exchange))
                return f"{exchange.method} {start} (no contract: {reason})", problems
        return "unknown", [f"no contract has {exchange.method} {path}"]

    def check_answer(self, exchange: Exchange) -> tuple[str, list[str]] | None:
        """The same for an answer of the sandbox; None where no contract speaks of it."""
        path = urlsplit(exchange.url).path
        if set(exchange.faults) & WRONG_ON_PURPOSE.keys():
            return None
        if path.endswith(TRADING_PATH):
            call = exchange.headers.get("x-ebay-api-call-name", "")
            if f"{call}Response" not in self._elements:
                return "refusal", list(_unknown_call_problems(exchange.answer))
            problems = self._markup_problems(f"{call}Response", exchange.answer)
            return call, list(problems)
        route = find(self.routes, exchange, is_prefix_free=True)
        if route is None:
            return None
        return route.name, list(answer_problems(route, exchange, UNLISTED, REFUSAL))

    def _trading_problems(self, root: str, exchange: Exchange) -> Iterator[str]:
        for name, check in (
            ("x-ebay-api-compatibility-level", str.isdigit),
            ("x-ebay-api-siteid", str.isdigit),
            ("x-ebay-api-iaf-token", bool),
        ):
            if not check(exchange.headers.get(name, "")):
                yield f"header {name}: {exchange.headers.get(name)!r}"
        yield from self._markup_problems(root, exchange.body)

    def _markup_problems(self, name: str, body: bytes) -> Iterator[str]:
        try:
            root = etree.fromstring(body)
        except etree.XMLSyntaxError as error:
            yield f"no XML: {error}"
            return
        if etree.QName(root).localname != name:
            yield f"the root is {root.tag}, not {name}"
        if not self.trading.validate(root):
            yield from (str(error.message) for error in self.trading.error_log)


def _unknown_call_problems(answer: bytes) -> Iterator[str]:
    """A call no WSDL knows has no type of answer; it must be refused all the same."""
    root = etree.fromstring(answer)
    acks = [each.text for each in root.iter() if etree.QName(each).localname == "Ack"]
    if acks != ["Failure"]:
        yield f"an unknown call is answered {acks}"


def _post_order_problems(path: str, exchange: Exchange) -> Iterator[str]:
    known = (
        shape
        for (method, end), shape in POST_ORDER.items()
        if method == exchange.method and re.fullmatch(f"cancellation{end}", path)
    )
    fields, is_signed = next(known, (None, False))
    if fields is None:
        yield f"nobody speaks to {exchange.method} {path}"
        return
    if not exchange.headers.get("authorization", "").startswith("IAF "):
        yield "header authorization: Post-Order wants another word before the token"
    body = json.loads(exchange.body) if exchange.body else {}
    if path.endswith("/reject") and not exchange.body:
        yield "a no without a payload: an empty object is the least"
    if not set(body) <= fields:
        yield f"fields {sorted(set(body) - fields)}"
    if is_signed:
        yield from _signature_problems(exchange)


def _signature_problems(exchange: Exchange) -> list[str]:
    """All headers of a signature, or none: a seller outside the EU and the UK has no key."""
    wanted = (*SIGNED_WITH, *(["content-digest"] if exchange.body else []))
    there = [name for name in wanted if exchange.headers.get(name)]
    return [f"a signature of {there} alone"] if there and len(there) < len(wanted) else []


def _grant_problems(exchange: Exchange) -> Iterator[str]:
    fields = dict(parse_qsl(exchange.body.decode(), keep_blank_values=True))
    kind = fields.pop("grant_type", "")
    if exchange.method != "POST" or set(fields) != GRANTS.get(kind):
        yield f"grant {kind!r} with {sorted(fields)}"
    if not exchange.headers.get("authorization", "").startswith("Basic "):
        yield "header authorization: application keys are missing"


def _routes(document: Mapping[str, Any]) -> Iterator[Route]:
    shapes = Shapes(document=_mended(document))
    base = document["servers"][0]["variables"]["basePath"]["default"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in METHODS:
                continue
            listed = (*operations.get("parameters", ()), *operation.get("parameters", ()))
            body = operation.get("requestBody", {})
            inside = [one for one in listed if one["in"] == "path"]
            inside.sort(key=lambda one: path.index(f"{{{one['name']}}}"))
            yield Route(
                name=operation["operationId"],
                method=method.upper(),
                pattern=pattern_of(base + path),
                parameters=(*inside, *(one for one in listed if one["in"] != "path")),
                body=_schema(body),
                is_body_needed=bool(body.get("required")),
                answers={
                    status: REFUSAL if int(status) >= REFUSED_FROM else _success(answer)
                    for status, answer in operation["responses"].items()
                },
                shapes=shapes,
            )


def _mended(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Enumerations as the strings they are: the documents call them objects without fields.

    Their words stand in prose only, so that a word cannot be checked. And a refusal is a list of
    what the documents call the answer, an `Error`, as each operation's own table of codes says.
    """
    schemas = document["components"]["schemas"]
    mended = {
        name: {"type": "string"} if _is_enumeration(name, schema) else schema
        for name, schema in schemas.items()
    }
    return {**document, "components": {**document["components"], "schemas": mended}}


def _is_enumeration(name: str, schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" and "properties" not in schema


def _success(answer: Mapping[str, Any]) -> Any:
    """A success without a body is documented with the schema of an error: then there is none."""
    schema = _schema(answer)
    return None if schema == ERROR else schema


def _schema(holder: Mapping[str, Any]) -> Any:
    """The schema of the only kind of content there is, None without content."""
    kinds = list((holder.get("content") or {}).values())
    return kinds[0].get("schema") if kinds else None
