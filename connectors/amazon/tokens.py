"""The seller's access token: granted by Login with Amazon, and handed to the SDK's clients.

The SDK's own token cache forgets beyond ten sellers, has no lock and never drops a refused token;
this one is per session, and its token is stored before it is used, for other processes too.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sp_api.auth.access_token_response import AccessTokenResponse
from sp_api.auth.exceptions import AuthorizationError

from connectors.amazon.faults import no_token
from oms_sync.sdk import ChannelDown, OpenRequest
from oms_sync.sdk.granted_token import Grant, GrantedToken, read_grant


class Tokens:
    """Where the SDK's clients take their token from; stands in for its token client."""

    def __init__(self, request: OpenRequest, ask: Callable[[str], Mapping[str, Any]]) -> None:
        self._settings, self._ask = request.settings, ask
        self._granted = GrantedToken(
            request.tokens,
            request.clock,
            grant=self._grant,
            credentials=lambda stored: (self._settings.lwa_client_id, self._consent(stored)),
        )

    @property
    def expires_at(self) -> datetime | None:
        """When the present token ends, None before the first."""
        return self._granted.expires_at

    def get_auth(self) -> Any:
        """What the SDK asks for with every request."""
        return AccessTokenResponse(access_token=self.token())

    def token(self) -> str:
        """A token that should be good."""
        return self._granted.token()

    def renew(self, refused: str) -> str:
        """Another token than the one just refused; raises AuthFailed where none is granted."""
        return self._granted.renew(refused)

    def _consent(self, stored: Mapping[str, str]) -> str:
        """A refresh token issued after set-up wins over the file's."""
        from_file: str = self._settings.refresh_token.get_secret_value()
        return stored.get("refresh_token") or from_file

    def _grant(self, stored: Mapping[str, str]) -> Grant:
        try:
            answer = self._ask(self._consent(stored))
        except AuthorizationError as error:
            raise no_token(str(error.error_code), str(error.message)) from None
        except ValueError as error:
            raise ChannelDown("Login with Amazon answered something that is not JSON") from error
        if not isinstance(answer, Mapping):
            raise ChannelDown("Login with Amazon answered no object")
        return read_grant(answer)
