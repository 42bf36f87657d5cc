"""A strict check of values against JSON schemas as the vendors write them.

Stricter than the standard: a field the schema does not name is a problem wherever the schema names
fields at all. A keyword that restricts and is not known here is an error, never passed over.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
#: say something and restrict nothing
SPEAKING = frozenset(
    "description title example examples default deprecated readOnly discriminator xml externalDocs"
    " collectionFormat in name $comment $schema $id definitions summary additionalItems".split()
)
CHECKED = frozenset(
    "$ref type enum const required properties additionalProperties items pattern format minimum"
    " maximum minLength maxLength minItems maxItems uniqueItems minProperties oneOf anyOf"
    " allOf".split()
)
INTEGER_LIMITS = {"int32": 2**31, "int64": 2**63}
DEPTH_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """The schemas of one document, which its references point into."""

    document: Any

    def problems(
        self, value: Any, schema: Any, *, at: str = "$", is_closed: bool = True, depth: int = 0
    ) -> Iterator[str]:
        """Where the value does not fit; `is_closed` finds fields nobody named."""
        assert depth < DEPTH_MAX, f"{at}: the schema goes round in circles"
        if isinstance(schema, bool):
            if not schema:
                yield f"{at}: must not be there"
            return
        if "$ref" in schema:
            found = self.resolve(schema["$ref"])
            yield from self.problems(value, found, at=at, is_closed=is_closed, depth=depth + 1)
            return
        _refuse_unknown(schema, at)
        wrong = _kind_problem(value, schema, at)
        if wrong:
            yield wrong
            return
        yield from _plain_problems(value, schema, at)
        if isinstance(value, list):
            yield from self._list_problems(value, schema, at, depth)
        if isinstance(value, dict):
            yield from self._field_problems(value, schema, at, is_closed, depth)
        yield from self._choice_problems(value, schema, at, depth)

    def resolve(self, reference: str) -> Any:
        """What a local reference points to."""
        assert reference.startswith("#/"), f"{reference}: points out of the document"
        found = self.document
        for part in reference[2:].split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return found

    def _list_problems(self, value: list, schema: Any, at: str, depth: int) -> Iterator[str]:
        yield from _size_problems(len(value), schema, ("minItems", "maxItems"), at)
        if schema.get("uniqueItems") and len({repr(each) for each in value}) < len(value):
            yield f"{at}: an entry is there twice"
        for number, each in enumerate(value):
            inner = schema.get("items", True)
            yield from self.problems(each, inner, at=f"{at}[{number}]", depth=depth + 1)

    def _field_problems(
        self, value: Mapping[str, Any], schema: Any, at: str, is_closed: bool, depth: int
    ) -> Iterator[str]:
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{at}.{name}: missing"
        if len(value) < schema.get("minProperties", 0):
            yield f"{at}: has only {len(value)} fields"
        named = self._named(schema)
        others = schema.get("additionalProperties", not (named and is_closed))
        for name, each in value.items():
            known = schema.get("properties", {}).get(name)
            if known is not None:
                yield from self.problems(each, known, at=f"{at}.{name}", depth=depth + 1)
            elif name not in named and others is False:
                yield f"{at}.{name}: unknown"
            elif name not in named and isinstance(others, dict):
                yield from self.problems(each, others, at=f"{at}.{name}", depth=depth + 1)

    def _named(self, schema: Any) -> set[str]:
        """Every field the schema or a part of it names."""
        schema = self.resolve(schema["$ref"]) if "$ref" in schema else schema
        named = set(schema.get("properties", ()))
        for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
            named |= self._named(part)
        return named

    def _choice_problems(self, value: Any, schema: Any, at: str, depth: int) -> Iterator[str]:
        for part in schema.get("allOf", ()):
            yield from self.problems(value, part, at=at, is_closed=False, depth=depth + 1)
        for word, allowed in (("anyOf", None), ("oneOf", 1)):
            if word not in schema:
                continue
            tried = [
                list(self.problems(value, part, at=at, is_closed=False, depth=depth + 1))
                for part in schema[word]
            ]
            fitting = sum(not each for each in tried)
            if fitting == 0:
                yield f"{at}: fits no {word}: {min(tried, key=len)[:3]}"
            elif allowed is not None and fitting > allowed:
                yield f"{at}: fits {fitting} of {word}"


def _refuse_unknown(schema: Mapping[str, Any], at: str) -> None:
    unknown = {each for each in schema if not each.startswith("x-")} - CHECKED - SPEAKING
    assert not unknown, f"{at}: the check does not know {sorted(unknown)}: teach it"


def _kind_problem(value: Any, schema: Mapping[str, Any], at: str) -> str | None:
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not kinds:
        return None
    for kind in kinds:
        is_bool = isinstance(value, bool)
        if isinstance(value, KINDS[kind]) and (is_bool == (kind == "boolean")):
            return None
    return f"{at}: {value!r} is no {'/'.join(kinds)}"[:200]


def _plain_problems(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"[:300]
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if isinstance(value, str):
        yield from _size_problems(len(value), schema, ("minLength", "maxLength"), at)
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at}: {value!r} does not match {schema['pattern']}"
        yield from _format_problems(value, schema.get("format"), at)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _size_problems(value, schema, ("minimum", "maximum"), at)
        limit = INTEGER_LIMITS.get(schema.get("format", ""))
        if limit is not None and not -limit <= value < limit:
            yield f"{at}: {value!r} is no {schema['format']}"


def _size_problems(
    size: float, schema: Mapping[str, Any], words: tuple[str, str], at: str
) -> Iterator[str]:
    least, most = (schema.get(word) for word in words)
    if least is not None and size < least:
        yield f"{at}: {size} is below {words[0]} {least}"
    if most is not None and size > most:
        yield f"{at}: {size} is over {words[1]} {most}"


def _format_problems(value: str, form: str | None, at: str) -> Iterator[str]:
    try:
        if form == "date-time" and datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("no time zone")
        if form == "date":
            date.fromisoformat(value)
    except ValueError as error:
        yield f"{at}: {value!r} is no {form}: {error}"
