"""The seller's access token: granted by Login with Amazon, and handed to the SDK's clients.

The SDK's own token cache forgets beyond ten sellers, has no lock and never drops a refused token;
this one is per session, and its token is stored before it is used, for other processes too.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sp_api.auth.access_token_response import AccessTokenResponse
from sp_api.auth.exceptions import AuthorizationError

from connectors.amazon.faults import no_token
from oms_sync.sdk import AuthFailed, ChannelDown, OpenRequest
from oms_sync.sdk.granted_token import Grant, GrantedToken, read_grant

#: what the application may do without a seller
_SCOPE: Final = "sellingpartnerapi::notifications"

Ask = Callable[[Mapping[str, str]], Mapping[str, Any]]


class Tokens:
    """Where the SDK's clients take their tokens from; stands in for its token client."""

    def __init__(self, request: OpenRequest, ask: Ask) -> None:
        self._settings, self._ask, self._store = request.settings, ask, request.tokens
        #: good for everything about the seller
        self.sellers = GrantedToken(
            request.tokens,
            request.clock,
            grant=self._grant,
            credentials=lambda stored: (self._settings.lwa_client_id, self._consent(stored)),
        )
        #: the application's own, for where notifications go
        self.grantless = GrantedToken(
            request.tokens,
            request.clock,
            grant=lambda _: read_grant(self._asked(grant_type="client_credentials", scope=_SCOPE)),
            credentials=lambda _: (self._settings.lwa_client_id, _SCOPE),
            name="grantless_token",
        )

    @property
    def expires_at(self) -> datetime | None:
        """When the present token ends, None before the first."""
        return self.sellers.expires_at

    def get_auth(self) -> Any:
        """What the SDK asks for with every request."""
        return AccessTokenResponse(access_token=self.sellers.token())

    def get_grantless_auth(self, scope: str = _SCOPE) -> Any:
        """What the SDK asks for where no seller is concerned."""
        return AccessTokenResponse(access_token=self.grantless.token())

    def token(self) -> str:
        """A seller's token that should be good."""
        return self.sellers.token()

    def redeem(self, code: str, redirect_uri: str) -> None:
        """Exchange the code of a consent for a refresh token, stored before anything uses it."""
        asked = {"grant_type": "authorization_code", "code": code}
        answer = self._asked(**asked, **({"redirect_uri": redirect_uri} if redirect_uri else {}))
        refresh_token = answer.get("refresh_token")
        if not isinstance(refresh_token, str) or not refresh_token:
            raise ChannelDown("Login with Amazon took the code and granted no refresh token")
        with self._store.locked():
            self._store.save({**self._store.load(), "refresh_token": refresh_token})

    def _consent(self, stored: Mapping[str, str]) -> str:
        """A refresh token issued after set-up wins over the file's."""
        from_file = self._settings.refresh_token
        consent = stored.get("refresh_token") or (from_file and from_file.get_secret_value())
        if not consent:
            raise AuthFailed(
                "there is no refresh_token yet: run oms-sync accounts authorize, or enter the one "
                "of Seller Central, then resume the account"
            )
        return str(consent)

    def _grant(self, stored: Mapping[str, str]) -> Grant:
        consent = self._consent(stored)
        return read_grant(self._asked(grant_type="refresh_token", refresh_token=consent))

    def _asked(self, **words: str) -> Mapping[str, Any]:
        try:
            answer = self._ask(words)
        except AuthorizationError as error:
            raise no_token(str(error.error_code), str(error.message)) from None
        except ValueError as error:
            raise ChannelDown("Login with Amazon answered something that is not JSON") from error
        if not isinstance(answer, Mapping):
            raise ChannelDown("Login with Amazon answered no object")
        return answer
