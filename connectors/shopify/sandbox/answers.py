"""The vendor's shapes of refusals: top-level errors with their codes, user errors in payloads."""

import re
from collections.abc import Sequence
from typing import Any, Final

from graphql import GraphQLError

DOCUMENTATION: Final = "https://shopify.dev/api/usage/response-codes"


class GraphRefusal(GraphQLError):
    """The whole request, or one root field, is refused by a top-level error."""

    def __init__(self, message: str, code: str, **extra: Any) -> None:
        super().__init__(message, extensions={"code": code, **extra})


def user_error(field: Sequence[str] | None, message: str, code: str | None = None) -> Any:
    named = None if field is None else list(field)
    return {"field": named, "message": message, "code": code}


class Payload(dict[str, Any]):
    """A mutation's answer: what it does not mention is null."""

    def __missing__(self, _: str) -> None:
        return None


# graphql-core's wording of a fault; the vendor's code; the vendor's wording; more extensions
_WORDINGS: Final = (
    (
        r"Cannot query field '(?P<field>\w+)' on type '(?P<type>\w+)'",
        "undefinedField",
        "Field '{field}' doesn't exist on type '{type}'",
        "typeName={type} fieldName={field}",
    ),
    (
        r"Unknown argument '(?P<argument>\w+)' on field '\w+\.(?P<field>\w+)'",
        "argumentNotAccepted",
        "Field '{field}' doesn't accept argument '{argument}'",
        "name={field} typeName=Field argumentName={argument}",
    ),
    (
        r"Field '(?P<argument>\w+)' is not defined by type '(?P<type>\w+)'",
        "argumentNotAccepted",
        "InputObject '{type}' doesn't accept argument '{argument}'",
        "name={type} typeName=InputObject argumentName={argument}",
    ),
    (
        r"rgument '(?:\w+\.)?(?P<field>\w+)\((?P<argument>\w+):\)' of type '[^']+' is required",
        "missingRequiredArguments",
        "Field '{field}' is missing required arguments: {argument}",
        "className=Field name={field} arguments={argument}",
    ),
    (
        r"Field '(?P<field>\w+)' argument '(?P<argument>\w+)' of type '[^']+' is required",
        "missingRequiredArguments",
        "Field '{field}' is missing required arguments: {argument}",
        "className=Field name={field} arguments={argument}",
    ),
    (
        r"Unknown directive '@(?P<name>\w+)'",
        "undefinedDirective",
        "Directive @{name} is not defined",
        "directiveName={name}",
    ),
    (
        r"Variable '\$(?P<name>\w+)' is never used",
        "variableNotUsed",
        "Variable ${name} is declared by an operation but not used",
        "variableName={name}",
    ),
)


def from_validation(error: GraphQLError, label: str) -> dict[str, Any]:
    """What the vendor says to a document that does not fit the schema."""
    message, code = error.message, "argumentLiteralsIncompatible"
    extra: dict[str, str] = {}
    for pattern, named, wording, more in _WORDINGS:
        match = re.search(pattern, error.message)
        if match:
            message, code = wording.format(**match.groupdict()), named
            pairs = more.format(**match.groupdict()).split()
            extra = dict(pair.split("=") for pair in pairs)
            break
    locations = [{"line": at.line, "column": at.column} for at in error.locations or ()]
    extensions = {"code": code, **extra}
    return {"message": message, "locations": locations, "path": [label], "extensions": extensions}
