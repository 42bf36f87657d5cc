"""The GraphQL endpoint: one request in, the vendor's answer out, errors inside 200 and all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from connectors.shopify.sandbox.answers import GraphRefusal, Payload, from_validation
from connectors.shopify.sandbox.coercion import check_variables
from connectors.shopify.sandbox.cost import Bucket, CostRule, actual
from connectors.shopify.sandbox.idempotency import Keys
from connectors.shopify.sandbox.queries import Queries
from connectors.shopify.sandbox.schema import admin_schema
from oms_sync.sdk.sandbox_store import Store

DOCUMENTS_MAX: Final = 500
TOKENS_MAX: Final = 20_000
_KEYED: Final = frozenset({"inventorySetQuantities", "inventoryActivate", "refundCreate"})

Mutations = Mapping[str, Callable[[dict[str, Any]], Payload]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that was parsed and validated once, or the errors that say why not."""

    errors: tuple[dict[str, Any], ...] = ()
    tree: DocumentNode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request ready to run; one with `errors` is refused as a whole."""

    errors: tuple[dict[str, Any], ...] = ()
    tree: DocumentNode | None = None
    operation: OperationDefinitionNode | None = None
    variables: Mapping[str, Any] | None = None

    @property
    def is_mutation(self) -> bool:
        operation = self.operation
        return operation is not None and operation.operation is OperationType.MUTATION

    def keys(self) -> list[str]:
        """The idempotency keys the request uses."""
        if self.operation is None or not self.is_mutation:
            return []
        fields = self.operation.selection_set.selections
        return [key for key in (_key(each, self.variables or {}) for each in fields) if key]


class Endpoint:
    """Runs requests against the shop."""

    def __init__(self, store: Store, queries: Queries, mutations: Mutations) -> None:
        self._store, self._queries, self._mutations = store, queries, mutations
        self._schema = admin_schema()
        self._documents: dict[str, Document] = {}
        self._bucket = Bucket(is_published=store.options.limits_published, now=store.now())
        self._root = dict(queries.root) | dict.fromkeys(mutations)
        self.keys = Keys()

    def read(self, body: bytes) -> Request:
        try:
            asked = json.loads(body)
            text, name = asked["query"], asked.get("operationName")
            variables = asked.get("variables") or {}
            document = self._documents.get(text) or self._compile(text)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return _refused(GraphRefusal("Required parameter missing: query", "BAD_REQUEST"))
        if document.tree is None:
            return Request(errors=document.errors)
        operation = get_operation_ast(document.tree, name)
        if operation is None:
            return _refused(GraphRefusal("No operation of that name", "BAD_REQUEST"))
        try:
            check_variables(self._schema, operation, variables)
        except GraphRefusal as refusal:
            return _refused(refusal)
        return Request(tree=document.tree, operation=operation, variables=variables)

    def _compile(self, text: str) -> Document:
        if len(self._documents) >= DOCUMENTS_MAX:
            self._documents.pop(next(iter(self._documents)))
        try:
            tree = parse(text, max_tokens=TOKENS_MAX)
        except GraphQLError as error:
            return Document(errors=(dict(GraphRefusal(error.message, "PARSE_ERROR").formatted),))
        operation = get_operation_ast(tree)
        named = operation.name.value if operation and operation.name else ""
        label = f"{operation.operation.value if operation else 'query'} {named}".strip()
        errors = tuple(from_validation(error, label) for error in validate(self._schema, tree))
        document = Document(errors=errors, tree=None if errors else tree)
        self._documents[text] = document
        return document

    def answer(self, request: Request) -> dict[str, Any]:
        tree, operation, variables = request.tree, request.operation, request.variables or {}
        if tree is None or operation is None:
            return {"errors": list(request.errors)}
        nodes = (each for each in tree.definitions if isinstance(each, FragmentDefinitionNode))
        rule = CostRule(self._schema, {each.name.value: each for each in nodes})
        root = "Mutation" if request.is_mutation else "QueryRoot"
        points = max(1, int(rule.of(operation, root, variables)))
        try:
            self._bucket.charge(points, self._store.now())
        except GraphRefusal as refusal:
            extensions = self._bucket.report(points, None)
            return {"errors": [refusal.formatted], "extensions": extensions}
        if self._store.faults.fires("F07"):
            self.keys.burn(request.keys())
            message = "Internal error. Looks like something went wrong on our end."
            error = GraphRefusal(message, "INTERNAL_SERVER_ERROR").formatted
            return {"errors": [error], "extensions": self._bucket.report(points, points)}
        self._queries.searches = []
        with self._store.act():
            result = execute_sync(
                self._schema,
                tree,
                root_value=self._root,
                variable_values=dict(variables),
                operation_name=operation.name.value if operation.name else None,
                field_resolver=self._resolve,
            )
        used = min(points, max(1, actual(result.data, is_mutation=request.is_mutation)))
        self._bucket.give_back(points - used)
        extensions = self._bucket.report(points, used)
        if self._queries.searches:
            extensions["search"] = self._queries.searches
        return {**result.formatted, "extensions": extensions}

    def _resolve(self, source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        name = info.field_name
        if source is not self._root:
            value = source[name]
            return value(arguments) if callable(value) else value
        self._store.calls[name] += 1
        if name in self._queries.root:
            return self._queries.root[name](arguments)
        act = self._mutations[name]
        if name not in _KEYED:
            return act(arguments)
        key = _key(info.field_nodes[0], info.variable_values)
        if key is None:
            message = (
                "The @idempotent directive is required for this mutation but was not provided."
            )
            raise GraphRefusal(message, "BAD_REQUEST")
        if not key.strip():
            raise GraphRefusal("The idempotency key can't be blank.", "BAD_REQUEST")
        return self.keys.once(name, key, arguments, lambda: act(arguments))


def _refused(refusal: GraphRefusal) -> Request:
    return Request(errors=(dict(refusal.formatted),))


def _key(node: Any, variables: Any) -> str | None:
    for directive in getattr(node, "directives", None) or ():
        if directive.name.value == "idempotent":
            value = directive.arguments[0].value
            given = value.value if hasattr(value, "value") else _given(variables, value)
            return str(given)
    return None


def _given(variables: Any, node: Any) -> Any:
    plain = getattr(variables, "coerced", variables)  # a record of its own in newer graphql-core
    return plain[node.name.value]
