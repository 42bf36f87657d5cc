"""Honesty as a test: what can be called, set, logged or raised has its line of documentation."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
EVENT = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")
TABLE_EVENT = re.compile(r"^\| *`([a-z_]+(?:\.[a-z_]+)+)` *\|", flags=re.MULTILINE)
PLACEHOLDER_DOCSTRING = re.compile(r"^\w+\(.*\)( -> .*)?$", flags=re.DOTALL)


def _is_logger(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.strip("_").lower() in ("log", "logger")


def _log_calls(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=level, value=owner)):
                if level in LEVELS and _is_logger(owner):
                    yield node


@pytest.fixture(scope="module")
def log_events(product) -> dict[str, str]:
    """Each event the code logs, and one place of it; what is no plain text stands as None."""
    return {
        _event(call): f"{source.path}:{call.lineno}"
        for source in product
        for call in _log_calls(source.tree)
    }


def _event(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) else None


def test_a_log_event_is_a_noun_and_a_past_verb_written_out(log_events):
    assert log_events, "no log call found: the search is broken"
    odd = {k: v for k, v in log_events.items() if k is None or not EVENT.fullmatch(k)}
    assert odd == {}, 'write log.info("noun.past_verb", key=value)'


def test_the_table_of_log_events_is_complete_and_true(log_events, root):
    table = set(TABLE_EVENT.findall((root / "oms_sync/README.md").read_text(encoding="utf-8")))
    assert table, "oms_sync/README.md has no table of log events: | `noun.past_verb` | … |"
    assert sorted(set(log_events) - table - {None}) == [], "logged, but not in the table"
    assert sorted(table - set(log_events)) == [], "in the table, but never logged"


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if command.hidden:
        return
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _commands(child, (*path, name))
    if not children:
        yield " ".join(path)


@pytest.fixture(scope="module")
def command_names() -> list[str]:
    module = importlib.import_module("oms_sync.cli.main")
    return sorted(_commands(typer.main.get_command(module.app)))


def test_every_command_is_in_the_user_guide(command_names, root):
    guide = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((root / "oms_sync/docs").glob("*.md"))
    )
    assert command_names
    absent = [name for name in command_names if not re.search(rf"\boms-sync {name}\b", guide)]
    assert absent == [], "oms_sync/docs/*.md says nowhere `oms-sync …` of these"


def test_every_command_and_option_says_what_it_does():
    module = importlib.import_module("oms_sync.cli.main")
    silent = []
    waiting: list[tuple[str, Any]] = [("", typer.main.get_command(module.app))]
    while waiting:
        path, command = waiting.pop()
        if command.hidden:
            continue
        if not command.help:
            silent.append(f"oms-sync{path}")
        silent += [
            f"oms-sync{path} {parameter.opts[0]}"
            for parameter in command.params
            if not (getattr(parameter, "help", None) or getattr(parameter, "hidden", False))
        ]
        for name, child in getattr(command, "commands", {}).items():
            waiting.append((f"{path} {name}", child))
    assert silent == []


def _settings_modules(channels: list[str]) -> list[str]:
    return ["oms_sync.runtime.settings", *(f"connectors.{each}.settings" for each in channels)]


def _setting_names(module_name: str) -> set[str]:
    module = importlib.import_module(module_name)
    return {
        information.alias or name
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module_name
        for name, information in getattr(each, "model_fields", {}).items()
    }


def test_every_setting_is_in_the_guide_to_the_configuration(channels, root):
    text = (root / "config/README.md").read_text(encoding="utf-8")
    written = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", text))))
    for name in _settings_modules(channels):
        settings = _setting_names(name)
        assert settings, f"{name} has no settings model: the search is broken"
        assert sorted(settings - written) == [], f"settings of {name} not in config/README.md"


@pytest.fixture(scope="module")
def sdk_names() -> dict[str, object]:
    sdk = importlib.import_module("oms_sync.sdk")
    assert sdk.__all__, "oms_sync.sdk.__all__ is empty"
    return {name: getattr(sdk, name) for name in sdk.__all__}


def test_every_public_name_of_the_sdk_has_a_docstring(sdk_names):
    silent = [
        name
        for name, value in sdk_names.items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and (not value.__doc__ or PLACEHOLDER_DOCSTRING.match(value.__doc__))
    ]
    assert silent == []


def test_every_capability_and_every_error_is_in_the_guide_to_connectors(sdk_names, root):
    guide = (root / "connectors/README.md").read_text(encoding="utf-8")
    errors = [
        name
        for name, value in sdk_names.items()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]
    capabilities = [str(member.value) for member in sdk_names["Capability"]]
    assert errors
    assert capabilities
    absent = [name for name in (*errors, *capabilities) if not re.search(rf"\b{name}\b", guide)]
    assert absent == []
