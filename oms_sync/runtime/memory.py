"""How often Python looks for garbage: seldom enough for a hub that makes many small values.

With the defaults a fifth of the hub's work was walking over modules that never go away.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: values made and not yet gone before the youngest are looked at; the default is 700
YOUNG_MAX: Final = 20_000
YOUNG_ROUNDS: Final = 10
OLD_ROUNDS: Final = 10


@contextmanager
def collector_held() -> Iterator[None]:
    """Imports make what stays: looking for garbage meanwhile only makes the start slower."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def settle_memory() -> None:
    """What start-up made stays: leave it out of every later look. Call once all is built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, YOUNG_ROUNDS, OLD_ROUNDS)
