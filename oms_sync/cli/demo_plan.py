"""The crowd's plan: who will try to buy what, where and when, and what they do with it later.

Pure: the same for the same options on every machine; whether an attempt finds stock is not planned.
"""

import hashlib
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal

from oms_sync.sdk.seeding import Purchase, SeededChance, seed_catalogue

ATTEMPTS_MAX: Final = 10_000_000
#: what must sell out, as a share of the SKUs, and how many more attempts than units it takes
HOT_SHARE: Final = 0.1
HOT_MARGIN: Final = 2
HOT_CHANCE: Final = 0.5
TWO_LINES_CHANCE: Final = 0.25
#: orders the channel ships from a warehouse of its own, where it has one
CHANNEL_SHIPS_CHANCE: Final = 0.12

ActKind = Literal["pay", "cancel", "edit", "refund", "hold", "release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAct:
    """Something that happens to an order after it was placed."""

    kind: ActKind
    after_seconds: float
    #: edit: new units per channel SKU; refund: units per channel SKU
    quantities: tuple[tuple[str, int], ...] = ()
    #: a return: waits until the order was shipped and its channel knows
    is_return: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPurchase:
    """One attempt of one buyer, at an offset from the start of selling."""

    account: str
    offset_seconds: float
    purchase: Purchase
    acts: tuple[PlannedAct, ...] = ()

    @property
    def acts_before_shipping(self) -> tuple[PlannedAct, ...]:
        return tuple(act for act in self.acts if not act.is_return)

    @property
    def returns(self) -> tuple[PlannedAct, ...]:
        return tuple(act for act in self.acts if act.is_return)

    def units_wanted(self) -> dict[str, int]:
        """Units per channel SKU that we are to ship once every act has happened."""
        if self.purchase.fulfilled_by == "channel":
            return {}
        units = dict(self.purchase.lines)
        for act in self.acts_before_shipping:
            if act.kind == "cancel":
                return {}
            for sku, quantity in act.quantities:
                units[sku] = quantity if act.kind == "edit" else units[sku] - quantity
        return {sku: quantity for sku, quantity in units.items() if quantity}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a plan follows from."""

    seed: int
    skus: int
    accounts: tuple[str, ...]
    #: of all accounts together
    orders_per_second: float
    #: those of them whose channel ships some orders itself
    shipping_accounts: tuple[str, ...] = ()


def planned_purchases(options: PlanOptions) -> Iterator[PlannedPurchase]:
    """The plan, without an end of its own."""
    chance = SeededChance(options.seed, f"demo/{options.skus}/{'/'.join(options.accounts)}")
    wanted = _Wanted(options, chance)
    offset = 0.0
    for _ in range(ATTEMPTS_MAX):
        offset += -math.log(1.0 - chance.random()) / options.orders_per_second
        account = options.accounts[int(chance.random() * len(options.accounts))]
        is_theirs = account in options.shipping_accounts and chance.random() < CHANNEL_SHIPS_CHANCE
        lines = wanted.lines() if not is_theirs else ((wanted.sku(), 1),)
        acts, is_paid = _acts(lines, wanted, chance)
        if is_theirs and is_paid:
            acts = ()  # nobody edits, holds or takes back what another ships at once
        yield PlannedPurchase(
            account=account,
            offset_seconds=offset,
            purchase=Purchase(
                lines=lines, is_paid=is_paid, fulfilled_by="channel" if is_theirs else "seller"
            ),
            acts=acts,
        )


def plan_hash(purchases: Iterable[PlannedPurchase]) -> str:
    """A fingerprint of a plan, to show that two runs attempted the same."""
    digest = hashlib.sha256()
    for planned in purchases:
        digest.update(json.dumps(asdict(planned), sort_keys=True).encode())
    return digest.hexdigest()


class _Wanted:
    """What buyers ask for: first the few SKUs that shall sell out, between all the others."""

    def __init__(self, options: PlanOptions, chance: SeededChance) -> None:
        self._chance = chance
        catalogue = seed_catalogue(options.seed, options.skus)
        by_quantity = sorted(catalogue, key=lambda entry: (entry.quantity, entry.sku))
        hot = by_quantity[: math.ceil(options.skus * HOT_SHARE) + 1]
        self._hot = deque(entry.sku for entry in hot for _ in range(entry.quantity + HOT_MARGIN))
        self._skus = [entry.sku for entry in catalogue for _ in range(2 if entry.is_scarce else 1)]

    def sku(self) -> str:
        return self._skus[int(self._chance.random() * len(self._skus))]

    def lines(self) -> tuple[tuple[str, int], ...]:
        """One to three lines of 1 to 3 units, all different SKUs."""
        chance = self._chance
        if self._hot and chance.random() < HOT_CHANCE:
            return ((self._hot.popleft(), 1),)
        count = 1
        while count < 3 and chance.random() < TWO_LINES_CHANCE:  # noqa: PLR2004 - one to three
            count += 1
        skus = dict.fromkeys(self.sku() for _ in range(count))
        return tuple((sku, 1 + int(chance.random() ** 3 * 3)) for sku in skus)


#: share of orders with a story, and what happens in it
_STORIES: Final[tuple[tuple[float, str], ...]] = (
    (0.08, "paid later"),
    (0.02, "never paid"),
    (0.05, "cancelled"),
    (0.04, "edited"),
    (0.03, "refunded"),
    (0.04, "returned"),
    (0.03, "held"),
)


def _acts(
    lines: tuple[tuple[str, int], ...], wanted: _Wanted, chance: SeededChance
) -> tuple[tuple[PlannedAct, ...], bool]:
    """The acts of one order, and whether it is paid at once."""
    story = _story(chance.random())
    after = 0.5 + 4.0 * chance.random()
    first_sku, first_units = lines[0]
    if story == "paid later":
        return (PlannedAct(kind="pay", after_seconds=after),), False
    if story in ("never paid", "cancelled"):
        return (PlannedAct(kind="cancel", after_seconds=after),), story == "cancelled"
    if story == "edited":
        return (_edit(lines, wanted, chance, after),), True
    if story in ("refunded", "returned"):
        units = ((first_sku, 1 + int(chance.random() * first_units)),)
        is_return = story == "returned"
        refund = PlannedAct(
            kind="refund", after_seconds=after, quantities=units, is_return=is_return
        )
        return (refund,), True
    if story == "held":
        later = after + 1.0 + chance.random()
        hold = PlannedAct(kind="hold", after_seconds=after)
        return (hold, PlannedAct(kind="release", after_seconds=later)), True
    return (), True


def _edit(
    lines: tuple[tuple[str, int], ...], wanted: _Wanted, chance: SeededChance, after: float
) -> PlannedAct:
    """One unit fewer of the first line, one more, or one of another SKU."""
    sku, units = lines[0]
    drawn = chance.random()
    if units > 1 and drawn < 0.5:  # noqa: PLR2004 - every other edit makes the order smaller
        return PlannedAct(kind="edit", after_seconds=after, quantities=((sku, units - 1),))
    other = wanted.sku()
    if other in dict(lines):
        return PlannedAct(kind="edit", after_seconds=after, quantities=((sku, units + 1),))
    return PlannedAct(kind="edit", after_seconds=after, quantities=((other, 1),))


def _story(drawn: float) -> str:
    for share, story in _STORIES:
        if drawn < share:
            return story
        drawn -= share
    return ""
