"""Which listings the Inventory API owns: Trading refuses to revise them, and says so once.

It is written down, for a restart would pay for learning it again with one refused call a listing.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

_FIELD: Final = "inventory_listings"
#: as many are known; of those learnt last so many are written down
KNOWN_MAX: Final = 100_000
KEPT_MAX: Final = 5_000


class Ownership:
    """ItemIDs that go by REST; used by one thread at a time."""

    def __init__(self, store: sdk.TokenStore) -> None:
        self._store = store
        self._known: OrderedDict[str, None] | None = None
        self._is_new = False

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._loaded()

    def learn(self, item_ids: Iterable[str]) -> None:
        """Trading may not revise these; written down by `keep`."""
        known = self._loaded()
        for item_id in item_ids:
            if item_id not in known:
                known[item_id] = None
                self._is_new = True
        while len(known) > KNOWN_MAX:
            known.popitem(last=False)  # the one learnt first

    def keep(self) -> None:
        """Write down what was learnt since the last time."""
        if not self._is_new:
            return
        text = json.dumps(list(self._loaded())[-KEPT_MAX:])
        with self._store.locked():
            self._store.save({**self._store.load(), _FIELD: text})
        self._is_new = False

    def _loaded(self) -> OrderedDict[str, None]:
        if self._known is None:
            text = self._store.load().get(_FIELD)
            self._known = OrderedDict.fromkeys(read_json(text.encode()) if text else ())
        return self._known
