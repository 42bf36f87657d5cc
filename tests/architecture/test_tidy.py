"""Budgets that are enforced. An exception stands in ALLOWED with its size, and may only shrink."""

import ast
from collections.abc import Iterator

LINES_PER_MODULE_MAX = 400
LINES_PER_FUNCTION_MAX = 60
COLUMNS_MAX = 100
PARAMETERS_MAX = 6

#: "path", "path::function" or, for its parameters, "path::function()" → the size it has today.
#: Lower a number when the code shrinks.
ALLOWED: dict[str, int] = {
    # a command's parameters are its options, and these are fixed by what operators type
    "oms_sync/cli/orders.py::ship()": 7,
    "oms_sync/cli/orders_writes.py::refund_order()": 8,
    "oms_sync/cli/run.py::sandbox()": 7,
}

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.Module) -> Iterator[tuple[str, _Function]]:
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, _Function | ast.ClassDef):
                name = f"{prefix}.{child.name}".lstrip(".")
            if isinstance(child, _Function):
                yield name, child
            waiting.append((name, child))


def _parameters(function: _Function) -> int:
    listed = function.args
    names = [each.arg for each in (*listed.posonlyargs, *listed.args, *listed.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def _over(sizes: dict[str, int], limit: int) -> list[str]:
    return [
        f"{place}: {size}, allowed {ALLOWED.get(place, limit)}"
        for place, size in sizes.items()
        if size > ALLOWED.get(place, limit)
    ]


def _module_lines(sources) -> dict[str, int]:
    return {each.path: len(each.text.splitlines()) for each in sources if not each.is_migration}


def _function_lines(product) -> dict[str, int]:
    return {
        f"{each.path}::{name}": (function.end_lineno or 0) - function.lineno + 1
        for each in product
        if not each.is_migration  # a migration is history: it is long once and never edited
        for name, function in _functions(each.tree)
    }


def test_no_module_is_longer_than_its_budget(sources):
    assert _over(_module_lines(sources), LINES_PER_MODULE_MAX) == []


def test_no_function_is_longer_than_its_budget(product):
    assert _over(_function_lines(product), LINES_PER_FUNCTION_MAX) == []


def _parameter_counts(product) -> dict[str, int]:
    return {
        f"{each.path}::{name}()": _parameters(function)
        for each in product
        for name, function in _functions(each.tree)
    }


def test_no_function_takes_more_parameters_than_its_budget(product):
    assert _over(_parameter_counts(product), PARAMETERS_MAX) == []


def test_no_line_is_wider_than_the_page(sources):
    wide = [
        f"{each.path}:{number}: {len(line)} columns"
        for each in sources
        for number, line in enumerate(each.text.splitlines(), start=1)
        if len(line) > COLUMNS_MAX
    ]
    assert wide == []


def test_the_allow_list_only_shrinks(sources, product):
    sizes = _module_lines(sources) | _function_lines(product) | _parameter_counts(product)
    stale = {place: sizes.get(place) for place, size in ALLOWED.items() if sizes.get(place) != size}
    assert stale == {}, "lower these numbers in ALLOWED, or drop the entry when within budget"


def test_every_module_says_what_it_is_for(product):
    silent = [each.path for each in product if not ast.get_docstring(each.tree)]
    assert silent == [], "open the module with one to five lines: what for, and what it refuses"
