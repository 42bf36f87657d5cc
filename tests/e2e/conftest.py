"""A town: look-alike shops and a hub, each the command an operator starts, on loopback."""

import csv
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from oms_sync import bootstrap
from oms_sync.cli.demo_control import SandboxControl
from oms_sync.cli.demo_stage import QUEUE_SETTING, command_context, free_port
from oms_sync.cli.demo_statement import Comparison, Evidence, compare
from oms_sync.flows.commands.context import CommandContext
from oms_sync.flows.commands.listing_files import import_listings
from oms_sync.flows.commands.stock_files import import_stock
from oms_sync.sdk.seeding import Purchase
from oms_sync.storage.crypto import create_key_file

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 40
ORDERS_MAX = 100_000
NAMES = ("shop-a", "shop-b")


def _wait_until(is_so: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """What `is_so` answers once it is true; fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or is_so}"
        time.sleep(0.05)
    return found


@dataclass(kw_only=True, repr=False)
class Shop:
    """One `oms-sync sandbox` process."""

    name: str
    process: subprocess.Popen[str]
    entry: dict[str, Any]
    control: SandboxControl
    #: starts a process of this shop with further options
    start: Callable[..., subprocess.Popen[str]]

    def reopen(self, *options: str) -> None:
        """Begin anew on the same port, with nothing it knew before."""
        _end(self.process)
        self.control.close_all()
        port = self.control.base_url.rpartition(":")[2]
        self.process = self.start("--port", port, *options)
        _connection(self.process)

    def buy(self, sku: str, units: int = 1, *, is_paid: bool = True) -> str:
        """Place an order; answers its channel order id."""
        return self.control.place(Purchase(lines=((sku, units),), is_paid=is_paid))

    def shows(self, sku: str) -> int:
        """What the shop offers of a SKU now."""
        return self.control.truth()["quantities"][sku]

    def ask(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Call a control route the demo does not need."""
        return self.control._call(method, path, body)


@dataclass(kw_only=True, repr=False)
class Town:
    """Shops, one configuration, and the hub that runs with it."""

    folder: Path
    database_url: str = "sqlite:///oms-sync.db"
    port: int = field(default_factory=free_port)
    shops: dict[str, Shop] = field(default_factory=dict)
    hub: subprocess.Popen[bytes] | None = None
    desk: Any = None
    #: units that lay in the warehouse at the start, per SKU
    initial: dict[str, int] = field(default_factory=dict)
    #: SKU by (account, channel SKU)
    skus: dict[tuple[str, str], str] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    #: another port of loopback
    free_port = staticmethod(free_port)

    @property
    def config_path(self) -> Path:
        return self.folder / "oms-sync.yaml"

    @property
    def log_path(self) -> Path:
        return self.folder / "hub.log"

    @property
    def controls(self) -> dict[str, SandboxControl]:
        return {name: shop.control for name, shop in self.shops.items()}

    @property
    def context(self) -> CommandContext:
        return command_context(self.desk)

    # --- setting up ------------------------------------------------------------------------------

    def open_shop(self, name: str, *options: str, connector: str = "shopify") -> Shop:
        """`oms-sync sandbox CONNECTOR`, under a name of its own at the hub."""

        def start(*more: str) -> subprocess.Popen[str]:
            with (self.folder / f"{name}.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "oms_sync", "sandbox", connector, *options, *more],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )
            self._open.callback(_end, process)
            return process

        process = start()
        entry, base_url = _connection(process)
        self.shops[name] = Shop(
            name=name,
            process=process,
            entry={**entry, "name": name},
            control=SandboxControl(name, base_url),
            start=start,
        )
        return self.shops[name]

    def configure(
        self, *, has_webhooks: bool = True, accounts: Mapping[str, Any] | None = None, **every: Any
    ) -> None:
        """Write the configuration; `every` account gets these keys, `accounts` some of its own.

        Without webhooks there is no queue either: every account polls only.
        """
        own = accounts or {}
        if not has_webhooks:
            for shop in self.shops.values():
                shop.entry["settings"].pop(QUEUE_SETTING, None)
        document = {
            "version": 1,
            "database": {"url": self.database_url},
            "web": {"port": self.port, "public_url": self.url if has_webhooks else None},
            "logging": {"format": "json"},
            "accounts": [
                {**shop.entry, **every, **own.get(name, {})} for name, shop in self.shops.items()
            ],
        }
        self.config_path.write_text(json.dumps(document, indent=2))  # JSON is YAML
        if not (self.folder / "oms-sync.key").exists():
            create_key_file(self.folder / "oms-sync.key")
        if self.desk is None:
            self.desk = self._open.enter_context(bootstrap.open_desk(self.config_path))

    def seed(self) -> None:
        """Count and link what the shops' seed files say."""
        stock = next(iter(self.shops.values())).control.seed("stock")
        self.initial = {row["sku"]: int(row["on_hand"]) for row in _rows(stock)}
        import_stock(self.context, stock, file="stock.csv")
        for name, shop in self.shops.items():
            rows = _rows(shop.control.seed("listings"))
            listings = io.StringIO(newline="")
            writer = csv.DictWriter(listings, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "account": name} for row in rows)
            import_listings(self.context, listings.getvalue().encode(), file=f"{name}.csv")
            self.skus |= {(name, row["channel_sku"]): row["sku"] for row in rows}

    # --- the hub ---------------------------------------------------------------------------------

    def start_hub(self, *, is_awaited: bool = True) -> None:
        """`oms-sync run`; waits until `/readyz` answers 200."""
        with self.log_path.open("ab") as log:
            self.hub = subprocess.Popen(
                [sys.executable, "-m", "oms_sync", "run", "--config", str(self.config_path)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        if is_awaited:
            self.wait_ready()

    def wait_ready(self) -> None:
        def is_ready() -> bool:
            assert self.hub.poll() is None, self.log_path.read_text()[-4000:]
            return self.ask("/readyz")[0] == 200

        _wait_until(is_ready, START_SECONDS_MAX, "the hub is ready")

    def kill_hub(self) -> None:
        """SIGKILL: nothing of it gets to say goodbye."""
        self.hub.kill()
        self.hub.wait(STOP_SECONDS_MAX)

    def stop_hub(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; answers its exit status."""
        self.hub.send_signal(number)
        return self.hub.wait(STOP_SECONDS_MAX)

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of an answer of the hub; status 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            return 0, {}, b""
        finally:
            connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def events(self, name: str, **keys: Any) -> list[dict[str, Any]]:
        """The log's lines of that event, with these keys."""
        found = []
        for line in self.log_path.read_text().splitlines():
            record = json.loads(line) if line.startswith("{") else {}
            if record.get("event") == name and keys.items() <= record.items():
                found.append(record)
        return found

    # --- commands --------------------------------------------------------------------------------

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """One `oms-sync` command as a process of its own; the exit status must be `status`."""
        done = subprocess.run(
            [sys.executable, "-m", "oms_sync", "--config", str(self.config_path), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        """A command's answer with `--json`."""
        return json.loads(self.run(*arguments, "--json").stdout)

    # --- looking ---------------------------------------------------------------------------------

    def compare(self) -> Comparison:
        """The shops' own truth against what the hub reports."""
        return compare(
            Evidence(
                truths={name: shop.control.truth() for name, shop in self.shops.items()},
                orders=self.desk.reports.orders(limit=ORDERS_MAX),
                stock=self.desk.reports.stock(),
                initial=self.initial,
                skus=self.skus,
            )
        )

    def wait_level(self, seconds: float = 60) -> None:
        """Until every shop shows what the hub wants and the hub has seen it."""

        def is_level() -> bool:
            listed = [one for entry in self.desk.reports.stock() for one in entry["listings"]]
            seen = all(one["expected"] == one["channel_quantity"] for one in listed)
            return bool(listed) and seen and not self.compare().listings_drifted

        _wait_until(is_level, seconds, "every listing shows what the stock says")

    def order(self, shop: str, channel_order_id: str) -> dict[str, Any] | None:
        """One order as the hub reports it, None when it is not in."""
        for order in self.desk.reports.orders(account=shop, limit=ORDERS_MAX):
            if order["channel_order_id"] == channel_order_id:
                return order
        return None

    def wait_order(self, shop: str, channel_order_id: str, state: str = "open") -> dict[str, Any]:
        """The order once the hub knows it in that state."""

        def found() -> dict[str, Any] | None:
            order = self.order(shop, channel_order_id)
            return order if order is not None and order["state"] == state else None

        return _wait_until(found, what=f"order {shop}:{channel_order_id} is {state}")

    def account(self, name: str) -> dict[str, Any]:
        """What `accounts list` says of one account."""
        return next(one for one in self.json("accounts", "list") if one["name"] == name)

    def a_sku(self, at_least: int = 5) -> str:
        """A SKU with plenty of units."""
        return next(sku for sku, units in self.initial.items() if units >= at_least)

    def close(self) -> None:
        """End everything."""
        if self.hub is not None:
            _end(self.hub)
        for shop in self.shops.values():
            shop.control.close_all()
        self._open.close()


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(STOP_SECONDS_MAX)
    if process.stdout:
        process.stdout.close()


def _connection(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """The entry a sandbox prints, and where its control routes are."""
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("# truth:"):
            entry = YAML(typ="safe").load("".join(said))["accounts"][0]
            return entry, line.split()[-1].removesuffix("/_sandbox/truth")
    raise AssertionError(f"the sandbox ended: {''.join(said)}")


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """`wait_until(is_so, seconds, what)`: what `is_so` answers once it is true."""
    return _wait_until


@pytest.fixture
def make_town(tmp_path: Path) -> Iterator[Callable[..., Town]]:
    """A maker of towns with two open shops; everything ends with the test.

    `channels` names accounts of other connectors to open besides.
    """
    made: list[Town] = []

    def make(
        *,
        shops: tuple[str, ...] = NAMES,
        channels: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Town:
        town = Town(folder=tmp_path, **options)
        made.append(town)
        for name, connector in {**dict.fromkeys(shops, "shopify"), **(channels or {})}.items():
            town.open_shop(name, "--limits", "off", connector=connector)
        return town

    yield make
    for town in made:
        town.close()


@pytest.fixture
def town(make_town: Callable[..., Town]) -> Town:
    """Two shops and a configured, seeded hub with webhooks and polling, not yet started."""
    made = make_town()
    made.configure()
    made.seed()
    return made


@pytest.fixture(autouse=True)
def _told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """A failed story is told with the end of the hub's log."""
    failed_before = request.session.testsfailed
    yield
    log = tmp_path / "hub.log"
    if request.session.testsfailed > failed_before and log.exists():
        sys.stderr.write(log.read_text(errors="replace")[-4000:])
