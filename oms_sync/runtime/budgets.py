"""Notes what is left of each account's call budget where other processes can read it."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from oms_sync.runtime.sessions import AccountWiring
from oms_sync.sdk import Clock

NOTE_SECONDS: Final = 5.0

Record = Callable[[str, list[dict[str, Any]]], None]


class BudgetNotes:
    """Called after a run of an account; writes at most once in `NOTE_SECONDS`."""

    def __init__(
        self, wirings: Mapping[str, AccountWiring], *, record: Record, clock: Clock
    ) -> None:
        self._wirings, self._record, self._clock = wirings, record, clock
        self._noted: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, account: str) -> None:
        """Note the account's budget when the last note is old enough."""
        now = self._clock.monotonic()
        with self._lock:
            if now - self._noted.get(account, float("-inf")) < NOTE_SECONDS:
                return
            self._noted[account] = now
        self._record(account, self._wirings[account].gate.budget())
