"""The last calls of each account, masked as they come in and stored with the budgets."""

import threading
from collections import deque
from dataclasses import replace
from typing import Final

from oms_sync.flows.budgets import CALLS_MAX
from oms_sync.runtime.redaction import Redactor
from oms_sync.sdk import Call

#: of an operation's name, a status, a request id
TEXT_MAX: Final = 120


class CallRing:
    """The CallLog of one account; see `sdk.CallLog`. Callers may come from several threads."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._lock = threading.Lock()
        self._fresh: deque[Call] = deque(maxlen=CALLS_MAX)

    def note(self, call: Call) -> None:
        """Keep it without what must not be shown; never raises."""
        masked = replace(
            call,
            operation=self._shown(call.operation),
            status=self._shown(call.status),
            request_id=self._shown(call.request_id),
        )
        with self._lock:
            self._fresh.append(masked)

    def drain(self) -> tuple[Call, ...]:
        """What was noted since this was last asked, the newest last."""
        with self._lock:
            calls = tuple(self._fresh)
            self._fresh.clear()
        return calls

    def give_back(self, calls: tuple[Call, ...]) -> None:
        """Take back what could not be stored, as far as there is room."""
        with self._lock:
            room = CALLS_MAX - len(self._fresh)
            self._fresh.extendleft(reversed(calls[-room:] if room else ()))

    def _shown(self, text: object) -> str:
        return self._redactor.text(str(text))[:TEXT_MAX]
