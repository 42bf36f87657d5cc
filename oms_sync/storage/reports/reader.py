"""One object for everything that can be asked; each question reads one snapshot."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from oms_sync.domain.values import Sku
from oms_sync.sdk import Clock
from oms_sync.storage import ledger
from oms_sync.storage.connections import Database
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.reports import (
    accounts,
    budgets,
    certificates,
    explain,
    inbox,
    orders,
    stock,
    upkeep,
)

LIMIT = 100
LIMIT_MAX = 100_000

Answer = dict[str, Any]


class Reports:
    """What the hub knows, in the JSON shapes of its commands. Raises NotFound."""

    def __init__(self, database: Database, *, keys: KeyRing, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    def orders(
        self,
        state: str | None = None,
        account: str | None = None,
        *,
        since: datetime | None = None,
        sort: str | None = None,
        limit: int = LIMIT,
    ) -> list[Answer]:
        """Orders, newest placed first; `sort="ship-by"` puts the most urgent first."""
        with self._database.read(is_repeatable=True) as transaction:
            ids = orders.chosen_ids(
                transaction,
                state=state,
                account=account,
                since=since,
                sort=sort,
                limit=min(limit, LIMIT_MAX),
            )
            return orders.described(transaction, self._keys, ids)

    def order(self, ref: str, *, reveal: bool = False) -> Answer:
        """One order with its timeline; `reveal` adds personal data, which the caller logs."""
        with self._database.read(is_repeatable=True) as transaction:
            order_id = orders.resolve(transaction, ref)
            shown = orders.described(transaction, self._keys, [order_id], is_revealed=reveal)[0]
            return {**shown, "timeline": orders.events(transaction, order_id)}

    def resolve_order(self, ref: str) -> str:
        """The order id of a hub id or of `account:channel_order_id`."""
        with self._database.read() as transaction:
            return orders.resolve(transaction, ref)

    def stock(self) -> list[Answer]:
        """Every SKU with its counts and listings."""
        with self._database.read(is_repeatable=True) as transaction:
            return stock.stock_items(transaction)

    def stock_item(self, sku: Sku) -> Answer:
        """One SKU with its counts and listings."""
        with self._database.read(is_repeatable=True) as transaction:
            return stock.stock_item(transaction, sku)

    def explain(
        self, sku: Sku, account: str | None = None, *, at: datetime | None = None
    ) -> Answer:
        """Available to sell, or one account's channel quantity, with terms that add up."""
        with self._database.read(is_repeatable=True) as transaction:
            return explain.explained(
                transaction, sku, account=account, at=at, now=self._clock.now()
            )

    def listings(self, account: str | None = None) -> list[Answer]:
        """Every listing with its four numbers."""
        with self._database.read() as transaction:
            return stock.listing_rows(transaction, account)

    def inbox(
        self, state: str | None = None, account: str | None = None, *, limit: int = LIMIT
    ) -> list[Answer]:
        """Messages, newest first."""
        with self._database.read() as transaction:
            return inbox.message_rows(
                transaction, state=state, account=account, limit=min(limit, LIMIT_MAX)
            )

    def message(self, message_id: str, *, reveal: bool = False) -> Answer:
        """One message; `reveal` adds headers and body, which the caller logs."""
        with self._database.read() as transaction:
            return inbox.message(transaction, self._keys, message_id, is_revealed=reveal)

    def dead_letters(self, account: str | None = None, *, limit: int = LIMIT) -> list[Answer]:
        """Messages that failed for good, the oldest first."""
        with self._database.read() as transaction:
            return inbox.dead_letter_rows(transaction, account=account, limit=min(limit, LIMIT_MAX))

    def accounts(self, *, settle_seconds: Mapping[str, float] | None = None) -> list[Answer]:
        """Every configured account with health and lag.

        `settle_seconds`, by account: how long after a look the orders of its time are read.
        """
        now, settles = self._clock.now(), settle_seconds or {}
        with self._database.read(is_repeatable=True) as transaction:
            rows = accounts.account_rows(transaction, now)
            return budgets.add_drains(transaction, rows, now=now, settle_seconds=settles)

    def account(self, name: str, *, settle_seconds: float = 0.0) -> Answer:
        """One account with health and lag; `settle_seconds` as in `accounts`."""
        now = self._clock.now()
        with self._database.read(is_repeatable=True) as transaction:
            return accounts.account_row(transaction, name, now, settle_seconds=settle_seconds)

    def calls(self, account: str, *, limit: int = LIMIT) -> list[Answer]:
        """The last calls to the account's channel, newest first."""
        with self._database.read() as transaction:
            return budgets.call_rows(transaction, account, most=min(limit, LIMIT_MAX))

    def upkeep(self, account: str) -> Answer:
        """Alarms, gaps, subscriptions and reading of an account, also of one that never ran."""
        with self._database.read(is_repeatable=True) as transaction:
            return upkeep.upkeep_rows(transaction).get(account, upkeep.nothing_known())

    def counts(self) -> Answer:
        """The figures behind the gauges."""
        with self._database.read(is_repeatable=True) as transaction:
            return accounts.figures(transaction, self._clock.now())

    def certificates(
        self, account: str | None = None, *, day: str | None = None, limit: int = LIMIT
    ) -> list[Answer]:
        """Certificates and refusals, newest first, as they were signed."""
        with self._database.read() as transaction:
            return certificates.certificate_rows(
                transaction, account=account, day=day, limit=min(limit, LIMIT_MAX)
            )

    def certificate_problems(self, signed: Answer) -> list[str]:
        """What speaks against a certificate; empty when it is genuine and the ledger agrees."""
        with self._database.read(is_repeatable=True) as transaction:
            return certificates.problems_of(transaction, self._keys, signed)

    def verify_ledger(self) -> Answer:
        """Recompute every balance and the hash chain; names the first bad row."""
        with self._database.read(is_repeatable=True) as transaction:
            return ledger.verify(transaction, self._keys).to_json()
