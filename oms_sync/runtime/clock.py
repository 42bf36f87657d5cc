"""Wall clock, sleep, identifiers and chance of the running hub: the only source of all of them."""

import random
import secrets
import threading
import time
import uuid
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # sorts like the numbers it stands for
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_ID_LENGTH = 26
_CHANCE_BITS = 80
_CHANCE_END = 1 << _CHANCE_BITS


class SystemClock:
    """The machine's clocks; `sleep` ends early once `stopping` is set."""

    def __init__(self, stopping: threading.Event | None = None) -> None:
        self._stopping = stopping or threading.Event()

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, or return at once when the hub is stopping."""
        if seconds > 0:
            self._stopping.wait(min(seconds, threading.TIMEOUT_MAX))


class SystemIds:
    """Identifiers of 26 lower-case characters that sort by the time they were made.

    48 bits of milliseconds, then 80 bits of chance; within one process each is above the last,
    also when the wall clock steps back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._chance = random.SystemRandom()

    def new(self) -> str:
        """A fresh identifier."""
        fresh = (time.time_ns() // 1_000_000) * _CHANCE_END + secrets.randbits(_CHANCE_BITS)
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1 + secrets.randbits(32)
            self._last = fresh
        return _encode(fresh)

    def uuid(self) -> str:
        """A fresh random UUID as text."""
        return str(uuid.uuid4())

    def random(self) -> float:
        """A number from [0, 1)."""
        return self._chance.random()


def _encode(number: int) -> str:
    pairs = [_PAIRS[(number >> shift) & 1023] for shift in range(5 * _ID_LENGTH - 10, -1, -10)]
    return "".join(pairs)
