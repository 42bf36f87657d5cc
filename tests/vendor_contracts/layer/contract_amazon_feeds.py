"""Amazon's XML order feeds and their reports: elements, their order, and words that are allowed.

The vendor publishes these shapes as XSD (`OrderAcknowledgement`, `OrderAdjustment`, envelope), not
among its models: what the hub uses of them is written down here by hand.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from lxml import etree

MEDIA = "text/xml; charset=UTF-8"
CANCEL_REASONS = frozenset(
    "NoInventory ShippingAddressUndeliverable CustomerExchange BuyerCanceled GeneralAdjustment "
    "CarrierCreditDecision RiskAssessmentInformationNotValid CarrierCoverageFailure "
    "CustomerReturn MerchandiseNotReceived".split()
)
ADJUST_REASONS = frozenset(
    "NoInventory BuyerCanceled CustomerReturn GeneralAdjustment CouldNotShip DifferentItem "
    "Abandoned CustomerCancel PriceError ProductOutofStock CustomerAddressIncorrect Exchange "
    "Other CarrierCreditDecision RiskAssessmentInformationNotValid CarrierCoverageFailure "
    "TransactionRecord".split()
)
COMPONENTS = frozenset(
    "Principal Shipping Tax ShippingTax RestockingFee RestockingFeeTax GiftWrap GiftWrapTax "
    "Surcharge ReturnShipping Goodwill ExportCharge COD CODTax Other FreeReplacementReturnShipping "
    "VatExclusiveItemPrice VatExclusiveShippingPrice".split()
)
ONE, MAYBE, MANY, ANY = (1, 1), (0, 1), (1, 10_000), (0, 10_000)
#: element → its children in order, each with how often it may be there
SHAPES = {
    "AmazonEnvelope": (("Header", ONE), ("MessageType", ONE), ("Message", MANY)),
    "Header": (("DocumentVersion", ONE), ("MerchantIdentifier", ONE)),
    "OrderAcknowledgement": (
        ("AmazonOrderID", ONE),
        ("MerchantOrderID", MAYBE),
        ("StatusCode", ONE),
        ("Item", ANY),
    ),
    "Item": (
        ("AmazonOrderItemCode", ONE),
        ("MerchantOrderItemID", MAYBE),
        ("CancelReason", MAYBE),
    ),
    "OrderAdjustment": (("AmazonOrderID", ONE), ("ActionType", MAYBE), ("AdjustedItem", MANY)),
    "AdjustedItem": (
        ("AmazonOrderItemCode", ONE),
        ("MerchantAdjustmentItemID", MAYBE),
        ("AdjustmentReason", ONE),
        ("ItemPriceAdjustments", MAYBE),
        ("QuantityCancelled", MAYBE),
    ),
    "ItemPriceAdjustments": (("Component", MANY),),
    "Component": (("Type", ONE), ("Amount", ONE)),
    "ProcessingReport": (
        ("DocumentTransactionID", MAYBE),
        ("StatusCode", ONE),
        ("ProcessingSummary", ONE),
        ("Result", ANY),
    ),
    "ProcessingSummary": tuple(
        (f"Messages{word}", ONE) for word in ("Processed", "Successful", "WithError", "WithWarning")
    ),
    "Result": (
        ("MessageID", ONE),
        ("ResultCode", ONE),
        ("ResultMessageCode", ONE),
        ("ResultDescription", ONE),
        ("AdditionalInfo", MAYBE),
    ),
}
WORDS = {
    "CancelReason": CANCEL_REASONS,
    "AdjustmentReason": ADJUST_REASONS,
    "ActionType": {"Refund", "Cancel"},
    "Type": COMPONENTS,
    "ResultCode": {"Error", "Warning"},
}
STATUS_CODES = {"OrderAcknowledgement": {"Success", "Failure"}, "ProcessingReport": {"Complete"}}


def feed_problems(body: bytes) -> Iterator[str]:
    """Where an order feed does not have the published shape."""
    yield from _problems(body, {"OrderAcknowledgement", "OrderAdjustment"}, "1.01")


def report_problems(body: bytes) -> Iterator[str]:
    """Where a processing report has not."""
    yield from _problems(body, {"ProcessingReport"}, "1.02", has_merchant=False)


def _problems(
    body: bytes, kinds: set[str], version: str, *, has_merchant: bool = True
) -> Iterator[str]:
    try:
        root = etree.fromstring(body)
    except etree.XMLSyntaxError as error:
        yield f"no XML: {error}"
        return
    kind = root.findtext("MessageType")
    if root.tag != "AmazonEnvelope" or kind not in kinds:
        yield f"{root.tag} of {kind!r} is none of {sorted(kinds)}"
        return
    if root.findtext("Header/DocumentVersion") != version:
        yield f"DocumentVersion is not {version}"
    numbers = [each.findtext("MessageID") for each in root.findall("Message")]
    if len(set(numbers)) < len(numbers):
        yield "a MessageID is there twice"
    shapes = {**SHAPES, "Message": (("MessageID", ONE), (kind, ONE))}
    if not has_merchant:
        shapes["Header"] = (("DocumentVersion", ONE), ("MerchantIdentifier", MAYBE))
    for element in root.iter():
        yield from _element_problems(element, shapes, kind)


def _element_problems(element, shapes, kind: str) -> Iterator[str]:
    name, parent = element.tag, element.getparent()
    children = [each.tag for each in element]
    if name in shapes:
        yield from _order_problems(name, children, shapes[name])
    elif children and name != "AdditionalInfo":
        yield f"{name}: unknown, or holds {children}"
    text = (element.text or "").strip()
    if name in WORDS and text not in WORDS[name]:
        yield f"{name}: {text!r} is not allowed"
    if name == "StatusCode" and text not in STATUS_CODES[parent.tag]:
        yield f"StatusCode: {text!r} is not allowed in {parent.tag}"
    if name == "Amount":
        yield from _amount_problems(element, text)
    if name == "QuantityCancelled" and not (text.isdecimal() and int(text) > 0):
        yield f"QuantityCancelled: {text!r}"


def _order_problems(name: str, children: list[str], shape) -> Iterator[str]:
    wanted = [each for each, _ in shape]
    foreign = [each for each in children if each not in wanted]
    if foreign:
        yield f"{name}: {foreign} does not belong there"
        return
    if children != sorted(children, key=wanted.index):
        yield f"{name}: {children} is not in the order {wanted}"
    for each, (least, most) in shape:
        if not least <= children.count(each) <= most:
            yield f"{name}: {each} is there {children.count(each)} times"


def _amount_problems(element, text: str) -> Iterator[str]:
    currency = element.get("currency") or ""
    try:
        is_good = Decimal(text).is_finite() and len(currency) == 3
    except InvalidOperation:
        is_good = False
    if not is_good:
        yield f"Amount: {text!r} in {currency!r}"
