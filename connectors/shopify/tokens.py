"""The shop's access token: a static one, or one granted to the app and renewed early."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from connectors.shopify.faults import raise_for_status
from connectors.shopify.wire import Wire
from oms_sync.sdk import AuthFailed, OpenRequest
from oms_sync.sdk.granted_token import Grant, GrantedToken, read_grant
from oms_sync.sdk.strict_json import read_json

_REFUSALS: Final = (400, 401, 403)
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class Credentials:
    """Where the client takes its token from."""

    def __init__(self, request: OpenRequest, base_url: str, wire: Wire) -> None:
        self._settings = request.settings
        self._url, self._wire = f"{base_url}/admin/oauth/access_token", wire
        self._granted = GrantedToken(
            request.tokens, request.clock, grant=self._grant, credentials=self._pair
        )

    @property
    def expires_at(self) -> datetime | None:
        """When the present token ends; None when it does not."""
        return self._granted.expires_at

    def token(self) -> str:
        """A token that should be good."""
        if self._settings.access_token is not None:
            return str(self._settings.access_token.get_secret_value())
        return self._granted.token()

    def renew(self, refused: str) -> str:
        """Another token than the one just refused; raises AuthFailed where there is none."""
        if self._settings.access_token is not None:
            raise AuthFailed("the shop refuses settings.access_token: enter a new one, then resume")
        return self._granted.renew(refused)

    def _pair(self, _: Mapping[str, str]) -> tuple[str, ...]:
        return self._settings.client_id, self._settings.client_secret.get_secret_value()

    def _grant(self, stored: Mapping[str, str]) -> Grant:
        client_id, client_secret = self._pair(stored)
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        reply = self._wire.post(self._url, urlencode(form).encode(), _FORM, is_write=False)
        if reply.status in _REFUSALS:
            raise AuthFailed(
                f"the shop refuses client_id and client_secret (HTTP {reply.status}): check them "
                "and that the app is installed, then resume the account"
            )
        raise_for_status(reply.status, reply.headers, is_write=False)
        return read_grant(read_json(reply.body))
