"""What kind of channel a FakeChannel plays."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeOptions:
    """What kind of channel a FakeChannel plays. Example: `FakeOptions(page_size=2)`."""

    has_compare_and_set: bool = True
    is_push_idempotent: bool = True
    #: pushes are answered "accepted", as by a channel that works them off later
    answers_accepted: bool = False
    page_size: int = 50
    stock_batch_max: int = 20
    stock_read_max: int = 50
    order_read_max: int = 50
    #: how late a late order or webhook (F13, F15, F17) is
    late_seconds: float = 5.0
    #: an order gets another id when it is paid, and unpaid ones can be combined
    has_portable_lines: bool = False
    #: reading a former id shows the order; False says that there is none
    answers_former_ids: bool = True
    #: the channel writes notifications to a queue of the account's
    has_queue: bool = False
    queue_batch_max: int = 10
    #: a message pulled and not acknowledged comes again after so long
    redelivery_seconds: float = 30.0
    currency: str = "EUR"
    #: some units of an order can be cancelled while the rest goes on
    cancels_lines: bool = True
    #: a buyer's wish to cancel can be answered with no, and is gone then
    declines_cancellations: bool = True
    #: cancellations and refunds are answered with a receipt and decided so much later; 0 at once
    decides_after_seconds: float = 0.0
    #: a refund shows the key it was made with, and the same key makes no second one
    keeps_refund_keys: bool = True
