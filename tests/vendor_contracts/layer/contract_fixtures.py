"""The fixtures a connector's own tests have, lent to the tests that hold it against its vendor."""

import importlib.util
from pathlib import Path
from typing import Any

CONNECTOR_TESTS = Path(__file__).parents[2] / "connectors"


def borrow(folder: str) -> dict[str, Any]:
    """What `tests/connectors/FOLDER/conftest.py` gives, for a conftest to give as well."""
    path = CONNECTOR_TESTS / folder / "conftest.py"
    spec = importlib.util.spec_from_file_location(f"borrowed_{folder.replace('/', '_')}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: each for name, each in vars(module).items() if not name.startswith("__")}
