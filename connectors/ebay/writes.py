"""What calls that move money or end orders have besides: a digital signature.

eBay demands the signature of sellers in the EU and the UK, and ignores it of all others.
"""

import base64
import binascii
import hashlib
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from oms_sync import sdk

#: a signature is missing, or not good: eBay numbers everything about it in this range
SIGNATURE_CODES: Final = frozenset(str(code) for code in range(215_000, 215_123))
_KEY_HEADER: Final = "x-ebay-signature-key"
_Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class Signer:
    """Signs requests with the key of the account's settings; without one it adds nothing."""

    def __init__(self, settings: Any, clock: sdk.Clock) -> None:
        self._settings, self._clock = settings, clock

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """What is added to the headers of a request."""
        if self._settings.signing_key is None:
            return {}
        parts, added = urlsplit(url), dict[str, str]()
        if body:
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            added["Content-Digest"] = f"sha-256=:{digest}:"
        jwe = self._settings.signing_jwe.get_secret_value()
        covered = {"content-digest": added["Content-Digest"]} if body else {}
        covered |= {_KEY_HEADER: jwe, "@method": method, "@path": parts.path}
        covered["@authority"] = parts.netloc
        names = " ".join(f'"{name}"' for name in covered)
        signed_with = f"({names});created={int(self._clock.now().timestamp())}"
        lines = [f'"{name}": {value}' for name, value in covered.items()]
        base = "\n".join([*lines, f'"@signature-params": {signed_with}']).encode()
        signature = base64.b64encode(_sign(self._key(), base)).decode()
        return {
            **added,
            _KEY_HEADER: jwe,
            "Signature-Input": f"sig1={signed_with}",
            "Signature": f"sig1=:{signature}:",
        }

    def _key(self) -> _Key:
        text = self._settings.signing_key.get_secret_value().strip()
        try:
            if text.startswith("-----BEGIN"):
                key = load_pem_private_key(text.encode(), password=None)
            else:
                key = load_der_private_key(base64.b64decode(text, validate=True), password=None)
        except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm) as error:
            raise sdk.FixAccount(
                "settings.signing_key is no private key: enter it as eBay's Key Management API "
                "gave it, then resume the account"
            ) from error
        if not isinstance(key, _Key):
            raise sdk.FixAccount(
                "settings.signing_key is neither Ed25519 nor RSA: let eBay make one of these, "
                "then resume the account"
            )
        return key


def _sign(key: _Key, base: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(base)
    return key.sign(base, padding.PKCS1v15(), hashes.SHA256())
