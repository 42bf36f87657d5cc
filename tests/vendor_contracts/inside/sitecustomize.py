"""Lets a process that a test starts write down what its connectors send and sandboxes answer."""

import os
import sys
from pathlib import Path

_SPOOL = os.environ.get("OMS_SYNC_CONTRACT_SPOOL")
if _SPOOL and Path(_SPOOL).is_dir():
    sys.path.append(str(Path(__file__).parents[1] / "layer"))
    import contract_tap

    contract_tap.install(contract_tap.Tap(Path(_SPOOL)))
