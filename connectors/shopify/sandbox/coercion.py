"""Checks a request's variables before they run and words faults as the vendor does."""

from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    type_from_ast,
)

from connectors.shopify.sandbox.answers import GraphRefusal

ARRAY_MAX: Final = 250
INT_MAX: Final = 2**31 - 1
_NULL: Final = "Expected value to not be null"
#: scalar → the types JSON may give for it; bool is an int to Python and nobody else
_ACCEPTED: Final[Mapping[str, tuple[type, ...]]] = {
    "Int": (int,),
    "Boolean": (bool,),
    "Float": (int, float),
    "String": (str,),
    "ID": (str, int),
}

Path = tuple[str | int, ...]


def check_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, given: Mapping[str, Any]
) -> None:
    """Raise `INVALID_VARIABLE` or `MAX_INPUT_SIZE_EXCEEDED` for the first bad variable."""
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name not in given and definition.default_value is not None:
            continue
        kind = type_from_ast(schema, definition.type)
        problems = dict(_problems(kind, given.get(name), ()))
        if problems:
            named = [f"{'.'.join(map(str, p))} ({why})" for p, why in problems.items() if p]
            where = f" for {', '.join(named)}" if named else ""
            raise GraphRefusal(
                f"Variable ${name} of type {kind} was provided invalid value{where}",
                "INVALID_VARIABLE",
                value=given.get(name),
                problems=[{"path": list(p), "explanation": w} for p, w in problems.items()],
            )


def _problems(kind: Any, value: Any, path: Path) -> list[tuple[Path, str]]:
    if isinstance(kind, GraphQLNonNull):
        return [(path, _NULL)] if value is None else _problems(kind.of_type, value, path)
    if value is None:
        return []
    if isinstance(kind, GraphQLList):
        return _list_problems(kind, value if isinstance(value, list) else [value], path)
    if isinstance(kind, GraphQLInputObjectType):
        return _object_problems(kind, value, path)
    if isinstance(kind, GraphQLEnumType):
        allowed = ", ".join(kind.values)
        is_good = isinstance(value, str) and value in kind.values
        return [] if is_good else [(path, f'Expected "{value}" to be one of: {allowed}')]
    accepted = _ACCEPTED.get(kind.name, (str, int, float))
    is_good = isinstance(value, accepted) and isinstance(value, bool) == (kind.name == "Boolean")
    if kind.name == "Int" and is_good:
        is_good = -INT_MAX - 1 <= value <= INT_MAX
    return [] if is_good else [(path, f"Could not coerce value {value!r} to {kind.name}")]


def _list_problems(kind: Any, values: list[Any], path: Path) -> list[tuple[Path, str]]:
    if len(values) > ARRAY_MAX:
        raise GraphRefusal(
            f"The input array size of {len(values)} is greater than the maximum allowed of "
            f"{ARRAY_MAX}.",
            "MAX_INPUT_SIZE_EXCEEDED",
        )
    return [
        problem
        for index, each in enumerate(values)
        for problem in _problems(kind.of_type, each, (*path, index))
    ]


def _object_problems(
    kind: GraphQLInputObjectType, value: Any, path: Path
) -> list[tuple[Path, str]]:
    if not isinstance(value, dict):
        return [(path, f'Expected "{value}" to be a key-value object.')]
    foreign = [name for name in value if name not in kind.fields]
    problems = [((*path, name), f"Field is not defined on {kind.name}") for name in foreign]
    for name, field in kind.fields.items():
        problems += _problems(field.type, value.get(name), (*path, name))
    return problems
