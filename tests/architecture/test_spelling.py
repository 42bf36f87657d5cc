"""One word per thing: our own identifiers keep to the glossary and to British spelling."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

#: too vague to hold, as a whole name
BANNED_NAMES = frozenset(
    "data info item manager helper helpers util utils process handle sync".split()
)
#: too vague to hold, also as a part of a name
BANNED_PARTS = frozenset(("manager", "helper", "helpers", "util", "utils"))
#: a channel's or another trade's word → ours
FOREIGN_PARTS = {
    "fulfillment": "fulfilment",
    "fulfillments": "fulfilments",
    "fulfill": "fulfil",
    "canceled": "cancelled",
    "canceling": "cancelling",
    "normalize": "normalise",
    "normalized": "normalised",
    "normalizer": "normaliser",
    "normalization": "normalisation",
    "inventory": "stock",
    "customer": "buyer",
}
#: the files where a channel's own spelling belongs
CHANNEL_FILES = re.compile(
    r"connectors/[a-z_]+/((client|parse|render|webhook|session)\.py|sandbox/)"
)
#: a look-alike speaks its vendor's words and its libraries' signatures throughout
SANDBOX_FILES = re.compile(r"connectors/[a-z_]+/sandbox/")

_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def _defined_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.alias(asname=str() as name):
                yield name, node.lineno
            case ast.ExceptHandler(name=str() as name):
                yield name, node.lineno


def _our_names(source) -> Iterator[tuple[str, str]]:
    """Each name `source` gives, and where; its file and folder names come first."""
    for part in PurePosixPath(source.path).with_suffix("").parts:
        yield part, source.path
    for name, line in _defined_names(source.tree):
        yield name, f"{source.path}:{line}"


def _parts(name: str) -> set[str]:
    return {part.lower() for part in _PARTS.findall(name)}


def test_no_name_is_too_vague_to_hold(product):
    vague = [
        f"{place}: {name}"
        for source in product
        if not SANDBOX_FILES.match(source.path)
        for name, place in _our_names(source)
        if name.strip("_").lower() in BANNED_NAMES or _parts(name) & BANNED_PARTS
    ]
    assert vague == []


def test_our_names_are_the_glossarys(product):
    foreign = [
        f"{place}: {name}: say {FOREIGN_PARTS[part]}"
        for source in product
        if not CHANNEL_FILES.match(source.path)
        for name, place in _our_names(source)
        for part in sorted(_parts(name) & FOREIGN_PARTS.keys())
    ]
    assert foreign == []


def test_the_spelling_check_sees_each_kind_of_name():
    text = "class OrderManager:\n  def f(self, data):\n    self.info = item = 1\n"
    text += "import json as utils\ntry: ...\nexcept E as handle: ...\nis_canceled: bool = True\n"
    seen = {name for name, _ in _defined_names(ast.parse(text))}
    assert seen >= {"OrderManager", "data", "info", "item", "utils", "handle", "is_canceled"}
    assert "manager" in _parts("OrderManager")
    assert "canceled" in _parts("is_canceled")
    assert _parts("SKULevel") == {"sku", "level"}
