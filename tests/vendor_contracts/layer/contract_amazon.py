"""Amazon's models, feed schema and, for the queue, the service description its own SDK brings."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import contract_amazon_feeds as feeds
from contract_routes import METHODS, Route, answer_problems, find, pattern_of, request_problems
from contract_shapes import Shapes
from contract_tap import Exchange

FEED_SCHEMA = "listings-feed-schema-v2.json"
FEED_MEDIA = "application/json; charset=UTF-8"
_MARKETPLACE = "the SDK writes the marketplace in every spelling it knows into each request"
_PATH = "the SDK leaves the path it was given among the fields of a body"
#: operation → what the vendor's Python SDK adds and the models do not know; nothing else is let by
SDK_EXTRAS: Mapping[str, Mapping[str, str]] = {
    "createFeedDocument": {
        "body path": _PATH,
        "body marketplaceIds": _MARKETPLACE,
        "body MarketplaceIds": _MARKETPLACE,
    },
    "createFeed": {"body path": _PATH},
    "createDestination": {
        "body marketplaceIds": _MARKETPLACE,
        "body MarketplaceIds": _MARKETPLACE,
    },
    **{
        name: {
            "query MarketplaceId": _MARKETPLACE,
            "query MarketplaceIds": _MARKETPLACE,
            "query marketplace_ids": _MARKETPLACE,
            "query marketplaceIds": _MARKETPLACE,
        }
        for name in ("getDestinations", "deleteSubscriptionById")
    },
    "getReport": {
        "query MarketplaceId": _MARKETPLACE,
        "query MarketplaceIds": _MARKETPLACE,
        "query marketplace_ids": _MARKETPLACE,
        "query marketplaceIds": _MARKETPLACE,
    },
}
#: may come from the gateway before any operation
UNLISTED = {405: "the sandbox offers fewer methods than Amazon: Amazon would answer otherwise"}
REFUSAL = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "details": {"type": "string"},
                },
            },
        }
    },
}
#: what a token is asked for with; Login with Amazon has no contract in machine-readable form
IDENTITY = frozenset({"grant_type", "client_id", "client_secret"})
#: grant → its further fields, and those it may have besides
GRANTS = {
    "refresh_token": ({"refresh_token"}, set()),
    "client_credentials": ({"scope"}, set()),
    "authorization_code": ({"code"}, {"redirect_uri"}),
}
QUEUE_TARGET = "AmazonSQS."
TOKEN_PATH = "/auth/o2/token"
#: answers that are wrong on purpose
WRONG_ON_PURPOSE = {"F07": "a success that says nothing"}


class AmazonContracts:
    """Checks what is sent to Amazon, and what its sandbox answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def routes(self) -> list[Route]:
        """Every operation of every model; the longest path first, for some contain others."""
        found = []
        for path in sorted((self._folder / "models").rglob("*.json")):
            document = json.loads(path.read_text("utf-8"))
            found += list(_routes(document))
        return sorted(found, key=lambda route: -len(route.pattern.pattern))

    @cached_property
    def feed(self) -> Shapes:
        """The schema of a listings feed."""
        path = self._folder / "schemas" / "feeds" / FEED_SCHEMA
        return Shapes(document=json.loads(path.read_text("utf-8")))

    @cached_property
    def queue(self) -> Any:
        """The description of SQS the AWS SDK is made of."""
        import botocore.session

        return botocore.session.Session().get_service_model("sqs")

    def check_request(self, exchange: Exchange) -> tuple[str, list[str]]:
        """The operation's name, and where the request does not fit it."""
        target = exchange.headers.get("x-amz-target", "")
        if target.startswith(QUEUE_TARGET):
            name = target.removeprefix(QUEUE_TARGET)
            return f"sqs {name}", list(self._queue_problems(name, exchange.body))
        route = find(self.routes, exchange, is_prefix_free=False)
        if route is not None:
            extras = SDK_EXTRAS.get(route.name, {})
            problems = list(request_problems(route, exchange, extras))
            if not exchange.headers.get("x-amz-access-token"):
                problems.append("header x-amz-access-token: missing")
            return route.name, problems
        if urlsplit(exchange.url).path == TOKEN_PATH:
            return "token", list(_grant_problems(exchange))
        if exchange.label == "document":
            return f"document {exchange.method}", list(self._document_problems(exchange))
        return "unknown", [f"no model has {exchange.method} {exchange.url}"]

    def check_answer(self, exchange: Exchange) -> tuple[str, list[str]] | None:
        """The same for an answer of the sandbox; None where no contract speaks of it."""
        route = find(self.routes, exchange, is_prefix_free=False)
        if route is None:
            return None
        if set(exchange.faults) & WRONG_ON_PURPOSE.keys():
            return None
        return route.name, list(answer_problems(route, exchange, UNLISTED, REFUSAL))

    def _document_problems(self, exchange: Exchange) -> Iterator[str]:
        if exchange.method == "GET":
            return
        if exchange.method != "PUT":
            yield f"a document is neither put nor fetched by {exchange.method}"
        if exchange.headers.get("content-type") == feeds.MEDIA:
            yield from feeds.feed_problems(exchange.body)
            return
        if exchange.headers.get("content-type") != FEED_MEDIA:
            yield f"content-type {exchange.headers.get('content-type')!r} is not {FEED_MEDIA}"
        try:
            feed = json.loads(exchange.body)
        except ValueError as error:
            yield f"the feed is no JSON: {error}"
            return
        yield from self.feed.problems(feed, self.feed.document, at="feed")
        numbers = [each.get("messageId") for each in feed.get("messages", ())]
        if len(set(numbers)) < len(numbers):
            yield "feed.messages: a messageId is there twice"

    def _queue_problems(self, name: str, body: bytes) -> Iterator[str]:
        from botocore.validate import ParamValidator

        if name not in self.queue.operation_names:
            yield f"SQS has no {name}"
            return
        shape = self.queue.operation_model(name).input_shape
        fields = json.loads(body)
        report = ParamValidator().validate(fields, shape)
        if report.has_errors():
            yield report.generate_report()
        yield from (f"{name}.{each}: unknown" for each in set(fields) - set(shape.members))


def _grant_problems(exchange: Exchange) -> Iterator[str]:
    fields = dict(parse_qsl(exchange.body.decode(), keep_blank_values=True))
    kind = fields.get("grant_type")
    if exchange.method != "POST" or kind not in GRANTS:
        yield f"{exchange.method} of grant_type {kind!r} is none of {sorted(GRANTS)}"
        return
    needed, possible = (IDENTITY | GRANTS[kind][0], GRANTS[kind][1])
    if set(fields) - possible != needed:
        yield f"{kind} is asked for with {sorted(needed)}, not {sorted(fields)}"


def _routes(document: Mapping[str, Any]) -> Iterator[Route]:
    shapes = Shapes(document=document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in METHODS:
                continue
            listed = (*operations.get("parameters", ()), *operation.get("parameters", ()))
            parameters = tuple(
                shapes.resolve(one["$ref"]) if "$ref" in one else one for one in listed
            )
            bodies = [one for one in parameters if one["in"] == "body"]
            yield Route(
                name=operation["operationId"],
                method=method.upper(),
                pattern=pattern_of(path),
                parameters=_in_path_order(path, parameters),
                body=bodies[0]["schema"] if bodies else None,
                is_body_needed=bool(bodies and bodies[0].get("required")),
                answers={
                    status: answer.get("schema")
                    for status, answer in operation["responses"].items()
                },
                shapes=shapes,
            )


def _in_path_order(path: str, parameters: tuple[Any, ...]) -> tuple[Any, ...]:
    """Path parameters as the template names them, then the others."""
    inside = sorted(
        (one for one in parameters if one["in"] == "path"),
        key=lambda one: path.index(f"{{{one['name']}}}"),
    )
    return (*inside, *(one for one in parameters if one["in"] != "path"))
