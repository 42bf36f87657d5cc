"""Reads requests: what each call may be asked, and what values mean, stands in contract.json.

Refuses what the contract does not know. Order is not looked at unless asked: production does not.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from lxml import etree

from connectors.ebay.sandbox.markup import NAMESPACE
from connectors.ebay.sandbox.wrongs import Refused, contract, invalid, wrong

#: the name of a type, a list of words, or the elements inside in the schema's order
Shape = str | Mapping[str, Any]

_WORDS: Final = "one of "
_CREDENTIALS: Final = "RequesterCredentials"
_PARSER: Final[dict[str, Any]] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
_TRUE: Final = ("true", "1")


class Asked:
    """One element of a request, read by name; its shape was checked before."""

    def __init__(self, element: Any) -> None:
        self._element = element

    def all(self, *path: str) -> list["Asked"]:
        """The elements at a path, below the first of each step but the last."""
        found = [self]
        for name in path:
            found = [
                Asked(child)
                for child in found[0]._element.iterchildren()
                if etree.QName(child).localname == name
            ]
            if not found:
                return []
        return found

    def text(self, *path: str) -> str | None:
        found = self.all(*path)
        return found[0].value if found else None

    @property
    def value(self) -> str:
        return str(self._element.text or "").strip()

    @property
    def is_empty(self) -> bool:
        return len(self._element) == 0

    def flag(self, *path: str) -> bool | None:
        text = self.text(*path)
        return None if text is None else text in _TRUE

    def whole(self, *path: str) -> int | None:
        text = self.text(*path)
        return None if text is None else int(text)

    def amount(self, *path: str) -> Decimal | None:
        text = self.text(*path)
        return None if text is None else Decimal(text)

    def time(self, *path: str) -> datetime | None:
        """A time without zone is GMT, as the API says."""
        text = self.text(*path)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise invalid(path[-1], "no such day or time") from error
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read(call: str, body: bytes, *, is_strict: bool = False) -> Asked:
    """The request of a served call, or the refusal the channel would answer."""
    if b"<!DOCTYPE" in body:
        raise Refused(wrong(5, "XML Parse error: a DOCTYPE is not allowed."))
    try:
        root = etree.fromstring(body, etree.XMLParser(**_PARSER))
    except etree.XMLSyntaxError as error:
        raise Refused(wrong(5, f"XML Parse error: {error.msg}")) from error
    if root.tag != f"{{{NAMESPACE}}}{call}Request":
        raise Refused(wrong(5, f"Schema validation error: {call}Request was expected."))
    for credentials in root.findall(f"{{{NAMESPACE}}}{_CREDENTIALS}"):
        root.remove(credentials)
    _check(root, contract()["common"] | contract()["calls"][call], is_strict)
    return Asked(root)


def _check(element: Any, shape: Mapping[str, Shape], is_strict: bool) -> None:
    names = list(shape)
    reached = 0
    for child, name in _children(element):
        if name not in shape:
            parent = etree.QName(element).localname
            text = f'Schema validation error: element "{name}" is not allowed in "{parent}".'
            raise Refused(wrong(5, text))
        if is_strict and names.index(name) < reached:
            raise Refused(wrong(5, f'Schema validation error: element "{name}" is out of order.'))
        reached = names.index(name)
        expected = _resolve(shape[name])
        if isinstance(expected, Mapping):
            _check(child, expected, is_strict)
        else:
            _check_leaf(child, name, expected)


def _resolve(shape: Shape) -> Shape:
    """What a type's name stands for."""
    types = contract()["types"]
    return types.get(shape, shape) if isinstance(shape, str) else shape


def _check_leaf(element: Any, name: str, expected: str) -> None:
    text = str(element.text or "").strip()
    if len(element):
        raise Refused(wrong(5, f'Schema validation error: "{name}" holds text only.'))
    if expected.startswith(_WORDS):
        is_good = text in expected.removeprefix(_WORDS).split()
    else:
        is_good = re.fullmatch(expected, text) is not None
    if not is_good:
        raise invalid(name, f"'{text[:80]}' is none of its values")


def _children(element: Any) -> Iterator[tuple[Any, str]]:
    for child in element.iterchildren():
        qualified = etree.QName(child)
        if qualified.namespace != NAMESPACE:
            text = f'Schema validation error: "{child.tag}" is in no known namespace.'
            raise Refused(wrong(5, text))
        yield child, qualified.localname
