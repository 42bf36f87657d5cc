"""Login with Amazon: short-lived access tokens for a refresh token, or for a grantless scope."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlencode

from connectors.amazon.sandbox.answers import Refused, answer
from connectors.amazon.sandbox.marketplace import seller_id
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

TOKEN_PATH: Final = "/auth/o2/token"  # noqa: S105 - a path
CONSENT_PATH: Final = "/apps/authorize/consent"
TOKENS_KEPT_MAX: Final = 1_000
_TEXT: Final = (("content-type", "text/plain"),)
SCOPES: Final = ("sellingpartnerapi::notifications", "sellingpartnerapi::migration")


class Tokens:
    """Knows which tokens open the API, for whom, and until when."""

    def __init__(self, store: Store) -> None:
        self._store = store
        secret = store.secret
        self.client_id = f"amzn1.application-oa2-client.{secret('client_id')}"
        self.client_secret = f"amzn1.oa2-cs.v1.{secret('client_secret')}"
        self.refresh_token = f"Atzr|{secret('refresh_token')}"
        self.application_id = f"amzn1.sp.solution.{secret('application')}"
        self.are_revoked = False
        #: codes of consents, good once
        self._codes: set[str] = set()
        #: (expires at, is grantless) by access token
        self._granted: dict[str, tuple[datetime, bool]] = {}

    def check(self, token: str | None, *, is_grantless: bool) -> None:
        """Refuse as Amazon does unless the token opens this kind of operation now."""
        if not token:
            raise _denied("Access token is missing in the request header.")
        granted = self._granted.get(token)
        if granted is None or granted[1] is not is_grantless:
            raise _denied("The access token you provided is revoked, malformed or invalid.")
        store, lifetime = self._store, self._store.options.token_seconds
        left = (granted[0] - store.now()).total_seconds()
        if left <= 0 or (self.are_revoked and not is_grantless):
            raise _denied("The access token you provided has expired.")
        # F26 leaves fresh tokens alone: two refusals in a row would mean a missing permission.
        is_fresh = lifetime - left < min(store.options.hang_seconds, lifetime / 2)
        if not is_fresh and store.faults.fires("F26"):
            del self._granted[token]
            raise _denied("The access token you provided has expired.")

    def grant(self, body: bytes) -> Reply:
        """Answer `POST /auth/o2/token`."""
        try:
            asked = dict(parse_qsl(body.decode()))
        except UnicodeDecodeError:
            return _failed("invalid_request", "The request is not form-encoded")
        identity = (asked.get("client_id"), asked.get("client_secret"))
        if identity != (self.client_id, self.client_secret):
            return _failed("invalid_client", "Client authentication failed", status=401)
        kind = asked.get("grant_type")
        refused = self._refused(kind, asked)
        return refused or self._issue(is_grantless=kind == "client_credentials")

    def _refused(self, kind: str | None, asked: Mapping[str, str]) -> Reply | None:
        if kind == "refresh_token":
            if asked.get("refresh_token") != self.refresh_token or self.are_revoked:
                return _failed("invalid_grant", "The request has an invalid grant parameter")
        elif kind == "authorization_code":
            if asked.get("code") not in self._codes:
                return _failed("invalid_grant", "The authorization code is unknown or was used")
            self._codes.remove(asked["code"])
            self.refresh_token = f"Atzr|{self._store.secret(f'consent/{self._store.next_id()}')}"
            self.are_revoked = False
        elif kind != "client_credentials":
            return _failed("unsupported_grant_type", "The grant type is not supported")
        elif asked.get("scope") not in SCOPES:
            return _failed("invalid_scope", "The requested scope is invalid")
        return None

    def consent(self, query: str) -> Reply:
        """Answer the page of consent: the owner agrees at once and is sent back."""
        asked = dict(parse_qsl(query))
        if asked.get("application_id") != self.application_id or not asked.get("state"):
            return Reply(status=400, body=b"Unknown application.", headers=_TEXT)
        code = f"S{self._store.secret(f'code/{self._store.next_id()}')[:20]}"
        self._codes.add(code)
        words = {"state": asked["state"], "selling_partner_id": seller_id(self._store)}
        back = asked.get("redirect_uri") or "https://localhost/consented"
        address = f"{back}?{urlencode(words | {'spapi_oauth_code': code})}"
        return Reply(status=302, body=b"", headers=(*_TEXT, ("location", address)))

    def _issue(self, *, is_grantless: bool) -> Reply:
        store = self._store
        token = f"Atza|{store.secret(f'token/{store.next_id()}')}"
        lifetime = store.options.token_seconds
        if len(self._granted) >= TOKENS_KEPT_MAX:
            self._granted.pop(next(iter(self._granted)))
        self._granted[token] = (store.now() + timedelta(seconds=lifetime), is_grantless)
        granted = {"access_token": token, "token_type": "bearer", "expires_in": int(lifetime)}
        return answer(200, granted if is_grantless else self._with_refresh(granted))

    def _with_refresh(self, granted: dict[str, object]) -> dict[str, object]:
        return {**granted, "refresh_token": self.refresh_token}


def _denied(details: str) -> Refused:
    message = "Access to requested resource is denied."
    return Refused(HTTPStatus.FORBIDDEN, "Unauthorized", message, details)


def _failed(code: str, text: str, *, status: int = 400) -> Reply:
    return answer(status, {"error": code, "error_description": text})
