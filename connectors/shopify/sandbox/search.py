"""The vendor's search syntax, as far as a hub uses it: terms that must all hold, with warnings.

Bad input does not fail: an unknown field is ignored, a wrong value matches nothing, and only a
warning in the answer's extensions tells. An unquoted time is cut at its first colon.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

_TERM: Final = re.compile(
    r"""(?P<not>-)?(?P<field>\w+):(?P<operator>>=|<=|>|<)?"""
    r"""(?:'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s:'"]+))"""
)
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}

#: reads the compared value from a record; one that gives a list matches any of its members
Getter = Callable[[Any], Any]


@dataclass(slots=True, kw_only=True)
class Search:
    """A parsed query over records whose searchable fields are known."""

    predicates: list[Callable[[Any], bool]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    #: the earliest update that can match, so that long histories are not walked
    updated_from: datetime | None = None

    def matches(self, record: Any) -> bool:
        return all(predicate(record) for predicate in self.predicates)


def parse_search(text: str | None, fields: Mapping[str, Getter]) -> Search:
    search = Search()
    for match in _TERM.finditer(text or ""):
        name, compare = match["field"], match["operator"] or ""
        quoted = match["single"] if match["single"] is not None else match["double"]
        raw = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if name not in fields:
            message = "Invalid search field for this query."
            search.warnings.append({"field": name, "message": message, "code": "invalid_field"})
            continue
        value = _value(name, raw)
        if value is None:
            message = f"Input `{raw}` is not an accepted value."
            search.warnings.append({"field": name, "message": message, "code": "invalid_value"})
            search.predicates.append(lambda _: False)
            continue
        if name == "updated_at" and compare in (">=", ">") and isinstance(value, datetime):
            search.updated_from = value
        found = _predicate(fields[name], _OPERATORS[compare], value)
        search.predicates.append(_not(found) if match["not"] else found)
    return search


def _value(name: str, raw: str) -> Any:
    if name.endswith("_at"):
        try:
            moment = datetime.fromisoformat(raw)
        except ValueError:
            return None
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    if name == "id":
        return int(raw) if raw.isdecimal() else None
    return raw.casefold()


def _predicate(
    getter: Getter, compare: Callable[[Any, Any], bool], value: Any
) -> Callable[[Any], bool]:
    def holds(record: Any) -> bool:
        found = getter(record)
        many = found if isinstance(found, list) else [found]
        return any(
            compare(each.casefold() if isinstance(each, str) else each, value) for each in many
        )

    return holds


def _not(predicate: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda record: not predicate(record)


def words(text: str) -> list[str]:
    """A text as a tokenised search finds it: by itself and by each of its words."""
    return [text, *re.findall(r"\w+", text)]
