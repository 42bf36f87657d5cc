"""An answer of another shape than the channel's contract says is an error of ours to name."""

from collections.abc import Iterator
from contextlib import contextmanager

from oms_sync.sdk.errors import BadPayload, ChannelError, OutcomeUnknown


@contextmanager
def understood(channel: str, *, is_write: bool = False) -> Iterator[None]:
    """Turn what a surprising answer breaks into BadPayload, not a traceback.

    Where a write was sent, what it did is then unknown. Errors of the contract pass.
    """
    try:
        yield
    except ChannelError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        message = f"{channel}'s answer has another shape than its contract says: {error!r}"[:300]
        raise (OutcomeUnknown if is_write else BadPayload)(message) from error
