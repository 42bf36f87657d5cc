"""What a sandbox starts from: its options, the seed catalogue and the plan of its buyers.

Pure: everything random follows from the seed, on every machine and Python alike.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Final, Protocol

ATTEMPTS_MAX: Final = 10_000_000

# Texts that break careless code: zeros that are not a number, blanks, quotes, a comma, twins that
# differ only in case, signs HTML and URLs reserve, letters outside ASCII, an emoji.
_AWKWARD_SKUS: Final = (
    "00042",
    "TEE RED M",
    'NAIL 6" BOX',
    "NUTS&BOLTS",
    "MUG-☕",
    "mug-☕",
    "O'BRIEN, LARGE",
    "A/B+C%20",
    "ÄPFEL-1",
)
_SCARCE_EVERY: Final = 7  # every seventh SKU: 10 to 20 % of any catalogue of seven or more
_SCARCE_AT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What a sandbox is told at its start.

    Example: `SandboxOptions(account="shop-a", port=8101, seed=7, buyers_per_second=2.0)`.
    """

    #: the account's name at the hub; also seeds the channel's own ids and credentials
    account: str = "shop-sandbox"
    host: str = "127.0.0.1"
    port: int = 0
    #: same seed and skus: same SKUs and first quantities in every sandbox
    seed: int = 1
    skus: int = 40
    #: attempted purchases per second by simulated buyers; 0 switches them off
    buyers_per_second: float = 0.0
    #: keep the channel's published rate limits; off means practically none
    limits_published: bool = True
    #: how much later a new order shows up in lists than by id
    lag_seconds: float = 0.0
    #: base URL of the hub, for subscriptions a seller would set up outside the API
    public_hub: str | None = None
    #: codes of the seller's locations; the first holds all stock at the start
    locations: tuple[str, ...] = ("main",)
    #: short-lived tokens by client credentials; off means one static token
    grants_tokens: bool = True
    token_seconds: float = 86_399.0
    #: how long a timed-out request hangs before its connection is dropped
    hang_seconds: float = 2.0
    #: how late a late webhook or a late order is
    late_seconds: float = 5.0
    #: first gap between webhook retries; each later gap is twice as long
    retry_gap_seconds: float = 0.5

    @property
    def base_url(self) -> str:
        """The endpoint a hub is configured with."""
        return f"http://{self.host}:{self.port}"


class Chance(Protocol):
    """A source of numbers; `random.Random(seed)` is one, `SeededChance` another."""

    def random(self) -> float:
        """A number from 0 up to but not including 1."""
        ...


class SeededChance:
    """Chance that depends on (seed, stream) alone: same numbers on every Python and machine.

    Example: `SeededChance(1, "buyers/shop-a").random()`.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._prefix = f"{seed}/{stream}/".encode()
        self._drawn = 0

    def random(self) -> float:
        """The next number of the stream, from 0 up to but not including 1."""
        self._drawn += 1
        digest = hashlib.sha256(self._prefix + str(self._drawn).encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSku:
    """One SKU of the seed catalogue with its first quantity."""

    sku: str
    title: str
    quantity: int
    price: Decimal
    is_scarce: bool


def seed_catalogue(seed: int, skus: int) -> tuple[SeedSku, ...]:
    """The SKUs and first quantities that (seed, skus) stands for, the same in every sandbox.

    The first ones have awkward texts; 10 to 20 % are scarce, with 1 to 5 units.
    """
    chance = SeededChance(seed, f"catalogue/{skus}")
    catalogue = []
    for index in range(skus):
        is_scarce = index % _SCARCE_EVERY == _SCARCE_AT
        low, high = (1, 5) if is_scarce else (30, 250)
        quantity = low + int(chance.random() * (high - low + 1))
        price = Decimal(199 + int(chance.random() * 9_800)) / 100
        sku = _AWKWARD_SKUS[index] if index < len(_AWKWARD_SKUS) else f"SKU-{index:05d}"
        catalogue.append(
            SeedSku(
                sku=sku, title=f"Article {sku}", quantity=quantity, price=price, is_scarce=is_scarce
            )
        )
    return tuple(catalogue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What one buyer asks for. Purchases are all or nothing."""

    #: channel SKU and quantity per line
    lines: tuple[tuple[str, int], ...]
    is_paid: bool = True
    #: who ships: "seller" or "channel"
    fulfilled_by: str = "seller"
    is_test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One purchase a simulated buyer will attempt, at an offset from the start."""

    offset_seconds: float
    purchase: Purchase
    #: when an order not paid at once is paid, counted from the purchase; 0 means at once
    pay_after_seconds: float = 0.0


def buyer_attempts(options: SandboxOptions) -> Iterator[Attempt]:
    """The plan of attempted purchases of one account: the same for the same options.

    Whether an attempt finds stock depends on timing; the plan does not. Scarce SKUs are wanted
    twice as often as others. Example: `itertools.takewhile(lambda a: a.offset_seconds < 60, …)`.
    """
    if options.buyers_per_second <= 0 or options.skus <= 0:
        return
    chance = SeededChance(options.seed, f"buyers/{options.account}")
    catalogue = seed_catalogue(options.seed, options.skus)
    wanted = [entry.sku for entry in catalogue for _ in range(2 if entry.is_scarce else 1)]
    offset = 0.0
    for _ in range(ATTEMPTS_MAX):
        offset += -math.log(1.0 - chance.random()) / options.buyers_per_second
        count = 2 if chance.random() < 0.2 else 1  # noqa: PLR2004 - one basket in five has two SKUs
        skus = dict.fromkeys(wanted[int(chance.random() * len(wanted))] for _ in range(count))
        lines = tuple((sku, 1 + int(chance.random() ** 3 * 3)) for sku in skus)
        is_paid = chance.random() < 0.9  # noqa: PLR2004 - one order in ten is paid a little later
        later = 1.0 + 4.0 * chance.random()
        yield Attempt(
            offset_seconds=offset,
            purchase=Purchase(lines=lines, is_paid=is_paid),
            pay_after_seconds=0.0 if is_paid else later,
        )


def plan_hash(attempts: Iterable[Attempt]) -> str:
    """A fingerprint of a plan, to show that two runs attempted the same."""
    digest = hashlib.sha256()
    for attempt in attempts:
        digest.update(json.dumps(asdict(attempt), sort_keys=True).encode())
    return digest.hexdigest()
