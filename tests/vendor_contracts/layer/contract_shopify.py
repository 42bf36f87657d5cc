"""Shopify's Admin schemas: every document, its variables, and what the sandbox answers to it."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from contract_tap import Exchange
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_client_schema,
    is_composite_type,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

VERSIONS = ("2026-04", "2026-07", "2026-10")
ENDPOINT = re.compile(r"/admin/api/(\d{4}-\d{2})/graphql\.json$")
TOKEN_PATH = "/admin/oauth/access_token"
GRANT = frozenset({"grant_type", "client_id", "client_secret"})
#: custom scalar → what its values look like as JSON
SCALARS: Mapping[str, str] = {
    "DateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "Decimal": r"-?\d+(\.\d+)?",
    "Money": r"-?\d+(\.\d+)?",
    "UnsignedInt64": r"\d{1,20}",
    "URL": r"https?://\S+",
    "ARN": r"arn:\S+",
    "Date": r"\d{4}-\d\d-\d\d",
}
PLAIN: Mapping[str, tuple[type, ...]] = {
    "Int": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
    "String": (str,),
    "ID": (str,),
}
WRONG_ON_PURPOSE = {"F07": "errors inside a 200"}


class ShopifyContracts:
    """Checks what is sent to a shop, and what its sandbox answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._documents: dict[str, list[str]] = {}
        self._checks: dict[tuple[str, str], AnswerCheck | None] = {}

    @cached_property
    def schemas(self) -> Mapping[str, GraphQLSchema]:
        """The official schema by version, its scalars made strict."""
        return {version: self._schema(version) for version in VERSIONS}

    def _schema(self, version: str) -> GraphQLSchema:
        path = self._folder / "admin-graphql" / f"admin_{version}.json.gz"
        told = json.loads(gzip.decompress(path.read_bytes()))["data"]
        schema = build_client_schema(told, assume_valid=True)
        for name in SCALARS:
            scalar = schema.type_map.get(name)
            if scalar is not None:
                assert isinstance(scalar, GraphQLScalarType)
                _make_strict(scalar)
        return schema

    def check_request(self, exchange: Exchange) -> tuple[str, list[str]]:
        """The operation's name, and where the request does not fit it, by version."""
        path = urlsplit(exchange.url).path
        if path.endswith(TOKEN_PATH):
            return "token", list(_grant_problems(exchange))
        match = ENDPOINT.search(path)
        if match is None or match[1] not in VERSIONS:
            return "unknown", [f"no supported endpoint: {path}"]
        asked = json.loads(exchange.body)
        problems = list(self._problems(asked))
        if not exchange.headers.get("x-shopify-access-token"):
            problems.append("header x-shopify-access-token: missing")
        return str(asked.get("operationName")), problems

    def _problems(self, asked: Mapping[str, Any]) -> Iterator[str]:
        if set(asked) - {"query", "variables", "operationName"}:
            yield f"the request has {sorted(asked)}"
        text = asked["query"]
        if text not in self._documents:
            self._documents[text] = list(self.document_problems(text))
        yield from self._documents[text]
        if self._documents[text]:
            return
        operation = _operation(text, asked.get("operationName"))
        if operation is None:
            yield f"the document has no operation {asked.get('operationName')!r}"
            return
        given = asked.get("variables") or {}
        known = {each.variable.name.value for each in operation.variable_definitions or ()}
        yield from (f"${name}: not declared" for name in set(given) - known)
        for version, schema in self.schemas.items():
            found = get_variable_values(schema, operation.variable_definitions or (), given)
            if isinstance(found, list):
                yield from (f"{version}: {error.message}" for error in found)

    def document_problems(self, text: str) -> Iterator[str]:
        """Where a document is not valid in one of the versions."""
        try:
            document = parse(text)
        except GraphQLError as error:
            yield f"no GraphQL: {error.message}"
            return
        for version, schema in self.schemas.items():
            yield from (f"{version}: {error.message}" for error in validate(schema, document))

    def check_answer(self, exchange: Exchange) -> tuple[str, list[str]] | None:
        """The same for an answer of the sandbox; None where no contract speaks of it."""
        match = ENDPOINT.search(urlsplit(exchange.url).path)
        if match is None or set(exchange.faults) & WRONG_ON_PURPOSE.keys():
            return None
        try:
            asked = json.loads(exchange.body)
            operation = _operation(asked["query"], asked.get("operationName"))
        except (ValueError, LookupError, TypeError, AttributeError, GraphQLError):
            operation = None
        answer = json.loads(exchange.answer)
        if operation is None or "data" not in answer:
            return "refusal", list(_refusal_problems(answer))
        version = match[1] if match[1] in VERSIONS else VERSIONS[0]
        check = self._answer_check(version, asked["query"])
        if check is None:
            return "refusal", list(_refusal_problems(answer))
        name = operation.name.value if operation.name else f"unnamed {operation.operation.value}"
        return name, list(check.problems(operation, answer))

    def _answer_check(self, version: str, text: str) -> "AnswerCheck | None":
        """The check of what a document is answered; None where the document itself is wrong."""
        if (version, text) not in self._checks:
            schema = self.schemas[version]
            is_wrong = bool(validate(schema, _parsed(text)))
            self._checks[version, text] = None if is_wrong else AnswerCheck(schema, text)
        return self._checks[version, text]


class AnswerCheck:
    """Holds the fields of an answer against the types of what was selected."""

    def __init__(self, schema: GraphQLSchema, text: str) -> None:
        self._schema = schema
        #: by the places in the document and the type; both live as long as the cached document
        self._wanted: dict[tuple[tuple[int, ...], str], dict[str, Any]] = {}
        self._fragments = {
            each.name.value: each
            for each in _parsed(text).definitions
            if isinstance(each, FragmentDefinitionNode)
        }

    def problems(self, operation: OperationDefinitionNode, answer: Any) -> Iterator[str]:
        """Every place where the answer is of another type, has too much or too little."""
        root = self._schema.get_root_type(operation.operation)
        has_errors = bool(answer.get("errors"))
        if has_errors:
            yield from _refusal_problems(answer)
        if answer["data"] is None:
            if not has_errors:
                yield "data: null without a reason"
            return
        yield from self._object(answer["data"], root, [operation.selection_set], "data")

    def _object(self, value: Any, kind: Any, selections: list[Any], at: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{at}: {value!r} is no {kind}"[:200]
            return
        actual = self._schema.type_map.get(value.get("__typename", ""), kind)
        wanted = self._selected(selections, actual)
        for name in value.keys() - wanted.keys():
            yield f"{at}.{name}: was not asked for"
        for name, (nodes, parent, is_sure) in wanted.items():
            if name not in value:
                if is_sure:
                    yield f"{at}.{name}: missing"
                continue
            field = nodes[0].name.value
            if field.startswith("__"):
                continue  # what a schema says of itself is GraphQL's own
            kind = parent.fields[field].type
            yield from self._value(value[name], kind, nodes, f"{at}.{name}")

    def _selected(self, selections: list[Any], kind: Any) -> dict[str, Any]:
        key = (tuple(id(each) for each in selections), kind.name)
        if key in self._wanted:
            return self._wanted[key]
        found: dict[str, tuple[list[FieldNode], Any, bool]] = {}
        for node, parent, is_sure in self._fields(selections, kind, True):
            name = node.alias.value if node.alias else node.name.value
            nodes, known, was_sure = found.get(name, ([], parent, False))
            found[name] = ([*nodes, node], known, was_sure or is_sure)
        self._wanted[key] = found
        return found

    def _fields(
        self, selections: list[Any], kind: Any, is_sure: bool
    ) -> Iterator[tuple[FieldNode, Any, bool]]:
        """Every field, the type it belongs to, and whether it is there whatever comes."""
        for node in (each for one in selections for each in one.selections):
            is_kept = is_sure and not node.directives
            if isinstance(node, FieldNode):
                yield node, kind, is_kept
                continue
            inner = node
            if isinstance(node, FragmentSpreadNode):
                inner = self._fragments[node.name.value]
            condition = inner.type_condition
            named = condition.name.value if condition else kind.name
            fits = named == kind.name or self._fits(kind, named)
            if fits is not None:
                narrowed = kind if fits else self._schema.type_map[named]
                yield from self._fields([inner.selection_set], narrowed, is_kept and fits)

    def _fits(self, kind: Any, named: str) -> bool | None:
        """Whether a fragment on `named` surely applies; None when it surely does not."""
        other = self._schema.type_map[named]
        ours = set(self._possible(kind))
        theirs = set(self._possible(other))
        if ours <= theirs:
            return True
        return False if ours & theirs else None

    def _possible(self, kind: Any) -> list[str]:
        if hasattr(kind, "types") or type(kind).__name__ == "GraphQLInterfaceType":
            return [each.name for each in self._schema.get_possible_types(kind)]
        return [kind.name]

    def _value(self, value: Any, kind: Any, nodes: list[FieldNode], at: str) -> Iterator[str]:
        if isinstance(kind, GraphQLNonNull):
            if value is None:
                yield f"{at}: null"
                return
            kind = kind.of_type
        if value is None:
            return
        if isinstance(kind, GraphQLList):
            yield from self._list(value, kind, nodes, at)
        elif is_composite_type(kind):
            selections = [node.selection_set for node in nodes]
            yield from self._object(value, kind, selections, at)
        elif isinstance(kind, GraphQLEnumType):
            if value not in kind.values:
                yield f"{at}: {kind} has no {value!r}"
        else:
            yield from _scalar_problems(value, kind.name, at)

    def _list(self, value: Any, kind: Any, nodes: list[FieldNode], at: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{at}: {value!r} is no list"[:200]
            return
        for number, each in enumerate(value):
            yield from self._value(each, kind.of_type, nodes, f"{at}[{number}]")


def _scalar_problems(value: Any, name: str, at: str) -> Iterator[str]:
    pattern, kinds = SCALARS.get(name), PLAIN.get(name)
    if pattern is not None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            yield f"{at}: {value!r} is no {name}"
    elif kinds is not None:
        is_bool = isinstance(value, bool)
        if not isinstance(value, kinds) or (is_bool and name != "Boolean"):
            yield f"{at}: {value!r} is no {name}"
    else:
        yield f"{at}: the check does not know the scalar {name}: teach it"


def _refusal_problems(answer: Any) -> Iterator[str]:
    """`errors` as GraphQL has them, or the one text of a refusal before it."""
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if isinstance(errors, str):
        return
    if not isinstance(errors, list) or not errors:
        yield f"neither data nor errors: {str(answer)[:200]}"
        return
    for error in errors:
        if not isinstance(error.get("message"), str):
            yield f"an error without a message: {error}"


def _make_strict(scalar: GraphQLScalarType) -> None:
    pattern = SCALARS[scalar.name]

    def read(value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise GraphQLError(f"{value!r} is no {scalar.name}")
        if scalar.name == "DateTime":
            datetime.fromisoformat(value)
        return value

    scalar.parse_value = scalar.coerce_input_value = read


def _grant_problems(exchange: Exchange) -> Iterator[str]:
    fields = dict(parse_qsl(exchange.body.decode(), keep_blank_values=True))
    if fields.keys() != GRANT or fields["grant_type"] != "client_credentials":
        yield f"a token is asked for with {sorted(GRANT)}, not {sorted(fields)}"


@cache
def _parsed(text: str) -> Any:
    return parse(text)


def _operation(text: str, name: str | None) -> OperationDefinitionNode | None:
    found = [
        each
        for each in _parsed(text).definitions
        if isinstance(each, OperationDefinitionNode)
        and (name is None or (each.name and each.name.value == name))
    ]
    return found[0] if len(found) == 1 else None
