"""The daemon around the flows: start, watch, drain, stop.

It refuses to start beside channels whose clocks disagree with this machine's. The first SIGTERM or
SIGINT drains it within thirty seconds, a second one ends it at once.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from oms_sync.runtime.budgets import KEEP_SECONDS, Budgets
from oms_sync.runtime.dispatch import LocalDispatcher
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.leases import RENEW_SECONDS, LeaseKeeper
from oms_sync.runtime.schedule import Schedule
from oms_sync.runtime.sessions import Sessions
from oms_sync.runtime.signals import caught_signals
from oms_sync.runtime.tend import TEND, Caretaker, ClockSkewed
from oms_sync.runtime.threads import Loop

log = structlog.get_logger()

#: start-up waits so long for the channels' clocks; a slower channel is checked while we run
CHECK_SECONDS_MAX: Final = 3.0
HOUSEKEEPING_SECONDS: Final = 0.5
#: how soon a watch for other processes' commits begins again after it broke
WATCH_SECONDS: Final = 0.5
SERVERS_SECONDS_MAX: Final = 5.0
DRAIN_SECONDS_MAX: Final = 15.0

Wake = Callable[[str, str], None]


class Stoppable(Protocol):
    """A part with threads of its own."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End, within a few seconds."""
        ...


class Ready(Protocol):
    """What `/readyz` tells."""

    def open(self) -> None:
        """The hub is up."""
        ...

    def close(self) -> None:
        """The hub drains."""
        ...

    def refresh(self) -> None:
        """Ask every check."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonParts:
    """What a daemon is made of."""

    accounts: tuple[str, ...]
    dispatcher: LocalDispatcher
    schedule: Schedule
    leases: LeaseKeeper
    health: AccountHealth
    caretaker: Caretaker
    sessions: Sessions
    budgets: Budgets
    ready: Ready
    #: the listeners
    servers: Stoppable
    #: the inbox writer behind the webhook route
    writer: Stoppable
    #: blocks, telling wake-ups of other processes, until told to stop
    watch: Callable[[Wake, Callable[[], bool]], None]
    #: set once the hub drains; the clock's sleeps end by it
    stopping: threading.Event
    #: gives the database back
    close: Callable[[], None]


class Daemon:
    """One running hub."""

    def __init__(self, parts: DaemonParts) -> None:
        self._parts = parts
        self._is_stopped = False
        self._watch = Loop("wake-watch", self._watch_wakes, period_seconds=WATCH_SECONDS)
        self._loops = (
            Loop("lease-keeper", parts.leases.renew, period_seconds=RENEW_SECONDS),
            Loop("budget-keeper", parts.budgets.keep, period_seconds=KEEP_SECONDS),
            Loop("housekeeping", self._keep_house, period_seconds=HOUSEKEEPING_SECONDS),
            self._watch,
        )

    def start(self) -> None:
        """Start everything; raises ClockSkewed, after stopping again, beside a skewed clock."""
        parts = self._parts
        try:
            parts.writer.start()
            for loop in self._loops:
                loop.start()
            parts.servers.start()
            parts.dispatcher.start()
            self._check_accounts()
            parts.schedule.start()
            parts.ready.open()
            parts.ready.refresh()
        except Exception:
            self.stop()
            raise

    def run(self) -> int:
        """Start, wait for a signal, drain; answers the exit status. For the main thread."""
        with caught_signals() as signals:
            self.start()
            signals.wait(self._parts.stopping)
            return 0 if self.stop() else 1

    def stop(self) -> bool:
        """Drain and end; False when a run did not end in time and was left behind."""
        if self._is_stopped:
            return True
        self._is_stopped = True
        parts = self._parts
        log.info("hub.draining", running=len(parts.dispatcher.running()))
        parts.ready.close()
        _end("schedule", parts.schedule.stop)
        parts.stopping.set()
        _end("servers", parts.servers.stop)
        is_clean = parts.dispatcher.stop(DRAIN_SECONDS_MAX)
        _end("writer", parts.writer.stop)
        for loop in self._loops:
            loop.stop()
        if not is_clean:
            log.warning(
                "hub.abandoned", running=[":".join(key) for key in parts.dispatcher.running()]
            )
        _end("leases", parts.leases.release_all)
        _end("sessions", parts.sessions.close)
        _end("budgets", parts.budgets.keep)
        _end("database", parts.close)
        log.info("hub.stopped", is_clean=is_clean)
        return is_clean

    def _check_accounts(self) -> None:
        """Look at every account once; what answers in time says whether our clock is right."""
        parts = self._parts
        for account in parts.accounts:
            parts.dispatcher.wake(TEND, account)
        parts.dispatcher.wait_idle(CHECK_SECONDS_MAX)
        found = {
            account: finding
            for account, finding in parts.caretaker.findings().items()
            if finding.skew_seconds is not None
        }
        skewed = {account: each.skew_seconds for account, each in found.items() if each.is_skewed}
        # One channel alone against the others is that channel's clock: only its account suffers.
        if skewed and len(skewed) == len(found):
            said = ", ".join(f"{account} {seconds:+.0f} s" for account, seconds in skewed.items())
            raise ClockSkewed(
                f"this machine's clock is off the channels' clocks ({said}), more than the 300 s"
                " allowed: set this machine's clock, then start again"
            )

    def _keep_house(self) -> None:
        self._parts.ready.refresh()
        self._parts.schedule.check_clock()

    def _watch_wakes(self) -> None:
        self._parts.watch(self._on_foreign_wake, self._is_watch_over)

    def _is_watch_over(self) -> bool:
        return self._watch.is_stopping() or self._parts.stopping.is_set()

    def _on_foreign_wake(self, flow: str, account: str) -> None:
        self._parts.health.forget(account)
        self._parts.dispatcher.wake(flow, account)


def _end(part: str, stop: Callable[[], None]) -> None:
    """One part that cannot end, as when the database is away, must not keep the others from it."""
    try:
        stop()
    except Exception as error:
        log.exception("hub.stumbled", place=part, reason=str(error))
