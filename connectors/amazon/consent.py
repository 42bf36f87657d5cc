"""How a seller lets the application in: Amazon's page of consent, and the code it sends back."""

import hmac
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from connectors.amazon.client import Client
from oms_sync import sdk

#: Seller Central by marketplace; where a marketplace is missing, its region's
_PLACES: Final = """
A2EUQ1WTGCTBG2 sellercentral.amazon.ca, A1AM78C64UM0Y8 sellercentral.amazon.com.mx,
A2Q3Y263D00KWC sellercentral.amazon.com.br, A21TJRUUN4KGV sellercentral.amazon.in,
A33AVAJ2PDY3EV sellercentral.amazon.com.tr, A2VIGQ35RCS4UG sellercentral.amazon.ae,
A17E79C6D8DWNP sellercentral.amazon.sa, ARBP9OOSHTCHU sellercentral.amazon.eg,
A2NODRKZP88ZB9 sellercentral.amazon.se, A1C3SOZRARQ6R3 sellercentral.amazon.pl,
AMEN7PMS3EDWL sellercentral.amazon.com.be, AE08WJ6YKNBMC sellercentral.amazon.co.za,
A39IBJ37TRP1C6 sellercentral.amazon.com.au, A19VAU5U5O7RUS sellercentral.amazon.sg,
na sellercentral.amazon.com, eu sellercentral-europe.amazon.com, fe sellercentral.amazon.co.jp
"""
SELLER_CENTRAL: Final = dict(pair.split() for pair in _PLACES.split(","))
CODE_MAX: Final = 500


def open_consent(request: sdk.OpenRequest) -> "AmazonConsent":
    """The connector's `consent`."""
    return AmazonConsent(request)


class AmazonConsent:
    """See `oms_sync.sdk.Consent`: the website authorisation workflow."""

    def __init__(self, request: sdk.OpenRequest) -> None:
        self._request, self._settings = request, request.settings

    def consent_url(self, state: str) -> str:
        settings = self._settings
        if not settings.application_id:
            raise sdk.FixAccount(
                "settings.application_id is missing: Seller Central shows it beside the "
                "application under Develop Apps"
            )
        place = SELLER_CENTRAL.get(settings.marketplace_ids[0], SELLER_CENTRAL[settings.region])
        base = f"https://{place}"
        if self._request.endpoint:
            base = self._request.endpoint.rstrip("/")
        words = {"application_id": settings.application_id, "state": state}
        if settings.redirect_uri:
            words["redirect_uri"] = settings.redirect_uri
        if settings.is_draft_application:
            words["version"] = "beta"
        return f"{base}/apps/authorize/consent?{urlencode(words)}"

    def redeem(self, answer: str, state: str) -> None:
        code = self._code(answer.strip(), state)
        if not code or len(code) > CODE_MAX or not code.isprintable() or " " in code:
            raise sdk.AuthFailed(
                "the answer holds no code of Amazon's: paste the whole address the browser ended "
                "at, or its spapi_oauth_code"
            )
        client = Client(self._request)
        try:
            client.tokens.redeem(code, self._settings.redirect_uri or "")
        finally:
            client.close()

    def _code(self, answer: str, state: str) -> str:
        """The code of an address, checked for whom and for what; a bare code proves neither."""
        if "spapi_oauth_code=" not in answer:
            return "" if "://" in answer or "=" in answer else answer
        query = parse_qs(urlsplit(answer).query)
        told = {name: values[0] for name, values in query.items()}
        if not hmac.compare_digest(told.get("state", "").encode(), state.encode()):
            raise sdk.AuthFailed(
                "the address belongs to another consent than the one asked for: begin again"
            )
        seller = told.get("selling_partner_id")
        if seller != self._settings.seller_id:
            raise sdk.AuthFailed(
                f"seller {seller} has consented and seller_id is {self._settings.seller_id}: log "
                "in to Seller Central as the other one, or correct seller_id"
            )
        return told.get("spapi_oauth_code", "")
