"""The Shopify connector keeps the contract every connector keeps, over HTTP against its sandbox."""

from pathlib import Path

from connectors.shopify import CONNECTOR
from oms_sync.cli.workbench import start_contract
from oms_sync.sdk.testing import connector_contract

RECORDINGS = sorted(Path(__file__).with_name("recordings").glob("order-*.json"))

TestContract = connector_contract(
    CONNECTOR.manifest,
    start_contract(CONNECTOR, recordings=[path.read_bytes() for path in RECORDINGS]),
)
