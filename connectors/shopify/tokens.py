"""The shop's access token: a static one, or one granted to the app and renewed early.

One refresher at a time, also across processes; a new token is stored before it is used.
"""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from connectors.shopify.faults import raise_for_status
from connectors.shopify.wire import Wire
from oms_sync.sdk import AuthFailed, BadPayload, OpenRequest
from oms_sync.sdk.strict_json import read_json

RENEW_EARLY_SECONDS: Final = 300.0
#: a short-lived token is renewed when this share of its life is left
RENEW_EARLY_SHARE: Final = 0.1
_REFUSALS: Final = (400, 401, 403)
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class Credentials:
    """Where the client takes its token from."""

    def __init__(self, request: OpenRequest, base_url: str, wire: Wire) -> None:
        self._settings, self._clock, self._tokens = request.settings, request.clock, request.tokens
        self._url, self._wire = f"{base_url}/admin/oauth/access_token", wire
        self._lock = threading.Lock()
        self._fields: Mapping[str, str] = {}

    @property
    def expires_at(self) -> datetime | None:
        """When the present token ends; None when it does not."""
        text = self._fields.get("expires_at")
        return datetime.fromisoformat(text) if text else None

    def token(self) -> str:
        """A token that should be good."""
        if self._settings.access_token is not None:
            return str(self._settings.access_token.get_secret_value())
        fields = self._fields
        return fields["access_token"] if self._is_fresh(fields) else self._obtain(None)

    def renew(self, refused: str) -> str:
        """Another token than the one just refused; raises AuthFailed where there is none."""
        if self._settings.access_token is not None:
            raise AuthFailed("the shop refuses settings.access_token: enter a new one, then resume")
        return self._obtain(refused)

    def _obtain(self, refused: str | None) -> str:
        with self._lock, self._tokens.locked():
            stored = self._tokens.load()
            if not self._is_fresh(stored) or stored["access_token"] == refused:
                stored = self._grant()
                self._tokens.save(stored)
            self._fields = stored
            return stored["access_token"]

    def _is_fresh(self, fields: Mapping[str, str]) -> bool:
        if not fields.get("access_token") or not fields.get("renew_at"):
            return False
        return self._clock.now() < datetime.fromisoformat(fields["renew_at"])

    def _grant(self) -> dict[str, str]:
        asked_at, settings = self._clock.now(), self._settings
        form = {"grant_type": "client_credentials", "client_id": settings.client_id}
        form["client_secret"] = settings.client_secret.get_secret_value()
        reply = self._wire.post(self._url, urlencode(form).encode(), _FORM, is_write=False)
        if reply.status in _REFUSALS:
            raise AuthFailed(
                f"the shop refuses client_id and client_secret (HTTP {reply.status}): check them "
                "and that the app is installed, then resume the account"
            )
        raise_for_status(reply.status, reply.headers, is_write=False)
        granted = read_json(reply.body)
        fields = granted if isinstance(granted, dict) else {}
        token, seconds = fields.get("access_token"), fields.get("expires_in")
        if not isinstance(token, str) or not token or type(seconds) is not int or seconds < 0:
            raise BadPayload("the shop's answer to the client-credentials grant holds no token")
        early = min(RENEW_EARLY_SECONDS, seconds * RENEW_EARLY_SHARE)
        return {
            "access_token": token,
            "expires_at": (asked_at + timedelta(seconds=seconds)).isoformat(),
            "renew_at": (asked_at + timedelta(seconds=seconds - early)).isoformat(),
        }
