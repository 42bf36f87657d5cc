"""What every suite uses: a network guard, quiet Hypothesis, an order for slow tests."""

import ipaddress
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

#: fresh databases; and what compares with the vendors' contracts where they are at hand
pytest_plugins = ["database_plugin", "contract_plugin"]


settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


# --- order of tests ------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: they wait more than they work, so one worker goes through them while the
    others compute, and who is done takes over of the rest.
    """
    items.sort(key=lambda one: one.get_closest_marker("slow") is None)


# --- network guard -------------------------------------------------------------------------------


class NetworkRefused(BaseException):
    """A test tried to reach beyond this machine; no Exception, so that no retry swallows it."""


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback or (mapped or address).is_unspecified)


@dataclass
class NetworkGuard:
    """Lets loopback and unix sockets through, refuses and remembers everything else."""

    refused: list[str] = field(default_factory=list)

    def refuse(self, what: str) -> None:
        self.refused.append(what)
        raise NetworkRefused(f"{what}: tests reach nothing but loopback and unix sockets")

    def check(self, sock: socket.socket, address: Any, what: str) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            self.refuse(f"{what} {address[0]}:{address[1]}")

    def guard_method(self, name: str) -> Callable[..., Any]:
        original = getattr(socket.socket, name)

        def guarded(sock: socket.socket, *args: Any) -> Any:
            self.check(sock, args[-1], name)  # the address is the last argument of all of them
            return original(sock, *args)

        return guarded

    def guard_look_up(self) -> Callable[..., Any]:
        original = socket.getaddrinfo

        def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_local(host):
                self.refuse(f"look-up of {host!r}")
            return original(host, *args, **kwargs)

        return guarded


@pytest.fixture(scope="session")
def _network_guard() -> Iterator[NetworkGuard]:
    guard = NetworkGuard()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guard.guard_method(name))
        patch.setattr(socket, "getaddrinfo", guard.guard_look_up())
        yield guard


@pytest.fixture(autouse=True)
def network_guard(_network_guard: NetworkGuard) -> Iterator[NetworkGuard]:
    """Fails the test that reached out, also when the refusal was raised in a thread."""
    _network_guard.refused.clear()
    yield _network_guard
    refused, _network_guard.refused = _network_guard.refused, []
    assert not refused, f"the test reached out to: {'; '.join(refused)}"
