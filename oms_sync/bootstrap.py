"""The composition root: the only file that names both a port and its implementation.

Commands open a desk, the daemon is a hub, a look-alike channel is a sandbox.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog

from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import AccountProfile
from oms_sync.runtime.budgets import BudgetParts, Budgets
from oms_sync.runtime.clock import SystemClock, SystemIds
from oms_sync.runtime.daemon import Daemon, DaemonParts
from oms_sync.runtime.dispatch import LocalDispatcher
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.leases import LeaseKeeper
from oms_sync.runtime.logs import set_up_logs
from oms_sync.runtime.memory import settle_memory
from oms_sync.runtime.metrics import NullMetrics, PrometheusMetrics
from oms_sync.runtime.pipeline import FLOWS, flows_of
from oms_sync.runtime.redaction import Redactor
from oms_sync.runtime.registry import ConnectorUnavailable, Registry, load_registry
from oms_sync.runtime.runner import FlowRunner, RunnerParts
from oms_sync.runtime.schedule import Schedule
from oms_sync.runtime.sessions import AccountWiring, Sessions
from oms_sync.runtime.settings import Settings, load_settings
from oms_sync.runtime.signals import caught_signals
from oms_sync.runtime.tend import TEND, Caretaker
from oms_sync.runtime.wiring import Ground, hide_secrets, profiles_of, wire, wire_all
from oms_sync.sdk import Clock, Ids, Manifest, Metrics, Session
from oms_sync.storage.crypto import load_key_ring
from oms_sync.storage.engine import Storage, StorageOptions, open_storage
from oms_sync.web.app import make_app
from oms_sync.web.figures import metrics_renderer
from oms_sync.web.health import DiskCheck, Readiness
from oms_sync.web.inbox_writer import InboxWriter
from oms_sync.web.listeners import Listener, Listeners, bind
from oms_sync.web.server import listen
from oms_sync.web.verifiers import verifiers_of
from oms_sync.web.webhooks import WebhookParts

if TYPE_CHECKING:
    from oms_sync.sdk.sandbox import Now, Sandbox, SandboxOptions

log = structlog.get_logger()


def _open_storage(settings: Settings, clock: Clock, ids: Ids, *, announces: bool) -> Storage:
    return open_storage(
        settings.database.url.get_secret_value(),
        keys=load_key_ring(settings.keys.file),
        clock=clock,
        ids=ids,
        options=StorageOptions(announces=announces),
    )


def _budgets(
    storage: Storage, clock: Clock, ids: Ids, metrics: Metrics, redactor: Redactor
) -> Budgets:
    parts = BudgetParts(
        store=storage.budgets, clock=clock, metrics=metrics, redactor=redactor, node=ids.new()
    )
    return Budgets(parts)


def _opener(storage: Storage) -> Callable[..., AbstractContextManager[UnitOfWork]]:
    """Storage's unit of work as the flows' port; it takes a fence or nothing."""
    return cast("Callable[..., AbstractContextManager[UnitOfWork]]", storage.open_work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a command works with, beside a running daemon or without one."""

    settings: Settings
    storage: Storage
    clock: Clock
    ids: Ids
    registry: Registry
    profiles: Mapping[str, AccountProfile]
    #: an account with everything it needs; parts of its `Ground` may be others
    wire: Callable[..., AccountWiring]

    @property
    def reports(self) -> Any:
        """The read side."""
        return self.storage.reports

    def open_work(self) -> AbstractContextManager[UnitOfWork]:
        """One transaction; its wakes reach the daemon."""
        return _opener(self.storage)()

    def open_session(self, account: str) -> Session:
        """A session of the account's own; close it."""
        return self.wire(account).open()

    def manifest(self, account: str) -> Manifest:
        """What the account's connector declares."""
        return self.registry.get(self.profiles[account].connector).manifest


@contextmanager
def open_desk(config_path: Path, *, announces: bool = True) -> Iterator[Desk]:
    """Open the configured hub for one command; raises ConfigError and StorageError."""
    settings, registry, redactor = load_settings(config_path), load_registry(), Redactor()
    clock, ids = SystemClock(), SystemIds()
    # A command's standard error is the operator's: it says what went wrong, not what went on.
    set_up_logs(level="warning", form=settings.logging.format, clock=clock, redactor=redactor)
    hide_secrets(settings, redactor)
    storage = _open_storage(settings, clock, ids, announces=announces)
    by_name = {account.name: account for account in settings.accounts}
    ground = Ground(
        settings=settings,
        registry=registry,
        tokens=storage.tokens,
        clock=clock,
        ids=ids,
        metrics=NullMetrics(),
        redactor=redactor,
        budgets=_budgets(storage, clock, ids, NullMetrics(), redactor),
    )
    try:
        yield Desk(
            settings=settings,
            storage=storage,
            clock=clock,
            ids=ids,
            registry=registry,
            profiles=profiles_of(settings, registry),
            wire=lambda account, **own: wire(by_name[account], replace(ground, **own)),
        )
    finally:
        ground.budgets.close()
        storage.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A whole hub in this process: `start()` it, use `url`, `stop()` it."""

    settings: Settings
    storage: Storage
    wirings: Mapping[str, AccountWiring]
    runner: FlowRunner
    dispatcher: LocalDispatcher
    metrics: PrometheusMetrics
    listeners: Listeners
    daemon: Daemon

    @property
    def url(self) -> str:
        """Where the hub's main listener is."""
        return self.listeners.listeners[0].url

    def start(self) -> None:
        """Start everything."""
        self.daemon.start()

    def stop(self) -> bool:
        """Drain and end; False when a run was left behind."""
        return self.daemon.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wired:
    """A hub half built: what its parts share."""

    settings: Settings
    storage: Storage
    wirings: Mapping[str, AccountWiring]
    profiles: Mapping[str, AccountProfile]
    clock: Clock
    ids: Ids
    metrics: PrometheusMetrics
    budgets: Budgets
    stopping: threading.Event


def build_hub(settings: Settings, *, redactor: Redactor | None = None) -> Hub:
    """Open the database and put a hub together; nothing runs and nobody is served yet.

    Raises StorageError (a second daemon, another key ring) and StartRefused (a port in use).
    """
    stopping, ids, metrics = threading.Event(), SystemIds(), PrometheusMetrics()
    clock, registry, redactor = SystemClock(stopping), load_registry(), redactor or Redactor()
    hide_secrets(settings, redactor)
    storage = _open_storage(settings, clock, ids, announces=False)
    try:
        storage.claim_daemon()
        ground = Ground(
            settings=settings,
            registry=registry,
            tokens=storage.tokens,
            clock=clock,
            ids=ids,
            metrics=metrics,
            redactor=redactor,
            budgets=_budgets(storage, clock, ids, metrics, redactor),
        )
        wired = _Wired(
            settings=settings,
            storage=storage,
            wirings=wire_all(ground),
            profiles=profiles_of(settings, registry),
            clock=clock,
            ids=ids,
            metrics=metrics,
            budgets=ground.budgets,
            stopping=stopping,
        )
        metrics.begin(wired.wirings)
        _take_over(wired)
        storage.record_profiles(
            profile for profile in wired.profiles.values() if profile.name != MANUAL
        )
        return _assemble(wired)
    except BaseException:
        storage.close()
        raise


def _take_over(wired: _Wired) -> None:
    """The one daemon of a SQLite file knows that whoever held its flows' leases is dead."""
    if not wired.settings.database.url.get_secret_value().startswith("sqlite"):
        return
    wired.storage.leases.clear(
        f"{flow}:{account}"
        for account, wiring in wired.wirings.items()
        for flow in (*flows_of(wiring.manifest), TEND)
    )


def _assemble(wired: _Wired) -> Hub:
    storage, clock, open_work = wired.storage, wired.clock, _opener(wired.storage)
    health = AccountHealth(open_work, clock=clock, profiles=wired.profiles)
    caretaker, sessions = Caretaker(wired.wirings, health=health), Sessions(wired.wirings)
    leases = LeaseKeeper(storage.leases, owner=wired.ids.new())
    runner = FlowRunner(
        RunnerParts(
            flows={**FLOWS, TEND: caretaker.tend},
            wirings=wired.wirings,
            profiles=wired.profiles,
            sessions=sessions,
            health=health,
            leases=leases,
            open_work=open_work,
            clock=clock,
            ids=wired.ids,
            metrics=wired.metrics,
            is_stopping=wired.stopping.is_set,
            proofs=caretaker.proofs,
        )
    )
    dispatcher = LocalDispatcher(
        runner.run,
        manifests={name: wiring.manifest for name, wiring in wired.wirings.items()},
        on_next=lambda flow, account, when: schedule.at(flow, account, when),  # noqa: PLW0108
    )
    schedule = Schedule(dispatcher.wake, wirings=wired.wirings, clock=clock)
    storage.on_wake.append(dispatcher.wake)
    writer = InboxWriter(open_work)
    disk = DiskCheck(data_folder(wired.settings))
    readiness = Readiness({"database": _database_check(storage), "disk": disk}, clock=clock)
    listeners = _listeners(wired, readiness, _webhook_parts(wired, writer, disk))
    daemon = Daemon(
        DaemonParts(
            accounts=tuple(wired.wirings),
            dispatcher=dispatcher,
            schedule=schedule,
            leases=leases,
            health=health,
            caretaker=caretaker,
            sessions=sessions,
            budgets=wired.budgets,
            ready=readiness,
            servers=listeners,
            writer=writer,
            watch=storage.watch,
            stopping=wired.stopping,
            close=storage.close,
        )
    )
    return Hub(
        settings=wired.settings,
        storage=storage,
        wirings=wired.wirings,
        runner=runner,
        dispatcher=dispatcher,
        metrics=wired.metrics,
        listeners=listeners,
        daemon=daemon,
    )


def run_hub(config_path: Path) -> int:
    """`oms-sync run`: start, serve until a signal, drain; answers the exit status."""
    settings, redactor = load_settings(config_path), Redactor()
    set_up_logs(
        level=settings.logging.level,
        form=settings.logging.format,
        clock=SystemClock(),
        redactor=redactor,
    )
    hub = build_hub(settings, redactor=redactor)
    settle_memory()
    return hub.daemon.run()


def _webhook_parts(wired: _Wired, writer: InboxWriter, disk: DiskCheck) -> WebhookParts:
    return WebhookParts(
        verifiers=verifiers_of(wired.wirings),
        writer=writer,
        clock=wired.clock,
        metrics=wired.metrics,
        is_accepting=lambda: disk.is_above_floor,
    )


def _listeners(wired: _Wired, readiness: Readiness, webhooks: WebhookParts) -> Listeners:
    web, own = wired.settings.web, wired.settings.web.webhooks
    main = make_app(
        webhooks=None if own else webhooks,
        readiness=readiness,
        render_metrics=metrics_renderer(
            wired.metrics, wired.storage.reports.accounts, clock=wired.clock
        ),
    )
    served = [serve(main, host=web.host, port=web.port)]
    if own is not None:
        served.append(serve(make_app(webhooks=webhooks), host=own.host, port=own.port))
    return Listeners(*served)


def serve(app: Any, *, host: str, port: int, has_lifespan: bool = False) -> Listener:
    """A listener for the application; the port is taken now, `start()` it."""
    return listen(app, bound=bind(host, port), clock=SystemClock(), has_lifespan=has_lifespan)


def _database_check(storage: Storage) -> Callable[[], str | None]:
    return lambda: "; ".join(storage.ready()) or None


def data_folder(settings: Settings) -> Path:
    """Where the hub writes: beside its SQLite file, else beside its key ring."""
    url = settings.database.url.get_secret_value()
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else settings.keys.file
    return path.parent


# --- look-alike channels -------------------------------------------------------------------------


@contextmanager
def open_sandbox(
    connector: str, options: "SandboxOptions", *, now: "Now | None" = None
) -> "Iterator[tuple[Sandbox, str]]":
    """Serve a channel's look-alike for the length of the block: the sandbox and its URL.

    `now` is the channel's clock; the system's when not given.
    """
    factory = load_registry().get(connector).load_sandbox()
    if factory is None:
        raise ConnectorUnavailable(f"the connector {connector!r} ships no sandbox")
    bound = bind(options.host, options.port)
    port: int = bound.getsockname()[1]
    make: Callable[..., Sandbox] = factory
    sandbox = make(replace(options, port=port), now=now or SystemClock().now)
    # The server's date would be the system's, not that of the channel's own clock.
    listener = listen(
        sandbox.app, bound=bound, clock=SystemClock(), has_lifespan=True, tells_date=now is None
    )
    listener.start()
    try:
        yield sandbox, listener.url
    finally:
        listener.stop()


def run_sandbox(
    connector: str, options: "SandboxOptions", *, on_ready: "Callable[[Sandbox, str], None]"
) -> None:
    """`oms-sync sandbox`: serve until a signal; `on_ready` prints what an operator needs."""
    with caught_signals() as signals, open_sandbox(connector, options) as (sandbox, url):
        on_ready(sandbox, url)
        signals.wait(threading.Event())
