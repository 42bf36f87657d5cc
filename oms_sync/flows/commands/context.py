"""What every command works with, and how it refuses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from oms_sync.domain.values import Sku
from oms_sync.flows.ports import OpenWork, UnitOfWork
from oms_sync.flows.records import AccountProfile
from oms_sync.sdk import Clock, Ids, Manifest


class CommandRefused(Exception):
    """The command cannot be done; nothing was changed. The message names place and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One bad row of an imported file."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class BadFile(CommandRefused):
    """An imported file has bad rows; nothing was changed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """Everything a command works with."""

    open_work: OpenWork
    clock: Clock
    ids: Ids
    #: who asked, as the timeline shows it: "cli:anna"
    actor: str
    profiles: Mapping[str, AccountProfile]
    #: codes of the configured locations
    locations: frozenset[str]
    #: what the connector of an account declares; by default nothing
    manifest_of: Callable[[str], Manifest] = lambda account: Manifest(id=account, label=account)
    #: the reasons for cancelling that the channel of an account has words for; None for any
    cancel_words_of: Callable[[str], frozenset[str] | None] = lambda account: None

    def profile(self, account: str) -> AccountProfile:
        """The profile of `account`; refuses an account the configuration does not know."""
        profile = self.profiles.get(account)
        if profile is None:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise CommandRefused(
                f"there is no account {account!r}; the configuration names: {known}"
            )
        return profile

    def check_location(self, location: str) -> None:
        """Refuses a location the configuration does not know."""
        if location not in self.locations:
            known = ", ".join(sorted(self.locations))
            raise CommandRefused(
                f"there is no location {location!r}; the configuration names: {known}"
            )


def announce(context: CommandContext, work: UnitOfWork, skus: Iterable[Sku]) -> None:
    """Stock of `skus` changed: their listings are computed anew, short orders are looked at."""
    skus = sorted(set(skus))
    if not skus:
        return
    for account in sorted(work.listings.mark_stale(skus)):
        work.wake("push_stock", account)
    if work.orders.short_order_ids(skus, 1):
        for account in sorted(context.profiles):
            work.wake("reserve", account)
