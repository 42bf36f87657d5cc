"""The command as an operator meets it: a folder with a configuration, and what comes back."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oms_sync import bootstrap
from oms_sync.cli.main import app
from oms_sync.flows import normalise, reserve
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import FlowContext
from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.sdk import Manifest

ACCOUNTS = """
accounts:
  - name: shop-a
    connector: shopify
    endpoint: http://127.0.0.1:9
    settings: {shop: shop-a, access_token: shpat_invented, location_ids: {main: "1"}}
"""
ORDERS = """order,placed_at,currency,sku,quantity,unit_price,title,name,address1,city,country
B2B-1,2026-04-30T09:00:00Z,EUR,TEE,2,9.50,=Tee,Zoë Žižková 李,Hauptstr. 1,Köln,DE
B2B-1,2026-04-30T09:00:00Z,EUR,MUG,1,4.00,Mug,,,,
"""


@dataclass
class Shell:
    """Runs `oms-sync` in a folder of its own."""

    folder: Path

    def __call__(self, *args: str, status: int = 0) -> Result:
        """Run it; the exit status must be `status`."""
        path = str(self.folder / "oms-sync.yaml")
        result = CliRunner(env={"NO_COLOR": "1"}).invoke(app, ["--config", path, *args])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, (args, result.stdout, result.stderr)
        return result

    def json(self, *args: str, status: int = 0) -> Any:
        """Run it with --json: standard output must be one JSON document and nothing else."""
        return json.loads(self(*args, "--json", status=status).stdout)

    def write(self, name: str, text: str) -> str:
        """A file in the folder; answers its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def drain(self) -> None:
        """What the daemon does with orders taken by hand."""
        with bootstrap.open_desk(self.folder / "oms-sync.yaml") as desk:
            for flow in (normalise, reserve):
                flow.run(
                    FlowContext(
                        account=desk.profiles[MANUAL],
                        profiles=desk.profiles,
                        manifest=Manifest(id=MANUAL, label="By hand"),
                        session=None,
                        webhook=None,
                        open_work=desk.open_work,
                        clock=desk.clock,
                        ids=desk.ids,
                        metrics=NullMetrics(),
                        is_stopping=lambda: False,
                    )
                )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder as `oms-sync init` leaves it, with one account that nobody runs."""
    made = Shell(tmp_path)
    made("init")
    path = tmp_path / "oms-sync.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\naccounts: []\n", ACCOUNTS), encoding="utf-8")
    return made


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of every command runs from noon on: what is sold is sold on the day compared."""
    really, began = SystemClock.now, SystemClock().now()
    ahead = began.replace(hour=12, minute=0, second=0, microsecond=0) - began
    monkeypatch.setattr(SystemClock, "now", lambda clock: really(clock) + ahead)


@pytest.fixture
def stocked(shell: Shell) -> Shell:
    """With ten TEE and one MUG counted, and one order for them taken by hand and reserved."""
    shell("stock", "set", "TEE", "10", "--reason", "count")
    shell("stock", "set", "MUG", "1", "--reason", "count")
    shell("orders", "import", shell.write("orders.csv", ORDERS))
    shell.drain()
    return shell


@pytest.fixture
def unchanged(shell: Shell) -> Callable[[], None]:
    """Remembers the stock and the orders; what it answers asserts that they are still the same."""

    def look() -> Any:
        return shell.json("stock", "list"), shell.json("orders", "list")

    before = look()

    def check() -> None:
        assert look() == before

    return check
