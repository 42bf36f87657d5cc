"""Which accounts' credentials were proved in this process to open the account's own shop.

What speaks to a channel waits for that proof: a moment after a start, or, once the credentials were
refused, until they are accepted again.
"""

import threading
from typing import Final

#: after a start a check that cannot be had keeps the orders waiting so long, and no longer
PROOF_SECONDS_MAX: Final = 120.0


class IdentityProofs:
    """What `tend` has found out, for the runner to ask; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proved: set[str] = set()
        self._refused: set[str] = set()
        #: when each account was first asked for, monotonic
        self._asked_at: dict[str, float] = {}

    def prove(self, account: str) -> None:
        """Its credentials were accepted, and open its own shop."""
        with self._lock:
            self._proved.add(account)
            self._refused.discard(account)

    def refuse(self, account: str) -> None:
        """They were refused, or open another one: nothing runs before the next proof."""
        with self._lock:
            self._proved.discard(account)
            self._refused.add(account)

    def may_run(self, account: str, *, at: float) -> bool:
        """True when the account's flows may speak to its channel now."""
        with self._lock:
            if account in self._proved:
                return True
            waited = at - self._asked_at.setdefault(account, at)
            return account not in self._refused and waited >= PROOF_SECONDS_MAX
