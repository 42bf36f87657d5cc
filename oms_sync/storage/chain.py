"""The ledger's keyed hashes: each movement over the one before, each level over itself.

Pure; used where movements are written (`stock.py`) and where they are verified (`ledger.py`).
"""

import hmac

from oms_sync.domain.stock import StockLevel, StockMovement
from oms_sync.storage.columns import to_json, to_micros


def _join(*parts: str | int) -> bytes:
    # JSON keeps the parts apart whatever a reason or a source contains.
    return to_json(parts).encode("ascii")


def movement_hash(key: bytes, head: str, sequence: int, movement: StockMovement) -> str:
    """The hash of one movement, chained to `head`, the hash before it."""
    text = _join(
        head,
        movement.sku,
        movement.location,
        sequence,
        movement.kind.value,
        movement.on_hand_delta,
        movement.unavailable_delta,
        movement.reserved_delta,
        movement.reason,
        movement.source,
        movement.actor,
        to_micros(movement.at),
    )
    return hmac.digest(key, text, "sha256").hex()


def level_seal(key: bytes, level: StockLevel) -> str:
    """The seal of a level row: who edits a counter, or winds it back, cannot make it."""
    text = _join(
        "level",
        level.sku,
        level.location,
        int(level.is_counted),
        level.on_hand,
        level.unavailable,
        level.reserved,
        level.safety_stock,
        level.sequence,
        level.head,
    )
    return hmac.digest(key, text, "sha256").hex()


def totals_seal(key: bytes, levels: int) -> str:
    """The seal of the number of levels."""
    return hmac.digest(key, _join("levels", levels), "sha256").hex()
