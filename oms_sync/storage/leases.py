"""Leases: who runs what now. A token grows with every new owner and is checked in every commit."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import bindparam, update

from oms_sync.flows.ports import LeaseLost
from oms_sync.sdk import Clock
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant
from oms_sync.storage.connections import Database, Transaction
from oms_sync.storage.tables.hub import leases
from oms_sync.storage.writing import insert_or_ignore

_ADD = insert_or_ignore(leases)
_TAKE = (
    update(leases)
    .where(leases.c.name == bindparam("b_name"))
    .values(
        owner=bindparam("b_owner"),
        token=leases.c.token + 1,
        expires_at=bindparam("b_until", type_=Instant()),
    )
)
_RENEW = (
    update(leases)
    .where(
        leases.c.name == bindparam("b_name"),
        leases.c.owner == bindparam("b_owner"),
        leases.c.token == bindparam("b_token"),
    )
    .values(expires_at=bindparam("b_until", type_=Instant()))
)
_RELEASE = (
    update(leases)
    .where(
        leases.c.name == bindparam("b_name"),
        leases.c.owner == bindparam("b_owner"),
        leases.c.token == bindparam("b_token"),
    )
    .values(owner="", expires_at=bindparam("b_until", type_=Instant()))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A lease as its owner holds it."""

    name: str
    owner: str
    token: int


class Leases:
    """Takes, renews and gives back leases, each in a transaction of its own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def acquire(self, name: str, owner: str, seconds: float) -> Fence | None:
        """Take a lease nobody holds, or whose time is over; None while another holds it.

        One's own, kept because it could not be given back, is taken again with a new token.
        """
        now = self._clock.now()
        until = now + timedelta(seconds=seconds)
        with self._database.write() as transaction:
            held = locks.lock_lease(transaction, name)
            if held is None:
                row = {"name": name, "owner": owner, "token": 1, "expires_at": until}
                if not _ADD.count_added(transaction, [row]):
                    return None  # another took it in this very moment
                transaction.commit()
                return Fence(name=name, owner=owner, token=1)
            if held.owner not in ("", owner) and held.expires_at > now:
                return None
            transaction.run(_TAKE, {"b_name": name, "b_owner": owner, "b_until": until})
            transaction.commit()
            return Fence(name=name, owner=owner, token=held.token + 1)

    def renew(self, fence: Fence, seconds: float) -> bool:
        """Hold on to it; False when another has taken it meanwhile."""
        until = self._clock.now() + timedelta(seconds=seconds)
        with self._database.write() as transaction:
            touched = transaction.run(_RENEW, _fence_parameters(fence) | {"b_until": until})
            transaction.commit()
        return touched == 1

    def release(self, fence: Fence) -> None:
        """Give it back at once, unless another has taken it."""
        with self._database.write() as transaction:
            now = self._clock.now()
            transaction.run(_RELEASE, _fence_parameters(fence) | {"b_until": now})
            transaction.commit()

    def clear(self, names: Iterable[str]) -> None:
        """Take leases from owners known to be dead; their tokens are worth nothing from now on."""
        now = self._clock.now()
        batch = [{"b_name": name, "b_owner": "", "b_until": now} for name in sorted(names)]
        with self._database.write() as transaction:
            transaction.run_many(_TAKE, batch)
            transaction.commit()


def check_fence(transaction: Transaction, fence: Fence) -> None:
    """Lock the lease and raise LeaseLost unless it is still ours; the commit follows."""
    held = locks.lock_lease(transaction, fence.name)
    if held is None or (held.owner, held.token) != (fence.owner, fence.token):
        raise LeaseLost(f"{fence.name}: another owner has taken the lease; nothing was stored")


def _fence_parameters(fence: Fence) -> dict[str, str | int]:
    return {"b_name": fence.name, "b_owner": fence.owner, "b_token": fence.token}
