"""YAML 1.2 text → a tree that remembers where everything stands, for operators' files.

Refuses what makes a file mean something else than it shows: tags, anchors, aliases, duplicate
keys, directives, a second document; and what is too large. It never raises on bad text: every
fault is collected.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from oms_sync.runtime.config_faults import Fault, KeyPath, Place, make_fault, show_key

FILE_BYTES_MAX = 256 * 1024
EVENTS_MAX = 20_000
NESTING_MAX = 20

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,18}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value; `value` is what YAML 1.2 makes of it, `text` what is written."""

    place: Place
    text: str
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A sequence."""

    place: Place
    nodes: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of a mapping with what stands behind it."""

    key: str
    place: Place
    node: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A mapping; keys are text, whatever they look like, and each stands once."""

    place: Place
    entries: tuple[Entry, ...] = ()

    def find(self, key: str) -> Entry | None:
        """The entry of `key`, None where there is none."""
        return next((each for each in self.entries if each.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Something refused; its fault is already recorded, so nothing more is said of it."""

    place: Place


Node = Scalar | ListNode | MapNode | Broken


def read_text(file: Path) -> tuple[str, list[Fault]]:
    """The file's text, or a fault that says why it cannot be read."""
    try:
        with file.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return "", [make_fault(str(file), Place(), (), f"cannot be read: {reason}")]
    if len(content) > FILE_BYTES_MAX:
        what = f"is too large; at most {FILE_BYTES_MAX} bytes are allowed"
        return "", [make_fault(str(file), Place(), (), what)]
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        return "", [make_fault(str(file), _place_at(before), (), "is not UTF-8 text")]


def read_tree(text: str, file: str) -> tuple[MapNode | None, list[Fault]]:
    """The tree of a file whose root is a mapping, and everything wrong with its YAML.

    The tree is None when the syntax is broken: then nothing behind that place can be judged.
    """
    if len(text.encode("utf-8", "surrogatepass")) > FILE_BYTES_MAX:
        what = f"is too large; at most {FILE_BYTES_MAX} bytes are allowed"
        return None, [make_fault(file, Place(), (), what)]
    events, faults = _read_events(text, file)
    if any(fault.path == "file" for fault in faults):
        return None, faults
    start = next((event for event in events if isinstance(event, _CONTENT)), None)
    if start is None or _is_empty(start):
        return None, [*faults, make_fault(file, Place(), (), "is empty; keys are expected")]
    if not isinstance(start, MappingStartEvent):
        what = "holds no mapping; write `key: value` lines"
        return None, [*faults, make_fault(file, _place(start), (), what)]
    builder = _Builder(iter(events[events.index(start) + 1 :]), file)
    root = builder.mapping(start, ())
    return root, faults + builder.faults


_CONTENT = (AliasEvent, ScalarEvent, SequenceStartEvent, MappingStartEvent)
_STARTS = (SequenceStartEvent, MappingStartEvent)
_ENDS = (SequenceEndEvent, MappingEndEvent)


def _is_empty(event: Event) -> bool:
    return isinstance(event, ScalarEvent) and not event.value and event.style is None


def _read_events(text: str, file: str) -> tuple[list[Event], list[Fault]]:
    """The events up to the end or the first fault that makes the rest unreadable."""
    events: list[Event] = []
    depth = documents = 0
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            events.append(event)
            depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)
            documents += isinstance(event, DocumentStartEvent)
            refusal = _refusal(event, depth=depth, documents=documents, count=len(events))
            if refusal:
                return events, [make_fault(file, _place(event), (), refusal)]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(line=mark.line + 1, column=mark.column + 1) if mark else Place()
        what = f"is not valid YAML: {error.problem or error.context}"
        return events, [make_fault(file, place, (), what)]
    except ReaderError as error:
        what = "holds a character YAML does not allow; write it as an escape in double quotes"
        return events, [make_fault(file, _place_at(text[: error.position]), (), what)]
    except (YAMLError, ValueError, OverflowError, IndexError, TypeError, AttributeError):
        # the parser's own slips on hostile text, such as "\UFFFFFFFF"
        place = _place(events[-1]) if events else Place()
        return events, [make_fault(file, place, (), "is not valid YAML after this place")]
    return events, []


def _refusal(event: Event, *, depth: int, documents: int, count: int) -> str:
    if depth > NESTING_MAX:
        return f"is nested too deeply; at most {NESTING_MAX} levels are allowed"
    if count > EVENTS_MAX:
        return f"holds too many values; at most {EVENTS_MAX} are allowed"
    if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
        return "YAML directives are not allowed; remove the line that begins with %"
    if documents > 1:
        return "a second document begins here; one is allowed: remove the line ---"
    return ""


def _place(event: Event) -> Place:
    mark = event.start_mark
    return Place(line=mark.line + 1, column=mark.column + 1)


def _place_at(before: str) -> Place:
    lines = before.split("\n")
    return Place(line=len(lines), column=len(lines[-1]) + 1)


class _Builder:
    """Turns events into nodes; nesting is bounded before it starts."""

    def __init__(self, events: Iterator[Any], file: str) -> None:
        self._events, self._file = events, file
        self.faults: list[Fault] = []

    def mapping(self, start: Any, path: KeyPath) -> MapNode:
        self._refuse_marks(start, path)
        entries: dict[str, Entry] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            self._entry(event, path, entries)
        return MapNode(place=_place(start), entries=tuple(entries.values()))

    def _entry(self, event: Any, path: KeyPath, entries: dict[str, Entry]) -> None:
        if not isinstance(event, ScalarEvent):
            self._say(event, path, "a key must be a plain word")
            self._node(event, path)
            self._node(next(self._events), path)
            return
        key, place = event.value, _place(event)
        self._refuse_marks(event, (*path, key))
        node = self._node(next(self._events), (*path, key))
        if key in entries:
            what = f"stands twice, first in line {entries[key].place.line}; keep one of the two"
            self._say(event, (*path, key), what)
            return
        if not _is_text(key):
            self._say(event, path, f"the key {show_key(key)} holds a broken character")
            return
        entries[key] = Entry(key=key, place=place, node=node)

    def _node(self, event: Any, path: KeyPath) -> Node:
        if isinstance(event, AliasEvent):
            self._say(event, path, "aliases are not allowed; write the value out")
            return Broken(place=_place(event))
        if isinstance(event, MappingStartEvent):
            return self.mapping(event, path)
        if isinstance(event, SequenceStartEvent):
            return self._list(event, path)
        return self._scalar(event, path)

    def _list(self, start: Any, path: KeyPath) -> ListNode:
        self._refuse_marks(start, path)
        nodes: list[Node] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            nodes.append(self._node(event, (*path, len(nodes))))
        return ListNode(place=_place(start), nodes=tuple(nodes))

    def _scalar(self, event: Any, path: KeyPath) -> Node:
        if self._refuse_marks(event, path):
            return Broken(place=_place(event))
        if not _is_text(event.value):
            self._say(event, path, "holds half a character (a lone surrogate); write it whole")
            return Broken(place=_place(event))
        value = event.value if event.style else resolve(event.value)
        return Scalar(place=_place(event), text=event.value, value=value)

    def _refuse_marks(self, event: Any, path: KeyPath) -> bool:
        if event.anchor is not None:
            self._say(event, path, "anchors (&) are not allowed; write the value out")
        if event.tag is not None:
            self._say(event, path, "YAML tags (!) are not allowed; write the bare value")
        return event.anchor is not None or event.tag is not None

    def _say(self, event: Any, path: KeyPath, what: str) -> None:
        self.faults.append(make_fault(self._file, _place(event), path, what))


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def resolve(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means in YAML 1.2: NO, on and 2026-10 are plain text."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
