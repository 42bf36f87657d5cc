import ast
from pathlib import Path

from oms_sync.runtime.redaction import ALLOWED_KEYS


def test_every_key_our_code_logs_is_on_the_list(request):
    calls = {"debug", "info", "warning", "error", "exception", "critical", "bind"}
    calls |= {"bound_contextvars", "bind_contextvars"}
    used: dict[str, str] = {}
    for folder in ("oms_sync", "connectors"):
        for path in sorted((request.config.rootpath / folder).rglob("*.py")):
            if "templates" not in path.parts:
                used |= dict(_keys(path, calls))
    assert "account" in used
    absent = {key: place for key, place in used.items() if key not in ALLOWED_KEYS}
    assert absent == {}, "use a key of oms_sync/runtime/redaction.py, or add one that is harmless"


def _keys(path: Path, calls: set[str]):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr=name, value=owner), keywords=keywords):
                of_log = getattr(owner, "id", "").strip("_") in ("log", "logger")
                is_ours = of_log or name.endswith("contextvars")
            case ast.Call(func=ast.Name(id=name), keywords=keywords):
                is_ours = name.endswith("contextvars")
            case _:
                continue
        if is_ours and name in calls:
            for each in keywords:
                if each.arg and each.arg != "exc_info":
                    yield each.arg, f"{path.name}:{node.lineno}"
