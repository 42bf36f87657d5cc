"""The stage: sandboxes and a real hub, processes of their own on loopback, in a throw-away folder.

The demo plays on it; the benchmark and the end-to-end tests build theirs with it, too.
"""

import csv
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from oms_sync.bootstrap import Desk, open_desk
from oms_sync.cli.demo_control import SandboxControl
from oms_sync.flows.commands.context import CommandContext
from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.registry import ConnectorUnavailable, Registry
from oms_sync.sdk.seeding import SandboxOptions
from oms_sync.storage.crypto import create_key_file

HOST: Final = "127.0.0.1"
START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 40.0
ASK_SECONDS: Final = 0.05
LOG_TAIL: Final = 2_000
READY: Final = 200
#: where an account's settings name a queue of notifications; without it the account polls only
QUEUE_SETTING: Final = "notifications"

#: what a connector's account is called where not after the connector itself
ACCOUNTS: Final[Mapping[str, str]] = {"shopify": "shop"}


class StageFailed(Exception):
    """A part of the stage did not come up or broke down; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """What is put on the stage."""

    #: connector by account name
    accounts: Mapping[str, str]
    seed: int = 1
    skus: int = 40
    #: None: a SQLite file in the stage's folder
    database_url: str | None = None
    poll_seconds: float = 1.0
    reconcile_seconds: float = 10.0
    #: channels send webhooks and fill queues; else the hub polls only
    has_webhooks: bool = True
    limits_published: bool = True
    #: settings an account gets instead of those its sandbox prints
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    log_level: str = "info"


def demo_accounts(registry: Registry) -> dict[str, str]:
    """Connector by account name: one account for every installed connector with a sandbox.

    A connector that is alone gets two: one stock in one place is no feat.
    """
    playing = []
    for name in registry.names:
        try:
            has_sandbox = registry.get(name).sandbox is not None
        except ConnectorUnavailable:
            continue  # `connectors list` says why; the demo goes on without it
        if has_sandbox:
            playing.append(name)
    places = ("us", "eu") if len(playing) == 1 else ("us",)
    return {f"{ACCOUNTS.get(name, name)}-{place}": name for name in playing for place in places}


@dataclass(slots=True, kw_only=True)
class Child:
    """One process of ours, with its log."""

    name: str
    log: Path
    running: subprocess.Popen[bytes]

    @property
    def has_ended(self) -> bool:
        return self.running.poll() is not None

    def stop(self, *, at_once: bool = False) -> int:
        """Ask it to end, or kill it; answers its exit status."""
        if not self.has_ended:
            if at_once:
                self.running.kill()
            else:
                self.running.terminate()
        try:
            status = self.running.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.running.kill()
            status = self.running.wait()
        for pipe in (self.running.stdin, self.running.stdout):
            if pipe is not None:
                pipe.close()
        return status

    def failure(self, what: str) -> StageFailed:
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
        return StageFailed(f"{self.name} {what}; the end of {self.log}:\n{tail}")


@dataclass(slots=True)
class Stage:
    """Sandboxes, configuration and hub; made by `open_stage`."""

    options: StageOptions
    folder: Path
    clock: SystemClock = field(default_factory=SystemClock)
    sandboxes: dict[str, Child] = field(default_factory=dict)
    controls: dict[str, SandboxControl] = field(default_factory=dict)
    hub: Child | None = None
    hub_url: str = ""
    #: somebody will want to look at logs and database
    keeps_folder: bool = False
    #: units that lie in the warehouse at the start, per SKU
    initial: dict[str, int] = field(default_factory=dict)
    #: SKU by (account, channel SKU)
    skus: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def config_path(self) -> Path:
        return self.folder / "oms-sync.yaml"

    @property
    def database_url(self) -> str:
        return self.options.database_url or "sqlite:///oms-sync.db"

    @property
    def database_kind(self) -> str:
        return "SQLite" if self.database_url.startswith("sqlite") else "PostgreSQL"

    def build(self) -> None:
        """Start the sandboxes, write configuration and key file, count stock, link listings."""
        entries = [self._start_sandbox(*pair) for pair in self.options.accounts.items()]
        port = free_port()
        self.hub_url = f"http://{HOST}:{port}"
        config = {
            "version": 1,
            "database": {"url": self.database_url},
            "keys": {"file": "oms-sync.key"},
            "web": {
                "host": HOST,
                "port": port,
                "public_url": self.hub_url if self.options.has_webhooks else None,
            },
            "logging": {"level": self.options.log_level, "format": "json"},
            "locations": [{"code": "main", "name": "Main warehouse", "country": "US"}],
            "accounts": [entry | self._schedule() for entry in entries],
        }
        self.config_path.touch(mode=0o600)  # credentials and perhaps a database password
        self.config_path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        create_key_file(self.folder / "oms-sync.key")
        self._import_seeds()

    def start_hub(self) -> None:
        """Start the daemon; `wait_ready` waits for it."""
        self.hub = self._start("hub", ["hub", str(self.config_path)])

    def stop_hub(self, *, at_once: bool = False) -> int:
        """SIGTERM and wait, or SIGKILL; answers the exit status."""
        if self.hub is None:
            raise StageFailed("no hub was started")
        return self.hub.stop(at_once=at_once)

    def wait_ready(self) -> float:
        """Wait until `/readyz` answers 200; answers after how many seconds it did."""
        started_at = self.clock.monotonic()
        while self.clock.monotonic() - started_at < START_SECONDS_MAX:
            self.check()
            if self.ask_hub("/readyz") == READY:
                return self.clock.monotonic() - started_at
            self.clock.sleep(ASK_SECONDS)
        if self.hub is None:
            raise StageFailed("no hub was started")
        raise self.hub.failure(f"is not ready after {START_SECONDS_MAX:.0f} s")

    def check(self) -> None:
        """Raise StageFailed when a process ended that should run."""
        for child in (*self.sandboxes.values(), *([self.hub] if self.hub else [])):
            if child.has_ended:
                raise child.failure(f"ended with status {child.running.returncode}")

    def ask_hub(self, path: str) -> int | None:
        """The status `path` answers, None when nobody answers."""
        connection = http.client.HTTPConnection(self.hub_url.partition("//")[2], timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return response.status

    @contextmanager
    def open_desk(self) -> Iterator[Desk]:
        """The hub's database and parts for commands, as a second process has them."""
        with open_desk(self.config_path) as desk:
            yield desk

    def close(self) -> None:
        """End every process."""
        if self.hub is not None:
            self.hub.stop()
        for child in self.sandboxes.values():
            child.stop()

    def _schedule(self) -> dict[str, float]:
        return {
            "poll_seconds": self.options.poll_seconds,
            "reconcile_seconds": self.options.reconcile_seconds,
        }

    def _start_sandbox(self, account: str, connector: str) -> dict[str, Any]:
        options = SandboxOptions(
            account=account,
            host=HOST,
            seed=self.options.seed,
            skus=self.options.skus,
            limits_published=self.options.limits_published,
        )
        wanted = json.dumps({"connector": connector, **asdict(options)})
        child = self._start(account, ["sandbox", wanted], is_heard=True)
        self.sandboxes[account] = child
        said = json.loads(_first_line(child))
        self.controls[account] = SandboxControl(account, said["base_url"])
        return self._changed(account, said["account_entry"])

    def _changed(self, account: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The printed entry as this stage wants it."""
        settings = {**entry["settings"], **self.options.settings.get(account, {})}
        if not self.options.has_webhooks:
            settings.pop(QUEUE_SETTING, None)
        return {**entry, "settings": settings}

    def _start(self, name: str, arguments: list[str], *, is_heard: bool = False) -> Child:
        log = self.folder / f"{name}.log"
        with log.open("ab") as file:
            running = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", "oms_sync.cli.demo_child", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if is_heard else file,
                stderr=file,
                # A terminal's Ctrl-C is for the demo alone: it ends the others in their turn.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return Child(name=name, log=log, running=running)

    def _import_seeds(self) -> None:
        from oms_sync.flows.commands.listing_files import import_listings
        from oms_sync.flows.commands.stock_files import import_stock

        first = next(iter(self.controls.values()))
        stock = first.seed("stock")
        self.initial = {row["sku"]: int(row["on_hand"]) for row in rows(stock)}
        with self.open_desk() as desk:
            context = command_context(desk)
            import_stock(context, stock, file="stock.csv")
            for account, control in self.controls.items():
                listings = control.seed("listings")
                import_listings(context, listings, file=f"{account}.csv")
                for row in rows(listings):
                    self.skus[account, row["channel_sku"]] = row["sku"]


@contextmanager
def open_stage(options: StageOptions) -> Iterator[Stage]:
    """A stage with sandboxes and seeded database; the hub is started by the caller.

    The folder is removed at the end, unless `keeps_folder` was set or an error was raised.
    """
    stage = Stage(options, Path(tempfile.mkdtemp(prefix="oms-sync-demo-")))
    try:
        stage.build()
        yield stage
    except BaseException:
        stage.close()
        raise
    stage.close()
    if not stage.keeps_folder:
        shutil.rmtree(stage.folder, ignore_errors=True)


def command_context(desk: Desk) -> CommandContext:
    """What commands work with, in the demo's name."""
    return CommandContext(
        open_work=desk.open_work,
        clock=desk.clock,
        ids=desk.ids,
        actor="demo",
        profiles=desk.profiles,
        locations=frozenset(location.code for location in desk.settings.locations),
    )


def free_port() -> int:
    """A port of loopback nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _first_line(child: Child) -> bytes:
    """What a sandbox says once it listens."""
    said: list[bytes] = []
    pipe: IO[bytes] | None = child.running.stdout
    if pipe is None:
        raise child.failure("has no pipe to speak through")
    reader = threading.Thread(target=lambda: said.append(pipe.readline()), daemon=True)
    reader.start()
    reader.join(START_SECONDS_MAX)
    if not said or not said[0]:
        raise child.failure("does not start")
    return said[0]


def rows(content: bytes) -> list[dict[str, str]]:
    """The rows of a seed CSV."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
