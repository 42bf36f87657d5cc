"""A session of the fake channel: every capability over its books, as badly as its knobs say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from oms_sync.domain.order import OrderSight
from oms_sync.domain.shipment import ChannelShipment
from oms_sync.sdk.connector import OpenRequest
from oms_sync.sdk.errors import (
    AuthFailed,
    Bug,
    ChannelDown,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from oms_sync.sdk.fake_acts import FakeRefusal
from oms_sync.sdk.fake_books import FakeEffect
from oms_sync.sdk.fake_feed import FeedPlace, feed_entries, next_place, waiting_entries
from oms_sync.sdk.fake_list import listed_page
from oms_sync.sdk.fake_orders import FakeOrder, parse_order, render_order
from oms_sync.sdk.fake_portable import present_id
from oms_sync.sdk.fake_stock import apply_batch
from oms_sync.sdk.fake_webhooks import FAKE_TOPICS
from oms_sync.sdk.messages import (
    AccountCheck,
    ChannelListing,
    ListingPage,
    Notification,
    OrderFeed,
    OrderPage,
    OutgoingShipment,
    PushResult,
    RawOrder,
    StockBatch,
    StockReading,
)
from oms_sync.sdk.ports import Priority
from oms_sync.sdk.writes import (
    ChannelRefund,
    OutgoingCancellation,
    OutgoingHold,
    OutgoingRefund,
    TrackingCorrection,
)

if TYPE_CHECKING:
    from oms_sync.sdk.fake import FakeChannel

Answer = TypeVar("Answer")
_RETRY_AFTER_SECONDS: Final = 2.0
_UNKNOWN_STATUS: Final = "quantum"


class FakeSession:
    """An opened fake channel; made by `FakeChannel.session`."""

    def __init__(self, channel: "FakeChannel", request: OpenRequest) -> None:
        self._channel = channel
        self._books = channel.books
        self._faults = channel.faults
        self._request = request

    def close(self) -> None:
        """Nothing to give back."""

    def check(self) -> AccountCheck:
        """Who we are at the channel, and what time it is there."""
        self._read("check", Priority.READ)
        return AccountCheck(
            channel_account=self._channel.name,
            channel_account_id=self._channel.name,
            channel_time=self._books.now(),
            missing_permissions=self._channel.missing_permissions,
        )

    # --- orders ----------------------------------------------------------------------------------

    def read_orders(self, feed: OrderFeed, cursor: str | None, since: datetime) -> OrderPage:
        """The next page: oldest change first; OPEN and HISTORY by the time of the order."""
        self._read("read_orders", Priority.READ if feed is OrderFeed.CHANGES else Priority.BULK)
        with self._channel.lock:
            place = FeedPlace.read(cursor, since)
            place = replace(place, page=place.page + 1)
            if self._faults.fires("F19"):
                return OrderPage(orders=(), cursor=place.text(), is_last=False)
            page = self._read_page(feed, place)
            # One who asks again with the repeated cursor is shown the same page again.
            if cursor is not None and self._faults.fires("F20"):
                return replace(page, cursor=cursor, is_last=False)
            return page

    def read_orders_by_id(self, channel_order_ids: Sequence[str]) -> tuple[RawOrder, ...]:
        """The orders as they are now; a hidden or deleted one is gone."""
        self._read("read_orders_by_id", Priority.READ)
        with self._channel.lock:
            self._channel.desk.work_off()
            shown = {order.channel_order_id: order for order in self._books.shown()}
            return tuple(self._answer(shown, order_id) for order_id in channel_order_ids)

    def list_orders(self, since: datetime, until: datetime, cursor: str | None) -> OrderPage:
        """The next page of the orders placed in a window, whatever became of them."""
        self._read("list_orders", Priority.BULK)
        with self._channel.lock:
            found, after, is_last = listed_page(
                self._books.shown(),
                since=since,
                until=until,
                cursor=cursor,
                size=self._channel.options.page_size,
            )
            orders = tuple(self._raw(one) for one in found)
            return OrderPage(orders=orders, cursor=after, is_last=is_last)

    def _answer(self, shown: Mapping[str, FakeOrder], asked: str) -> RawOrder:
        former = self._books.former if self._channel.options.answers_former_ids else {}
        order = shown.get(present_id(former, asked))
        if order is None:
            return RawOrder(channel_order_id=asked, payload=b"", is_gone=True)
        return replace(self._raw(order), channel_order_id=asked)

    def parse_order(self, payload: bytes, seen_at: datetime) -> OrderSight:
        """Translate a payload; pure; raises BadPayload."""
        return parse_order(payload, seen_at)

    def _read_page(self, feed: OrderFeed, place: FeedPlace) -> OrderPage:
        entries = feed_entries(feed, self._books.shown())
        waiting = waiting_entries(entries, place)
        shown = waiting[: self._channel.options.page_size]
        again: list[FakeOrder] = []
        if len(shown) > 1 and self._faults.fires("F22"):
            # The neighbour before shows once more, the last one moves to the page after.
            again = [order for key, order in entries if key == place.after]
            shown = shown[:-1]
        is_last = len(shown) == len(waiting)
        overlap = timedelta(seconds=self._request.overlap_seconds)
        cursor = next_place(place, shown, is_last=is_last, overlap=overlap).text()
        orders = [self._raw(order) for order in [*again, *(order for _, order in shown)]]
        if orders and self._faults.fires("page_duplicates"):
            orders.append(orders[0])
        if len(orders) > 1 and self._faults.fires("page_reordered"):
            orders.reverse()
        return OrderPage(orders=tuple(orders), cursor=cursor, is_last=is_last)

    def _raw(self, order: FakeOrder) -> RawOrder:
        if self._faults.fires("F41"):
            order = self._books.orders_before[order.channel_order_id]
        status = _UNKNOWN_STATUS if self._faults.fires("F42") else None
        payload = render_order(order, status=status, has_lines=not self._faults.fires("F24"))
        return RawOrder(channel_order_id=order.channel_order_id, payload=payload)

    # --- webhooks --------------------------------------------------------------------------------

    def ensure_subscriptions(self, url: str) -> tuple[str, ...]:
        """Subscribe to every topic at `url`; answers the topics that were not there."""
        self._write("ensure_subscriptions")
        with self._channel.lock:
            mail = self._channel.mail
            known = mail.topics if mail.url == url else set()
            mail.url = url
            missing = tuple(topic for topic in FAKE_TOPICS if topic not in known)
            mail.topics.update(missing)
            for topic in missing:
                self._note("subscribed", topic)
            return missing

    # --- the queue -------------------------------------------------------------------------------

    def has_queue(self) -> bool:
        """True when the channel was given one."""
        return self._channel.options.has_queue

    def pull(self, wait_seconds: float) -> tuple[Notification, ...]:
        """What is due, a batch at most; waits once where there is nothing."""
        self._read("pull", Priority.READ)
        found = self._take()
        if not found and wait_seconds > 0:
            self._request.clock.sleep(wait_seconds)
            found = self._take()
        return found

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Take messages out of the queue for good."""
        self._write("acknowledge")
        with self._channel.lock:
            self._channel.queue.acknowledge(receipts)
        self._lose_answer("acknowledge")

    def subscribe_queue(self) -> tuple[str, ...]:
        """Have every topic written to the queue; answers those that were not."""
        self._write("subscribe_queue")
        with self._channel.lock:
            missing = self._channel.queue.subscribe()
            for topic in missing:
                self._note("subscribed", topic)
            return missing

    def _take(self) -> tuple[Notification, ...]:
        with self._channel.lock:
            limit = self._channel.options.queue_batch_max
            return self._channel.queue.take(now=self._books.now(), limit=limit)

    # --- stock -----------------------------------------------------------------------------------

    def read_listings(self, cursor: str | None) -> ListingPage:
        """The next page of the catalogue, in the order of listing."""
        self._read("read_listings", Priority.BULK)
        with self._channel.lock:
            begin, size = int(cursor or 0), self._channel.options.page_size
            listings = list(self._books.listings.values())
            return ListingPage(
                listings=tuple(
                    ChannelListing(
                        channel_listing_id=one.channel_listing_id,
                        channel_sku=one.channel_sku,
                        title=f"Article {one.channel_sku}",
                        quantity=one.quantity if one.is_stocked else None,
                        is_stocked=one.is_stocked,
                        channel_pool=one.pool,
                    )
                    for one in listings[begin : begin + size]
                ),
                cursor=str(begin + size) if begin + size < len(listings) else None,
            )

    def read_pools(self) -> Mapping[str, int] | None:
        """What the channel holds itself; None without the permission `pools`."""
        self._read("read_pools", Priority.BULK)
        with self._channel.lock:
            if "pools" in self._channel.missing_permissions:
                return None
            listings = self._books.listings.values()
            return {one.channel_listing_id: one.pool for one in listings if one.pool is not None}

    def read_stock(self, channel_listing_ids: Sequence[str]) -> StockReading:
        """What the listings show; unknown and uncounted ones are absent."""
        self._read("read_stock", Priority.READ)
        with self._channel.lock:
            _at_most(channel_listing_ids, self._channel.options.stock_read_max)
            found = [
                listing
                for listing_id in channel_listing_ids
                if (listing := self._books.listings.get(listing_id)) and listing.is_stocked
            ]
            is_old = self._faults.fires("F41")
            return StockReading(
                quantities={
                    one.channel_listing_id: one.quantity_before if is_old else one.quantity
                    for one in found
                },
                read_at=self._books.stamp(),
            )

    def push_stock(self, batch: StockBatch) -> tuple[PushResult, ...]:
        """Set absolute quantities, each on its own; a known key is answered as before."""
        self._write("push_stock")
        with self._channel.lock:
            _at_most(batch.entries, self._channel.options.stock_batch_max)
            known = self._channel.answers.get(batch.key)
            if known is not None and known[0] != batch.entries:
                raise Rejected(f"key {batch.key} was used for other entries")
            results = known[1] if known is not None else apply_batch(self._channel, batch)
            if self._channel.options.is_push_idempotent:
                self._channel.answers[batch.key] = (batch.entries, results)
        self._lose_answer("push_stock")
        return results

    # --- tracking --------------------------------------------------------------------------------

    def read_shipments(self, channel_order_id: str) -> tuple[ChannelShipment, ...]:
        """Every dispatch of the order, cancelled ones marked."""
        self._read("read_shipments", Priority.READ)
        with self._channel.lock:
            order = self._books.orders.get(present_id(self._books.former, channel_order_id))
            return tuple(
                ChannelShipment(
                    channel_shipment_id=one.channel_shipment_id,
                    lines=dict(one.lines),
                    tracking_numbers=one.tracking_numbers,
                    is_cancelled=one.is_cancelled,
                )
                for one in (order.fulfilments if order else ())
            )

    def push_shipment(self, shipment: OutgoingShipment) -> None:
        """Make one dispatch. The channel does not look at the key: asked twice, it makes two."""
        self._write("push_shipment")
        numbers = [one.tracking_number for one in shipment.packages]
        with self._channel.lock:
            try:
                self._books.make_fulfilment(
                    shipment.channel_order_id,
                    shipment.lines,
                    tracking_numbers=tuple(number for number in numbers if number),
                    carriers=tuple(one.carrier for one in shipment.packages),
                    key=shipment.key,
                )
            except FakeRefusal as refusal:
                raise Rejected(str(refusal)) from refusal
            self._note("fulfilment_made", shipment.channel_order_id, key=shipment.key)
        self._lose_answer("push_shipment")

    def correct_shipment(self, correction: TrackingCorrection) -> None:
        """Give a dispatch other packages."""
        self._change("correct_shipment", lambda: self._channel.desk.correct(correction))

    # --- cancellations, refunds, holds -----------------------------------------------------------

    def cancel_order(self, cancellation: OutgoingCancellation) -> str | None:
        """Cancel units or the whole order; a receipt where the channel decides later."""
        return self._change("cancel_order", lambda: self._channel.desk.cancel(cancellation))

    def read_refunds(self, channel_order_id: str) -> tuple[ChannelRefund, ...]:
        """What went back for the order."""
        self._read("read_refunds", Priority.READ)
        with self._channel.lock:
            self._channel.desk.work_off()
            return self._channel.desk.refunds(channel_order_id, is_old=self._faults.fires("F41"))

    def refund_order(self, refund: OutgoingRefund) -> str | None:
        """Give money back; a receipt where the channel decides later."""
        return self._change("refund_order", lambda: self._channel.desk.refund(refund))

    def follow_write(self, receipt: str) -> bool:
        """True once the channel has decided."""
        self._read("follow_write", Priority.READ)
        with self._channel.lock:
            return self._channel.desk.follow(receipt)

    def hold_order(self, hold: OutgoingHold) -> None:
        """Stop the order at the channel."""
        self._change("hold_order", lambda: self._channel.desk.hold(hold))

    def release_order(self, hold: OutgoingHold) -> None:
        """Let go what was stopped."""
        self._change("release_order", lambda: self._channel.desk.release(hold))

    def decline_cancellation(self, channel_order_id: str) -> None:
        """Say no to a buyer who asks to cancel."""
        self._change("decline_cancellation", lambda: self._channel.desk.decline(channel_order_id))

    def _change(self, operation: str, act: Callable[[], Answer]) -> Answer:
        self._write(operation)
        with self._channel.lock:
            answer = act()
        self._lose_answer(operation)
        return answer

    # --- every call ------------------------------------------------------------------------------

    def _read(self, operation: str, priority: Priority) -> None:
        self._call(operation, priority)
        if self._faults.fires("F01"):
            raise ChannelDown(f"{operation}: no answer")

    def _write(self, operation: str) -> None:
        if not self._request.may_write:
            raise Bug(f"{operation}: the account is in shadow mode, nothing is written")
        self._call(operation, Priority.WRITE)
        if self._faults.fires("F01"):
            raise OutcomeUnknown(f"{operation}: no answer")

    def _lose_answer(self, operation: str) -> None:
        if self._faults.fires("F02"):
            raise OutcomeUnknown(f"{operation}: no answer")

    def _call(self, operation: str, priority: Priority) -> None:
        self._request.gate.spend(operation, priority=priority)
        if not self._channel.is_authorised:
            raise AuthFailed("the channel refuses the token; enter a new one")
        if self._faults.fires("F05"):
            wait = _RETRY_AFTER_SECONDS if self._faults.coin() else None
            raise RateLimited(f"{operation}: too many calls", retry_after_seconds=wait)
        if self._faults.fires("F06"):
            raise ChannelDown(f"{operation}: the channel is broken")

    def _note(self, kind: str, target: str, *, key: str = "", quantity: int | None = None) -> None:
        at = self._books.stamp()
        effect = FakeEffect(kind=kind, target=target, at=at, key=key, quantity=quantity)
        self._channel.effects.append(effect)


def _at_most(asked: Sequence[object], limit: int) -> None:
    if len(asked) > limit:
        raise Bug(f"{len(asked)} at once, the channel takes {limit}")
