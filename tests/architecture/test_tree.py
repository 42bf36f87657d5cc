"""The shape of the repository: what may lie where, and what may be written nowhere."""

import ast
import re
from pathlib import Path

TOP_LEVEL_FOLDERS = {"oms_sync", "connectors", "mappings", "config", "tests"}
TOP_LEVEL_FILES = {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml"}
TOP_LEVEL_FILES |= {"requirements.lock", "requirements-dev.lock"}
#: what an operator trying things in a checkout leaves there; git ignores it
LEFT_BY_OPERATORS = re.compile(r".*\.(db|db-wal|db-shm|key|lock|log)|oms-sync\.yaml")

#: one letter of each stands in brackets, so that this file does not trip over itself
FORBIDDEN_TEXT = {
    "a path of one machine": re.compile(r"/[w]ork/|/[r]oot/|/[h]ome/[a-z]+/"),
    "a folder outside the repository": re.compile(r"\.\./[s]hared"),
    "a package index": re.compile(
        r"[p]ypi\.org|[p]ythonhosted|[n]pmjs|--[i]ndex-url|[e]xtra-index"
    ),
}
ALLOWED_TEXT = {(".ci/run", "a folder outside the repository")}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_only_the_agreed_folders_lie_at_the_top(our_files):
    folders = {name.split("/")[0] for name in our_files if "/" in name}
    assert {each for each in folders if not each.startswith(".")} == TOP_LEVEL_FOLDERS
    files = {name for name in our_files if "/" not in name and not name.startswith(".")}
    assert {each for each in files if not LEFT_BY_OPERATORS.fullmatch(each)} <= TOP_LEVEL_FILES
    assert files >= TOP_LEVEL_FILES


def test_tests_are_no_package(our_files, sources):
    packages = [name for name in our_files if re.fullmatch(r"tests/(.*/)?__init__\.py", name)]
    assert packages == []
    importing = [
        f"{source.path}:{node.lineno}"
        for source in sources
        for node in ast.walk(source.tree)
        if any(name.split(".")[0] == "tests" for name in _imported(node))
    ]
    assert importing == [], "share by fixtures or oms_sync.sdk.testing"


def test_nothing_in_the_tree_names_a_machine_or_an_index(our_files, root):
    patterns = dict(FORBIDDEN_TEXT)
    if len(root.parts) > len(Path("/a/b").parts):
        patterns["the path of this checkout"] = re.compile(re.escape(str(root)))
    found = []
    for name, path in our_files.items():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or a font
        for what, pattern in patterns.items():
            if (name, what) not in ALLOWED_TEXT and (hit := pattern.search(text)):
                line = text.count("\n", 0, hit.start()) + 1
                found.append(f"{name}:{line}: {what}: {hit.group()}")
    assert found == []


def test_both_locks_pin_every_package_by_hash(root):
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (root / name).read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert lines
        loose = [line[:60] for line in lines if "==" not in line or "--hash=sha256:" not in line]
        assert loose == [], f"{name}: renew it with `make lock`"


def test_the_two_locks_agree(root):
    pinned = []
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (root / name).read_text(encoding="utf-8")
        pinned.append(dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, flags=re.MULTILINE)))
    runtime, development = pinned
    assert {k: v for k, v in runtime.items() if development.get(k) != v} == {}
