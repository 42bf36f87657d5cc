"""What `orders.py` asks of the database, each statement built once."""

from sqlalchemy import (
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    union,
    union_all,
    update,
)

from oms_sync.domain.order import OrderState
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant, among
from oms_sync.storage.tables.hub import subjects
from oms_sync.storage.tables.listings import listings
from oms_sync.storage.tables.orders import order_lines, order_names, orders, reservations
from oms_sync.storage.writing import insert_or_update

_BASE = select(
    orders.c.order_id,
    orders.c.account,
    orders.c.channel_order_id,
    orders.c.state,
    orders.c.imported_at,
    orders.c.updated_at,
    orders.c.seen_at,
    orders.c.is_reserve_due,
    orders.c.payload_key,
    orders.c.facts,
    orders.c.holds,
    orders.c.subject_id,
    orders.c.personal,
    orders.c.merged_into,
    orders.c.declined,
    orders.c.erased_at,
    subjects.c.data_key,
).select_from(orders.outerjoin(subjects, subjects.c.subject_id == orders.c.subject_id))
BY_ID = _BASE.where(among(orders.c.order_id, "order_ids"))
LOCK_BY_ID = locks.orders_in_order(BY_ID)
#: spelled as the partial unique index spells it
IS_ALIVE = text("orders.merged_into IS NULL")
_OWNS_ID = and_(
    orders.c.account == bindparam("account"),
    among(orders.c.channel_order_id, "channel_ids"),
    IS_ALIVE,
)
LOCK_BY_CHANNEL_ID = locks.orders_in_order(_BASE.where(_OWNS_ID))
_NAMED = and_(
    order_names.c.account == bindparam("account"),
    among(order_names.c.channel_order_id, "channel_ids"),
)
#: every id of every order that answers to one of these ids or has one of these lines
NAMES = select(order_names.c.order_id, order_names.c.channel_order_id).where(
    order_names.c.order_id.in_(
        union(
            select(order_names.c.order_id).where(_NAMED),
            select(order_lines.c.order_id).where(
                order_lines.c.portable_in == bindparam("account"),
                among(order_lines.c.channel_line_id, "channel_line_ids"),
            ),
        )
    )
)
DUE_IDS = (
    select(orders.c.order_id)
    .where(orders.c.account == bindparam("account"), orders.c.is_reserve_due)
    .order_by(orders.c.placed_at, orders.c.order_id)
    .limit(bindparam("limit"))
)
LOCK_DUE = locks.orders_in_order(
    select(orders.c.order_id, orders.c.placed_at, orders.c.is_reserve_due).where(
        among(orders.c.order_id, "order_ids")
    )
)
LINE_SKUS = select(order_lines.c.order_id, order_lines.c.sku).where(
    among(order_lines.c.order_id, "order_ids"), order_lines.c.sku.is_not(None)
)
SHORT_IDS = (
    select(orders.c.order_id)
    .join(order_lines, order_lines.c.order_id == orders.c.order_id)
    .where(among(order_lines.c.sku, "skus"), text("order_lines.quantity_short > 0"))
    .group_by(orders.c.order_id, orders.c.placed_at)
    .order_by(orders.c.placed_at, orders.c.order_id)
    .limit(bindparam("limit"))
)
_TWIN = listings.alias("twin")
_IS_AMBIGUOUS = (
    select(_TWIN.c.listing_id)
    .where(
        _TWIN.c.account == listings.c.account,
        _TWIN.c.channel_sku == listings.c.channel_sku,
        _TWIN.c.listing_id != listings.c.listing_id,
    )
    .exists()
)
_LISTED = select(listings.c.listing_id).where(
    listings.c.account == bindparam("account"), listings.c.sku.is_not(None)
)
#: begins at the few lines without a SKU, not at all orders of the account
UNMAPPED_IDS = (
    select(order_lines.c.order_id)
    .distinct()
    .where(
        order_lines.c.sku.is_(None),
        or_(
            _LISTED.where(
                listings.c.channel_listing_id == order_lines.c.channel_listing_id
            ).exists(),
            # As normalise looks: by SKU only where the line names no listing.
            and_(
                func.coalesce(order_lines.c.channel_listing_id, "") == "",
                _LISTED.where(
                    listings.c.channel_sku == order_lines.c.channel_sku, ~_IS_AMBIGUOUS
                ).exists(),
            ),
        ),
        select(orders.c.order_id)
        .where(
            orders.c.order_id == order_lines.c.order_id,
            orders.c.account == bindparam("account"),
        )
        .exists(),
    )
    .order_by(order_lines.c.order_id)
    .limit(bindparam("limit"))
)
LINES = select(
    order_lines.c.order_id,
    order_lines.c.line_id,
    order_lines.c.channel_line_id,
    order_lines.c.sku,
    order_lines.c.listing_id,
    order_lines.c.facts,
    order_lines.c.quantity_short,
    order_lines.c.shipped_here,
    order_lines.c.shipped_booked,
    order_lines.c.returned_booked,
    order_lines.c.taken_booked,
).where(among(order_lines.c.order_id, "order_ids"))
HELD = (
    select(reservations.c.line_id, reservations.c.location, reservations.c.units)
    .where(among(reservations.c.line_id, "line_ids"))
    .order_by(reservations.c.line_id, reservations.c.location)
)
UNCHECKED_IDS = (
    select(orders.c.order_id)
    .where(
        orders.c.account == bindparam("account"),
        text("orders.state IN ('pending', 'open', 'held')"),
        orders.c.checked_at <= bindparam("before", type_=Instant()),
        orders.c.seen_at <= bindparam("before", type_=Instant()),
        orders.c.placed_at >= bindparam("since", type_=Instant()),
    )
    .order_by(orders.c.checked_at, orders.c.order_id)
    .limit(bindparam("limit"))
)
LOCK_UNCHECKED = locks.orders_in_order(
    select(
        orders.c.order_id, orders.c.channel_order_id, orders.c.checked_at, orders.c.merged_into
    ).where(among(orders.c.order_id, "order_ids"))
)
CHECK = (
    update(orders)
    .where(orders.c.order_id == bindparam("b_order_id"))
    .values(checked_at=bindparam("checked_at"))
)
#: what `save` leaves alone; RENAME and MERGE change some of it
_FIXED = (
    "order_id",
    "account",
    "channel_order_id",
    "imported_at",
    "checked_at",
    "merged_into",
)
ADD_ORDER = insert(orders)
ADD_LINE = insert(order_lines)
SAVE_ORDER = (
    update(orders)
    .where(orders.c.order_id == bindparam("b_order_id"))
    .values(
        {column: bindparam(column.name) for column in orders.columns if column.name not in _FIXED}
    )
)
SAVE_LINE = insert_or_update(
    order_lines,
    ("channel_listing_id", "channel_sku", "sku", "listing_id", "facts", "taken_booked"),
)
BOOK_ORDER = (
    update(orders)
    .where(orders.c.order_id == bindparam("b_order_id"))
    .values(state=bindparam("state"), is_reserve_due=bindparam("is_reserve_due"))
)
BOOK_LINE = (
    update(order_lines)
    .where(order_lines.c.line_id == bindparam("b_line_id"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "quantity_reserved",
                "quantity_short",
                "shipped_here",
                "shipped_booked",
                "returned_booked",
            )
        }
    )
)
FILL_LINE = (
    update(order_lines)
    .where(order_lines.c.line_id == bindparam("b_line_id"))
    .values(
        quantity_reserved=bindparam("quantity_reserved"),
        quantity_short=bindparam("quantity_short"),
    )
)
IDS = union_all(
    select(orders.c.channel_order_id, orders.c.order_id).where(_OWNS_ID),
    select(order_names.c.channel_order_id, order_names.c.order_id).where(_NAMED),
)
RENAME = (
    update(orders)
    .where(orders.c.order_id == bindparam("b_order_id"))
    .values(channel_order_id=bindparam("channel_order_id"))
)
MERGE = (
    update(orders)
    .where(orders.c.order_id == bindparam("b_order_id"))
    .values(
        merged_into=bindparam("merged_into"),
        state=OrderState.CANCELLED.value,
        is_reserve_due=False,
        holds="[]",
        # who bought is known to the other order
        subject_id=None,
        personal=None,
    )
)
#: what was merged into an order goes along when that one is merged
MERGE_ALONG = (
    update(orders)
    .where(orders.c.merged_into == bindparam("b_order_id"))
    .values(merged_into=bindparam("merged_into"))
)
ADD_NAME = insert(order_names)
MOVE_NAME = (
    update(order_names)
    .where(
        order_names.c.account == bindparam("b_account"),
        order_names.c.channel_order_id == bindparam("b_channel_order_id"),
    )
    .values(order_id=bindparam("order_id"))
)
MOVE_LINE = (
    update(order_lines)
    .where(order_lines.c.line_id == bindparam("b_line_id"))
    .values(order_id=bindparam("order_id"))
)
FORGET_HELD = delete(reservations).where(among(reservations.c.line_id, "line_ids"))
HOLD = insert(reservations)
