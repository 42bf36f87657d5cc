"""Orders of real shops, as recorded, read by our translation.

A recording has what somebody once asked for. What our document asks besides is put in by the
vendor's schema as an order has it that nothing happened to; money is added up where all was asked.
"""

import hashlib
import itertools
import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    InlineFragmentNode,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    parse,
)

from connectors.shopify.documents import documents
from connectors.shopify.parse import parse_order
from oms_sync.domain.balance import balance
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import line_counts
from oms_sync.sdk import OrderState

SEEN_AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
VERSION = "2026-10"
ORDER = "gid://shopify/Order/"
AT = "2026-01-01T00:00:00Z"
DIGITS = 12
#: what an order has that nothing happened to, where the schema wants a value
PLAIN = {"Int": 0, "Boolean": False, "String": "", "DateTime": AT, "Decimal": "0.0"}
USUAL = {"tracked": True, "requiresShipping": True, "quantity": 1, "updatedAt": AT}
PRICE = "originalUnitPriceSet"
#: without these the sum of an order is not known
SUMS = ("totalTaxSet", "totalDiscountsSet", "totalShippingPriceSet")


class Asker:
    """Makes of a recorded order what our own document would have been answered."""

    def __init__(self, schema):
        tree = parse(documents()["Orders"].text)
        self.fragments = {
            each.name.value: each
            for each in tree.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        self.schema, self.numbers = schema, itertools.count(1)

    def order(self, recorded):
        selections = self.fragments["WholeOrder"].selection_set
        prepared = _prepared(recorded)
        self.currency = prepared["currencyCode"]
        return self._object(prepared, self.schema.get_type("Order"), selections)

    def _object(self, recorded, kind, selections):
        found = {}
        for node in selections.selections:
            if isinstance(node, FieldNode):
                field = kind.fields[node.name.value]
                found[node.name.value] = self._field(recorded, field.type, node)
                continue
            inner = (
                node if isinstance(node, InlineFragmentNode) else self.fragments[node.name.value]
            )
            found |= self._object(recorded, kind, inner.selection_set)
        return found

    def _field(self, recorded, kind, node):
        name = node.name.value
        is_asked = name in recorded
        value = recorded.get(name)
        bare = kind.of_type if is_non_null_type(kind) else kind
        if is_list_type(bare):
            inner = get_named_type(bare)
            if not is_composite_type(inner):
                return value or []
            return [self._object(one, inner, node.selection_set) for one in value or ()]
        if is_composite_type(bare):
            is_needed = is_non_null_type(kind) or bare.name.endswith("Connection")
            if value is None and not (is_needed and not is_asked):
                return None
            return self._object(value or {}, bare, node.selection_set)
        if is_asked or not is_non_null_type(kind):
            return value if is_asked else USUAL.get(name)
        if bare.name == "ID":
            return f"gid://shopify/{name}/{next(self.numbers)}"
        return USUAL.get(name, PLAIN.get(bare.name, self.currency))


def _prepared(recorded):
    """The order with what follows from what was recorded of it."""
    order = _as_nodes(recorded)
    refunded = Counter()
    for refund in order.get("refunds") or ():
        for one in refund.get("refundLineItems", {}).get("nodes", ()):
            refunded[one["lineItem"]["id"]] += one["quantity"]
    for line in order["lineItems"]["nodes"]:
        line.setdefault("quantity", 1)
        back = refunded[line.get("id")]
        line.setdefault("currentQuantity", line["quantity"] - back)
        is_sent = order.get("displayFulfillmentStatus") == "FULFILLED"
        line.setdefault("unfulfilledQuantity", 0 if is_sent else line["currentQuantity"])
        line.setdefault("requiresShipping", True)
        line.setdefault("name", line.get("title", ""))
        variant = line.setdefault("variant", {})
        if variant is not None:
            variant.setdefault("inventoryItem", {})
    now = "totalReceivedSet" if order.get("refunds") else "currentTotalPriceSet"
    total = order.setdefault("totalPriceSet", order.get(now))
    if "totalShippingPriceSet" not in order and "shippingLines" in order:
        order["totalShippingPriceSet"] = _postage(order["shippingLines"]["nodes"])
    order.setdefault("displayFinancialStatus", "PAID")
    currencies = [each["currencyCode"] for each in _objects(order) if "currencyCode" in each]
    first = total["shopMoney"]["currencyCode"] if total else (*currencies, "USD")[0]
    order.setdefault("currencyCode", first)
    return order


def _postage(lines):
    bags = [line["originalPriceSet"]["shopMoney"] for line in lines if "originalPriceSet" in line]
    if len(bags) != 1 or len(lines) != 1:
        return None
    return {"shopMoney": bags[0]}


def _as_nodes(value):
    """Lists asked for by edges, as if asked for by nodes; and both sides of money."""
    if isinstance(value, list):
        return [_as_nodes(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _as_nodes(one) for name, one in value.items()}
    if "edges" in found and "nodes" not in found:
        found["nodes"] = [edge["node"] for edge in found["edges"]]
    if "shopMoney" in found:
        found.setdefault("presentmentMoney", found["shopMoney"])
    return found


def _objects(value):
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, dict | list):
            yield from _objects(one)


def _is_order(value):
    identity = value.get("id")
    return isinstance(identity, str) and identity.startswith(ORDER) and "lineItems" in value


@pytest.fixture
def recorded(specs):
    """Every different order recorded, by a name that tells nothing of the shop."""
    found = {}
    for path in sorted((specs / "shopify/recorded").rglob("*.json")):
        for order in filter(_is_order, _objects(json.loads(path.read_text("utf-8")))):
            text = json.dumps(order, sort_keys=True)
            found.setdefault(text, (path.stem, order))
    named = {}
    for text, (stem, order) in found.items():
        named[f"{stem} {hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"] = order
    return named


@pytest.fixture
def sights(recorded, contract_layer, tables):
    """(name, recorded order, our sight of it) of each."""
    asker = Asker(contract_layer.contracts["shopify"].schemas[VERSION])
    found = []
    for name, order in recorded.items():
        envelope = {"api_version": VERSION, "is_complete": True, "order": asker.order(order)}
        payload = json.dumps(envelope).encode()
        sight = parse_order(payload, SEEN_AT, tables=tables, locations=frozenset())
        found.append((name, order, sight))
    return found


def _essence(sight):
    known = first_sight("shop-a", sight)
    money = (sight.facts.total, sight.facts.presentment_total)
    return (
        str(known.facts.state),
        known.is_cancelled,
        *(f"{one.text()} {one.currency}" if one else None for one in money),
        [
            (count.ordered, count.cancelled, count.shipped, count.returned, count.open)
            for count in (line_counts(known, line, 0) for line in known.lines)
        ],
    )


def test_every_recorded_order_is_read_as_what_it_is(sights, example, fingerprint):
    assert len(sights) > 60
    for name, order, sight in sights:
        example("shopify recorded order", name)
        assert sight.channel_order_id == order["id"].removeprefix(ORDER).partition("?")[0]
        lines = _as_nodes(order)["lineItems"]["nodes"]
        assert [one.quantity_ordered for one in sight.lines] == [
            line.get("quantity", 1) for line in lines
        ]
        assert [one.channel_sku for one in sight.lines] == [
            line.get("sku") or None for line in lines
        ]
        known = first_sight("shop-a", sight)
        assert known.is_cancelled == (order.get("cancelledAt") is not None)
        is_said = order.get("displayFinancialStatus", "PAID") is not None
        assert known.is_cancelled or (sight.facts.state in set(OrderState)) == is_said
        for line in known.lines:
            count = line_counts(known, line, 0)
            assert count.ordered == count.open + count.shipped + count.cancelled + count.elsewhere
        fingerprint(f"shopify order {name}", _essence(sight))


def test_every_recorded_order_adds_up_as_far_as_its_sums_were_asked_for(sights):
    whole = 0
    for name, order, sight in sights:
        found = balance(first_sight("shop-a", sight))
        prepared = _prepared(order)
        lines = prepared["lineItems"]["nodes"]
        is_asked = all(prepared.get(one) is not None for one in SUMS)
        if found is None or not is_asked or not all(PRICE in line for line in lines):
            continue
        whole += 1
        assert not found.is_flagged, (name, found)
    assert whole >= 6


#: read by eye: state, whether cancelled, total, what the buyer saw where that is another currency,
#: and per line the units ordered, cancelled, shipped, returned, open
EXPECTED = {
    # two lines, nothing else
    "draft-order-complete-parity 14010b7b369e": (
        "open", False, "55.00 CAD", None, [(2, 0, 0, 0, 2), (1, 0, 0, 0, 1)],
    ),
    # 12.00 and 1.50 tax in the books, 9.00 in the buyer's money
    "money-bag-presentment-parity 2c283b400722": (
        "open", False, "13.50 CAD", "9.00 USD", [(1, 0, 0, 0, 1)],
    ),
    "order-create-math-matrix 6755175f168e": ("None", False, "20.00 CAD", None, [(2, 0, 0, 0, 2)]),
    # two at 12.00, postage 5.00, tax 2.90
    "order-create-math-matrix ac1a9cdfc64a": ("open", False, "31.90 CAD", None, [(2, 0, 0, 0, 2)]),
    # 30.00, postage 4.00, a discount of 5.00
    "order-create-math-matrix 9dc3ef54ddbc": ("None", False, "29.00 CAD", None, [(1, 0, 0, 0, 1)]),
    # authorised, not paid
    "order-create-math-matrix 978157ab3e61": (
        "pending", False, "18.00 CAD", None, [(1, 0, 0, 0, 1)],
    ),
    "order-create-math-matrix f488ee5735d2": (
        "open", False, "10.00 CAD", "7.00 USD", [(1, 0, 0, 0, 1)],
    ),
    # one of four units refunded before it was sent, postage 5.00
    "refund-create-user-errors-and-quantities b97c90ec48e9": (
        "open", False, "45.00 CAD", None, [(2, 1, 0, 0, 1), (2, 0, 0, 0, 2)],
    ),
    # an edit took two of three off and added two of another
    "order-edit-commit-history-and-fulfillment-orders b3fa74d7715a": (
        "open", False, "1909.90 CAD", None, [(3, 2, 0, 0, 1), (2, 0, 0, 0, 2)],
    ),
    # an edit took a whole line off
    "order-edit-existing-order-zero-removal edd7e945067f": (
        "open", False, None, None, [(2, 0, 0, 0, 2), (1, 0, 0, 0, 1), (1, 1, 0, 0, 0)],
    ),
    # an edit took one of two off: the total stays what was bought for
    "order-edit-money-math 634c04a01751": (
        "open", False, "226.00 CAD", None, [(2, 1, 0, 0, 1)],
    ),
    "order-edit-lifecycle-user-errors e4d82a2ef701": (
        "None", True, None, None, [(1, 1, 0, 0, 0)],
    ),
    # everything was sent in one parcel
    "return-reverse-logistics-recorded 862e0bd9f53c": (
        "None", False, "110.00 USD", None, [(3, 0, 3, 0, 0), (4, 0, 4, 0, 0)],
    ),
}  # fmt: skip


def test_a_dozen_of_them_are_exactly_this(sights):
    told = {name: _essence(sight) for name, _, sight in sights}
    assert {name: told[name] for name in EXPECTED} == EXPECTED
