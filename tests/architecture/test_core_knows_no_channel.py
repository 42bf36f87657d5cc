"""The hub below the command line names no channel: what it knows of one is in its manifest."""

import ast
import re
from collections.abc import Iterator

CORE = re.compile(r"oms_sync/(domain|sdk|flows|storage|runtime|web)/|oms_sync/bootstrap\.py")
CHANNEL = re.compile(r"shopify|amazon|ebay", flags=re.IGNORECASE)


def _docstrings(tree: ast.Module) -> set[int]:
    """Prose may give a channel as its example, so the strings that stand alone do not count."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _words(tree: ast.Module) -> Iterator[tuple[str, int]]:
    prose = _docstrings(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in prose:
                yield text, node.lineno
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name):
                yield name, node.lineno


def test_the_core_names_no_channel(product):
    core = [source for source in product if CORE.match(source.path)]
    assert core
    named = [
        f"{source.path}:{line}: {word[:60]}"
        for source in core
        if not source.is_migration
        for word, line in _words(source.tree)
        if CHANNEL.search(word)
    ]
    assert named == []


def test_the_search_for_channels_finds_them():
    tree = ast.parse('"""Shopify"""\nif kind == "shopify": ...\ndef amazon_price(): ...')
    assert [word for word, _ in _words(tree) if CHANNEL.search(word)] == [
        "amazon_price",
        "shopify",
    ]
