"""What a sandbox's offered quantities were, moment by moment: the raw matter of latency figures.

Kept by the sandbox at the instant of each change, so that measuring costs the hub nothing.
"""

from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

CHANGES_KEPT_MAX: Final = 200_000
CHANGES_ANSWERED_MAX: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantityChange:
    """One change of what the channel offers of one SKU.

    Example: `QuantityChange(number=1, at="2026-01-01T00:00:00.000000Z", channel_sku="TEE",
    quantity=4, delta=-1, is_hub=False)`.
    """

    #: counts up from 1 without a gap
    number: int
    at: str
    channel_sku: str
    #: what is offered from then on
    quantity: int
    delta: int
    #: the hub set it; else a buyer or a hand moved it
    is_hub: bool


class ChangeLog:
    """The newest changes of one sandbox; the caller's lock keeps them in order.

    Example: `log.add(now, "TEE", quantity=4, delta=-1)`.
    """

    def __init__(self) -> None:
        self._kept: deque[QuantityChange] = deque(maxlen=CHANGES_KEPT_MAX)
        self._count = 0

    def add(
        self, at: datetime, channel_sku: str, *, quantity: int, delta: int, is_hub: bool = False
    ) -> None:
        """Remember one change."""
        self._count += 1
        self._kept.append(
            QuantityChange(
                number=self._count,
                at=at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                channel_sku=channel_sku,
                quantity=quantity,
                delta=delta,
                is_hub=is_hub,
            )
        )

    def after(self, number: int) -> list[dict[str, Any]]:
        """The changes numbered above `number`, oldest first, at most `CHANGES_ANSWERED_MAX`."""
        skipped = max(0, number - (self._count - len(self._kept)))
        page = islice(self._kept, skipped, skipped + CHANGES_ANSWERED_MAX)
        return [asdict(change) for change in page]
