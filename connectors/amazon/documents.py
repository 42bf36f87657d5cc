"""Order feeds as Amazon's XML, and what its reports say of them. Pure.

One message per feed, so that the report is about one order and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from oms_sync.sdk import BadPayload, Money

ORDER_CANCELLED: Final = "POST_ORDER_ACKNOWLEDGEMENT_DATA"
ORDER_ADJUSTED: Final = "POST_PAYMENT_ADJUSTMENT_DATA"
MEDIA: Final = "text/xml; charset=UTF-8"
_VERSION: Final = "1.01"
_SCHEMA: Final = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_TEXT_MAX: Final = 300
_NUMBER_DIGITS_MAX: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """What changes for one line: units that go, money that goes back by component."""

    channel_line_id: str
    our_id: str
    reason: str
    money: Mapping[str, Money] = field(default_factory=dict)
    cancelled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a feed's one message."""

    accepted: int
    errors: tuple[str, ...]


def order_cancelled(seller_id: str, order_id: str, lines: Iterable[str], reason: str) -> bytes:
    """An OrderAcknowledgement of Failure, which despite its name cancels the order."""
    root, act = _envelope(seller_id, "OrderAcknowledgement")
    _add(act, "AmazonOrderID", order_id)
    _add(act, "StatusCode", "Failure")
    for line in lines:
        entry = etree.SubElement(act, "Item")
        _add(entry, "AmazonOrderItemCode", line)
        _add(entry, "CancelReason", reason)
    return _bytes(root)


def order_adjusted(seller_id: str, order_id: str, adjusted: Sequence[Adjusted]) -> bytes:
    """An OrderAdjustment: a refund, or units of lines cancelled while the order goes on."""
    root, act = _envelope(seller_id, "OrderAdjustment")
    _add(act, "AmazonOrderID", order_id)
    _add(act, "ActionType", "Cancel" if all(each.cancelled for each in adjusted) else "Refund")
    for each in adjusted:
        entry = etree.SubElement(act, "AdjustedItem")
        _add(entry, "AmazonOrderItemCode", each.channel_line_id)
        _add(entry, "MerchantAdjustmentItemID", each.our_id)
        _add(entry, "AdjustmentReason", each.reason)
        if each.money:
            price = etree.SubElement(entry, "ItemPriceAdjustments")
            for kind, amount in each.money.items():
                part = etree.SubElement(price, "Component")
                _add(part, "Type", kind)
                _add(part, "Amount", f"{amount.amount:f}").set("currency", amount.currency)
        if each.cancelled:
            _add(entry, "QuantityCancelled", str(each.cancelled))
    return _bytes(root)


def read_report(body: bytes) -> Report:
    """The processing report of an XML feed; raises BadPayload."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadPayload(f"the feed's report is no XML: {error}"[:_TEXT_MAX]) from error
    report = root.find("Message/ProcessingReport")
    if report is None or report.findtext("StatusCode") != "Complete":
        raise BadPayload("the feed's report is not a complete ProcessingReport")
    text = (report.findtext("ProcessingSummary/MessagesSuccessful") or "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= _NUMBER_DIGITS_MAX):
        raise BadPayload(f"the feed's report counts {text[:40]!r} messages")
    errors = [
        f"{each.findtext('ResultMessageCode')}: {each.findtext('ResultDescription')}"[:_TEXT_MAX]
        for each in report.iterfind("Result")
        if each.findtext("ResultCode") == "Error"
    ]
    return Report(accepted=int(text), errors=tuple(errors))


def _envelope(seller_id: str, kind: str) -> tuple[etree._Element, etree._Element]:
    root = etree.Element("AmazonEnvelope", {_SCHEMA: "amzn-envelope.xsd"})
    header = etree.SubElement(root, "Header")
    _add(header, "DocumentVersion", _VERSION)
    _add(header, "MerchantIdentifier", seller_id)
    _add(root, "MessageType", kind)
    message = etree.SubElement(root, "Message")
    _add(message, "MessageID", "1")
    return root, etree.SubElement(message, kind)


def _add(parent: etree._Element, name: str, text: str) -> etree._Element:
    made = etree.SubElement(parent, name)
    made.text = text
    return made


def _bytes(root: etree._Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
