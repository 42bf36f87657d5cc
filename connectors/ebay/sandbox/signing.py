"""The key pushes are signed with: P-256, named by a kid, shown as eBay shows it."""

import base64
import json
import uuid
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_SCALAR_MAX: Final = 2**255


class SigningKey:
    """A key pair that follows from a secret."""

    def __init__(self, secret: str) -> None:
        number = int.from_bytes(secret.encode(), "big") % _SCALAR_MAX + 1
        self._private = ec.derive_private_key(number, ec.SECP256R1())
        self.kid = str(uuid.UUID(hex=secret[:32]))

    def shown(self) -> dict[str, str]:
        """The answer of getPublicKey: the PEM stands on one line."""
        pem = self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        one_line = pem.decode().replace("\n", "")
        return {"key": one_line, "algorithm": "ECDSA", "digest": "SHA1"}

    def header(self, body: bytes) -> str:
        """The value of X-EBAY-SIGNATURE for these very bytes."""
        signature = self._private.sign(body, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - the vendor's
        parts = {
            "alg": "ecdsa",
            "kid": self.kid,
            "signature": base64.b64encode(signature).decode(),
            "digest": "SHA1",
        }
        return base64.b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode()
