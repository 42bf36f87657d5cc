"""Encryption at rest: the key ring's file, AES-256-GCM envelopes, keyed hashes.

The ring wraps data keys (one per subject, one per message); data keys encrypt. Keyed hashes and
the signing key come from a secret of their own, which never rotates, so that the stock ledger's
chain and old certificates stay verifiable, and key files made before signing was known can sign.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from oms_sync.storage.errors import WrongKey

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION_BYTES = 2
FILE_BYTES_MAX = 65_536
_TITLE = "oms-sync key ring 1"
_LINE = re.compile(r"(hash|key ([1-9][0-9]{0,3})): ([A-Za-z0-9+/=]+)")


class KeyRing:
    """Versioned keys: the newest encrypts, all decrypt. Made by `load_key_ring`."""

    def __init__(self, *, path: Path, hash_secret: bytes, keys: Mapping[int, bytes]) -> None:
        self.path = path
        self._hash_secret = hash_secret
        self._ciphers = {version: AESGCM(key) for version, key in keys.items()}
        self._newest = max(keys)
        self._prefix = self._newest.to_bytes(VERSION_BYTES, "big")
        self._hash_keys: dict[str, bytes] = {}
        self._fingerprints = {
            "hash": self._fingerprint(hash_secret),
            **{f"key {version}": self._fingerprint(key) for version, key in keys.items()},
        }

    def __repr__(self) -> str:
        return f"KeyRing({self.path}, newest {self._newest})"

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """What identifies each secret of the ring without revealing it."""
        return self._fingerprints

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypt with the newest key; `about` names the place it belongs to and is verified."""
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._ciphers[self._newest]
        return self._prefix + nonce + cipher.encrypt(nonce, plain, about.encode())

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """Decrypt what `seal` made for the same place; raises WrongKey."""
        version = int.from_bytes(sealed[:VERSION_BYTES], "big")
        cipher = self._ciphers.get(version)
        if cipher is None:
            raise WrongKey(
                f"{about} is encrypted with key {version}, which is not in {self.path}; "
                "put the complete key file back"
            )
        return _decrypt(cipher, sealed[VERSION_BYTES:], about)

    def new_data_key(self, about: str) -> tuple[AESGCM, bytes]:
        """A fresh data key, ready to use, and the same wrapped by the ring for storing."""
        key = os.urandom(KEY_BYTES)
        return AESGCM(key), self.seal(key, about)

    def data_key(self, wrapped: bytes, about: str) -> AESGCM:
        """A stored data key, ready to use; raises WrongKey."""
        return AESGCM(self.unseal(wrapped, about))

    def hash(self, purpose: str, text: bytes) -> str:
        """Keyed hash of `text`, one independent key per purpose."""
        key = self._hash_keys.get(purpose) or self._derive(purpose)
        return hmac.digest(key, text, "sha256").hex()

    @cached_property
    def ledger_key(self) -> bytes:
        """The key of the stock ledger's chain."""
        return self._derive("ledger")

    @property
    def public_key(self) -> bytes:
        """What verifies the installation's signatures: 32 bytes, no secret."""
        return self._signing_key.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> bytes:
        """The installation's Ed25519 signature of `content`."""
        return self._signing_key.sign(content)

    @cached_property
    def _signing_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._derive("signing"))

    def _derive(self, purpose: str) -> bytes:
        derivation = HKDF(
            algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"oms-sync {purpose}".encode()
        )
        return self._hash_keys.setdefault(purpose, derivation.derive(self._hash_secret))

    @staticmethod
    def _fingerprint(secret: bytes) -> str:
        return hashlib.sha256(b"oms-sync fingerprint\0" + secret).hexdigest()[:32]


def is_signed(public_key: bytes, signature: bytes, content: bytes) -> bool:
    """True where the owner of the key signed exactly this content."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def seal_with(key: AESGCM, plain: bytes, about: str) -> bytes:
    """Encrypt with a data key."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, about.encode())


def unseal_with(key: AESGCM, sealed: bytes, about: str) -> bytes:
    """Decrypt what `seal_with` made for the same place; raises WrongKey."""
    return _decrypt(key, sealed, about)


def create_key_file(path: Path) -> None:
    """Write a new ring with one key, readable by its owner only; never overwrites a file."""
    lines = (
        _TITLE,
        "# Whoever loses this file cannot read personal data or backups: keep a copy elsewhere.",
        f"hash: {_fresh_secret()}",
        f"key 1: {_fresh_secret()}",
    )
    _write_private(path, "\n".join(lines) + "\n", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def add_key(path: Path) -> int:
    """Append a new key to the ring's file; it encrypts from the next start. Gives its number."""
    version = load_key_ring(path)._newest + 1
    _write_private(path, f"key {version}: {_fresh_secret()}\n", os.O_APPEND | os.O_WRONLY)
    return version


def load_key_ring(path: Path) -> KeyRing:
    """Read the ring; raises WrongKey with the file's name and the remedy."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX).decode("ascii")
    except OSError as error:
        raise WrongKey(
            f"{path}: the key file cannot be read ({error.strerror}); put your key file there, "
            "or make a new one with `oms-sync init` if this is a new installation"
        ) from error
    except UnicodeDecodeError as error:
        raise _unusable(path, "it is not a text file") from error
    return _parse(path, text.splitlines())


def _parse(path: Path, lines: list[str]) -> KeyRing:
    if lines[:1] != [_TITLE]:
        raise _unusable(path, f"line 1 is not `{_TITLE}`")
    secrets: dict[int, bytes] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        version = int(match[2] or 0) if match else 0
        if match is None or version in secrets:
            raise _unusable(path, f"line {number} is not one new `hash:` or `key N:` entry")
        secrets[version] = _secret(path, number, match[3])
    hash_secret = secrets.pop(0, None)
    if hash_secret is None or not secrets:
        raise _unusable(path, "it needs one `hash:` line and at least one `key N:` line")
    return KeyRing(path=path, hash_secret=hash_secret, keys=secrets)


def _secret(path: Path, number: int, text: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _unusable(path, f"line {number} is not base64") from error
    if len(secret) != KEY_BYTES:
        raise _unusable(path, f"line {number} holds {len(secret)} bytes, not {KEY_BYTES}")
    return secret


def _unusable(path: Path, why: str) -> WrongKey:
    return WrongKey(f"{path}: not a usable key file: {why}; put your own key file back")


def _decrypt(cipher: AESGCM, sealed: bytes, about: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
    except (InvalidTag, ValueError) as error:
        raise WrongKey(
            f"{about} cannot be decrypted: it was changed, or belongs to another key file"
        ) from error


def _fresh_secret() -> str:
    return base64.b64encode(os.urandom(KEY_BYTES)).decode("ascii")


def _write_private(path: Path, text: str, flags: int) -> None:
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
