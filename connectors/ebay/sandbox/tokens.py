"""The token desk: user tokens from the seller's consent, application tokens, both short-lived."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode

from connectors.ebay.sandbox.wrongs import contract
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

TOKENS_KEPT_MAX: Final = 1_000
LIFETIME_MAX: Final = 7_200.0
_ROOT: Final = "https://api.ebay.com/oauth/api_scope"
_GRANTS: Final = ("refresh_token", "client_credentials", "authorization_code")
RU_NAME: Final = "Sandbox_Seller-Sandbox-hub"
#: a code is good so long, and once
CODE_SECONDS: Final = 299
CODES_MAX: Final = 100
CONSENT_SECONDS: Final = 47_304_000
ACCEPTED_PATH: Final = "/_sandbox/ebay/consented"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    is_user: bool
    expires_at: datetime


class Tokens:
    """Knows which tokens open what, and until when."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refresh_token = f"v^1.1#i^1#r^1#{store.secret('refresh_token')}"
        self._granted: dict[str, _Token] = {}
        #: the seller took the application's consent back
        self.are_revoked = False
        #: on the consent page the seller declines
        self.declines = False
        self._codes: dict[str, datetime] = {}

    @property
    def lifetime_seconds(self) -> float:
        """Never longer than the channel's own."""
        return min(self._store.options.token_seconds, LIFETIME_MAX)

    def refusal(self, token: str) -> int:
        """0 for a token that opens; else 931 (unknown, revoked) or 932 (expired)."""
        found, now = self._granted.get(token), self._store.now()
        if found is None or (self.are_revoked and found.is_user):
            return 931
        if found.expires_at <= now:
            return 932
        age_seconds = self.lifetime_seconds - (found.expires_at - now).total_seconds()
        # F26 leaves fresh tokens alone: two refusals in a row would mean a consent taken back.
        is_fresh = age_seconds < min(self._store.options.hang_seconds, self.lifetime_seconds / 2)
        if not is_fresh and self._store.faults.fires("F26"):
            self._granted[token] = _Token(is_user=found.is_user, expires_at=now)
            return 932
        return 0

    def is_user(self, token: str) -> bool:
        found = self._granted.get(token)
        return found is not None and found.is_user

    def ask_seller(self, query: str, base_url: str) -> Reply:
        """Answer `GET /oauth2/authorize`: the page, and a seller who decides at once."""
        asked = dict(parse_qsl(query))
        known = {"client_id": self._store.secret("app_id"), "redirect_uri": RU_NAME}
        known["response_type"] = "code"
        scopes = set(asked.get("scope", "").split())
        is_known = all(asked.get(name) == value for name, value in known.items())
        if not is_known or not scopes or not scopes <= _consented():
            return _refuse(400, "invalid_request", "the page does not know the application")
        told = {"state": asked.get("state", "")}
        if self.declines:
            told |= {"error": "access_denied"}
        else:
            code = f"v^1.1#i^1#c^{self._store.secret(f'code/{self._store.next_id()}')}"
            if len(self._codes) >= CODES_MAX:
                self._codes.pop(next(iter(self._codes)))
            self._codes[code] = self._store.now() + timedelta(seconds=CODE_SECONDS)
            told |= {"code": code, "expires_in": str(CODE_SECONDS)}
        where = f"{base_url}{ACCEPTED_PATH}?{urlencode(told)}"
        return Reply(status=302, body=b"", headers=(("location", where),))

    def _redeem(self, asked: dict[str, str]) -> Reply:
        ends_at = self._codes.pop(asked.get("code", ""), None)
        if ends_at is None or ends_at <= self._store.now() or asked.get("redirect_uri") != RU_NAME:
            text = "the provided authorization grant code is invalid or was issued to another"
            return _refuse(400, "invalid_grant", f"{text} client")
        secret = self._store.secret(f"refresh/{self._store.next_id()}")
        self.refresh_token, self.are_revoked = f"v^1.1#i^1#r^1#{secret}", False
        more = {"refresh_token": self.refresh_token, "refresh_token_expires_in": CONSENT_SECONDS}
        return self._issue(is_user=True, more=more)

    def grant(self, body: bytes, headers: dict[str, str]) -> Reply:
        """Answer `POST /identity/v1/oauth2/token`."""
        if not self._knows(headers.get("authorization", "")):
            return _refuse(401, "invalid_client", "client authentication failed")
        asked = dict(parse_qsl(body.decode("utf-8", "replace")))
        kind = asked.get("grant_type", "")
        if kind not in _GRANTS:
            return _refuse(400, "unsupported_grant_type", "grant type in request is not supported")
        if kind == "authorization_code":
            return self._redeem(asked)
        is_user = kind == "refresh_token"
        given = asked.get("refresh_token")
        if is_user and (self.are_revoked or given != self.refresh_token):
            text = "the provided authorization refresh token is invalid or was issued to another"
            return _refuse(400, "invalid_grant", f"{text} client")
        scopes = set(asked.get("scope", "").split())
        if not scopes <= (_consented() if is_user else {_ROOT}):
            text = "The requested scope is invalid, unknown, malformed, or exceeds the granted one"
            return _refuse(400, "invalid_scope", text)
        if not is_user and not scopes:
            return _refuse(400, "invalid_scope", "a scope is required")
        return self._issue(is_user=is_user)

    def _issue(self, *, is_user: bool, more: Mapping[str, object] | None = None) -> Reply:
        store, lifetime = self._store, self.lifetime_seconds
        token = f"v^1.1#i^1#p^{3 if is_user else 1}#{store.secret(f'token/{store.next_id()}')}"
        if len(self._granted) >= TOKENS_KEPT_MAX:
            self._granted.pop(next(iter(self._granted)))
        expires_at = store.now() + timedelta(seconds=lifetime)
        self._granted[token] = _Token(is_user=is_user, expires_at=expires_at)
        kind = "User Access Token" if is_user else "Application Access Token"
        granted = {"access_token": token, "expires_in": int(lifetime), "token_type": kind}
        return Reply(status=200, body=json.dumps(granted | dict(more or {})).encode())

    def _knows(self, authorization: str) -> bool:
        scheme, _, coded = authorization.partition(" ")
        try:
            pair = base64.b64decode(coded, validate=True).decode()
        except (binascii.Error, ValueError):
            return False
        secret = self._store.secret
        return scheme == "Basic" and pair == f"{secret('app_id')}:{secret('cert_id')}"


def _consented() -> set[str]:
    return {f"{_ROOT}{name}" for name in contract()["scopes"]}


def _refuse(status: int, error: str, why: str) -> Reply:
    body = json.dumps({"error": error, "error_description": why}).encode()
    return Reply(status=status, body=body)
