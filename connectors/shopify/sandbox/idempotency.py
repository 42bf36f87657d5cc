"""Idempotency keys: the same key with the same variables gives the first answer again."""

import json
from collections.abc import Callable
from typing import Any, Final

from connectors.shopify.sandbox.answers import GraphRefusal, Payload, user_error

KEYS_MAX: Final = 50_000
_MESSAGES: Final = {
    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH": "The key was used before with other parameters.",
    "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED": "The first attempt failed. Use a new key.",
    "IDEMPOTENCY_CONCURRENT_REQUEST": "A request with this key is still being worked off.",
}


class Keys:
    """Remembers answers by key, the newest ones, as the vendor keeps keys for a while only."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[str, Payload]] = {}
        self._burnt: set[str] = set()
        self._running: set[str] = set()

    def once(
        self, field: str, key: str, arguments: dict[str, Any], act: Callable[[], Payload]
    ) -> Payload:
        fingerprint = json.dumps([field, arguments], sort_keys=True)
        if key in self._burnt:
            return _refused(field, "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")
        if key not in self._answers:
            if len(self._answers) >= KEYS_MAX:
                self._answers.pop(next(iter(self._answers)))
            self._answers[key] = (fingerprint, act())
        known, payload = self._answers[key]
        if known != fingerprint:
            return _refused(field, "IDEMPOTENCY_KEY_PARAMETER_MISMATCH")
        if key in self._running:
            return _refused(field, "IDEMPOTENCY_CONCURRENT_REQUEST")
        return payload

    def burn(self, keys: list[str]) -> None:
        """The first attempt with these keys ended in an internal error."""
        if len(self._burnt) < KEYS_MAX:
            self._burnt.update(key for key in keys if key not in self._answers)

    def mark(self, keys: list[str], *, is_running: bool) -> None:
        """While an answer hangs, its keys count as still being worked off."""
        (self._running.update if is_running else self._running.difference_update)(keys)


def _refused(field: str, code: str) -> Payload:
    if field != "inventorySetQuantities":  # the user errors of the others have no code
        raise GraphRefusal(_MESSAGES[code], code)
    return Payload(userErrors=[user_error(None, _MESSAGES[code], code)])
