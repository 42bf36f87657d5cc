"""connector_contract(): the suite every connector passes, inherited in five lines.

Example, the whole of a connector's `test_contract.py`::

    from oms_sync.sdk.testing import connector_contract

    TestContract = connector_contract(CONNECTOR.manifest, start_my_sandbox)

`start_my_sandbox` is a context manager that gives a `ContractChannel`, fresh for every check; a
connector that declares `pull_notifications` gives a `QueueChannel`.
"""

from typing import Any

import pytest

from oms_sync.sdk.contract import (
    Check,
    CheckResult,
    ContractChannel,
    NotApplicable,
    QueueChannel,
    SignedWebhook,
    StartChannel,
    Trouble,
    Workbench,
    no_channel,
    run_contract,
)
from oms_sync.sdk.contract_access import CHECKS
from oms_sync.sdk.fake_driver import FakeDriver, start_fake
from oms_sync.sdk.fake_ports import FakeClock, MemoryTokens, OpenGate, SeededIds
from oms_sync.sdk.manifest import Manifest
from oms_sync.sdk.seeding import SeededChance

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "ContractChannel",
    "FakeClock",
    "FakeDriver",
    "MemoryTokens",
    "NotApplicable",
    "OpenGate",
    "QueueChannel",
    "SeededChance",
    "SeededIds",
    "SignedWebhook",
    "StartChannel",
    "Trouble",
    "Workbench",
    "connector_contract",
    "no_channel",
    "run_contract",
    "start_fake",
]


def connector_contract(manifest: Manifest, start: StartChannel = no_channel) -> type[Any]:
    """A test class with one test per promise the manifest declared.

    Assign it to a name beginning with `Test`. A manifest without capabilities passes; each
    capability it declares switches on that part of the suite.
    """
    checks = [check for check in CHECKS if check.applies(manifest)]

    class Contract:
        """One test per promise."""

        @pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])
        def test_contract(self, check: Check) -> None:
            """Run one check against a channel of its own."""
            with start() as channel:
                try:
                    check.run(channel, manifest)
                except NotApplicable as reason:
                    pytest.skip(str(reason))

    return Contract
