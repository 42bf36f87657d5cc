"""The Shopify connector keeps the contract every connector keeps, over HTTP against its sandbox."""

import importlib.util
from pathlib import Path
from typing import Any

from connectors.shopify import CONNECTOR
from oms_sync.sdk.testing import connector_contract


def _start_shop() -> Any:
    spec = importlib.util.spec_from_file_location(
        "shopify_conftest", Path(__file__).with_name("conftest.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.start_shop()


TestContract = connector_contract(CONNECTOR.manifest, _start_shop)
