"""Connectors by name, found through entry points alone and loaded when first asked for.

A broken connector is listed with its reason and refused when asked for; it never stops the others.
"""

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal

from pydantic import BaseModel

from oms_sync.runtime.config_faults import one_line
from oms_sync.sdk import API_VERSION, Capability, Connector

GROUP = "oms_sync.connectors"
CONNECTORS_MAX = 200
_REASON_LENGTH_MAX = 300


class ConnectorUnavailable(Exception):
    """The connector an account names cannot be used; see `oms-sync connectors list`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedConnector:
    """One line of `oms-sync connectors list`."""

    name: str
    version: str = ""
    capabilities: tuple[Capability, ...] = ()
    #: "disabled": fine, but no enabled account uses it
    state: Literal["ready", "disabled", "broken"]
    reason: str = ""


@dataclass(slots=True)
class Registry:
    """Every installed connector; made by `load_registry`."""

    _doors: dict[str, list[metadata.EntryPoint]]
    _loaded: dict[str, Connector | str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all installed connectors, broken ones included."""
        return tuple(sorted(self._doors))

    def get(self, name: str) -> Connector:
        """The connector; raises ConnectorUnavailable with a sentence."""
        if name not in self._doors:
            known = ", ".join(self.names) or "none"
            raise ConnectorUnavailable(f"no connector {name!r} is installed; installed: {known}")
        found = self._find(name)
        if isinstance(found, str):
            raise ConnectorUnavailable(f"the connector {name!r} is broken: {found}")
        return found

    def settings_model(self, name: str) -> type[BaseModel]:
        """The model of the connector's settings; raises ConnectorUnavailable."""
        connector = self.get(name)
        try:
            model = connector.load_settings()
        except Exception as error:
            raise ConnectorUnavailable(_unloadable(connector.settings, error)) from error
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise ConnectorUnavailable(f"{connector.settings} is no pydantic model")
        return model

    def listed(self, *, enabled: Collection[str] | None = None) -> list[ListedConnector]:
        """All of them, by name; `enabled` names those some enabled account uses."""
        return [self._line(name, enabled) for name in self.names]

    def _line(self, name: str, enabled: Collection[str] | None) -> ListedConnector:
        found = self._find(name)
        if isinstance(found, str):
            return ListedConnector(name=name, state="broken", reason=found)
        is_used = enabled is None or name in enabled
        return ListedConnector(
            name=name,
            version=found.manifest.version,
            capabilities=tuple(sorted(found.manifest.capabilities)),
            state="ready" if is_used else "disabled",
            reason="" if is_used else "no enabled account uses it",
        )

    def _find(self, name: str) -> Connector | str:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = _load(name, self._doors[name])
            return self._loaded[name]


def load_registry(entry_points: Iterable[metadata.EntryPoint] | None = None) -> Registry:
    """Note what is installed; nothing is imported before it is asked for."""
    found = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    doors: dict[str, list[metadata.EntryPoint]] = {}
    for door in list(found)[:CONNECTORS_MAX]:
        same = doors.setdefault(door.name, [])
        if all(_origin(door) != _origin(each) or door.value != each.value for each in same):
            same.append(door)
    return Registry(doors)


def _origin(door: metadata.EntryPoint) -> str:
    return door.dist.name if door.dist else "an unknown package"


def _load(name: str, doors: list[metadata.EntryPoint]) -> Connector | str:
    if len(doors) > 1:
        offers = ", ".join(sorted(f"{_origin(door)} ({door.value})" for door in doors))
        return f"offered more than once, by {offers}; uninstall all but one"
    try:
        loaded = doors[0].load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module
        return _unloadable(doors[0].value, error)
    if not isinstance(loaded, Connector):
        return f"{doors[0].value} is no sdk.Connector but {type(loaded).__name__}"
    return _refusal(name, loaded) or loaded


def _unloadable(target: str, error: BaseException) -> str:
    what = one_line(f"{target} cannot be imported: {type(error).__name__}: {error}")
    return what[:_REASON_LENGTH_MAX]


def _refusal(name: str, connector: Connector) -> str:
    manifest = connector.manifest
    ours, theirs = API_VERSION.partition(".")[0], str(manifest.api_version).partition(".")[0]
    if theirs != ours:
        return (
            f"made for version {manifest.api_version} of the connector interface, this hub speaks"
            f" {API_VERSION}; install a release of the connector made for {ours}.x"
        )
    if manifest.id != name:
        return f"its entry point is named {name!r}, its manifest {manifest.id!r}; make them equal"
    return ""
