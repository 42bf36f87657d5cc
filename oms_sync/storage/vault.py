"""Who personal bytes are about: one data key per subject, wrapped by the key ring."""

from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from oms_sync.domain.order import KnownOrder
from oms_sync.storage.columns import among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.tables.hub import subjects

_FIND = select(subjects.c.subject_id, subjects.c.data_key).where(
    among(subjects.c.subject_id, "subject_ids")
)
_ADD_SQLITE = sqlite_insert(subjects).on_conflict_do_nothing()
_ADD_POSTGRES = postgres_insert(subjects).on_conflict_do_nothing()
_ABOUT = "subject "


def subject_id(keys: KeyRing, known: KnownOrder, order_id: str) -> str:
    """The order's subject: the account's buyer where the channel names one, else the order."""
    for person in (known.facts.buyer, known.facts.recipient):
        if person is not None and person.channel_buyer_id:
            who = f"buyer\0{known.ref.account}\0{person.channel_buyer_id}"
            break
    else:
        who = f"order\0{known.ref.account}\0{order_id}"
    return keys.hash("subject", who.encode("utf-8", "surrogatepass"))


def open_subject(keys: KeyRing, subject: str, wrapped: bytes) -> AESGCM:
    """The subject's data key, ready to use."""
    return keys.data_key(wrapped, _ABOUT + subject)


def subject_keys(
    transaction: Transaction, keys: KeyRing, wanted: Mapping[str, str]
) -> dict[str, AESGCM | None]:
    """Data keys by subject, made where there is none; None for a subject that was erased.

    `wanted` maps subject to account.
    """
    if not wanted:
        return {}
    found = _find(transaction, wanted)
    fresh: dict[str, AESGCM] = {}
    batch = []
    for subject in sorted(wanted.keys() - found.keys()):
        fresh[subject], wrapped = keys.new_data_key(_ABOUT + subject)
        batch.append({"subject_id": subject, "account": wanted[subject], "data_key": wrapped})
    if batch and transaction.is_postgres:
        # Another node may have made the same subject meanwhile: what is stored counts.
        transaction.run_many(_ADD_POSTGRES, batch)
        found |= _find(transaction, fresh)
        fresh = {}
    elif batch:
        transaction.run_many(_ADD_SQLITE, batch)
    stored = {
        subject: open_subject(keys, subject, wrapped) if wrapped else None
        for subject, wrapped in found.items()
    }
    return {**stored, **fresh}


def _find(transaction: Transaction, wanted: Iterable[str]) -> dict[str, bytes | None]:
    rows = transaction.rows(_FIND, {"subject_ids": list(wanted)})
    return {row.subject_id: row.data_key for row in rows}
