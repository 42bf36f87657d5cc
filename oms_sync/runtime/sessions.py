"""Opens one connector session per account, when it is first needed, and again after a failure.

A session is used by several threads; one that was discarded is closed when its last user is done.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from oms_sync.flows.records import AccountProfile
from oms_sync.runtime.rate import RateBuckets
from oms_sync.sdk import Consent, Manifest, Session, WebhookPart

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountWiring:
    """Everything the daemon needs of one usable account, made once by bootstrap."""

    profile: AccountProfile
    manifest: Manifest
    #: opens a session; it may write only when the account is live
    open: Callable[[], Session]
    gate: RateBuckets
    #: the connector's validated settings: what a webhook is verified with
    settings: Any = None
    webhook: WebhookPart | None = None
    #: opens the part that verifies, where that takes a key the channel hands out
    open_webhook: Callable[[], WebhookPart] | None = None
    #: where the channel may send webhooks, None when the account only polls
    webhook_url: str | None = None
    #: opens what asks the owner for consent, None where the channel asks for none
    consent: Callable[[], Consent] | None = None


@dataclass(slots=True)
class _Opened:
    session: Session
    users: int = 0
    is_discarded: bool = False


class Sessions:
    """The open sessions of this process."""

    def __init__(self, wirings: Mapping[str, AccountWiring]) -> None:
        self._wirings = wirings
        #: one lock per account, because opening may ask the channel
        self._locks = {name: threading.Lock() for name in wirings}
        self._opened: dict[str, _Opened] = {}

    @contextmanager
    def use(self, account: str) -> Iterator[Session]:
        """The account's session for the length of the block."""
        with self._locks[account]:
            opened = self._opened.get(account)
            if opened is None:
                opened = _Opened(self._wirings[account].open())
                self._opened[account] = opened
            opened.users += 1
        try:
            yield opened.session
        finally:
            with self._locks[account]:
                opened.users -= 1
                is_over = opened.is_discarded and opened.users == 0
            if is_over:
                _close(opened.session, account)

    def discard(self, account: str) -> None:
        """The next use opens a new session, with the newest credentials."""
        with self._locks[account]:
            opened = self._opened.pop(account, None)
            if opened is None:
                return
            opened.is_discarded = True
            is_over = opened.users == 0
        if is_over:
            _close(opened.session, account)

    def close(self) -> None:
        """Give every session back."""
        for account in self._wirings:
            self.discard(account)


def _close(session: Session, account: str) -> None:
    try:
        session.close()
    except Exception as error:
        # it is not used again either way: a connector that cannot close harms nobody
        log.warning("session.leaked", account=account, reason=str(error), exc_info=True)
