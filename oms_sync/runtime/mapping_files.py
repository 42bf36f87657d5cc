"""Mapping tables from YAML: those a connector ships, single entries overridden by the operator.

Strict: unknown keys, a right-hand side that is no canonical member, and a missing `unmapped` are
faults with file, line and column. A code is text, whatever it looks like.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args

from oms_sync.domain.order import OrderState
from oms_sync.runtime.config_faults import ConfigError, Fault, KeyPath, Place, make_fault
from oms_sync.runtime.config_file import (
    FILE_BYTES_MAX,
    Broken,
    MapNode,
    Node,
    Scalar,
    read_text,
    read_tree,
)
from oms_sync.sdk import Manifest, MappingTable
from oms_sync.sdk.mapping import UnmappedPolicy

TABLES_MAX = 50
ENTRIES_MAX = 5_000
SUFFIX = ".yaml"

#: the canonical members of tables whose right-hand sides are a closed set; everywhere else a
#: right-hand side is a lower_snake word of ours, such as a carrier's
VOCABULARIES: Mapping[str, frozenset[str]] = {
    "order_status": frozenset(state.value for state in OrderState),
}
_WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_POLICIES: tuple[str, ...] = get_args(UnmappedPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    unmapped: UnmappedPolicy | None
    entries: dict[str, str]


def load_tables(manifest: Manifest, *, overlay: Path | None = None) -> dict[str, MappingTable]:
    """The connector's tables by name, with the operator's entries from `overlay`/CONNECTOR/.

    Raises ConfigError with every fault of every file.
    """
    if manifest.mappings is None:
        return {}
    package, folder = manifest.mappings
    faults: list[Fault] = []
    tables = _packaged(resources.files(package).joinpath(folder), faults)
    if overlay is not None:
        _override(tables, overlay / manifest.id, faults)
    if faults:
        raise ConfigError(faults)
    return tables


def read_table(text: str, *, name: str, file: str) -> MappingTable:
    """One whole table; raises ConfigError with every fault of it."""
    faults: list[Fault] = []
    read = _read(text, name=name, file=file, faults=faults)
    if read.unmapped is None and not faults:
        what = f"is missing; write one of {', '.join(_POLICIES)}"
        faults.append(make_fault(file, Place(), ("unmapped",), what))
    if faults or read.unmapped is None:
        raise ConfigError(faults)
    return MappingTable(name=name, unmapped=read.unmapped, entries=read.entries)


def _packaged(folder: Traversable, faults: list[Fault]) -> dict[str, MappingTable]:
    tables: dict[str, MappingTable] = {}
    for file in _yaml_files(folder):
        name = file.name.removesuffix(SUFFIX)
        try:
            content = file.read_bytes()[: FILE_BYTES_MAX + 1].decode("utf-8")
            tables[name] = read_table(content, name=name, file=str(file))
        except UnicodeDecodeError:
            faults.append(make_fault(str(file), Place(), (), "is not UTF-8 text"))
        except ConfigError as error:
            faults += error.faults
    if not tables and not faults:
        what = "holds no mapping table; install the package again"
        faults.append(make_fault(str(folder), Place(), (), what))
    return tables


def _yaml_files(folder: Traversable) -> list[Traversable]:
    if not folder.is_dir():
        return []
    found = [file for file in folder.iterdir() if file.name.endswith(SUFFIX) and file.is_file()]
    return sorted(found, key=lambda file: file.name)[:TABLES_MAX]


def _override(tables: dict[str, MappingTable], folder: Path, faults: list[Fault]) -> None:
    if not folder.parent.is_dir():
        what = "is no folder; correct mappings.directory in the configuration"
        faults.append(make_fault(str(folder.parent), Place(), (), what))
        return
    for file in _yaml_files(folder):
        name = file.name.removesuffix(SUFFIX)
        if name not in tables:
            allowed = ", ".join(f"{each}{SUFFIX}" for each in sorted(tables))
            what = f"is no table of this connector; allowed names: {allowed}"
            faults.append(make_fault(str(file), Place(), (), what))
            continue
        text, unreadable = read_text(folder / file.name)
        faults += unreadable
        if not unreadable:
            read = _read(text, name=name, file=str(file), faults=faults)
            table = tables[name]
            tables[name] = MappingTable(
                name=name,
                unmapped=read.unmapped or table.unmapped,
                entries={**table.entries, **read.entries},
            )


def _read(text: str, *, name: str, file: str, faults: list[Fault]) -> _Read:
    tree, found = read_tree(text, file)
    faults += found
    unmapped: UnmappedPolicy | None = None
    entries: dict[str, str] = {}
    for entry in tree.entries if tree else ():
        path: KeyPath = (entry.key,)
        if entry.key == "unmapped":
            unmapped = _policy(entry.node)
            if unmapped is None and not isinstance(entry.node, Broken):
                what = f"must be one of {', '.join(_POLICIES)}"
                faults.append(make_fault(file, entry.node.place, path, what))
        elif entry.key == "entries":
            entries = _entries(entry.node, name, _Voice(file=file, faults=faults))
        else:
            what = "unknown key; allowed here: unmapped, entries"
            faults.append(make_fault(file, entry.place, path, what))
    return _Read(unmapped=unmapped, entries=entries)


def _policy(node: Node) -> UnmappedPolicy | None:
    written: Any = node.value if isinstance(node, Scalar) else None
    return written if written in _POLICIES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Voice:
    file: str
    faults: list[Fault]

    def say(self, place: Place, path: KeyPath, message: str) -> None:
        self.faults.append(make_fault(self.file, place, path, message))


def _entries(node: Node, table: str, voice: _Voice) -> dict[str, str]:
    if isinstance(node, Scalar) and node.value is None:
        return {}
    if not isinstance(node, MapNode):
        voice.say(node.place, ("entries",), "must be a mapping of `CODE: value` lines")
        return {}
    if len(node.entries) > ENTRIES_MAX:
        voice.say(node.place, ("entries",), f"holds more than {ENTRIES_MAX} entries")
    return dict(_pairs(node, table, voice))


def _pairs(node: MapNode, table: str, voice: _Voice) -> Iterator[tuple[str, str]]:
    for entry in node.entries:
        path: KeyPath = ("entries", entry.key)
        value = entry.node.value if isinstance(entry.node, Scalar) else None
        if isinstance(entry.node, Broken):
            continue
        if not isinstance(value, str):
            voice.say(entry.node.place, path, "must be a word of ours, as text")
        elif not _is_member(value, table):
            voice.say(entry.node.place, path, f"is not allowed; allowed: {_allowed(table)}")
        else:
            yield entry.key, value


def _is_member(value: str, table: str) -> bool:
    if table in VOCABULARIES:
        return value in VOCABULARIES[table]
    return bool(_WORD.fullmatch(value))


def _allowed(table: str) -> str:
    if table in VOCABULARIES:
        return ", ".join(sorted(VOCABULARIES[table]))
    return "a lower-case word such as ups_ground"
