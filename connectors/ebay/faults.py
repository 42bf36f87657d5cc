"""What each refusal of eBay means: HTTP statuses, and the `Errors` of a Trading answer. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from connectors.ebay.markup import Node
from oms_sync import sdk

STATUS_OK: Final = range(200, 300)
STATUS_REDIRECT: Final = range(300, 400)
STATUS_BROKEN: Final = range(500, 600)
STATUS_TOO_MANY: Final = 429
#: how long to keep still when the day's calls are used up and eBay does not say until when
QUOTA_SECONDS: Final = 1800.0
MESSAGE_MAX: Final = 300
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")

#: the token is refused; the last two are what OAuth tokens meet
TOKEN_CODES: Final = frozenset({"931", "932", "21916013", "21916984", "21917053"})
QUOTA_CODES: Final = frozenset({"518"})
BROKEN_CODES: Final = frozenset({"10007", "16100", "248"})
#: these concern the account or the connector, whatever was asked
_GENERAL: Final[Mapping[str, tuple[type[sdk.ChannelError], str]]] = {
    "841": (sdk.FixAccount, "eBay suspended the seller: clear it with eBay, then resume"),
    "5": (sdk.Bug, "eBay cannot read our request"),
    "21916254": (sdk.Bug, "more than four quantities in one call"),
}
_ENDED: Final = (
    "the listing has ended: relist it; it gets a new ItemID, which is found by itself by its SKU, "
    "or at once by oms-sync listings discover"
)
#: what the operator can do about a refused write
REMEDIES: Final[Mapping[str, str]] = {
    "17": "eBay does not know the listing: it was deleted, or is another seller's; one relisted is "
    "found by itself by its SKU, or at once by oms-sync listings discover",
    "291": _ENDED,
    "21916750": _ENDED,
    "21916286": "it is no fixed-price listing: unlink it",
    "21916293": "eBay's policy check blocks the listing: see it at eBay",
    "21916583": "a quantity of 0 is refused: switch on out-of-stock control at eBay",
    "21916591": "the listing has no such variation: give it back at eBay, or unlink it here",
    "21916635": "the listing's variations have changed: new ones are found by themselves by SKU",
    "21916735": "the variation needs a SKU of its own: give it one at eBay, then discover again",
    "21916799": "the listing has no such SKU: what has it now is found by itself; unlink this one",
    "21916964": "the tracking number is in use elsewhere: check it",
    "21919165": "the listing had its revisions of the day: a newer quantity goes tomorrow",
    "21919188": "the seller's limit at eBay is reached: lower the cap, or have the limit raised",
}
NOT_FOUND_CODES: Final = frozenset({"17"})
NO_CHANGE_CODES: Final = frozenset({"21917091", "21917092"})
#: the list became shorter than the page asked for
NO_PAGE_CODES: Final = frozenset({"340"})
_NAMING: Final = ("ItemID", "SKU")
BY_REST_CODE: Final = "21919474"
#: a listing had all the revisions of its day
WORN_OUT_CODES: Final = frozenset({"21919165"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of `Errors`."""

    code: str
    message: str
    is_warning: bool
    #: eBay's own failure, not one of what was asked
    is_system: bool
    #: what it names, such as the SKU and the ItemID of the refused node
    values: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_broken(self) -> bool:
        """True when eBay itself failed: nothing was wrong with what was asked."""
        return not self.is_warning and (self.is_system or self.code in BROKEN_CODES)

    @property
    def reason(self) -> str:
        """What is said of it to an operator."""
        remedy = REMEDIES.get(self.code)
        return f"eBay error {self.code}: {self.message}" + (f" ({remedy})" if remedy else "")


def read_faults(root: Node) -> tuple[Fault, ...]:
    """Every entry of `Errors`: errors and warnings."""
    return tuple(
        Fault(
            code=error.text("ErrorCode") or "",
            message=(error.text("LongMessage") or error.text("ShortMessage") or "")[:MESSAGE_MAX],
            is_warning=error.text("SeverityCode") == "Warning",
            is_system=error.text("ErrorClassification") == "SystemError",
            values=_named(error.all("ErrorParameters")),
        )
        for error in root.all("Errors")
    )


def _named(parameters: Sequence[Node]) -> frozenset[str]:
    """The values that name something; where none says that it does, any of them may."""
    telling = [each for each in parameters if each.attribute("ParamID") in _NAMING]
    return frozenset(value for each in telling or parameters if (value := each.text("Value")))


def are_all(faults: Sequence[Fault], codes: frozenset[str]) -> bool:
    """True when there are faults, and none of another code."""
    return bool(faults) and all(fault.code in codes for fault in faults)


def is_token_refused(faults: Iterable[Fault]) -> bool:
    return any(fault.code in TOKEN_CODES for fault in faults)


def raise_general(call: str, faults: Sequence[Fault], *, is_write: bool) -> None:
    """Raise what concerns more than the object that was asked for."""
    for fault in faults:
        message = f"{call}: {fault.reason}"
        if fault.code in QUOTA_CODES:
            raise sdk.RateLimited(message, retry_after_seconds=QUOTA_SECONDS)
        if fault.is_broken:
            raise lost(message, is_write=is_write)
        if fault.code in _GENERAL:
            kind, remedy = _GENERAL[fault.code]
            raise kind(f"{message} ({remedy})")


def refusal(call: str, faults: Sequence[Fault], *, is_write: bool) -> sdk.ChannelError:
    """The error for what eBay refuses of this one call, or did in part only."""
    if any(fault.is_broken for fault in faults):
        return lost(f"{call}: {faults[0].reason}", is_write=is_write)
    said = "; ".join(fault.reason for fault in faults if not fault.is_warning)[:MESSAGE_MAX]
    kind = sdk.Rejected if is_write else sdk.Bug
    return kind(f"{call}: {said or 'refused without a reason'}")


def lost(message: str, *, is_write: bool) -> sdk.RetryLater:
    """The error for an answer that never came whole."""
    return sdk.OutcomeUnknown(message) if is_write else sdk.ChannelDown(message)


def raise_for_status(status: int, headers: Mapping[str, str], *, is_write: bool) -> None:
    """Raise what an HTTP status says by itself; 401 and refusals of one object are the caller's."""
    if status == STATUS_TOO_MANY:
        wait = retry_after(headers.get("retry-after", ""))
        raise sdk.RateLimited("eBay answered 429", retry_after_seconds=wait)
    if status in STATUS_BROKEN:
        raise lost(f"eBay answered {status}", is_write=is_write)
    if status in STATUS_REDIRECT:
        raise sdk.ChannelDown(f"eBay answered {status}: redirects are not followed")


def retry_after(text: str) -> float | None:
    """The seconds of a Retry-After header; None where it says nothing usable."""
    seconds = float(text) if _SECONDS.fullmatch(text.strip()) else math.nan
    return seconds if math.isfinite(seconds) else None
