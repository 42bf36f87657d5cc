"""Who personal bytes are about: one data key per subject, wrapped by the key ring."""

from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from oms_sync.domain.order import KnownOrder
from oms_sync.storage import locks
from oms_sync.storage.columns import among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.tables.hub import subjects

#: what is about to be sealed with a key must not lose it to an erasure that looks this moment
_FIND = locks.subjects_in_use(
    select(subjects.c.subject_id, subjects.c.data_key).where(
        among(subjects.c.subject_id, "subject_ids")
    )
)
_READ = select(subjects.c.subject_id, subjects.c.data_key).where(
    among(subjects.c.subject_id, "subject_ids")
)
_ADD_SQLITE = sqlite_insert(subjects).on_conflict_do_nothing()
_ADD_POSTGRES = postgres_insert(subjects).on_conflict_do_nothing()
_ABOUT = "subject "


def subject_id(keys: KeyRing, known: KnownOrder, order_id: str) -> str:
    """The order's subject: the account's buyer where the channel names one, else the order."""
    for person in (known.facts.buyer, known.facts.recipient):
        if person is not None and person.channel_buyer_id:
            return buyer_subject(keys, known.ref.account, person.channel_buyer_id)
    return _hashed(keys, f"order\0{known.ref.account}\0{order_id}")


def buyer_subject(keys: KeyRing, account: str, channel_buyer_id: str) -> str:
    """The subject of a buyer the channel names."""
    return _hashed(keys, f"buyer\0{account}\0{channel_buyer_id}")


def open_subject(keys: KeyRing, subject: str, wrapped: bytes) -> AESGCM:
    """The subject's data key, ready to use."""
    return keys.data_key(wrapped, _ABOUT + subject)


def wrapped_keys(transaction: Transaction, subject_ids: Iterable[str]) -> dict[str, bytes]:
    """The stored data keys of these subjects, by subject."""
    wanted = sorted(set(subject_ids))
    rows = transaction.rows(_READ, {"subject_ids": wanted}) if wanted else ()
    return {row.subject_id: row.data_key for row in rows}


def subject_keys(
    transaction: Transaction, keys: KeyRing, wanted: Mapping[str, str]
) -> dict[str, AESGCM]:
    """Data keys by subject, made where there is none; `wanted` maps subject to account."""
    if not wanted:
        return {}
    found = _find(transaction, wanted)
    fresh: dict[str, AESGCM] = {}
    batch = []
    for subject in sorted(wanted.keys() - found.keys()):
        fresh[subject], wrapped = keys.new_data_key(_ABOUT + subject)
        batch.append(
            {
                "subject_id": subject,
                "account": wanted[subject],
                "data_key": wrapped,
                "erase_wanted_at": None,
            }
        )
    if batch and transaction.is_postgres:
        # Another node may have made the same subject meanwhile: what is stored counts.
        transaction.run_many(_ADD_POSTGRES, batch)
        found |= _find(transaction, fresh)
        fresh = {}
    elif batch:
        transaction.run_many(_ADD_SQLITE, batch)
    stored = {subject: open_subject(keys, subject, wrapped) for subject, wrapped in found.items()}
    return {**stored, **fresh}


def _find(transaction: Transaction, wanted: Iterable[str]) -> dict[str, bytes]:
    rows = transaction.rows(_FIND, {"subject_ids": sorted(wanted)})
    return {row.subject_id: row.data_key for row in rows}


def _hashed(keys: KeyRing, who: str) -> str:
    return keys.hash("subject", who.encode("utf-8", "surrogatepass"))
