"""Writes XML answers: escaped text, the schema's value formats, and the blocks of answers.xml.

Elements stand in a block as the schema has them; a line whose value is None is left out.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Final
from xml.sax.saxutils import escape, quoteattr

NAMESPACE: Final = "urn:ebay:apis:eBLBaseComponents"
CURRENCY: Final = "USD"
_HEAD: Final = re.compile(r"^\[(\w+)\]$", re.MULTILINE)
_HOLE: Final = re.compile(r"\{(\w+)\}")


class Markup(str):
    """Text that is XML already."""

    __slots__ = ()


Content = Markup | str | int | bool | Decimal | datetime | None


def tag(name: str, *content: Content, **attributes: str) -> Markup:
    """One element. Nothing but None inside means that there is no element at all."""
    parts = [_text(each) for each in content if each is not None]
    if content and not parts:
        return Markup("")
    named = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    inside = "".join(parts)
    return Markup(f"<{name}{named}>{inside}</{name}>" if inside else f"<{name}{named}/>")


def fill(block: str, **values: Content) -> Markup:
    """A block of answers.xml with its holes filled; amounts have two decimals."""
    lines = []
    for line, names in _blocks()[block]:
        if any(values[name] is None for name in names):
            continue
        lines.append(_HOLE.sub(lambda hole: _text(values[hole[1]]), line) if names else line)
    return Markup("".join(lines))


def join(parts: Iterable[Markup]) -> Markup | None:
    """Blocks one after the other; None when there is none."""
    return Markup("".join(parts)) or None


@cache
def _blocks() -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    text = files("connectors.ebay.sandbox").joinpath("answers.xml").read_text("utf-8")
    parts = _HEAD.split(text)[1:]
    return {
        name: [(line, tuple(_HOLE.findall(line))) for line in body.split("\n") if line]
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def stamp(moment: datetime | None) -> str | None:
    """A time as the API writes it: UTC, milliseconds, Z."""
    if moment is None:
        return None
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _text(value: Content) -> str:
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return stamp(value) or ""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    return escape(str(value))
