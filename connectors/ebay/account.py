"""The account itself: who we are at eBay, and what it tells us unasked."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from connectors.ebay import render
from connectors.ebay.client import Client
from connectors.ebay.listings import ZERO_WARNING
from connectors.ebay.rest import (
    STATUS_CONFLICT,
    STATUS_NOT_FOUND,
    RestAnswer,
    RestCall,
)
from connectors.ebay.revisions import Revisions
from connectors.ebay.settings import EbaySettings
from connectors.ebay.trading import TradingCall
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

BASE: Final = "/commerce/notification/v1"
#: topic → True when it is the application's: subscribed to once, whoever the seller is
TOPICS: Final[Mapping[str, bool]] = {
    "ORDER_CONFIRMATION": False,
    "AUTHORIZATION_REVOCATION": True,
    "MARKETPLACE_ACCOUNT_DELETION": True,
}
PAGE_SIZE: Final = "100"
PAGES_MAX: Final = 20
END_UNKNOWN: Final = (
    "when the seller's consent ends is not known: run oms-sync accounts authorize {account} once, "
    "and you are warned before it does"
)
_ENABLED: Final = "ENABLED"
_SELLERS: Final = "sellers"


class AccountDesk:
    """Everything about the account that is neither orders nor quantities."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        self._client, self._account, self._tokens = client, request.account, request.tokens
        self._settings: EbaySettings = request.settings
        self._untold: tuple[str, ...] = ()

    def check(self, *, is_zero_allowed: bool, revisions: Revisions) -> sdk.AccountCheck:
        """Ask eBay who we are, with a token of now: an old one outlives a revoked consent."""
        self._client.credentials.prove()
        call = TradingCall(name="GetUser", body=render.who_we_are())
        answer = self._client.run(call, priority=sdk.Priority.READ)
        user_id = answer.root.text("User/UserID")
        if user_id is None:
            raise sdk.BadPayload("GetUser: the answer names nobody")
        warnings = [] if is_zero_allowed else [ZERO_WARNING]
        if self._settings.verification_token is None:
            warnings.append("settings.verification_token is not set: eBay pushes nothing to us")
        ends_at = self._client.credentials.consent_ends_at
        warnings += [] if ends_at else [END_UNKNOWN.format(account=self._account)]
        warnings += [f"eBay pushes no {topic}: a scope is missing" for topic in self._untold]
        budget = self._client.budget.told()
        warnings += [budget.warning] if budget and budget.warning else []
        warnings += [revisions.warning()] if revisions.warning() else []
        told = {"calls": budget.words if budget else "", "revisions": revisions.told()}
        return sdk.AccountCheck(
            channel_account=user_id,
            channel_account_id=self._stable_id(user_id, answer.root.text("User/EIASToken")),
            channel_time=answer.at,
            warnings=tuple(warnings),
            token_expires_at=ends_at,
            detail={
                "site": str(self._settings.site_id),
                "marketplace": self._settings.marketplace_id,
                "compatibility_level": self._client.level,
                **{name: words for name, words in told.items() if words},
            },
        )

    def _stable_id(self, user_id: str, token: str | None) -> str:
        """What stands for the seller for good.

        A user id may be changed by its owner, eBay's token for the seller may not; where it is
        shown now and then only, what was told of a user id first is told again.
        """
        with self._tokens.locked():
            stored = self._tokens.load()
            # A document, and so no secret to the logs: it names the seller.
            known = read_json(stored[_SELLERS].encode()) if _SELLERS in stored else {}
            if user_id not in known:
                known[user_id] = token or user_id
                self._tokens.save({**stored, _SELLERS: json.dumps(known)})
        return str(known[user_id])

    def ensure_subscriptions(self, url: str) -> tuple[str, ...]:
        """Make every wanted topic go to `url`; what is there already stays.

        Answers what is told to us anew: it was not subscribed to, or went elsewhere or nowhere.
        """
        if self._settings.verification_token is None:
            return ()
        self._ensure_mail()
        token = self._settings.verification_token.get_secret_value()
        payload = render.destination(f"oms-sync {self._account}", url, token)
        destinations = self._list("destination", is_application=True)
        destination_id, was_down = self._ensure_destination(url, payload, destinations)
        working = {str(one["destinationId"]) for one in destinations if one["status"] == _ENABLED}
        made: list[str] = []
        untold: list[str] = []
        for topic, is_application in TOPICS.items():
            good = working | {destination_id} if is_application else {destination_id}
            try:
                if self._ensure_topic(topic, destination_id, good, was_down=was_down):
                    made.append(topic)
            except sdk.PermissionMissing:  # orders are polled all the same
                untold.append(topic)
        self._untold = tuple(untold)
        return tuple(made)

    def _ensure_topic(self, topic: str, ours: str, good: set[str], *, was_down: bool) -> bool:
        """Subscribe to a topic; False when it was told to us all the time."""
        listed = self._list("subscription", is_application=TOPICS[topic])
        known = [one for one in listed if one.get("topicId") == topic]
        told_to = {str(one["destinationId"]) for one in known if _is_good(one, good)}
        if told_to:
            return was_down and told_to == {ours}
        payload = dict(render.subscription(topic, ours))
        method, path = "POST", "subscription"
        if known:
            method, path = "PUT", f"subscription/{known[0]['subscriptionId']}"
            del payload["topicId"]
        answer = self._call(
            method,
            path,
            payload=payload,
            is_application=TOPICS[topic],
            allowed=frozenset({STATUS_CONFLICT}),
        )
        return answer.status != STATUS_CONFLICT

    def _ensure_mail(self) -> None:
        """Without an address for alarms eBay delivers nothing."""
        missing = frozenset({STATUS_NOT_FOUND, STATUS_CONFLICT})
        known = self._call("GET", "config", allowed=missing)
        if known.fields.get("alertEmail"):
            return
        call = TradingCall(name="GetUser", body=render.who_we_are())
        answer = self._client.run(call, priority=sdk.Priority.READ)
        address = answer.root.text("User/Email") or ""
        if "@" not in address:
            raise sdk.Rejected(
                "eBay wants an alert e-mail before it pushes: set one for the application in "
                "eBay's developer portal, under Notifications"
            )
        self._call("PUT", "config", payload={"alertEmail": address})

    def _ensure_destination(
        self, url: str, payload: Mapping[str, Any], known: list[dict[str, Any]]
    ) -> tuple[str, bool]:
        """Its id, and whether it was there and nothing came to it."""
        for one in known:
            if one["deliveryConfig"]["endpoint"] == url:
                destination_id = str(one["destinationId"])
                if (
                    was_down := one["status"] != _ENABLED
                ):  # eBay marks it so after failed deliveries
                    self._call("PUT", f"destination/{destination_id}", payload=payload)
                return destination_id, was_down
        answer = self._call("POST", "destination", payload=payload)
        made = urlsplit(answer.headers.get("location", "")).path.rpartition("/")[2]
        if not made:
            raise sdk.OutcomeUnknown("eBay does not name the destination it made")
        return made, False

    def _list(self, kind: str, *, is_application: bool) -> list[dict[str, Any]]:
        """All destinations or subscriptions, over all pages."""
        found: list[dict[str, Any]] = []
        query = {"limit": PAGE_SIZE}
        for _ in range(PAGES_MAX):
            answer = self._call("GET", kind, query=query, is_application=is_application)
            found += answer.fields.get(f"{kind}s") or []
            token = parse_qs(urlsplit(answer.fields.get("next") or "").query)
            if "continuation_token" not in token:
                return found
            query = {"limit": PAGE_SIZE, "continuation_token": token["continuation_token"][0]}
        raise sdk.BadPayload(f"eBay lists more {kind}s than an application can have")

    def _call(
        self,
        method: str,
        path: str,
        *,
        payload: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        is_application: bool = True,
        allowed: frozenset[int] = frozenset(),
    ) -> RestAnswer:
        call = RestCall(
            method=method,
            path=f"{BASE}/{path}",
            operation="notification",
            query=query or {},
            payload=payload,
            is_application=is_application,
            is_write=method != "GET",
            allowed=allowed,
        )
        return self._client.rest.call(call, priority=sdk.Priority.READ)


def _is_good(one: Mapping[str, Any], destinations: set[str]) -> bool:
    return one.get("status") == _ENABLED and str(one.get("destinationId")) in destinations
