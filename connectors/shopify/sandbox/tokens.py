"""Access tokens: one static token, or short-lived ones by the client-credentials grant."""

import json
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from connectors.shopify.sandbox.queries import SCOPES
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

TOKENS_KEPT_MAX: Final = 1_000


class Tokens:
    """Knows which tokens open the shop, and until when."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.static = f"shpat_{store.secret('static_token')}"
        self._granted: dict[str, datetime] = {}
        #: the seller took the app out: no token opens the shop
        self.are_revoked = False

    def opens(self, token: str) -> bool:
        if self.are_revoked:
            return False
        if token == self.static and not self._store.options.grants_tokens:
            return True
        expires_at, now = self._granted.get(token), self._store.now()
        lifetime = self._store.options.token_seconds
        if expires_at is None or expires_at <= now:
            return False
        age_seconds = lifetime - (expires_at - now).total_seconds()
        # F26 leaves fresh tokens alone: two refusals in a row would mean that the app was removed.
        is_fresh = age_seconds < min(self._store.options.hang_seconds, lifetime / 2)
        if not is_fresh and self._store.faults.fires("F26"):
            del self._granted[token]  # expired in the middle of things
            return False
        return True

    def grant(self, body: bytes, content_type: str) -> Reply:
        """Answer `POST /admin/oauth/access_token`."""
        asked = _form(body, content_type)
        store = self._store
        identity = (asked.get("client_id"), asked.get("client_secret"))
        if identity != (store.secret("client_id"), store.secret("client_secret")):
            return _answer(400, {"error": "invalid_client"})
        if asked.get("grant_type") != "client_credentials":
            return _answer(400, {"error": "unsupported_grant_type"})
        token = f"shpca_{store.secret(f'token/{store.next_id()}')}"
        lifetime = store.options.token_seconds
        if len(self._granted) >= TOKENS_KEPT_MAX:
            self._granted.pop(next(iter(self._granted)))
        self._granted[token] = store.now() + timedelta(seconds=lifetime)
        granted = {"access_token": token, "scope": ",".join(SCOPES), "expires_in": int(lifetime)}
        return _answer(200, granted)


def _form(body: bytes, content_type: str) -> dict[str, Any]:
    try:
        if "json" in content_type:
            asked = json.loads(body)
            return asked if isinstance(asked, dict) else {}
        return dict(parse_qsl(body.decode()))
    except (ValueError, RecursionError):
        return {}


def _answer(status: int, body: dict[str, Any]) -> Reply:
    return Reply(status=status, body=json.dumps(body).encode())
