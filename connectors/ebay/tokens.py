"""Access tokens: the seller's, by the refresh grant, and the application's own.

The refresh token itself never changes; one given later by a consent is in the store and wins over
the file.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from connectors.ebay.faults import STATUS_OK, raise_for_status
from connectors.ebay.wire import Exchange, Reply, Wire
from oms_sync.sdk import AuthFailed, BadPayload, ChannelError, OpenRequest, PermissionMissing
from oms_sync.sdk.granted_token import Grant, GrantedToken, read_grant
from oms_sync.sdk.strict_json import read_json

SCOPE: Final = "https://api.ebay.com/oauth/api_scope"
PATH: Final = "/identity/v1/oauth2/token"
USER: Final = "user"
APPLICATION: Final = "application"
_CODE: Final = re.compile("[a-z_]{1,40}")


class Credentials:
    """Where clients take their tokens from, by kind: USER or APPLICATION."""

    def __init__(self, request: OpenRequest, base_url: str, wire: Wire) -> None:
        self._settings = request.settings
        self._url, self._wire = f"{base_url}{PATH}", wire
        grants = (
            (USER, self._grant_user, self._consent),
            (APPLICATION, self._grant_own, self._keys),
        )
        self._tokens = {
            kind: GrantedToken(
                request.tokens, request.clock, grant=grant, credentials=credentials, name=kind
            )
            for kind, grant, credentials in grants
        }

    @property
    def consent_ends_at(self) -> datetime | None:
        """When the seller has to consent anew; None where nobody said so."""
        text = self._tokens[USER].fields.get("refresh_token_expires_at")
        return datetime.fromisoformat(text) if text else None

    def token(self, kind: str) -> str:
        """A token that should be good."""
        return self._tokens[kind].token()

    def renew(self, kind: str, refused: str) -> str:
        """Another token than the one just refused."""
        return self._tokens[kind].renew(refused)

    def prove(self) -> None:
        """Have a token granted now; raises AuthFailed once the seller revoked the consent."""
        self._tokens[USER].prove()

    def _keys(self, _: Mapping[str, str]) -> tuple[str, ...]:
        return self._settings.app_id, self._settings.cert_id.get_secret_value()

    def _consent(self, stored: Mapping[str, str]) -> tuple[str, ...]:
        return *self._keys(stored), self._refresh_token(stored)

    def _refresh_token(self, stored: Mapping[str, str]) -> str:
        from_file = self._settings.refresh_token
        return stored.get("refresh_token") or (from_file.get_secret_value() if from_file else "")

    def _grant_user(self, stored: Mapping[str, str]) -> Grant:
        refresh_token = self._refresh_token(stored)
        if not refresh_token:
            raise AuthFailed(
                "the seller has not consented yet: oms-sync accounts authorize ACCOUNT, or enter "
                "settings.refresh_token; then resume the account"
            )
        # Without a scope the grant covers everything the seller consented to.
        return self._grant("refresh_token", refresh_token=refresh_token)

    def _grant_own(self, _: Mapping[str, str]) -> Grant:
        return self._grant("client_credentials", scope=SCOPE)

    def _grant(self, grant_type: str, **form: str) -> Grant:
        asked = {"grant_type": grant_type, **form}
        return read_grant(ask_for_grant(self._wire, self._url, self._keys({}), asked))


def ask_for_grant(
    wire: Wire, url: str, keys: tuple[str, ...], form: Mapping[str, str]
) -> Mapping[str, Any]:
    """What the token endpoint grants; `keys` are the application's."""
    headers = {
        "Authorization": f"Basic {base64.b64encode(':'.join(keys).encode()).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    exchange = Exchange(
        operation="token", method="POST", url=url, headers=headers, body=urlencode(form).encode()
    )
    return _answer(wire.send(exchange))


def _answer(reply: Reply) -> Mapping[str, Any]:
    raise_for_status(reply.status, reply.headers, is_write=False)
    try:
        fields = read_json(reply.body)
    except BadPayload:
        fields = None
    fields = fields if isinstance(fields, dict) else {}
    if reply.status not in STATUS_OK:
        raise _refused(reply.status, str(fields.get("error")))
    return fields


def _refused(status: int, code: str) -> ChannelError:
    said = code if _CODE.fullmatch(code) else f"HTTP {status}"
    if code == "invalid_scope":
        return PermissionMissing(
            f"eBay refuses the scopes ({said}): let the seller consent to all of them, then resume"
        )
    if code == "invalid_grant":
        return AuthFailed(
            f"the seller's consent has ended or was revoked ({said}): let the seller consent anew "
            "(oms-sync accounts authorize ACCOUNT), then resume the account"
        )
    return AuthFailed(
        f"eBay refuses app_id and cert_id ({said}): check them, then resume the account"
    )
