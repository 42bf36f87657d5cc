"""One child of the demo: `python -m oms_sync.cli.demo_child sandbox JSON | hub CONFIG`.

Ends when its parent does, however that ended: the parent holds the other end of standard input.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from oms_sync.runtime.memory import collector_held


def main(arguments: list[str]) -> int:
    """Play one part until told to stop; answers the exit status."""
    kind, argument = arguments
    threading.Thread(target=_watch_parent, name="demo-parent", daemon=True).start()
    if kind == "hub":
        with collector_held():
            from oms_sync import bootstrap

        return bootstrap.run_hub(Path(argument))
    _run_sandbox(json.loads(argument))
    return 0


def _run_sandbox(wanted: dict[str, Any]) -> None:
    from oms_sync import bootstrap
    from oms_sync.sdk.seeding import SandboxOptions

    connector = wanted.pop("connector")
    bootstrap.run_sandbox(connector, SandboxOptions(**wanted), on_ready=_announce)


def _announce(made: Any, url: str) -> None:
    """One line for the parent: where we are and how a hub is told of us."""
    line = {"base_url": url, "account_entry": made.account_entry()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _watch_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # nobody writes: it returns when the parent is gone
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
