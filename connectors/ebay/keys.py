"""Is a delivery of eBay's genuine? Its public keys, fetched when first named and kept for an hour.

Only what has the exact form of a key's id is asked for, unknown ids are remembered as such, and so
many are asked for a minute and no more: nobody can spend our calls by inventing ids.
"""

import base64
import binascii
import re
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from connectors.ebay.client import Client
from connectors.ebay.rest import STATUS_NOT_FOUND, RestCall
from connectors.ebay.webhook import EbayWebhook
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

HEADER: Final = "x-ebay-signature"
HEADER_MAX: Final = 2_048
KEY_MAX: Final = 1_024
KEY_SECONDS: Final = 3_600.0
UNKNOWN_SECONDS: Final = 600.0
KEYS_MAX: Final = 64
FETCHES_MAX: Final = 10
FETCH_SECONDS: Final = 60.0
_KID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "SHA1": hashes.SHA1(),  # noqa: S303 - eBay's present choice; it signs, and we cannot choose
    "SHA256": hashes.SHA256(),
}
_STATUS_BAD: Final = 400


def open_webhook(request: sdk.OpenRequest) -> "VerifiedWebhook":
    """Open the verifying part of one account; nothing is sent yet."""
    # It is never closed, so it keeps no connection open; it calls once an hour.
    client = Client(request, keeps_connections=False)
    return VerifiedWebhook(KeyRing(client, request.clock))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key, and the hash eBay says belongs to it."""

    public: ec.EllipticCurvePublicKey
    digest: hashes.HashAlgorithm

    def has_signed(self, body: bytes, signature: bytes) -> bool:
        try:
            self.public.verify(signature, body, ec.ECDSA(self.digest))
        except InvalidSignature:
            return False
        return True


class VerifiedWebhook(EbayWebhook):
    """The pure part, and a `verify` that knows eBay's keys."""

    def __init__(self, keys: "KeyRing") -> None:
        self._keys = keys

    def verify(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        """True when eBay signed the raw `body`; raises RetryLater when its key cannot be had."""
        claim = read_claim(headers.get(HEADER, ""))
        if claim is None:
            return False
        kid, signature = claim
        key = self._keys.get(kid)
        return key is not None and key.has_signed(body, signature)


class KeyRing:
    """eBay's keys by id, for one account; safe from several threads."""

    def __init__(self, client: Client, clock: sdk.Clock) -> None:
        self._client, self._clock = client, clock
        #: held while eBay is asked; who knows the key already never waits for it
        self._asking = threading.Lock()
        #: id → key (None: eBay knows none) and until when that is believed
        self._keys: OrderedDict[str, tuple[Key | None, float]] = OrderedDict()
        self._fetched_at: deque[float] = deque(maxlen=FETCHES_MAX)

    def get(self, kid: str) -> Key | None:
        """The key, None where eBay has none by that id; raises RetryLater."""
        known = self._known(kid)
        if known is None:
            with self._asking:
                known = self._known(kid) or self._learn(kid)
        return known[0]

    def _known(self, kid: str) -> tuple[Key | None, float] | None:
        known = self._keys.get(kid)
        return known if known is not None and self._clock.monotonic() < known[1] else None

    def _learn(self, kid: str) -> tuple[Key | None, float]:
        now = self._clock.monotonic()
        if self._keys.get(kid, (None,))[0] is None:  # what once was a key is no invention
            self._spend(now)
        key = self._fetch(kid)
        learnt = self._keys[kid] = (key, now + (KEY_SECONDS if key else UNKNOWN_SECONDS))
        self._keys.move_to_end(kid)
        while len(self._keys) > KEYS_MAX:
            unknown = (one for one, each in self._keys.items() if each[0] is None)
            del self._keys[next(unknown, next(iter(self._keys)))]
        return learnt

    def _spend(self, now: float) -> None:
        is_full = len(self._fetched_at) == FETCHES_MAX
        if is_full and now - self._fetched_at[0] < FETCH_SECONDS:
            raise sdk.RetryLater("too many unknown keys are named at once: later")
        self._fetched_at.append(now)

    def _fetch(self, kid: str) -> Key | None:
        call = RestCall(
            method="GET",
            path=f"/commerce/notification/v1/public_key/{kid}",
            operation="notification",
            is_application=True,
            allowed=frozenset({STATUS_NOT_FOUND, _STATUS_BAD}),
        )
        try:
            answer = self._client.rest.call(call, priority=sdk.Priority.READ)
        except sdk.RetryLater:
            raise
        except sdk.ChannelError as error:
            # Whatever it is, it is not the delivery's fault: eBay is to send it again.
            raise sdk.RetryLater(f"eBay's key cannot be read: {error}") from error
        return None if answer.status in call.allowed else read_key(answer.fields)


def read_claim(header: str) -> tuple[str, bytes] | None:
    """The key's id and the signature a header claims; None when it is not of the exact form."""
    if not 0 < len(header) <= HEADER_MAX or not header.isascii():
        return None
    try:
        claim = read_json(base64.b64decode(header, validate=True))
        kid, text = claim["kid"], claim["signature"]
        is_formed = str(claim["alg"]).lower() == "ecdsa" and _KID.fullmatch(kid)
        return (kid, base64.b64decode(text, validate=True)) if is_formed else None
    except (sdk.BadPayload, binascii.Error, LookupError, TypeError, ValueError):
        return None


def read_key(fields: Mapping[str, Any]) -> Key | None:
    """The key of an answer; None for anything but ECDSA on P-256 with a hash we know."""
    pem, digest = fields.get("key"), _HASHES.get(str(fields.get("digest")).upper().replace("-", ""))
    is_ecdsa = str(fields.get("algorithm")).upper() == "ECDSA"
    if not isinstance(pem, str) or len(pem) > KEY_MAX or not is_ecdsa or digest is None:
        return None
    try:
        public = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return None
    return Key(public=public, digest=digest) if isinstance(public.curve, ec.SECP256R1) else None
