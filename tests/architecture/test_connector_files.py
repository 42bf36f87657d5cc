"""The same files in every connector, so that who knows one knows all."""

import ast

import pytest
from ruamel.yaml import YAML

from oms_sync.sdk.checklist import RULES

NEEDED = {"__init__.py", "settings.py", "client.py", "parse.py", "render.py", "session.py"}
NEEDED |= {"checklist.yaml", "sandbox"}
OPTIONAL = {"webhook.py", "README.md"}
#: small neighbours that carry a part of a file over its budget
OPTIONAL |= {"account.py", "documents.graphql", "documents.py", "faults.py", "ids.py", "orders.py"}
OPTIONAL |= {"shipments.py", "stock.py", "listings.py", "tokens.py", "wire.py"}
#: what only one channel has: documents in bulk, a queue, XML beside REST, keys it hands out
OPTIONAL |= {"feeds.py", "queue.py", "trading.py", "rest.py", "markup.py", "keys.py"}
#: what is written back besides stock and tracking, and how an account is set up
OPTIONAL |= {"cancels.py", "refunds.py", "holds.py", "writes.py", "revisions.py"}
OPTIONAL |= {"consent.py", "subscriptions.py"}
#: what an older API of the channel shows, as the newer one would; how far orders are read, and a
#: second source of what lists leave out
OPTIONAL |= {"orders_v0.py", "cursors.py", "reports.py"}
#: which of two APIs a listing is written by
OPTIONAL |= {"ownership.py"}
#: the rest of lists within an order
OPTIONAL |= {"nested.py"}
TABLES = {"order_status.yaml", "carriers.yaml", "services.yaml", "cancel_reasons.yaml"}
TESTS = {"test_parse.py", "test_render.py", "test_client.py", "test_contract.py"}
TEST_FOLDERS = {"recordings", "expected"}
INIT_LINES_MAX = 40
CODE_LINES_MAX = 1_500
#: two APIs in two languages, feeds and reports, a queue, keys handed out: what was more than the
#: limit when it was written. It only shrinks.
CODE_LINES_OVER = {"amazon": 3_500, "ebay": 3_400, "shopify": 2_650}
SANDBOX_LINES_MAX = 3_600


def _names(folder):
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


def _lines(paths):
    """Lines of code: what a docstring, a comment or an empty line explains costs nothing."""
    return sum(len(_code_lines(path.read_text(encoding="utf-8"))) for path in paths)


def _code_lines(source):
    prose = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    return [
        line
        for number, line in enumerate(source.splitlines(), start=1)
        if line.strip() and not line.strip().startswith("#") and number not in prose
    ]


@pytest.fixture
def connector_folders(root, channels):
    assert channels, "no connector found: the walk is broken"
    return [root / "connectors" / channel for channel in channels]


def test_every_connector_has_the_same_files(connector_folders):
    wrong = {}
    for folder in connector_folders:
        names = _names(folder)
        missing, foreign = NEEDED - names, names - NEEDED - OPTIONAL
        if missing or foreign:
            wrong[folder.name] = {"missing": sorted(missing), "foreign": sorted(foreign)}
    assert wrong == {}


def test_every_connector_keeps_its_budget(connector_folders):
    over = {}
    for folder in connector_folders:
        sizes = {
            "__init__.py": (_lines([folder / "__init__.py"]), INIT_LINES_MAX),
            "code": (_lines(folder.glob("*.py")), CODE_LINES_OVER.get(folder.name, CODE_LINES_MAX)),
            "sandbox": (_lines((folder / "sandbox").rglob("*.py")), SANDBOX_LINES_MAX),
        }
        over |= {f"{folder.name} {k}": v for k, v in sizes.items() if v[0] > v[1]}
    assert over == {}


def test_a_connector_is_one_record_and_imports_nothing_heavy(connector_folders):
    for folder in connector_folders:
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        bound = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        assert "CONNECTOR" in bound, f"{folder.name}: CONNECTOR = Connector(…) is missing"
        modules = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        modules |= {
            alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        }
        heavy = {name for name in modules if not (name or "").startswith("oms_sync.sdk")}
        heavy -= {"collections.abc", "typing", "__future__", "importlib", "functools"}
        assert heavy == set(), f"{folder.name}: load these inside the functions that need them"


def test_every_connector_has_its_mapping_tables(root, channels):
    absent = {}
    for channel in channels:
        folder = root / "mappings" / channel
        missing = TABLES - (_names(folder) if folder.is_dir() else set())
        if missing:
            absent[channel] = sorted(missing)
    assert absent == {}


def test_every_connector_has_its_tests(root, channels):
    absent = {}
    for channel in channels:
        wanted = TESTS | TEST_FOLDERS
        if (root / "connectors" / channel / "webhook.py").exists():
            wanted = wanted | {"test_webhook.py"}
        folder = root / "tests" / "connectors" / channel
        missing = wanted - (_names(folder) if folder.is_dir() else set())
        if missing:
            absent[channel] = sorted(missing)
    assert absent == {}


def test_every_checklist_answers_the_same_rules_honestly(connector_folders):
    """A rule is `done`, `todo`, or {status: exempt, reason: …}; a connector may add its own."""
    checklists = {
        folder.name: YAML(typ="safe").load((folder / "checklist.yaml").read_text(encoding="utf-8"))
        for folder in connector_folders
    }
    missing = {name: RULES.keys() - answers["rules"].keys() for name, answers in checklists.items()}
    assert not any(missing.values()), f"rules left unanswered: {missing}"
    for name, answers in checklists.items():
        assert answers["rules"], f"{name}: the checklist is empty"
        for rule, answer in answers["rules"].items():
            status = answer["status"] if isinstance(answer, dict) else answer
            assert status in ("done", "todo", "exempt"), f"{name}: {rule}: {status!r}"
            if status == "exempt":
                assert isinstance(answer, dict), f"{name}: {rule}: an exemption needs a reason"
                assert answer.get("reason"), f"{name}: {rule}: an exemption needs a reason"
