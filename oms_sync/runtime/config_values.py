"""Plain values out of a file's tree, `${NAME}` and `${file:PATH}` replaced; and the way back.

A value that came from outside the file is remembered, so that no message ever shows it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from oms_sync.runtime.config_faults import (
    Fault,
    KeyPath,
    Place,
    hide_secrets,
    make_fault,
)
from oms_sync.runtime.config_file import Broken, ListNode, MapNode, Node, Scalar

SECRET_FILE_BYTES_MAX = 64 * 1024
_REFERENCE = re.compile(r"\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Missing(Exception):
    """A reference cannot be replaced; the text says why and never holds a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a file lies and what its references are replaced from."""

    file: Path
    environment: Mapping[str, str] = field(repr=False)

    @property
    def folder(self) -> Path:
        """The folder that relative paths inside the file start from."""
        return self.file.absolute().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSettings:
    """An account's `settings:` as written: its connector's model makes sense of them.

    Nothing in it is ever shown, because most of it is secret.
    """

    node: MapNode = field(default=MapNode(place=Place()), repr=False)
    #: the whole account, for the places of its other keys
    account: MapNode = field(default=MapNode(place=Place()), repr=False)
    #: where the account stands in the file
    path: KeyPath = ("accounts", 0)
    source: Source = field(default=Source(file=Path("settings"), environment={}), repr=False)

    def place_of(self, key: str) -> Place:
        """Where a key of the account stands."""
        entry = self.account.find(key)
        return entry.node.place if entry else self.account.place


@dataclass(slots=True, kw_only=True)
class Reading:
    """One pass over a tree: plain values, and what was found wrong on the way."""

    source: Source
    faults: list[Fault] = field(default_factory=list)
    #: paths already complained about
    broken: set[KeyPath] = field(default_factory=set)
    #: values that came from the environment or a file
    secrets: list[str] = field(default_factory=list, repr=False)

    def plain(self, node: Node, path: KeyPath) -> Any:
        """Dicts, lists and scalars; None where a fault stands."""
        if isinstance(node, MapNode):
            return {each.key: self.plain(each.node, (*path, each.key)) for each in node.entries}
        if isinstance(node, ListNode):
            return [self.plain(each, (*path, index)) for index, each in enumerate(node.nodes)]
        if isinstance(node, Broken):
            self.broken.add(path)
            return None
        return self._scalar(node, path)

    def say(self, place: Place, path: KeyPath, message: str) -> None:
        """Note a fault."""
        shown = hide_secrets(message, self.secrets)
        self.faults.append(make_fault(str(self.source.file), place, path, shown))

    def _scalar(self, node: Scalar, path: KeyPath) -> str | int | float | bool | None:
        if not isinstance(node.value, str) or "${" not in node.value:
            return node.value
        try:
            return _REFERENCE.sub(self._replacement, node.value)
        except _Missing as error:
            self.broken.add(path)
            self.say(node.place, path, str(error))
            return None

    def _replacement(self, match: re.Match[str]) -> str:
        name, brace = match.groups()
        if not brace:
            raise _Missing("`${` has no closing `}`; write ${NAME} or ${file:PATH}")
        if name.startswith("file:"):
            value = self._file_text(name.removeprefix("file:"))
        elif not _NAME.fullmatch(name):
            raise _Missing("`${…}` holds no name; write ${NAME} or ${file:PATH}")
        elif name not in self.source.environment:
            raise _Missing(f"the environment variable {name} is not set; set it")
        else:
            value = self.source.environment[name]
        self.secrets.append(value)
        return value

    def _file_text(self, name: str) -> str:
        try:
            with (self.source.folder / Path(name).expanduser()).open("rb") as stream:
                content = stream.read(SECRET_FILE_BYTES_MAX + 1)
            if len(content) > SECRET_FILE_BYTES_MAX:
                raise _Missing(f"the file {name} has more than {SECRET_FILE_BYTES_MAX} bytes")
            return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise _Missing(f"the file {name} is not UTF-8 text") from error
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "its name is not valid"
            raise _Missing(f"the file {name} cannot be read: {reason}") from error


def texts_of(node: Node) -> list[str]:
    """Every value written below `node`."""
    if isinstance(node, MapNode):
        return [text for each in node.entries for text in texts_of(each.node)]
    if isinstance(node, ListNode):
        return [text for each in node.nodes for text in texts_of(each)]
    return [node.text] if isinstance(node, Scalar) else []


def find_node(root: Node, path: KeyPath) -> tuple[Node, KeyPath]:
    """What stands at `path`, or the nearest thing around it that is there, and its path."""
    node = root
    for index, part in enumerate(path):
        if isinstance(node, MapNode) and isinstance(part, str) and (entry := node.find(part)):
            node = entry.node
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.nodes):
            node = node.nodes[part]
        else:
            return node, path[:index]
    return node, path


def note_errors(
    error: ValidationError, model: type[BaseModel], root: Node, to: Reading, *, base: KeyPath = ()
) -> None:
    """Turn what pydantic found into faults at their places.

    `root` is what was validated; it stands at `base` of the file.
    """
    for each in error.errors(include_url=False, include_input=False):
        path: KeyPath = each["loc"]
        node, known = find_node(root, path)
        if any(_is_echo((*base, *path), broken) for broken in to.broken):
            continue
        if each["type"] == "extra_forbidden":
            allowed = ", ".join(_fields_at(model, path[:-1])) or "none"
            place = _key_place(root, path)
            to.say(place, (*base, *path), f"unknown key; allowed here: {allowed}")
        elif each["type"] == "missing":
            to.say(node.place, (*base, *path), "is missing; write it")
        else:
            looks = _looks_at(model, path) if each["type"] == _NO_MATCH else None
            said = f"must be {looks}" if looks else _sentence(each)
            to.say(node.place, (*base, *known), said)


def _is_echo(path: KeyPath, broken: KeyPath) -> bool:
    """A complaint about a value already refused, or about the whole that misses it."""
    return path[: len(broken)] == broken or broken[: len(path)] == path


def _key_place(root: Node, path: KeyPath) -> Place:
    node, _ = find_node(root, path[:-1])
    entry = node.find(str(path[-1])) if isinstance(node, MapNode) else None
    return entry.place if entry else node.place


#: a value that does not look as its field describes it
_NO_MATCH = "string_pattern_mismatch"
_SENTENCES = {
    "string_type": "must be text; put it in quotes",
    "model_type": "must be a mapping of `key: value` lines",
    "model_attributes_type": "must be a mapping of `key: value` lines",
    "dict_type": "must be a mapping of `key: value` lines",
    "tuple_type": "must be a list: [a, b]",
    "list_type": "must be a list: [a, b]",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


def _sentence(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind == "literal_error":
        return f"is not one of the allowed values: {context['expected']}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    text = error["msg"].removeprefix("Input ").removeprefix("should ")
    return f"should {text}" if error["msg"].startswith("Input should ") else error["msg"]


def _looks_at(model: type[BaseModel], path: KeyPath) -> str | None:
    """What the field at `path` says of its values, for people: an expression helps nobody."""
    owner = path[:-1]
    at: Any = model
    for part in owner:
        if isinstance(part, str) and (inner := _models(at)):
            field = inner[0].model_fields.get(part)
            at = field.annotation if field else None
    fields = {name: one for each in _models(at) for name, one in each.model_fields.items()}
    field = fields.get(str(path[-1]))
    return field.description if field else None


def _fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys allowed at `path` of a model."""
    at: Any = model
    for part in path:
        if isinstance(part, str) and (field_there := _models(at)):
            information = field_there[0].model_fields.get(part)
            at = information.annotation if information else None
    found = _models(at)
    return [
        information.alias or name
        for each in found
        for name, information in each.model_fields.items()
    ]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models inside an annotation such as `tuple[Account, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = getattr(annotation, "__args__", ())
    return [model for each in inner for model in _models(each)]
