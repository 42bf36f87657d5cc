"""Waits for SIGTERM or SIGINT in the main thread; a second one ends the process at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

#: how soon a signal is noticed: its handler must not touch locks, so a flag is looked at
LOOK_SECONDS: Final = 0.1


class Signals:
    """The signals received so far."""

    def __init__(self) -> None:
        self.count = 0

    def wait(self, ended: threading.Event) -> None:
        """Return once a signal came or `ended` is set."""
        while not self.count and not ended.wait(LOOK_SECONDS):
            continue

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            os._exit(128 + number)


@contextmanager
def caught_signals() -> Iterator[Signals]:
    """Catch both signals for the length of the block; for the main thread."""
    signals = Signals()
    before = {
        number: signal.signal(number, signals._receive)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
