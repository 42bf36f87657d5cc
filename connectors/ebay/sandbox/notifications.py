"""The Notification API's calls: destinations proved by a challenge, and subscriptions."""

import asyncio
import hashlib
import http.client
import json
import re
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote, urlsplit

from connectors.ebay.sandbox.pushes import PAYLOAD, Destination, Pushes, Wanted
from connectors.ebay.sandbox.rest import (
    APPLICATION,
    EITHER,
    RestCall,
    make_door,
    refuse_unknown,
    show,
)
from connectors.ebay.sandbox.wrongs import RestError
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

#: topics by who may subscribe to them
USER_TOPICS: Final = ("ORDER_CONFIRMATION", "ITEM_MARKED_SHIPPED")
APP_TOPICS: Final = ("MARKETPLACE_ACCOUNT_DELETION", "AUTHORIZATION_REVOCATION")
KEPT_MAX: Final = 1_000
CHALLENGE_SECONDS_MAX: Final = 5.0
ANSWER_BYTES_MAX: Final = 4_096
NAME_MAX: Final = 64
_BASE: Final = "/commerce/notification/v1"
_API: Final = ("commerce", "notification")
_OK: Final = 200
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,80}")
_STATUSES: Final = ("ENABLED", "DISABLED")
_DESTINATION: Final = frozenset({"name", "status", "deliveryConfig"})
_DELIVERY: Final = frozenset({"endpoint", "verificationToken"})
_SUBSCRIPTION: Final = frozenset({"topicId", "destinationId", "payload", "status"})
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Notifications:
    """Answers the calls; what is pushed where is kept in `pushes`."""

    def __init__(self, store: Store, pushes: Pushes) -> None:
        self._store, self._pushes = store, pushes
        self._email: str | None = None
        self._proved: set[tuple[str, str]] = set()
        self.doors = tuple(
            make_door(name, where.replace(" ", f" {_BASE}/"), handle, _API, opens_to)
            for opens_to, name, where, handle in (
                (APPLICATION, "getPublicKey", "GET public_key/{kid}", self._public_key),
                (APPLICATION, "updateConfig", "PUT config", self._set_config),
                (APPLICATION, "getConfig", "GET config", self._get_config),
                (APPLICATION, "createDestination", "POST destination", self._add_destination),
                (APPLICATION, "getDestinations", "GET destination", self._destinations),
                (APPLICATION, "getDestination", "GET destination/{id}", self._show_destination),
                (APPLICATION, "updateDestination", "PUT destination/{id}", self._put_destination),
                (EITHER, "createSubscription", "POST subscription", self._add_subscription),
                (EITHER, "getSubscriptions", "GET subscription", self._subscriptions),
                (EITHER, "getSubscription", "GET subscription/{id}", self._show_subscription),
                (EITHER, "updateSubscription", "PUT subscription/{id}", self._put_subscription),
                (EITHER, "deleteSubscription", "DELETE subscription/{id}", self._drop_subscription),
                (EITHER, "enableSubscription", "POST subscription/{id}/enable", self._enable),
                (EITHER, "testSubscription", "POST subscription/{id}/test", self._test),
            )
        )

    async def challenge(self, operation: str, body: bytes) -> None:
        """Ask a new endpoint whether it knows the token, before the call itself is worked off."""
        if operation not in ("createDestination", "updateDestination"):
            return
        try:
            config = json.loads(body)["deliveryConfig"]
            endpoint, token = str(config["endpoint"]), str(config["verificationToken"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # the call itself will say what is missing
        if _wrong_endpoint(endpoint) or not _TOKEN.fullmatch(token):
            return
        code = self._store.secret(f"challenge/{self._store.next_id()}")
        wanted = hashlib.sha256(f"{code}{token}{endpoint}".encode()).hexdigest()
        is_ours = await asyncio.to_thread(_answered, endpoint, code) == wanted
        (self._proved.add if is_ours else self._proved.discard)((endpoint, token))

    # --- configuration ---------------------------------------------------------------------------

    def _public_key(self, call: RestCall) -> Reply:
        key = self._pushes.key
        if call.path[0] != key.kid:
            raise RestError(195001)
        return show(200, key.shown())

    def _set_config(self, call: RestCall) -> Reply:
        refuse_unknown(call.body, frozenset({"alertEmail"}), 195025)
        email = call.body.get("alertEmail")
        if not isinstance(email, str) or "@" not in email:
            raise RestError(195025)
        self._email = email
        return show(204)

    def _get_config(self, _: RestCall) -> Reply:
        if self._email is None:
            raise RestError(195026)
        return show(200, {"alertEmail": self._email})

    def _need_config(self) -> None:
        if self._email is None:
            raise RestError(195003)

    # --- destinations ----------------------------------------------------------------------------

    def _add_destination(self, call: RestCall) -> Reply:
        self._need_config()
        made = self._read_destination(call, str(self._store.next_id()))
        known = self._pushes.destinations
        if any(each.endpoint == made.endpoint for each in known.values()):
            raise RestError(195021)
        if len(known) >= KEPT_MAX:
            raise RestError(195021)
        known[made.id] = made
        return show(201, location=f"{call.base}/{made.id}")

    def _read_destination(self, call: RestCall, number: str) -> Destination:
        body = call.body
        refuse_unknown(body, _DESTINATION, 195016)
        config = body.get("deliveryConfig")
        config = config if isinstance(config, dict) else {}
        refuse_unknown(config, _DELIVERY, 195017)
        name, status = str(body.get("name") or ""), str(body.get("status"))
        endpoint, token = str(config.get("endpoint")), str(config.get("verificationToken"))
        for is_good, code in (
            (0 < len(name) <= NAME_MAX and "<" not in name, 195016),
            (status in _STATUSES, 195018),
            (not _wrong_endpoint(endpoint), 195017),
            (_TOKEN.fullmatch(token), 195019),
            ((endpoint, token) in self._proved, 195020),
        ):
            if not is_good:
                raise RestError(code)
        return Destination(id=number, name=name, endpoint=endpoint, token=token, status=status)

    def _destinations(self, call: RestCall) -> Reply:
        shown = [each.shown() for each in self._pushes.destinations.values()]
        listed = {"total": len(shown), "href": call.base, "limit": KEPT_MAX}
        return show(200, listed | {"destinations": shown})

    def _destination(self, number: Any) -> Destination:
        found = self._pushes.destinations.get(str(number))
        if found is None:
            raise RestError(195004)
        return found

    def _show_destination(self, call: RestCall) -> Reply:
        return show(200, self._destination(call.path[0]).shown())

    def _put_destination(self, call: RestCall) -> Reply:
        found = self._destination(call.path[0])
        made = self._read_destination(call, found.id)
        found.name, found.status = made.name, made.status
        found.endpoint, found.token = made.endpoint, made.token
        return show(204)

    # --- subscriptions ---------------------------------------------------------------------------

    def _add_subscription(self, call: RestCall) -> Reply:
        self._need_config()
        refuse_unknown(call.body, _SUBSCRIPTION, 195027)
        topic = call.body.get("topicId")
        if topic not in (*USER_TOPICS, *APP_TOPICS):
            raise RestError(195027)
        if topic in USER_TOPICS and not call.is_user:
            raise RestError(195011)
        destination, status = self._read_subscription(call)
        wanted = self._pushes.wanted
        if any(each.topic == topic for each in wanted.values()):
            raise RestError(195012)
        made = Wanted(
            id=str(self._store.next_id()),
            topic=str(topic),
            destination=destination,
            status=status,
            created_at=self._store.second(),
        )
        wanted[made.id] = made
        return show(201, location=f"{call.base}/{made.id}")

    def _read_subscription(self, call: RestCall) -> tuple[Destination, str]:
        payload, status = call.body.get("payload"), call.body.get("status")
        destination = self._pushes.destinations.get(str(call.body.get("destinationId")))
        given = payload if isinstance(payload, dict) else {}
        for name, code in (
            ("deliveryProtocol", 195010),
            ("schemaVersion", 195008),
            ("format", 195009),
        ):
            if given.get(name) != PAYLOAD[name]:
                raise RestError(code)
        if status not in _STATUSES:
            raise RestError(195006)
        if destination is None:
            raise RestError(195007)
        if status == "ENABLED" and destination.status != "ENABLED":
            raise RestError(195015)
        return destination, status

    def _subscriptions(self, call: RestCall) -> Reply:
        shown = [each.shown() for each in self._pushes.wanted.values()]
        listed = {"total": len(shown), "href": call.base, "limit": KEPT_MAX}
        return show(200, listed | {"subscriptions": shown})

    def _subscription(self, call: RestCall) -> Wanted:
        found = self._pushes.wanted.get(call.path[0])
        if found is None:
            raise RestError(195013)
        return found

    def _show_subscription(self, call: RestCall) -> Reply:
        return show(200, self._subscription(call).shown())

    def _put_subscription(self, call: RestCall) -> Reply:
        found = self._subscription(call)
        refuse_unknown(call.body, _SUBSCRIPTION - {"topicId"}, 195027)
        found.destination, found.status = self._read_subscription(call)
        return show(204)

    def _drop_subscription(self, call: RestCall) -> Reply:
        found = self._subscription(call)
        found.status = "DISABLED"
        del self._pushes.wanted[found.id]
        return show(204)

    def _enable(self, call: RestCall) -> Reply:
        found = self._subscription(call)
        if found.destination.status != "ENABLED":
            raise RestError(195015)
        found.status = "ENABLED"
        return show(204)

    def _test(self, call: RestCall) -> Reply:
        self._pushes.test(self._subscription(call))
        return show(202)


def _answered(endpoint: str, code: str) -> str:
    """What an endpoint answers to a challenge code; nothing when it answers nothing useful."""
    parts = urlsplit(endpoint)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with closing(make(parts.netloc, timeout=CHALLENGE_SECONDS_MAX)) as connection:
        try:
            connection.request("GET", f"{parts.path or '/'}?challenge_code={quote(code)}")
            answer = connection.getresponse()
            said = json.loads(answer.read(ANSWER_BYTES_MAX))
            is_json = "json" in (answer.getheader("content-type") or "")
            return str(said["challengeResponse"]) if answer.status == _OK and is_json else ""
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return ""


def _wrong_endpoint(endpoint: str) -> bool:
    """Like the vendor, but plain http is fine on loopback."""
    parts = urlsplit(endpoint)
    is_safe = parts.scheme == "https" or parts.hostname in _LOOPBACK
    return not (is_safe and parts.scheme in ("http", "https") and parts.hostname)
