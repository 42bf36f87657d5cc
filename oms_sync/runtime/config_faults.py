"""Faults of operators' files: where, what is wrong, what is allowed; one line each, no secrets."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FAULTS_MAX = 100
MESSAGE_LENGTH_MAX = 400
SECRET_LENGTH_MIN = 6
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")

#: the way from the root of a file to one of its values
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a file, counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in an operator's file."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path}: {self.message}"


class ConfigError(Exception):
    """The file has faults; correct the places named, then run `oms-sync check`."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        ordered = sorted(set(faults), key=lambda each: (each.file, each.line, each.column))
        left_out = len(ordered) - FAULTS_MAX
        #: in the order of the file, at most FAULTS_MAX
        self.faults: tuple[Fault, ...] = tuple(ordered[:FAULTS_MAX])
        lines = [str(each) for each in self.faults]
        if left_out > 0:
            lines.append(f"and {left_out} more faults")
        super().__init__("\n".join(lines))


def make_fault(file: str, place: Place, path: KeyPath, message: str) -> Fault:
    """A fault whose text is safe to print: one line, no control characters, bounded."""
    return Fault(
        file=one_line(file),
        line=place.line,
        column=place.column,
        path=show_path(path),
        message=one_line(message)[:MESSAGE_LENGTH_MAX],
    )


def one_line(text: str) -> str:
    """`text` without line breaks, control and direction characters, which are escaped."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def show_path(path: KeyPath) -> str:
    """`accounts[0].name`; what is no plain word is cut short, for it may be a value gone astray."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += f".{show_key(part)}" if shown else show_key(part)
    return shown or "file"


def show_key(key: str) -> str:
    """A key as it may be printed."""
    if _PLAIN_KEY.fullmatch(key):
        return key
    start = _PLAIN_KEY.match(key)
    return f"{start.group() if start else ''}…"


def hide_secrets(text: str, secrets: Sequence[str]) -> str:
    """`text` with every value of `secrets` (of some length) replaced by stars."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_LENGTH_MIN:
            text = text.replace(secret, "***")
    return text
