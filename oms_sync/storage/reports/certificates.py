"""Certificates as they were signed, and whether one of them is genuine and its ledger unchanged."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from oms_sync.domain.certificate import canonical
from oms_sync.domain.completeness import Window
from oms_sync.storage.completeness import ledger_heads
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing, is_signed
from oms_sync.storage.reports.shapes import Json, when
from oms_sync.storage.tables.certificates import certificates
from oms_sync.storage.tables.stock import stock_movements

_ALL = select(certificates).order_by(certificates.c.number.desc())
_MOVEMENT = select(stock_movements.c.hash).where(
    stock_movements.c.sku == bindparam("sku"),
    stock_movements.c.location == bindparam("location"),
    stock_movements.c.sequence == bindparam("sequence"),
)


def certificate_rows(
    transaction: Transaction, *, account: str | None, day: str | None, limit: int
) -> list[Json]:
    """Certificates and refusals, newest first, each with its signature."""
    query = _ALL.limit(limit)
    if account is not None:
        query = query.where(certificates.c.account == account)
    if day is not None:
        query = query.where(certificates.c.day == day)
    return [
        {
            "certificate": json.loads(row.document),
            "signature": row.signature,
            "next_at": when(row.next_at),
        }
        for row in transaction.rows(query)
    ]


def problems_of(transaction: Transaction, keys: KeyRing, signed: Mapping[str, Any]) -> list[str]:
    """What speaks against a certificate; empty when it is genuine and the ledger still agrees."""
    statement = signed.get("certificate")
    if not isinstance(statement, dict):
        return ["it is no certificate: it has no part `certificate`"]
    try:
        signature = base64.b64decode(str(signed.get("signature")), validate=True)
        public_key = base64.b64decode(str(statement.get("public_key")), validate=True)
        content = canonical(statement)
    except (binascii.Error, ValueError):
        return ["its signature or its public key is no base64, or it holds no plain JSON"]
    if not is_signed(public_key, signature, content):
        return ["the signature does not fit: the certificate was changed"]
    if public_key != keys.public_key:
        return ["it was signed by another installation, or with another key file"]
    return _ledger_problems(transaction, statement)


def _ledger_problems(transaction: Transaction, statement: Mapping[str, Any]) -> list[str]:
    """Of a genuine certificate: movements that were there at the day's end and are not now."""
    ledger = statement["ledger"]
    for sku, location, sequence, head in ledger["moved"]:
        place = {"sku": sku, "location": location, "sequence": sequence}
        row = transaction.row(_MOVEMENT, place)
        if row is None or row.hash != head:
            return [f"the ledger of {sku} at {location} was changed at or before row {sequence}"]
    window = Window(
        since=datetime.fromisoformat(statement["since"]),
        until=datetime.fromisoformat(statement["until"]),
    )
    if ledger_heads(transaction, window).digest != ledger["digest"]:
        return ["the ledger is not what it was at the end of that day"]
    return []
