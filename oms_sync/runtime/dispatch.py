"""The port "run flow F for account A soon", and its engine inside one process.

Wake-ups coalesce; one run at a time per (flow, account); a wake-up during a run runs it again.
An account never gets so many threads that another has to wait for it.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

import structlog

from oms_sync.runtime.pipeline import LONG_FLOWS, PATIENT_FLOWS, STANDING_FLOWS, flows_of
from oms_sync.runtime.runner import RunResult
from oms_sync.sdk import Manifest

log = structlog.get_logger()

WORKERS_MAX: Final = 72
#: one each for a list of all listings, for another long flow, and for a push
WORKERS_PER_ACCOUNT_MIN: Final = 3
WORKERS_PER_ACCOUNT_MAX: Final = 7
#: threads for the flows that stand at a queue, besides the others; more accounts take turns
STANDING_WORKERS_MAX: Final = 48

Key = tuple[str, str]


class Dispatcher(Protocol):
    """Whoever wants a flow to look again says so here; a lost wake-up costs time, never data."""

    def wake(self, flow: str, account: str) -> None:
        """Run the flow for the account soon."""
        ...


class LocalDispatcher:
    """Threads of this process. `run` never raises; `on_next` is told when a flow looks again."""

    def __init__(
        self,
        run: Callable[[str, str], RunResult],
        *,
        manifests: Mapping[str, Manifest],
        on_next: Callable[[str, str, datetime], None],
    ) -> None:
        self._run, self._on_next = run, on_next
        self._excluded = {name: _exclusions(each) for name, each in manifests.items()}
        share = WORKERS_MAX // max(1, len(manifests))
        self._share = max(WORKERS_PER_ACCOUNT_MIN, min(WORKERS_PER_ACCOUNT_MAX, share))
        standing = sum(not STANDING_FLOWS.isdisjoint(flows_of(one)) for one in manifests.values())
        self._workers_max = min(WORKERS_MAX, self._share * max(1, len(manifests)))
        self._workers_max += min(STANDING_WORKERS_MAX, standing)
        self._changed = threading.Condition()
        #: keys to run, in the order they were woken
        self._pending: dict[Key, None] = {}
        self._running: set[Key] = set()
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._is_started = self._is_stopping = False

    def wake(self, flow: str, account: str) -> None:
        """Run the flow for the account soon; an account not wired here is ignored."""
        if account not in self._excluded:
            return
        with self._changed:
            self._pending.setdefault((flow, account))
            self._engage()

    def start(self) -> None:
        """Begin to run what was woken."""
        with self._changed:
            self._is_started = True
            self._engage()

    def stop(self, timeout_seconds: float) -> bool:
        """Start nothing more and wait for what runs; False when something did not end in time."""
        with self._changed:
            self._is_stopping = True
            self._pending.clear()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._running, timeout_seconds)

    def running(self) -> list[Key]:
        """What runs now."""
        with self._changed:
            return sorted(self._running)

    def wait_idle(self, timeout_seconds: float) -> bool:
        """Wait until nothing runs and nothing waits; timers may wake something afterwards.

        What stands at a queue always runs and is not waited for.
        """
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout_seconds)

    def _is_idle(self) -> bool:
        return all(flow in STANDING_FLOWS for flow, _ in (*self._running, *self._pending))

    def _engage(self) -> None:
        """Wake an idle thread for what may run, or start one; the condition is held."""
        if not self._is_started or self._is_stopping or self._next() is None:
            return
        if self._idle == 0 and len(self._threads) < self._workers_max:
            name = f"flow-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify_all()

    def _next(self) -> Key | None:
        return next((key for key in self._pending if self._may_start(key)), None)

    def _may_start(self, key: Key) -> bool:
        flow, account = key
        if key in self._running:
            return False
        beside = [other for other, name in self._running if name == account]
        if any(frozenset((flow, other)) in self._excluded[account] for other in beside):
            return False
        standing = sum(other in STANDING_FLOWS for other, _ in self._running)
        if flow in STANDING_FLOWS:
            return standing < STANDING_WORKERS_MAX
        busy = sum(other not in STANDING_FLOWS for other in beside)
        return busy < self._share - (flow in LONG_FLOWS) - (flow in PATIENT_FLOWS)

    def _work(self) -> None:
        while (key := self._take()) is not None:
            result = None
            try:
                result = self._run(*key)
            finally:
                self._finish(key, result)

    def _take(self) -> Key | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._is_stopping or self._next() is not None)
            self._idle -= 1
            key = None if self._is_stopping else self._next()
            if key is not None:
                del self._pending[key]
                self._running.add(key)
                self._engage()  # the next one may start beside it
            return key

    def _finish(self, key: Key, result: RunResult | None) -> None:
        with self._changed:
            self._running.discard(key)
            if result is not None and result.is_more and not self._is_stopping:
                self._pending.setdefault(key)
            self._engage()
            self._changed.notify_all()
            is_over = self._is_stopping
        if result is not None and result.next_at is not None and not is_over:
            flow, account = key
            self._on_next(result.next_flow or flow, account, result.next_at)


def _exclusions(manifest: Manifest) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(pair) for pair in manifest.exclusive_flows)
