"""How a seller lets the hub in: eBay's page, and the code it sends the browser away with."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from connectors.ebay.client import HOST
from connectors.ebay.tokens import PATH, SCOPE, ask_for_grant
from connectors.ebay.wire import Wire
from oms_sync import sdk
from oms_sync.sdk.granted_token import read_grant

PAGE_HOST: Final = "https://auth.ebay.com"
PAGE_PATH: Final = "/oauth2/authorize"
#: everything the hub does at eBay
SCOPES: Final = (
    SCOPE,
    f"{SCOPE}/sell.fulfillment",
    f"{SCOPE}/sell.inventory",
    f"{SCOPE}/sell.finances",
    f"{SCOPE}/commerce.notification.subscription",
)


def open_consent(request: sdk.OpenRequest) -> "EbayConsent":
    """Open the consent of one account; nothing is sent yet."""
    return EbayConsent(request)


class EbayConsent:
    """See `oms_sync.sdk.Consent`."""

    def __init__(self, request: sdk.OpenRequest) -> None:
        if not request.settings.ru_name:
            raise sdk.FixAccount(
                "settings.ru_name is not set: enter the redirect name from eBay's developer "
                "portal (User Tokens), then authorize again"
            )
        self._settings, self._tokens, self._clock = request.settings, request.tokens, request.clock
        self._page = f"{(request.endpoint or PAGE_HOST).rstrip('/')}{PAGE_PATH}"
        self._base_url = (request.endpoint or HOST).rstrip("/")
        self._wire = Wire(request.clock, self._base_url, request.calls, keeps_connections=False)

    def consent_url(self, state: str) -> str:
        """The page the seller opens.

        eBay asks who it is even where somebody is signed in: a browser may be another shop's.
        """
        query = {
            "client_id": self._settings.app_id,
            "redirect_uri": self._settings.ru_name,
            "response_type": "code",
            "scope": " ".join(SCOPES),
            "state": state,
            "prompt": "login",
        }
        return f"{self._page}?{urlencode(query)}"

    def redeem(self, answer: str, state: str) -> None:
        """Store the refresh token the code is good for; a code lives five minutes, and once."""
        code = _code(answer.strip(), state)
        keys = (self._settings.app_id, self._settings.cert_id.get_secret_value())
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.ru_name,
        }
        asked_at = self._clock.now()
        granted = ask_for_grant(self._wire, f"{self._base_url}{PATH}", keys, form)
        # The access token beside it is left: the first call gets one by the usual way.
        read_grant(granted)
        fields = {"refresh_token": _refresh_token(granted)}
        seconds = granted.get("refresh_token_expires_in")
        if type(seconds) is int and seconds > 0:
            ends_at = asked_at + timedelta(seconds=seconds)
            fields["refresh_token_expires_at"] = ends_at.isoformat()
        with self._tokens.locked():
            known = dict(self._tokens.load())
            known.pop("refresh_token_expires_at", None)
            self._tokens.save({**known, **fields})


def _code(answer: str, state: str) -> str:
    """The code in the address the browser ended at, or the code alone."""
    if not answer:
        raise sdk.AuthFailed("the answer is empty: paste the address the browser ended at")
    query = parse_qs(urlsplit(answer).query if "?" in answer else answer)
    if not query:
        return unquote(answer)  # as it stands in the address
    if "error" in query:
        raise sdk.AuthFailed("the seller declined: open the page again and agree")
    if query.get("state") != [state]:
        raise sdk.AuthFailed(
            "the answer belongs to another question: open the page of this very command, and "
            "paste the address it leads to"
        )
    if "code" not in query:
        raise sdk.AuthFailed("the address holds no code: paste it as the browser shows it")
    return query["code"][0]


def _refresh_token(granted: Mapping[str, Any]) -> str:
    token = granted.get("refresh_token")
    if not isinstance(token, str) or not token:
        raise sdk.BadPayload("eBay's answer to the code holds no refresh token")
    return token
