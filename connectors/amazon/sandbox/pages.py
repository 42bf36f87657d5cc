"""Opaque page tokens: good for 24 hours and for the very request they were given to."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon.sandbox.answers import invalid
from oms_sync.sdk.sandbox_store import Store

LIFETIME: Final = timedelta(hours=24)
TOKENS_KEPT_MAX: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """Where a page ended, for whom."""

    asked: Hashable
    position: Any
    given_at: datetime


class Pages:
    """Remembers what its tokens stand for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bookmarks: dict[str, Bookmark] = {}

    def give(self, asked: Hashable, position: Any) -> str:
        store = self._store
        if len(self._bookmarks) >= TOKENS_KEPT_MAX:
            self._bookmarks.pop(next(iter(self._bookmarks)))
        token = store.secret(f"page/{store.next_id()}") + "=="
        self._bookmarks[token] = Bookmark(asked=asked, position=position, given_at=store.now())
        return token

    def take(self, token: str, asked: Hashable | None) -> Any:
        """The position of a token; refused when unknown, too old, or asked otherwise (`asked`)."""
        bookmark = self._bookmarks.get(token)
        if bookmark is None:
            raise invalid("The page token is invalid.")
        if self._store.now() - bookmark.given_at > LIFETIME or self._store.faults.fires("F21"):
            raise invalid("The page token has expired.")
        if asked is not None and asked != bookmark.asked:
            raise invalid("The page token belongs to a request with other parameters.")
        return bookmark.position
