"""The schema the sandbox serves, a true subset of the Admin schema, and what never varies."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from graphql import GraphQLSchema, build_schema

_HERE = "connectors.shopify.sandbox"


@cache
def admin_schema() -> GraphQLSchema:
    return build_schema(files(_HERE).joinpath("schema.graphql").read_text("utf-8"))


@cache
def plain() -> dict[str, dict[str, Any]]:
    """Per type the values that are the same in every plain shop."""
    values: dict[str, dict[str, Any]] = json.loads(
        files(_HERE).joinpath("plain.json").read_text("utf-8")
    )
    return values
