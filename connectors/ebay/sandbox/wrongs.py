"""The channel's refusals: numbers and wordings from contract.json, and how answers carry them.

21, 21917327, 21917328 and 21919165 are our own choice: only their shape is the channel's.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from connectors.ebay.sandbox.markup import Markup, tag

#: something broke at the channel itself
INTERNAL: Final = 10007
WARNINGS: Final = (21917091, 21917092)
SERVER_ERROR: Final = 500


@cache
def contract() -> dict[str, Any]:
    """Our own subset of the contract: request shapes, error numbers and wordings."""
    text = files("connectors.ebay.sandbox").joinpath("contract.json").read_text("utf-8")
    whole: dict[str, Any] = json.loads(text)
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One error or warning of a Trading answer; `about` are its parameters: (ParamID, value)."""

    code: int
    long: str
    about: tuple[tuple[str, str], ...] = ()

    @property
    def is_warning(self) -> bool:
        return self.code in WARNINGS

    def shown(self) -> Markup:
        short = contract()["errors"][str(self.code)]
        return tag(
            "Errors",
            tag("ShortMessage", short),
            tag("LongMessage", self.long or short),
            tag("ErrorCode", self.code),
            tag("SeverityCode", "Warning" if self.is_warning else "Error"),
            *(tag("ErrorParameters", tag("Value", value), ParamID=at) for at, value in self.about),
            tag("ErrorClassification", "SystemError" if self.code == INTERNAL else "RequestError"),
        )


class Refused(Exception):
    """The whole call is refused."""

    def __init__(self, *wrongs: Wrong) -> None:
        super().__init__(", ".join(each.long for each in wrongs))
        self.wrongs = wrongs


def wrong(code: int, long: str = "", *about: tuple[str, str]) -> Wrong:
    """The refusal of this number."""
    return Wrong(code=code, long=long, about=about)


def invalid(name: str, why: str) -> Refused:
    """An input that is missing or not what it must be."""
    text = f"Input data for tag <{name}> is invalid or missing: {why}"
    return Refused(wrong(37, text, ("0", name)))


class RestError(Exception):
    """A refusal of a REST call; number, status and wording stand in contract.json."""

    def __init__(self, code: int, detail: str = "") -> None:
        self.status, self.domain, wording = contract()["rest_errors"][str(code)]
        self.code, self.message = code, f"{wording} {detail}".strip()
        super().__init__(self.message)

    def entry(self) -> dict[str, Any]:
        category = "REQUEST" if self.status < SERVER_ERROR else "APPLICATION"
        entry = {"errorId": self.code, "domain": self.domain, "category": category}
        return entry | {"message": self.message}
