"""FakeChannel: a whole channel in memory, with its own truth and knobs for misbehaviour.

It sells, cancels, edits, refunds and ships on its own account, and opens sessions that implement
every capability (`fake_session.py`). Time and chance come from the caller; nothing is ever real.
"""

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from oms_sync.sdk import fake_acts
from oms_sync.sdk.connector import Connector, OpenRequest
from oms_sync.sdk.fake_acts import CANCELLATION_REQUESTED, FakeRefusal
from oms_sync.sdk.fake_books import FakeBooks, FakeEffect, FakeListing
from oms_sync.sdk.fake_faults import FakeFaults
from oms_sync.sdk.fake_options import FakeOptions
from oms_sync.sdk.fake_orders import FakeFulfilment, FakeOrder, FakeRefund
from oms_sync.sdk.fake_portable import combine, rename
from oms_sync.sdk.fake_ports import MemoryTokens, OpenGate, SeededIds
from oms_sync.sdk.fake_queue import FakeQueue
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.fake_webhooks import FakeDelivery, FakeMail, FakeSettings, FakeWebhookPart
from oms_sync.sdk.fake_writes import FakeDesk
from oms_sync.sdk.manifest import Capability, Manifest
from oms_sync.sdk.ports import Clock, RateGate
from oms_sync.sdk.seeding import Chance

__all__ = [
    "FakeChannel",
    "FakeEffect",
    "FakeListing",
    "FakeOptions",
    "FakeRefusal",
    "fake_connector",
    "open_fake_session",
]


class FakeChannel:
    """A channel with one account.

    Example::

        channel = FakeChannel(clock=clock, chance=Random(1), catalogue={"TEE": 5})
        order = channel.buy(("TEE", 2))
        session = channel.session("shop-a")
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        clock: Clock,
        chance: Chance,
        options: FakeOptions | None = None,
        catalogue: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.options = options or FakeOptions()
        self.clock = clock
        self.faults = FakeFaults(chance)
        self.settings = FakeSettings(
            channel=self,
            token=f"token-of-{name}",
            webhook_secret=f"secret-of-{name}",
            verification_token=f"verification-of-{name}",
        )
        self.mail = FakeMail(self.faults, late_seconds=self.options.late_seconds)
        self.mail.use_secret(self.settings.webhook_secret)
        #: everything sessions changed, oldest first
        self.effects: list[FakeEffect] = []
        #: what the seller allowed the credentials; False makes every call AuthFailed
        self.is_authorised = True
        #: scopes the account lacks: `check` reports them
        self.missing_permissions: tuple[str, ...] = ()
        #: held by every act and every answer, for sessions are called from several threads
        self.lock = threading.RLock()
        #: what a batch key was answered for: its entries and results
        self.answers: dict[str, Any] = {}
        self.queue = FakeQueue(
            self.faults,
            late_seconds=self.options.late_seconds,
            redelivery_seconds=self.options.redelivery_seconds,
        )
        self.books = FakeBooks(
            name,
            clock=clock,
            faults=self.faults,
            mail=self.mail,
            queue=self.queue if self.options.has_queue else None,
        )
        #: where sessions cancel, refund, hold and correct
        self.desk = FakeDesk(self)
        for channel_sku, quantity in (catalogue or {}).items():
            self.offer(channel_sku, quantity)

    # --- opening ---------------------------------------------------------------------------------

    @property
    def manifest(self) -> Manifest:
        """The declaration of a connector that can do everything."""
        options = self.options
        return Manifest(
            id="fake",
            label="Fake channel",
            capabilities=frozenset(Capability),
            visibility_lag_seconds=options.late_seconds,
            stock_batch_max=options.stock_batch_max,
            stock_read_max=options.stock_read_max,
            order_read_max=options.order_read_max,
            has_compare_and_set=options.has_compare_and_set,
            is_push_idempotent=options.is_push_idempotent,
            has_portable_lines=options.has_portable_lines,
            cancels_lines=options.cancels_lines,
            declines_cancellations=options.declines_cancellations,
            webhook_headers=("x-fake-topic", "x-fake-delivery"),
        )

    @property
    def webhook_part(self) -> FakeWebhookPart:
        """The pure half of receiving this channel's webhooks."""
        return FakeWebhookPart()

    def request(
        self,
        account: str | None = None,
        *,
        may_write: bool = True,
        overlap_seconds: float = 600.0,
        gate: RateGate | None = None,
    ) -> OpenRequest:
        """What a session is opened with."""
        name = account or self.name
        return OpenRequest(
            account=name,
            settings=self.settings,
            endpoint=None,
            locations=("main",),
            overlap_seconds=overlap_seconds,
            may_write=may_write,
            tables={},
            clock=self.clock,
            ids=SeededIds(1, f"ids/{name}"),
            gate=gate or OpenGate(),
            tokens=MemoryTokens(),
        )

    def session(
        self,
        account: str | None = None,
        *,
        may_write: bool = True,
        overlap_seconds: float = 600.0,
        gate: RateGate | None = None,
    ) -> FakeSession:
        """Open a session; any number may be open at once."""
        request = self.request(
            account, may_write=may_write, overlap_seconds=overlap_seconds, gate=gate
        )
        return FakeSession(self, request)

    # --- what buyers and the seller do at the channel --------------------------------------------

    def offer(self, channel_sku: str, quantity: int, *, is_stocked: bool = True) -> str:
        """Put something on sale; answers its channel listing id."""
        with self.lock:
            return self.books.offer(channel_sku, quantity, is_stocked=is_stocked)

    def store_units(self, channel_sku: str, units: int | None) -> None:
        """So many units lie at the channel, which ships them itself; None ends that."""
        with self.lock:
            listing = self.books.offered(channel_sku)
            self.books.listings[listing.channel_listing_id] = replace(listing, pool=units)

    def buy(
        self,
        *lines: tuple[str, int],
        is_paid: bool = True,
        fulfilled_by: str = "seller",
        is_test: bool = False,
        ship_by: datetime | None = None,
        buyer_id: str = "",
    ) -> str:
        """Sell all of `lines` (channel SKU, units) or nothing; answers the channel order id."""
        with self.lock:
            books = self.books
            at, order_id = books.stamp(), books.next_order_id()
            # F17 hides an order and its webhook; F15 lets the webhook come before the order.
            is_late, is_early = self.faults.fires("F17"), self.faults.fires("F15")
            hidden = timedelta(seconds=self.options.late_seconds if is_late or is_early else 0)
            new_lines = [books.new_line(channel_sku, units) for channel_sku, units in lines]
            order = FakeOrder(
                channel_order_id=order_id,
                placed_at=at,
                updated_at=at,
                visible_at=at + hidden,
                currency=self.options.currency,
                lines=tuple(
                    replace(line, channel_line_id=f"{order_id}-{number}")
                    for number, line in enumerate(new_lines, start=1)
                ),
                is_paid=is_paid,
                fulfilled_by=fulfilled_by,
                is_test=is_test,
                ship_by=ship_by,
                buyer_id=buyer_id,
            )
            books.store(order, announced_at=at if is_early else None)
            return order_id

    def pay(self, channel_order_id: str) -> str:
        """The buyer pays; answers the id of the order now."""
        with self.lock:
            order = replace(self.order(channel_order_id), is_paid=True)
            if self.options.has_portable_lines:
                return self.books.regroup(rename(order, self.books.next_order_id()))
            self.books.store(order)
            return channel_order_id

    def combine(
        self, *channel_order_ids: str, channel_line_ids: Collection[str] | None = None
    ) -> str:
        """Unpaid orders, or these lines of theirs, become one new order; answers its id."""
        with self.lock:
            books = self.books
            orders = [self.order(one) for one in channel_order_ids]
            new_id = books.next_order_id()
            lines = channel_line_ids
            return books.regroup(combine(orders, new_id, at=books.now(), channel_line_ids=lines))

    def cancel(self, channel_order_id: str, *, restock: bool = True) -> None:
        """Cancel what is not shipped; `restock` puts those units back on sale."""
        with self.lock:
            order = self.order(channel_order_id)
            self.books.store(fake_acts.cancel_order(order, restock=restock, at=self.books.stamp()))

    def edit(self, channel_order_id: str, quantities: Mapping[str, int]) -> None:
        """Give SKUs new units: 0 takes a line's units out, an unknown SKU adds a line."""
        with self.lock:
            order = self.order(channel_order_id)
            self.books.store(fake_acts.edit_order(order, quantities, self.books.new_line))

    def refund(
        self,
        channel_order_id: str,
        quantities: Mapping[str, int] | None = None,
        *,
        restock: bool = True,
    ) -> None:
        """Give money back for units, by SKU or all; unshipped ones leave the order."""
        with self.lock:
            order = self.order(channel_order_id)
            after = fake_acts.refund_order(order, quantities, restock=restock)
            self.books.store(fake_acts.give_back(order, after, at=self.books.stamp()))

    def hold(self, channel_order_id: str, reason: str = "fraud_review") -> None:
        """The channel holds the order back."""
        with self.lock:
            order = self.order(channel_order_id)
            self.books.store(replace(order, holds=tuple(sorted({*order.holds, reason}))))

    def request_cancellation(self, channel_order_id: str) -> None:
        """The buyer asks the seller to cancel the order."""
        self.hold(channel_order_id, CANCELLATION_REQUESTED)

    def refund_money(self, channel_order_id: str, minor: int) -> str:
        """The seller gives money back by hand, no units; answers the refund's id."""
        with self.lock:
            return self.desk.give_money(channel_order_id, minor)

    def release(self, channel_order_id: str) -> None:
        """The channel lets go of every hold."""
        with self.lock:
            order = self.order(channel_order_id)
            self.books.store(replace(order, holds=()))

    def delete(self, channel_order_id: str) -> None:
        """The seller removes the order for good: reading it answers that it is gone."""
        with self.lock:
            self.books.delete(channel_order_id)

    def hand_edit(self, channel_sku: str, quantity: int) -> None:
        """The seller types a quantity at the channel."""
        with self.lock:
            listing_id = self.books.offered(channel_sku).channel_listing_id
            self.books.set_quantity(listing_id, quantity)
            at = self.books.stamp()
            self.mail.send("listings/update", listing_id, at=at, quantity=quantity)

    def fulfil_at_channel(
        self,
        channel_order_id: str,
        quantities: Mapping[str, int] | None = None,
        *,
        tracking_number: str | None = None,
    ) -> str:
        """The seller ships at the channel itself, units by SKU or all; answers the dispatch."""
        with self.lock:
            order = self.order(channel_order_id)
            units = {
                line.channel_line_id: line.open
                if quantities is None
                else quantities.get(line.channel_sku, 0)
                for line in order.lines
            }
            return self.books.make_fulfilment(
                channel_order_id,
                {line_id: wanted for line_id, wanted in units.items() if wanted},
                tracking_numbers=(tracking_number,) if tracking_number else (),
            )

    def cancel_fulfilment(self, channel_order_id: str, channel_shipment_id: str) -> None:
        """The seller takes a dispatch back: its units are open again."""
        with self.lock:
            order = self.order(channel_order_id)
            self.books.store(fake_acts.undo_fulfilment(order, channel_shipment_id))

    def take_webhooks(self) -> tuple[FakeDelivery, ...]:
        """The webhooks that are due now, oldest first; each is given once."""
        with self.lock:
            return self.mail.take(until=self.books.now())

    # --- the truth -------------------------------------------------------------------------------

    def orders(self) -> dict[str, FakeOrder]:
        """Every order by id, visible to sessions or not."""
        with self.lock:
            return dict(self.books.orders)

    def order(self, channel_order_id: str) -> FakeOrder:
        """One order; raises FakeRefusal when there is none."""
        return self.books.order(channel_order_id)

    def quantities(self) -> dict[str, int]:
        """What is on sale, by channel SKU."""
        with self.lock:
            return {one.channel_sku: one.quantity for one in self.books.listings.values()}

    def sold(self) -> dict[str, int]:
        """Units sold by the seller and not cancelled, by channel SKU."""
        units: dict[str, int] = {}
        for order in self.orders().values():
            for line in order.lines if order.fulfilled_by == "seller" else ():
                before = units.get(line.channel_sku, 0)
                units[line.channel_sku] = before + line.ordered - line.cancelled
        return units

    def fulfilments(self, channel_order_id: str) -> tuple[FakeFulfilment, ...]:
        """The dispatches of an order, cancelled ones included."""
        return self.order(channel_order_id).fulfilments

    def refunds(self, channel_order_id: str) -> tuple[FakeRefund, ...]:
        """The money that went back for an order, failed attempts included."""
        return self.order(channel_order_id).refunds


def fake_connector(channel: FakeChannel) -> Connector:
    """The fake as a connector record; its settings are `channel.settings`."""
    return Connector(
        manifest=channel.manifest,
        settings="oms_sync.sdk.fake_webhooks:FakeSettings",
        open="oms_sync.sdk.fake:open_fake_session",
        webhook="oms_sync.sdk.fake_webhooks:WEBHOOK",
    )


def open_fake_session(request: OpenRequest) -> FakeSession:
    """Open a session of the channel the settings hold."""
    return FakeSession(request.settings.channel, request)
