"""The GraphQL documents of `documents.graphql` by name, each with the fragments it needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

#: how many refunds and dispatches the document `Orders` asks for at first, and at most
LIST_FIRST: Final = 10
LIST_MAX: Final = 100
_HEAD: Final = re.compile(r"^(query|mutation|fragment) (\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One named operation."""

    name: str
    text: str
    is_write: bool


@cache
def documents() -> Mapping[str, Document]:
    """Every operation, read once."""
    whole = files("connectors.shopify").joinpath("documents.graphql").read_text("utf-8")
    heads = list(_HEAD.finditer(whole))
    ends = [head.start() for head in heads[1:]] + [len(whole)]
    parts = {
        head[2]: whole[head.start() : end].strip() for head, end in zip(heads, ends, strict=True)
    }
    return {
        head[2]: Document(
            name=head[2], text=_with_fragments(head[2], parts), is_write=head[1] == "mutation"
        )
        for head in heads
        if head[1] != "fragment"
    }


def _with_fragments(name: str, parts: Mapping[str, str]) -> str:
    needed = [name]
    for part in needed:  # grows while fragments name further ones; each comes once
        needed += [one for one in re.findall(r"\.\.\.(\w+)", parts[part]) if one not in needed]
    return "\n".join(parts[one] for one in dict.fromkeys(needed))
