"""Our schema against the vendor's own, field by field."""

from typing import Any

import pytest
from contract_shopify import VERSIONS
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    is_required_argument,
    is_required_input_field,
    is_specified_scalar_type,
    validate_schema,
)

from connectors.shopify.sandbox.schema import admin_schema


def _field_differences(place: str, ours: Any, theirs: Any) -> list[str]:
    if theirs is None:
        return [f"{place}: the vendor has no such field"]
    found = [] if str(ours.type) == str(theirs.type) else [f"{place}: {ours.type}/{theirs.type}"]
    for name, argument in getattr(ours, "args", {}).items():
        other = theirs.args.get(name)
        if other is None or str(argument.type) != str(other.type):
            found.append(f"{place}({name}): {argument.type} / {other and other.type}")
    needed = {n for n, a in getattr(theirs, "args", {}).items() if is_required_argument(a)}
    return found + [f"{place}({name}) is missing" for name in needed - set(ours.args or {})]


def _input_differences(name: str, ours: Any, theirs: Any) -> list[str]:
    found = []
    for field, mine in ours.fields.items():
        other = theirs.fields.get(field)
        if other is None or str(mine.type) != str(other.type):
            found.append(f"{name}.{field}: {mine.type} / {other and other.type}")
    needed = {field for field, each in theirs.fields.items() if is_required_input_field(each)}
    return found + [f"{name}.{field} is missing" for field in needed - set(ours.fields)]


def _differences(ours: GraphQLSchema, theirs: GraphQLSchema) -> list[str]:
    found: list[str] = []
    for name, mine in ours.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(mine):
            continue
        other = theirs.type_map.get(name)
        if other is None or type(mine) is not type(other):
            found.append(f"{name}: the vendor has {other!r}")
        elif isinstance(mine, GraphQLEnumType) and isinstance(other, GraphQLEnumType):
            found += [f"{name}.{value}" for value in mine.values if value not in other.values]
        elif isinstance(mine, GraphQLInputObjectType):
            found += _input_differences(name, mine, other)
        elif isinstance(mine, GraphQLObjectType | GraphQLInterfaceType):
            assert isinstance(other, GraphQLObjectType | GraphQLInterfaceType)
            extra = {i.name for i in mine.interfaces} - {i.name for i in other.interfaces}
            found += [f"{name} implements {each}" for each in extra]
            for field, each in mine.fields.items():
                found += _field_differences(f"{name}.{field}", each, other.fields.get(field))
    return found


def _directive_shape(schema: GraphQLSchema) -> Any:
    directive = schema.get_directive("idempotent")
    assert directive is not None
    arguments = {name: str(each.type) for name, each in directive.args.items()}
    return arguments, {place.name for place in directive.locations}


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_type_field_and_argument_is_the_vendors_own(
    version: str, contract_layer: Any
) -> None:
    theirs = contract_layer.contracts["shopify"].schemas[version]
    assert _differences(admin_schema(), theirs) == []
    assert _directive_shape(admin_schema()) == _directive_shape(theirs)


def test_the_schema_is_valid_by_itself_and_large_enough_to_mean_something() -> None:
    assert validate_schema(admin_schema()) == []
    assert len(admin_schema().type_map) > 100


def test_the_comparison_sees_a_difference() -> None:
    from graphql import build_schema

    ours = build_schema("type Query { a(b: Int!): String, c: Int } enum E { X Y }")
    theirs = build_schema("type Query { a(b: Int!, d: Int!): String! } enum E { X }")
    assert sorted(_differences(ours, theirs)) == [
        "E.Y",
        "Query.a(d) is missing",
        "Query.a: String/String!",
        "Query.c: the vendor has no such field",
    ]
