"""APScheduler timers: one job per (account, flow), and one for each time a flow asked for.

A timer only wakes a flow; it runs nothing itself. Timers follow the wall clock, so a jump of the
clock is noticed on the monotonic one, and every timer is set anew.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from oms_sync.runtime.pipeline import flows_of
from oms_sync.runtime.sessions import AccountWiring
from oms_sync.runtime.tend import TEND, TEND_SECONDS
from oms_sync.sdk import Clock

log = structlog.get_logger()

POLL_SECONDS_MIN: Final = 1.0
#: how often a flow without a period of its own looks again, should every wake-up be lost
RETRY_SECONDS: Final = 10.0
#: how often a day to certify is looked for, beside the moment it is due
CERTIFY_SECONDS: Final = 300.0
#: how often it is asked whether an account's listings are to be looked through, beside that moment
DISCOVER_SECONDS: Final = 300.0
#: how often each account is asked whether it is too quiet
WATCH_SECONDS: Final = 30.0
#: how often each account is looked through for personal data that is due to be erased
ERASE_SECONDS: Final = 3600.0
#: a wall clock that moved so much against the monotonic one has jumped
JUMP_SECONDS: Final = 5.0
#: a flow that asks to come back later than this is woken by its ordinary period anyway
AHEAD_MAX: Final = timedelta(hours=24)


class Schedule:
    """The timers of one daemon."""

    def __init__(
        self,
        wake: Callable[[str, str], None],
        *,
        wirings: Mapping[str, AccountWiring],
        clock: Clock,
    ) -> None:
        self._wake, self._wirings, self._clock = wake, wirings, clock
        self._lock = threading.Lock()
        #: when each flow was asked to come back, the earliest
        self._asked: dict[tuple[str, str], datetime] = {}
        self._offset = self._measure()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Set every timer and wake every flow once; who starts us has tended the accounts."""
        self._scheduler.start()
        self._set_periods()
        self._wake_all(but=TEND)

    def stop(self) -> None:
        """End all timers."""
        if self._scheduler.running:
            # Shut down while it looks at its jobs, APScheduler loses the one it is about to
            # remove; paused and without jobs it has nothing to look at.
            self._scheduler.pause()
            self._scheduler.remove_all_jobs()
            self._scheduler.shutdown(wait=False)

    def at(self, flow: str, account: str, when: datetime) -> None:
        """Wake the flow then, or earlier when an earlier time was asked for before."""
        with self._lock:
            now, key = self._clock.now(), (flow, account)
            when = min(when, now + AHEAD_MAX)
            asked = self._asked.get(key)
            if asked is not None and now < asked <= when:
                return
            self._asked[key] = when
            self._set_date(key, when)

    def check_clock(self) -> None:
        """Notice a jump of the wall clock, set the timers anew and wake every flow."""
        offset = self._measure()
        jumped = offset - self._offset
        if abs(jumped) < JUMP_SECONDS:
            return
        self._offset = offset
        log.warning("clock.jumped", seconds=round(jumped, 1))
        with self._lock:
            asked, self._asked = list(self._asked), {}
        for flow, account in asked:
            self._remove(_date_id(flow, account))
        self._set_periods()
        self._wake_all()

    def periods(self) -> dict[tuple[str, str], float]:
        """Seconds between two looks of every (flow, account)."""
        found: dict[tuple[str, str], float] = {}
        for account, wiring in self._wirings.items():
            for flow in flows_of(wiring.manifest):
                found[flow, account] = RETRY_SECONDS
            found["erase", account] = ERASE_SECONDS
            if ("ingest", account) in found:
                poll = max(POLL_SECONDS_MIN, wiring.profile.poll_seconds)
                found["ingest", account] = poll
                found["reconcile", account] = wiring.profile.reconcile_seconds
            if ("certify", account) in found:
                found["certify", account] = CERTIFY_SECONDS
            if ("discover", account) in found:
                found["discover", account] = DISCOVER_SECONDS
            if ("watch", account) in found:
                found["watch", account] = WATCH_SECONDS
            found[TEND, account] = TEND_SECONDS
        return found

    def _measure(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _set_periods(self) -> None:
        for (flow, account), seconds in self.periods().items():
            self._scheduler.add_job(
                self._wake,
                IntervalTrigger(seconds=seconds, timezone=UTC),
                args=(flow, account),
                id=f"{flow}:{account}",
                replace_existing=True,
            )

    def _set_date(self, key: tuple[str, str], when: datetime) -> None:
        self._scheduler.add_job(
            self._come_back,
            DateTrigger(when, timezone=UTC),
            args=key,
            id=_date_id(*key),
            replace_existing=True,
        )

    def _come_back(self, flow: str, account: str) -> None:
        with self._lock:
            self._asked.pop((flow, account), None)
        self._wake(flow, account)

    def _wake_all(self, *, but: str = "") -> None:
        for flow, account in self.periods():
            if flow != but:
                self._wake(flow, account)

    def _remove(self, job_id: str) -> None:
        try:
            self._scheduler.remove_job(job_id)
        except JobLookupError:
            return  # it fired in the meantime


def _date_id(flow: str, account: str) -> str:
    return f"{flow}:{account}:asked"
