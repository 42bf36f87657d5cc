"""Mapping tables: a channel's code to ours, as data. Look-ups are pure; reading files is not here.

A code the table lacks is never guessed: the table says whether that holds the order, is an error,
or passes the code through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from oms_sync.sdk.errors import UnmappedCode

UnmappedPolicy = Literal["hold", "error", "pass"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """The outcome of a look-up: a canonical value, or the code to hold the order for."""

    value: str | None
    #: "table: code" when the order must be held until the table knows the code
    unmapped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingTable:
    """Channel codes and what they mean here.

    Example::

        table = MappingTable(name="carriers", unmapped="pass", entries={"UPS": "ups"})
        table.look_up("UPS").value == "ups"
    """

    name: str
    unmapped: UnmappedPolicy
    entries: Mapping[str, str]

    def look_up(self, code: str) -> Mapped:
        """What `code` means; raises UnmappedCode where the table says that is an error."""
        if code in self.entries:
            return Mapped(value=self.entries[code])
        if self.unmapped == "pass":
            return Mapped(value=code)
        if self.unmapped == "error":
            raise UnmappedCode(f"table {self.name} has no entry for {code!r}")
        return Mapped(value=None, unmapped=f"{self.name}: {code}")

    def reverse(self) -> "MappingTable":
        """The same table from our code to the channel's; the first of equal codes wins."""
        turned: dict[str, str] = {}
        for code, value in self.entries.items():
            turned.setdefault(value, code)
        return MappingTable(name=self.name, unmapped=self.unmapped, entries=turned)
