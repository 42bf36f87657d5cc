"""Which flows there are, what each needs, and which of them stand apart from the others."""

from collections.abc import Callable, Mapping
from typing import Final

from oms_sync.flows import (
    certify,
    discover,
    erase,
    ingest,
    listen,
    normalise,
    push_stock,
    push_tracking,
    reconcile,
    reserve,
    watch,
    write_back,
)
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.sdk import Capability, Manifest

Flow = Callable[[FlowContext], FlowReport]

#: the pipeline, in its order
FLOWS: Final[Mapping[str, Flow]] = {
    "listen": listen.run,
    "ingest": ingest.run,
    "normalise": normalise.run,
    "reserve": reserve.run,
    "push_stock": push_stock.run,
    "push_tracking": push_tracking.run,
    "write_back": write_back.run,
    "reconcile": reconcile.run,
    "certify": certify.run,
    "discover": discover.run,
    "watch": watch.run,
    "erase": erase.run,
}
#: the capability each flow needs, or any one of several; None for those that speak to no channel
FLOW_NEEDS: Final[Mapping[str, Capability | frozenset[Capability] | None]] = {
    "listen": Capability.PULL_NOTIFICATIONS,
    "ingest": Capability.READ_ORDERS,
    "normalise": None,
    "reserve": None,
    "push_stock": Capability.PUSH_STOCK,
    "push_tracking": Capability.PUSH_TRACKING,
    "write_back": frozenset(write_back.NEEDS.values()),
    "reconcile": Capability.READ_ORDERS,
    "certify": Capability.LIST_ORDERS,
    "discover": Capability.DISCOVER_LISTINGS,
    "watch": Capability.READ_ORDERS,
    "erase": None,
}
LOCAL_FLOWS: Final = frozenset(flow for flow, need in FLOW_NEEDS.items() if need is None) | {
    "watch"
}
#: flows that do not even translate: they run also while no session can be opened
SESSIONLESS_FLOWS: Final = frozenset({"reserve", "watch", "erase"})
#: flows that page for long: they never take the last thread of their account, so that a push does
#: not wait behind a back-fill
LONG_FLOWS: Final = frozenset({"ingest", "reconcile", "certify", "discover", "tend"})
#: long flows nobody waits for: they leave a thread for another long one, too, so that orders do not
#: wait behind the list of all listings
PATIENT_FLOWS: Final = frozenset({"discover"})
#: flows that wait at a queue nearly all the time, beside the channel's own calls. They have
#: threads of their own, and a queue in trouble stops nothing else of its account: polling alone
#: brings everything too.
STANDING_FLOWS: Final = frozenset({"listen"})


def flows_of(manifest: Manifest) -> tuple[str, ...]:
    """The flows an account of this connector has."""
    return tuple(flow for flow, need in FLOW_NEEDS.items() if _has(manifest, need))


def _has(manifest: Manifest, need: Capability | frozenset[Capability] | None) -> bool:
    if isinstance(need, frozenset):
        return not need.isdisjoint(manifest.capabilities)
    return need is None or need in manifest.capabilities
