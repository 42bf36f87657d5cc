"""Canonical orders: loaded whole, saved in batches; reservations as rows of their own."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from oms_sync.domain.order import KnownLine, OrderState, Version
from oms_sync.domain.values import ChannelRef, Sku
from oms_sync.domain.waiting import is_waited_for
from oms_sync.flows.records import StoredLine, StoredOrder
from oms_sync.storage import codec
from oms_sync.storage import order_statements as statements
from oms_sync.storage.columns import plain
from oms_sync.storage.connections import Parameters, Transaction
from oms_sync.storage.crypto import KeyRing, seal_with, unseal_with
from oms_sync.storage.vault import open_subject, subject_id, subject_keys, wrapped_keys


class Orders:
    """Implements the flows' port `Orders`."""

    __slots__ = ("_keys", "_locked_skus", "_transaction")

    def __init__(
        self, transaction: Transaction, keys: KeyRing, locked_skus: Container[str]
    ) -> None:
        self._transaction = transaction
        self._keys = keys
        #: SKUs whose levels this unit of work has locked by now
        self._locked_skus = locked_skus

    def lock_by_channel_ids(self, account: str, ids: Sequence[str]) -> dict[str, StoredOrder]:
        if not ids:
            return {}
        parameters = {"account": account, "channel_ids": list(ids)}
        found = self._assemble(self._transaction.rows(statements.LOCK_BY_CHANNEL_ID, parameters))
        return {one.known.ref.channel_order_id: one for one in found}

    def lock(self, order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        return self._by_id(statements.LOCK_BY_ID, order_ids)

    def load(self, order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        return self._by_id(statements.BY_ID, order_ids)

    def lock_reserve_due(self, account: str, limit: int) -> dict[str, set[Sku]]:
        chosen = self._transaction.rows(statements.DUE_IDS, {"account": account, "limit": limit})
        if not chosen:
            return {}
        ids = [row.order_id for row in chosen]
        rows = self._transaction.rows(statements.LOCK_DUE, {"order_ids": ids})
        # Another node's run may have worked some off while this one waited for their locks.
        due = sorted((row.placed_at, row.order_id) for row in rows if row.is_reserve_due)
        skus: dict[str, set[Sku]] = {order_id: set() for _, order_id in due}
        lines = self._transaction.rows(statements.LINE_SKUS, {"order_ids": list(skus)})
        for order_id, sku in lines:
            skus[order_id].add(sku)
        return skus

    def short_order_ids(self, skus: Sequence[Sku], limit: int) -> list[str]:
        if not skus:
            return []
        rows = self._transaction.rows(statements.SHORT_IDS, {"skus": list(skus), "limit": limit})
        return [row.order_id for row in rows]

    def ids_with_unmapped_lines(self, account: str, limit: int) -> list[str]:
        rows = self._transaction.rows(statements.UNMAPPED_IDS, {"account": account, "limit": limit})
        return [row.order_id for row in rows]

    def lock_by_names(
        self, account: str, names: Sequence[str], channel_line_ids: Sequence[str]
    ) -> list[StoredOrder]:
        parameters = {
            "account": account,
            "channel_ids": list(names),
            "channel_line_ids": list(channel_line_ids),
        }
        ids: dict[str, set[str]] = {}
        for order_id, name in self._transaction.rows(statements.NAMES, parameters):
            ids.setdefault(order_id, set()).add(name)
        found = self._by_id(statements.LOCK_BY_ID, sorted(ids))
        return [replace(one, names=tuple(sorted(ids[one.order_id]))) for one in found.values()]

    def rename(self, renamed: Sequence[StoredOrder], merged: Mapping[str, str]) -> None:
        merges = [{"b_order_id": one, "merged_into": into} for one, into in sorted(merged.items())]
        self._transaction.run_many(statements.MERGE, merges)
        self._transaction.run_many(statements.MERGE_ALONG, merges)
        # Two orders may change ids in a ring: first each takes one nobody else can have.
        for ids in (
            {one.order_id: one.order_id for one in renamed},
            {one.order_id: one.known.ref.channel_order_id for one in renamed},
        ):
            self._transaction.run_many(
                statements.RENAME,
                [{"b_order_id": one, "channel_order_id": name} for one, name in ids.items()],
            )

    def move_lines(self, order_ids: Mapping[str, str]) -> None:
        self._transaction.run_many(
            statements.MOVE_LINE,
            [{"b_line_id": line, "order_id": order} for line, order in sorted(order_ids.items())],
        )

    def save_names(
        self, account: str, *, fresh: Mapping[str, str], moved: Mapping[str, str]
    ) -> None:
        self._transaction.run_many(
            statements.MOVE_NAME,
            [
                {"b_account": account, "b_channel_order_id": name, "order_id": order_id}
                for name, order_id in sorted(moved.items())
            ],
        )
        self._transaction.run_many(
            statements.ADD_NAME,
            [
                {"account": account, "channel_order_id": name, "order_id": order_id}
                for name, order_id in sorted(fresh.items())
            ],
        )

    def add(self, orders: Sequence[StoredOrder]) -> None:
        rows = self._order_rows(orders)
        self._transaction.run_many(statements.ADD_ORDER, rows)
        self._transaction.run_many(statements.ADD_LINE, _line_rows(orders))

    def save(self, orders: Sequence[StoredOrder]) -> None:
        rows = self._order_rows(orders)
        for row in rows:
            row["b_order_id"] = row.pop("order_id")
            for name in ("account", "channel_order_id", "imported_at", "checked_at"):
                del row[name]
        self._transaction.run_many(statements.SAVE_ORDER, rows)
        statements.SAVE_LINE.run(self._transaction, _line_rows(orders))

    def save_reservations(self, orders: Sequence[StoredOrder]) -> None:
        self._save_held(orders)
        self._transaction.run_many(
            statements.BOOK_LINE,
            [
                {
                    "b_line_id": line.line_id,
                    "quantity_reserved": sum(line.held.values()),
                    "quantity_short": line.quantity_short,
                    "shipped_here": line.shipped_here,
                    "shipped_booked": line.shipped_booked,
                    "returned_booked": line.returned_booked,
                }
                for order in orders
                for line in order.lines
            ],
        )
        self._transaction.run_many(
            statements.BOOK_ORDER,
            [
                {
                    "b_order_id": order.order_id,
                    "state": str(order.state),
                    "is_reserve_due": order.is_reserve_due,
                }
                for order in orders
            ],
        )

    def save_filled(self, orders: Sequence[StoredOrder]) -> None:
        # Lines of other SKUs may be in other hands this moment: they are not written.
        orders = [
            replace(order, lines=tuple(one for one in order.lines if one.sku in self._locked_skus))
            for order in orders
        ]
        self._save_held(orders)
        self._transaction.run_many(
            statements.FILL_LINE,
            [
                {
                    "b_line_id": line.line_id,
                    "quantity_reserved": sum(line.held.values()),
                    "quantity_short": line.quantity_short,
                }
                for order in orders
                for line in order.lines
            ],
        )

    def ids_by_channel_ids(self, account: str, ids: Iterable[str]) -> dict[str, str]:
        parameters = {"account": account, "channel_ids": list(ids)}
        rows = (
            self._transaction.rows(statements.IDS, parameters) if parameters["channel_ids"] else ()
        )
        return {row.channel_order_id: row.order_id for row in rows}

    def take_unchecked(
        self, account: str, *, before: datetime, since: datetime, limit: int, at: datetime
    ) -> list[str]:
        parameters = {"account": account, "before": before, "since": since, "limit": limit}
        ids = [row.order_id for row in self._transaction.rows(statements.UNCHECKED_IDS, parameters)]
        if not ids:
            return []
        rows = self._transaction.rows(statements.LOCK_UNCHECKED, {"order_ids": ids})
        # Somebody else may have taken or merged some while this one waited for their locks.
        taken = [row for row in rows if row.checked_at <= before and row.merged_into is None]
        self._transaction.run_many(
            statements.CHECK, [{"b_order_id": row.order_id, "checked_at": at} for row in taken]
        )
        taken.sort(key=lambda row: (row.checked_at, row.order_id))
        return [row.channel_order_id for row in taken]

    def _save_held(self, orders: Sequence[StoredOrder]) -> None:
        """Bring the reservation rows of these orders' lines to what the lines hold."""
        if not orders:
            return
        held = self._held([line.line_id for order in orders for line in order.lines])
        gone, fresh = [], []
        for order in orders:
            for line in order.lines:
                now = {place: units for place, units in line.held.items() if units}
                if now == held.get(line.line_id, {}):
                    continue
                if line.line_id in held:
                    gone.append(line.line_id)
                fresh += [
                    {
                        "line_id": line.line_id,
                        "location": place,
                        "sku": line.sku,
                        "units": units,
                    }
                    for place, units in now.items()
                ]
        if gone:
            self._transaction.run(statements.FORGET_HELD, {"line_ids": gone})
        self._transaction.run_many(statements.HOLD, fresh)

    def _held(self, line_ids: list[str]) -> dict[str, dict[str, int]]:
        held: dict[str, dict[str, int]] = {}
        for line_id, location, units in self._transaction.rows(
            statements.HELD, {"line_ids": line_ids}
        ):
            held.setdefault(line_id, {})[location] = units
        return held

    def _by_id(self, statement: Any, order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        if not order_ids:
            return {}
        rows = self._transaction.rows(statement, {"order_ids": list(order_ids)})
        return {one.order_id: one for one in self._assemble(rows)}

    def _assemble(self, rows: Sequence[Any]) -> list[StoredOrder]:
        if not rows:
            return []
        parameters = {"order_ids": [row.order_id for row in rows]}
        found = self._transaction.rows(statements.LINES, parameters)
        held = self._held([row.line_id for row in found])
        lines: dict[str, list[tuple[KnownLine, StoredLine]]] = {}
        for row in found:
            stored = StoredLine(
                line_id=row.line_id,
                channel_line_id=row.channel_line_id,
                sku=row.sku,
                listing_id=row.listing_id,
                held=held.get(row.line_id, {}),
                quantity_short=row.quantity_short,
                shipped_here=row.shipped_here,
                shipped_booked=row.shipped_booked,
                returned_booked=row.returned_booked,
                taken_booked=row.taken_booked,
            )
            lines.setdefault(row.order_id, []).append((codec.read_line(row.facts), stored))
        late = self._late_keys(rows)
        return [self._order(row, lines.get(row.order_id, []), late) for row in rows]

    def _late_keys(self, rows: Sequence[Any]) -> dict[str, bytes]:
        """Keys of people who became known while these rows' locks were waited for: PostgreSQL
        answers such a row as it is now, and what is joined to it as it was before.
        """
        missing = [row.subject_id for row in rows if row.personal and row.data_key is None]
        return wrapped_keys(self._transaction, missing)

    def _order(
        self,
        row: Any,
        lines: list[tuple[KnownLine, StoredLine]],
        late: Mapping[str, bytes],
    ) -> StoredOrder:
        # The domain keeps lines in code point order of their channel ids.
        lines.sort(key=lambda pair: pair[1].channel_line_id)
        people = None
        wrapped = row.data_key or late.get(row.subject_id or "")
        if row.personal is not None and wrapped is not None:
            key = open_subject(self._keys, row.subject_id, wrapped)
            people = unseal_with(key, row.personal, f"order {row.order_id}")
        read = codec.read_order(
            ChannelRef(account=row.account, channel_order_id=row.channel_order_id),
            Version(row.updated_at, row.seen_at),
            row.facts,
            people,
        )
        return StoredOrder(
            order_id=row.order_id,
            known=read(tuple(known for known, _ in lines)),
            state=OrderState(row.state),
            lines=tuple(stored for _, stored in lines),
            holds=codec.read_holds(row.holds),
            is_reserve_due=row.is_reserve_due,
            payload_key=row.payload_key,
            imported_at=row.imported_at,
            merged_into=row.merged_into,
            declined=codec.read_declined(row.declined),
            erased_at=row.erased_at,
        )

    def _order_rows(self, orders: Sequence[StoredOrder]) -> list[Parameters]:
        subjects = [self._subject(one) for one in orders]
        people = [
            codec.write_people(one.known.facts) if subject is not None else None
            for one, subject in zip(orders, subjects, strict=True)
        ]
        keys = subject_keys(
            self._transaction,
            self._keys,
            {
                subject: one.known.ref.account
                for subject, one, who in zip(subjects, orders, people, strict=True)
                if subject is not None and who is not None
            },
        )
        rows = []
        for one, subject, who in zip(orders, subjects, people, strict=True):
            sealed = None
            if subject is not None and who is not None:
                sealed = seal_with(keys[subject], who, f"order {one.order_id}")
            rows.append(_order_row(one) | {"subject_id": subject, "personal": sealed})
        return rows

    def _subject(self, order: StoredOrder) -> str | None:
        """Whom the order is about; None once that was erased, whatever a channel shows again."""
        if order.erased_at is not None:
            return None
        return subject_id(self._keys, order.known, order.order_id)


def _order_row(order: StoredOrder) -> Parameters:
    known, facts = order.known, order.known.facts
    is_waited = is_waited_for(known)
    return {
        "order_id": order.order_id,
        "account": known.ref.account,
        "channel_order_id": known.ref.channel_order_id,
        "channel_order_number": plain(facts.channel_order_number),
        "state": str(order.state),
        "placed_at": order.placed_at,
        "ship_by": facts.ship_by,
        "is_waited_for": is_waited,
        "ship_due_at": facts.ship_by if is_waited else None,
        "imported_at": order.imported_at,
        "checked_at": order.imported_at,
        "updated_at": known.version.at,
        "seen_at": known.version.seen_at,
        "currency": facts.currency,
        "total_minor": codec.minor_units(facts.total),
        "is_reserve_due": order.is_reserve_due,
        "payload_key": order.payload_key,
        "facts": codec.write_facts(known),
        "holds": codec.write_holds(order.holds),
        "declined": codec.write_declined(order.declined),
        "erased_at": order.erased_at,
    }


def _line_rows(orders: Sequence[StoredOrder]) -> list[Parameters]:
    return [
        {
            "line_id": line.line_id,
            "order_id": order.order_id,
            "channel_line_id": line.channel_line_id,
            "portable_in": order.known.ref.account if order.names else None,
            "channel_listing_id": plain(known.line.channel_listing_id),
            "channel_sku": plain(known.line.channel_sku),
            "sku": line.sku,
            "listing_id": line.listing_id,
            "facts": codec.write_line(known),
            "quantity_reserved": 0,
            "quantity_short": line.quantity_short,
            "shipped_here": line.shipped_here,
            "shipped_booked": line.shipped_booked,
            "returned_booked": line.returned_booked,
            "taken_booked": line.taken_booked,
        }
        for order in orders
        for known, line in zip(order.known.lines, order.lines, strict=True)
    ]
