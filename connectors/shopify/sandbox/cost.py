"""Query cost and the leaky bucket: approximately the published rules, and the exact answers."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    IntValueNode,
    VariableNode,
    get_named_type,
)

from connectors.shopify.sandbox.answers import DOCUMENTATION, GraphRefusal

COST_MAX: Final = 1000
MUTATION_COST: Final = 10
#: bucket size and points restored per second: as published, and practically endless
PUBLISHED: Final = (2000.0, 100.0)
UNLIMITED: Final = (2_000_000.0, 1_000_000.0)
_FREE: Final = ("MoneyBag", "MoneyV2", "PageInfo", "Count", "String")


class CostRule:
    """What a document may cost: objects count, connections grow with the root of their size."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]):
        self._types, self._fragments = schema.type_map, fragments

    def of(self, node: Any, type_name: str, variables: Mapping[str, Any]) -> float:
        """The cost of a selection set on a type."""
        if node.selection_set is None:
            return 0.0
        return sum(
            self._of_node(each, type_name, variables) for each in node.selection_set.selections
        )

    def _of_node(self, node: Any, type_name: str, variables: Mapping[str, Any]) -> float:
        if isinstance(node, FieldNode):
            return self._of_field(node, type_name, variables)
        if isinstance(node, FragmentSpreadNode):
            node = self._fragments[node.name.value]
        condition = node.type_condition
        return self.of(node, condition.name.value if condition else type_name, variables)

    def _of_field(self, node: FieldNode, type_name: str, variables: Mapping[str, Any]) -> float:
        kind: Any = self._types[type_name]
        if node.selection_set is None or node.name.value not in kind.fields:
            return 0.0
        name = get_named_type(kind.fields[node.name.value].type).name
        if name in _FREE or name.endswith("UserError"):
            return 0.0
        inner = self.of(node, name, variables)
        if type_name == "Mutation":
            return MUTATION_COST + inner
        size = math.sqrt(_size(node, variables))
        if name.endswith("Connection"):
            return 2.0 + size * inner
        return inner if name.endswith("Edge") else (1.0 + inner) * size


def _size(node: FieldNode, variables: Mapping[str, Any]) -> int:
    for argument in node.arguments or ():
        if argument.name.value in ("first", "last", "ids"):
            value: Any = argument.value
            if isinstance(value, VariableNode):
                given = variables.get(value.name.value)
                return max(1, len(given) if isinstance(given, list) else given or 1)
            return max(1, int(value.value) if isinstance(value, IntValueNode) else 1)
    return 1


def actual(data: Any, *, is_mutation: bool) -> int:
    """What an answer really cost: by the records in it, lists sublinearly."""
    return math.ceil(_of_value(data) - 1.0) + (MUTATION_COST if is_mutation else 0)


def _of_value(value: Any) -> float:
    if isinstance(value, list):
        return _of_value(value[0]) * math.sqrt(len(value)) if value else 0.0
    if not isinstance(value, dict) or "shopMoney" in value or "amount" in value:
        return 0.0
    return 1.0 + sum(_of_value(each) for each in value.values())


class Bucket:
    """The points one app may spend in one shop."""

    def __init__(self, *, is_published: bool, now: datetime) -> None:
        self._max, self._restored = PUBLISHED if is_published else UNLIMITED
        self._available, self._counted_at = self._max, now

    def charge(self, points: int, now: datetime) -> None:
        elapsed_seconds = max(0.0, (now - self._counted_at).total_seconds())
        self._counted_at = now
        self._available = min(self._max, self._available + elapsed_seconds * self._restored)
        if points > COST_MAX:
            message = f"Query cost is {points}, which exceeds the single query max cost limit"
            more = {"cost": points, "maxCost": COST_MAX, "documentation": DOCUMENTATION}
            raise GraphRefusal(f"{message} ({COST_MAX}).", "MAX_COST_EXCEEDED", **more)
        if points > self._available:
            raise GraphRefusal("Throttled", "THROTTLED", documentation=DOCUMENTATION)
        self._available -= points

    def give_back(self, points: int) -> None:
        self._available = min(self._max, self._available + points)

    def report(self, requested: int, used: int | None) -> dict[str, Any]:
        status = {
            "maximumAvailable": int(self._max),
            "currentlyAvailable": int(self._available),
            "restoreRate": int(self._restored),
        }
        spent = {"requestedQueryCost": requested, "actualQueryCost": used}
        return {"cost": spent | {"throttleStatus": status}}
