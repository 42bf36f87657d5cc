"""Finds the operation of a request among a vendor's path templates and checks what surrounds it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from contract_shapes import Shapes
from contract_tap import Exchange

#: words of a parameter's own description that its values' schema does not have
PARAMETER_WORDS = frozenset("name in description required schema example style explode".split())
#: how a vendor's document writes an answer without a body
ANYTHING: Mapping[str, Any] = {"type": "object"}
#: an empty object stands for no body: Amazon's own examples have it for answers without a schema
EMPTY = (b"", b"{}")
METHODS = frozenset("get put post delete patch head options".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of a vendor's document."""

    name: str
    method: str
    pattern: re.Pattern[str]
    parameters: tuple[Mapping[str, Any], ...]
    #: the schema of the body: None where none is taken
    body: Any
    is_body_needed: bool
    #: status → the schema of its answer, None for one without a body
    answers: Mapping[str, Any]
    shapes: Shapes


def pattern_of(path: str) -> re.Pattern[str]:
    """A path template as an expression over a still quoted path."""
    parts = re.split(r"\{([^}]+)\}", path)
    return re.compile(
        "".join(
            f"(?P<p{place}>[^/]+)" if place % 2 else re.escape(part)
            for place, part in enumerate(parts)
        )
    )


def find(routes: list[Route], exchange: Exchange, *, is_prefix_free: bool) -> Route | None:
    """The route of a request; `is_prefix_free` allows a path before the vendor's own."""
    path = urlsplit(exchange.url).path
    for route in routes:
        match = route.pattern.search(path) if is_prefix_free else route.pattern.match(path)
        if match and match.end() == len(path) and route.method == exchange.method:
            return route
    return None


def request_problems(route: Route, exchange: Exchange, extras: Mapping[str, str]) -> Iterator[str]:
    """Where path, query, headers or body do not fit.

    `extras` are known to be foreign: "query NAME" or "body NAME" and the reason.
    """
    parts = urlsplit(exchange.url)
    names = [one["name"] for one in route.parameters if one["in"] == "path"]
    match = route.pattern.search(parts.path)
    assert match is not None, "the route was found by its path"
    values: dict[tuple[str, str], list[str]] = {
        ("path", name): [unquote(value)] for name, value in zip(names, match.groups(), strict=True)
    }
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        values.setdefault(("query", name), []).append(value)
    for one in route.parameters:
        if one["in"] == "header" and one["name"].lower() in exchange.headers:
            values["header", one["name"]] = [exchange.headers[one["name"].lower()]]
    yield from _parameter_problems(route, values, extras)
    yield from _body_problems(route, exchange.body, extras)


def _parameter_problems(
    route: Route,
    values: Mapping[tuple[str, str], list[str]],
    extras: Mapping[str, str],
) -> Iterator[str]:
    known = {(one["in"], one["name"]): one for one in route.parameters}
    for key, one in known.items():
        if one.get("required") and one["in"] != "body" and key not in values:
            yield f"{one['in']} {one['name']}: missing"
    for (place, name), given in values.items():
        if (place, name) in known:
            yield from _value_problems(route.shapes, known[place, name], given)
        elif f"{place} {name}" not in extras:
            yield f"{place} {name}: the contract has no such parameter"


def _value_problems(
    shapes: Shapes, parameter: Mapping[str, Any], given: list[str]
) -> Iterator[str]:
    at = f"{parameter['in']} {parameter['name']}"
    schema = parameter.get("schema") or {
        word: value for word, value in parameter.items() if word not in PARAMETER_WORDS
    }
    if schema.get("type") == "array":
        is_multi = parameter.get("collectionFormat") == "multi"
        texts = given if is_multi else [part for each in given for part in each.split(",")]
        if not is_multi and len(given) > 1:
            yield f"{at}: given {len(given)} times"
        value: Any = [_typed(schema["items"], each) for each in texts]
    else:
        if len(given) > 1:
            yield f"{at}: given {len(given)} times"
        value = _typed(schema, given[0])
    if value in ("", [""]):
        yield f"{at}: empty"
    yield from shapes.problems(value, schema, at=at)


def _typed(schema: Mapping[str, Any], text: str) -> Any:
    """A text of a query as the type it stands for, unchanged where it is none of it."""
    kind = schema.get("type")
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in ("integer", "number") and re.fullmatch(r"-?\d+", text):
        return int(text)
    return text


def _body_problems(route: Route, body: bytes, extras: Mapping[str, str]) -> Iterator[str]:
    if not body:
        if route.is_body_needed:
            yield "body: missing"
        return
    if route.body is None:
        yield "body: the operation takes none"
        return
    try:
        value = json.loads(body)
    except ValueError as error:
        yield f"body: no JSON: {error}"
        return
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if f"body {name}" not in extras}
    yield from route.shapes.problems(value, route.body, at="body")


def answer_problems(
    route: Route, exchange: Exchange, unlisted: Mapping[int, str], refusal: Any
) -> Iterator[str]:
    """Where an answer does not fit the schema of its status.

    `unlisted` statuses may come though no operation lists them, and have the shape of a `refusal`.
    """
    status = str(exchange.status)
    schema = route.answers.get(status)
    if status not in route.answers:
        if exchange.status not in unlisted:
            yield f"answer: the contract has no status {status} here"
            return
        schema = refusal
    if schema is None or schema == ANYTHING:
        if exchange.answer not in EMPTY:
            yield f"answer {status}: has a body, and the contract none"
        return
    try:
        value = json.loads(exchange.answer)
    except ValueError as error:
        yield f"answer {status}: no JSON: {error}"
        return
    yield from route.shapes.problems(value, schema, at=f"answer {status}")
