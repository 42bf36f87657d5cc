"""The fixtures a connector's own tests have, lent to the tests that hold it against its vendor."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

CONNECTOR_TESTS = Path(__file__).parents[2] / "connectors"


DIGITS = 12


def digest(text: str) -> str:
    """What a vendor's id is called in a test: it tells which one, and not what it is."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def borrow(folder: str) -> dict[str, Any]:
    """What `tests/connectors/FOLDER/conftest.py` gives, for a conftest to give as well."""
    path = CONNECTOR_TESTS / folder / "conftest.py"
    spec = importlib.util.spec_from_file_location(f"borrowed_{folder.replace('/', '_')}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: each for name, each in vars(module).items() if not name.startswith("__")}
