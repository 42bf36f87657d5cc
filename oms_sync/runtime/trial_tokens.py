"""New tokens, tried before anybody else may use them: a token store that keeps them to itself."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from oms_sync.sdk import TokenStore


class TrialTokens:
    """A TokenStore in front of the account's own, for one thread; `keep` hands over what is new."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        self._before = dict(store.load())
        self._fields = dict(self._before)

    def load(self) -> Mapping[str, str]:
        """The account's fields, with what was saved here."""
        return dict(self._fields)

    def save(self, fields: Mapping[str, str]) -> None:
        """Keep them here."""
        self._fields = dict(fields)

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else is here."""
        return nullcontext()

    def keep(self) -> None:
        """Change in the account's store what was changed here; what others wrote there stays."""
        fresh = {
            name: value for name, value in self._fields.items() if self._before.get(name) != value
        }
        gone = self._before.keys() - self._fields.keys()
        with self._store.locked():
            kept = {name: text for name, text in self._store.load().items() if name not in gone}
            self._store.save({**kept, **fresh})
