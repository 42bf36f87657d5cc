"""Holds the leases of the flows that run here, and renews them while they do.

A lease only tells other owners to stay away; what protects the database is its token, checked
inside every commit of the flow.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import structlog

log = structlog.get_logger()

LEASE_SECONDS: Final = 60.0
#: three renewals may fail before the lease runs out
RENEW_SECONDS: Final = 15.0

#: what the database hands out for a lease: its name, owner and token; opaque here
Fence = Any


class Leases(Protocol):
    """The database's leases; implemented by storage."""

    def acquire(self, name: str, owner: str, seconds: float) -> Fence | None:
        """Take it, None while another owner holds it; one's own is taken with a new token."""
        ...

    def renew(self, fence: Fence, seconds: float) -> bool:
        """Keep it for longer; False when it is no longer ours."""
        ...

    def release(self, fence: Fence) -> None:
        """Give it back."""
        ...


class LeaseKeeper:
    """The leases held by this process."""

    def __init__(self, leases: Leases, *, owner: str) -> None:
        self._leases, self._owner = leases, owner
        self._lock = threading.Lock()
        self._held: dict[str, Fence] = {}

    @contextmanager
    def hold(self, name: str) -> Iterator[Fence | None]:
        """Hold the lease for the length of the block; None when another owner or thread has it.

        One we could not give back, as when the database was away, is ours to take at once.
        """
        with self._lock:
            is_held = name in self._held
        if is_held:
            yield None
            return
        fence = self._leases.acquire(name, self._owner, LEASE_SECONDS)
        if fence is None:
            yield None
            return
        with self._lock:
            self._held[name] = fence
        try:
            yield fence
        finally:
            with self._lock:
                is_held = self._held.pop(name, None) is fence
            if is_held:
                self._leases.release(fence)

    def renew(self) -> None:
        """Renew every lease held; one that is lost is forgotten, its flow's commit will refuse."""
        with self._lock:
            held = list(self._held.items())
        for name, fence in held:
            if self._leases.renew(fence, LEASE_SECONDS):
                continue
            with self._lock:
                if self._held.get(name) is not fence:
                    continue  # its run ended between the look and the renewal, and gave it back
                del self._held[name]
            log.warning("lease.lost", lease=name)

    def release_all(self) -> None:
        """Hand back what runs that did not end in time still hold; their commits then refuse."""
        with self._lock:
            held, self._held = list(self._held.values()), {}
        for fence in held:
            self._leases.release(fence)
