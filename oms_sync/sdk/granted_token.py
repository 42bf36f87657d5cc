"""A short-lived access token: granted when needed, renewed early, stored before it is used.

One refresher at a time, also across processes: whoever comes second finds the token in the store.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from oms_sync.sdk.errors import BadPayload
from oms_sync.sdk.ports import Clock, TokenStore

RENEW_EARLY_SECONDS: Final = 300.0
#: a token shorter-lived than that is renewed when this share of its life is left
RENEW_EARLY_SHARE: Final = 0.1
#: a token granted within this time proves that the channel still grants us any
PROOF_SECONDS: Final = 60.0
_OWNER_DIGITS: Final = 16
_PROOF: Final = timedelta(seconds=PROOF_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a channel grants: a token, and how many seconds it lives from the question on."""

    token: str
    seconds: int


def read_grant(answer: Any) -> Grant:
    """The grant in an OAuth token endpoint's answer (RFC 6749, 5.1); raises BadPayload."""
    fields = answer if isinstance(answer, Mapping) else {}
    token, seconds = fields.get("access_token"), fields.get("expires_in")
    if not isinstance(token, str) or not token or type(seconds) is not int or seconds < 0:
        raise BadPayload("the answer of the channel's token endpoint holds no token")
    return Grant(token=token, seconds=seconds)


class GrantedToken:
    """One account's token of one kind; safe from several threads.

    `grant` asks the channel and raises errors of `sdk.errors`; it is handed the stored fields,
    where a refresh token issued after set-up may be. `credentials` names what a token belongs to:
    with other credentials a stored token is not used. Several kinds share a store by `name`.
    """

    def __init__(
        self,
        store: TokenStore,
        clock: Clock,
        *,
        grant: Callable[[Mapping[str, str]], Grant],
        credentials: Callable[[Mapping[str, str]], tuple[str, ...]],
        name: str = "access_token",
    ) -> None:
        self._store, self._clock, self._name = store, clock, name
        self._grant, self._credentials = grant, credentials
        self._lock = threading.Lock()
        self._fields: Mapping[str, str] = {}

    @property
    def expires_at(self) -> datetime | None:
        """When the present token ends, None before the first."""
        text = self._fields.get(f"{self._name}_expires_at")
        return datetime.fromisoformat(text) if text else None

    @property
    def fields(self) -> Mapping[str, str]:
        """What the store held when the present token was taken from it."""
        return self._fields

    def token(self) -> str:
        """A token that should be good; asks the channel where none is."""
        fields = self._fields
        return fields[self._name] if self._is_fresh(fields) else self._obtain(None)

    def renew(self, refused: str) -> str:
        """Another token than the one the channel has just refused."""
        return self._obtain(refused)

    def prove(self) -> str:
        """A token granted just now: a consent that was revoked is noticed, although the present
        token may still open doors. At most one grant a minute, however often it is asked for.
        """
        return self._obtain(None, granted_after=self._clock.now() - _PROOF)

    def _obtain(self, refused: str | None, *, granted_after: datetime | None = None) -> str:
        with self._lock, self._store.locked():
            stored = self._store.load()
            is_good = self._is_fresh(stored) and stored[self._name] != refused
            if not is_good or not self._is_younger(stored, granted_after):
                stored = {**stored, **self._granted(stored)}
                self._store.save(stored)
            self._fields = stored
            return stored[self._name]

    def _is_fresh(self, fields: Mapping[str, str]) -> bool:
        renew_at = fields.get(f"{self._name}_renew_at")
        if not fields.get(self._name) or not renew_at:
            return False
        is_ours = fields.get(f"{self._name}_of") == self._owner(fields)
        return is_ours and self._clock.now() < datetime.fromisoformat(renew_at)

    def _is_younger(self, fields: Mapping[str, str], than: datetime | None) -> bool:
        granted_at = fields.get(f"{self._name}_granted_at")
        if than is None:
            return True
        return granted_at is not None and datetime.fromisoformat(granted_at) > than

    def _owner(self, fields: Mapping[str, str]) -> str:
        """Tells tokens of these credentials from others', and shows nothing of them."""
        words = "\n".join(self._credentials(fields))
        return hashlib.sha256(words.encode()).hexdigest()[:_OWNER_DIGITS]

    def _granted(self, stored: Mapping[str, str]) -> dict[str, str]:
        asked_at = self._clock.now()
        grant = self._grant(stored)
        early = min(RENEW_EARLY_SECONDS, grant.seconds * RENEW_EARLY_SHARE)
        ends_at = asked_at + timedelta(seconds=grant.seconds)
        return {
            self._name: grant.token,
            f"{self._name}_granted_at": asked_at.isoformat(),
            f"{self._name}_expires_at": ends_at.isoformat(),
            f"{self._name}_renew_at": (ends_at - timedelta(seconds=early)).isoformat(),
            f"{self._name}_of": self._owner(stored),
        }
