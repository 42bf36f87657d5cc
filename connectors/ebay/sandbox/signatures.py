"""The seller's own signing key, and whether a request was signed with it (RFC 9421, as the vendor
uses it): refunds and cancellations are taken from this seller only when they are.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from connectors.ebay.sandbox.wrongs import RestError

_INPUT: Final = re.compile(r'sig1=(\(("[a-z@-]+" ?)+\);created=\d{1,12})')
_VALUE: Final = re.compile(r"sig1=:([A-Za-z0-9+/=]+):")
_NAME: Final = re.compile(r'"([a-z@-]+)"')
_NEEDED: Final = frozenset({"x-ebay-signature-key", "@method", "@path", "@authority"})


class SellerKey:
    """A key pair that follows from a secret; the public half is known by its JWE alone."""

    def __init__(self, secret: str, jwe: str) -> None:
        seed = hashlib.sha256(secret.encode()).digest()
        self._private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.jwe = jwe

    def shown(self) -> str:
        """The private half as the vendor hands it out, once."""
        raw = self._private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return base64.b64encode(raw).decode()

    def check(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Refuse a request that is not signed, or signed over something else."""
        if headers.get("x-ebay-signature-key") != self.jwe:
            raise RestError(215121)
        told = _INPUT.fullmatch(headers.get("signature-input", ""))
        value = _VALUE.fullmatch(headers.get("signature", ""))
        if told is None or value is None:
            raise RestError(215120)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if body and headers.get("content-digest") != f"sha-256=:{digest}:":
            raise RestError(215120)
        parts = {"@method": method, "@path": path, "@authority": headers.get("host", "")}
        covered = _NAME.findall(told[1])
        if not set(covered) >= _NEEDED | ({"content-digest"} if body else set()):
            raise RestError(215120)
        lines = [f'"{name}": {parts.get(name, headers.get(name, ""))}' for name in covered]
        base = "\n".join([*lines, f'"@signature-params": {told[1]}'])
        try:
            self._private.public_key().verify(base64.b64decode(value[1]), base.encode())
        except InvalidSignature as error:
            raise RestError(215120) from error
