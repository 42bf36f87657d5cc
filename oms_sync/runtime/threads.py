"""Background threads that cannot die unseen: named, stoppable, and contained.

A step that raises is logged at its first failure and at its recovery; the loop goes on.
"""

import threading
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

#: how long `stop` waits for the step at hand
STOP_SECONDS_MAX: Final = 5.0


class Loop:
    """Runs `step` every `period_seconds` in a daemon thread until it is stopped."""

    def __init__(self, name: str, step: Callable[[], None], *, period_seconds: float) -> None:
        self._name, self._step, self._period_seconds = name, step, period_seconds
        self._stop = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first step runs at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step at hand."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS_MAX)

    def is_stopping(self) -> bool:
        """True once `stop` was called; a step that blocks asks it."""
        return self._stop.is_set()

    def step_contained(self) -> None:
        """One step; what it raises is logged once and counted as failing until it works again."""
        try:
            self._step()
        except Exception as error:
            if not self._is_failing:
                log.exception("thread.failed", thread=self._name, reason=str(error))
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("thread.recovered", thread=self._name)
            self._is_failing = False

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step_contained()
            self._stop.wait(self._period_seconds)
