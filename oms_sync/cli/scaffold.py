"""`oms-sync connectors new`: a connector's distribution from the templates beside this file.

It renders everything before it writes anything, and never writes into what is already there.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from keyword import iskeyword
from pathlib import Path, PurePosixPath
from typing import Final

from jinja2 import Environment, StrictUndefined

from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.manual import MANUAL
from oms_sync.sdk.checklist import RULES

NAME_LENGTH_MAX: Final = 20
FILES_MAX: Final = 200
_NAME: Final = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SUFFIX: Final = ".j2"
#: template folder or file → what it is called in the distribution
_RENAMED: Final = {"gitignore": ".gitignore"}


class BadName(ValueError):
    """A name no connector can have; the message says what to write instead."""


def check_name(name: str) -> None:
    """Raise BadName unless `name` can be a manifest's id, a package's and an entry point's."""
    if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH_MAX:
        words = re.findall("[a-z0-9]+", name.lower())
        better = "_".join(words).lstrip("0123456789_")[:NAME_LENGTH_MAX].rstrip("_")
        hint = f"; say {better}" if better and better != name else ""
        raise BadName(
            f"{name!r} is no connector's name: lower-case letters, digits and single underscores,"
            f" a letter first, at most {NAME_LENGTH_MAX} characters{hint}"
        )
    if iskeyword(name) or name == MANUAL:
        owner = "Python" if iskeyword(name) else "the hub"
        raise BadName(f"{name!r} already means something to {owner}; say {name}_channel")


def distribution_name(name: str) -> str:
    """What the distribution of a connector is called."""
    return f"oms-sync-{name.replace('_', '-')}"


def render_connector(name: str) -> dict[PurePosixPath, str]:
    """Every file of a new connector's distribution, by its path in there."""
    package = f"oms_sync_{name}"
    words = {
        "name": name,
        "package": package,
        "distribution": distribution_name(name),
        "word": "".join(part.capitalize() for part in name.split("_")),
        "label": " ".join(part.capitalize() for part in name.split("_")),
        "hub_version": metadata.version("oms-sync"),
        "rules": {rule: asked.asks for rule, asked in RULES.items()},
    }
    return {
        PurePosixPath(*(_renamed(part, package) for part in path.parts)): text
        for path, text in _rendered(words)
    }


def write_connector(name: str, folder: Path, *, taken: Collection[str]) -> list[Path]:
    """Write the distribution into `folder`, whole or not at all; answers the files.

    Raises CommandRefused where a connector of that name is installed, or the folder is in use.
    """
    if name in taken:
        raise CommandRefused(
            f"a connector {name!r} is installed already; choose another name, or uninstall it"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandRefused(f"{folder} is there and not empty; name a new one: --directory FOLDER")
    rendered = render_connector(name)
    target = folder.absolute()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        for path, text in rendered.items():
            file = draft.joinpath(*path.parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        draft.replace(target)  # an empty folder of that name gives way
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [folder.joinpath(*path.parts) for path in sorted(rendered)]


def _rendered(words: Mapping[str, object]) -> Iterator[tuple[PurePosixPath, str]]:
    # Python, TOML and Markdown are full of braces, so the templates' own signs are others.
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - code is written, not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    root = resources.files("oms_sync.cli").joinpath("templates", "connector")
    for path, file in sorted(_files(root, PurePosixPath())):
        text = environment.from_string(file.read_text(encoding="utf-8")).render(words)
        yield path.with_name(path.name.removesuffix(_SUFFIX)), text


def _files(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    waiting = [(path, folder)]
    for _ in range(FILES_MAX):
        if not waiting:
            return
        path, found = waiting.pop()
        if found.is_dir():
            waiting += [(path / each.name, each) for each in found.iterdir()]
        elif found.name.endswith(_SUFFIX):
            yield path, found
    raise RuntimeError(f"more than {FILES_MAX} templates: raise FILES_MAX")


def _renamed(part: str, package: str) -> str:
    return package if part == "package" else _RENAMED.get(part, part)
