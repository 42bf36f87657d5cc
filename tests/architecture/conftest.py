"""The tree as the architecture tests see it: every file once, every Python file parsed once."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("oms_sync", "connectors", "mappings")
NOT_OURS = frozenset(
    ".git .venv build dist htmlcov __pycache__ node_modules .idea .vscode .hypothesis"
    " .pytest_cache .mypy_cache .ruff_cache .import_linter_cache".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Python file of ours."""

    path: str
    text: str
    tree: ast.Module

    @property
    def is_product(self) -> bool:
        return self.path.split("/")[0] in PRODUCT

    @property
    def is_migration(self) -> bool:
        return self.path.startswith("oms_sync/storage/migrations/versions/")


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name in NOT_OURS or path.name.endswith(".egg-info"):
            continue
        if path.is_dir() and not path.is_symlink():
            found += _walk(path)
        elif path.is_file():
            found.append(path)
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def our_files() -> dict[str, Path]:
    """Every file of the project by its path from the root, whether committed or not."""
    return {path.relative_to(ROOT).as_posix(): path for path in _walk(ROOT)}


@pytest.fixture(scope="session")
def sources(our_files: dict[str, Path]) -> list[Source]:
    """Every Python file, parsed; skeletons for generated connectors are text, not Python."""
    found = []
    for name, path in our_files.items():
        if path.suffix == ".py" and not name.startswith("oms_sync/cli/templates/"):
            text = path.read_text(encoding="utf-8")
            found.append(Source(path=name, text=text, tree=ast.parse(text, name)))
    assert found, "no Python file found: the walk is broken"
    return found


@pytest.fixture(scope="session")
def product(sources: list[Source]) -> list[Source]:
    return [source for source in sources if source.is_product]


@pytest.fixture(scope="session")
def channels(root: Path) -> list[str]:
    """The folders under connectors/, one per channel."""
    names = [path.name for path in (root / "connectors").iterdir() if path.is_dir()]
    return sorted(name for name in names if name not in NOT_OURS)
