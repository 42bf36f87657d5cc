"""The quality rules every connector answers in its `checklist.yaml`, and what an answer is worth.

`done` is believed only where the manifest declares what the rule is about. Pure; reading files is
not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from oms_sync.sdk.manifest import Capability, Manifest

Status = Literal["done", "todo", "exempt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: what it asks, and what a connector must declare before it can be done."""

    asks: str
    #: at least one of these; empty where the rule concerns every connector
    needs: frozenset[Capability] = frozenset()
    #: a manifest flag that must be set too
    flag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A connector's answer to one rule; an exemption gives its reason."""

    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One line of a judged checklist; `problem` says what is dishonest or missing about it."""

    name: str
    answer: Answer | None
    problem: str = ""


def _rules(asked: Mapping[str, str], *needs: Capability, flag: str = "") -> dict[str, Rule]:
    return {
        name: Rule(asks=asks, needs=frozenset(needs), flag=flag) for name, asks in asked.items()
    }


RULES: Final[Mapping[str, Rule]] = {
    **_rules(
        {"account_check": "who the channel takes us for, and which permissions are missing"},
        Capability.CHECK_ACCOUNT,
    ),
    **_rules(
        {
            "orders_polled_with_overlap": "a pass begins an overlap before the newest order seen",
            "orders_read_by_id": "one answer per id; an order that is not there is gone",
            "half_read_orders_are_marked": "is_complete is False while a part cannot be read",
            "cancellations_refunds_and_edits": "units are right after each of them",
            "holds": "the channel's own reasons for not shipping yet are shown",
            "money_is_exact": "decimal texts of one currency, never floats",
            "addresses_may_be_withheld": "an order without personal data is an order",
            "unknown_codes_are_held": "a code no table knows holds the order",
        },
        Capability.READ_ORDERS,
    ),
    **_rules(
        {"listings_discovered": "every listing is found, with variations and missing SKUs"},
        Capability.DISCOVER_LISTINGS,
    ),
    **_rules({"stock_pushed_absolute": "quantities are set, not added"}, Capability.PUSH_STOCK),
    **_rules(
        {"stock_pushed_with_compare_value": "what the channel shows is compared before the write"},
        Capability.PUSH_STOCK,
        flag="has_compare_and_set",
    ),
    **_rules(
        {"results_matched_by_key": "an outcome is matched by listing, never by position"},
        Capability.PUSH_STOCK,
    ),
    **_rules(
        {"tracking_pushed_after_a_look": "a shipment the channel has is not sent again"},
        Capability.PUSH_TRACKING,
    ),
    **_rules(
        {"tracking_corrected": "a dispatch gets other packages, and stays one dispatch"},
        Capability.CORRECT_TRACKING,
    ),
    **_rules(
        {"cancellations_written_back": "units cancelled here leave the order at the channel"},
        Capability.CANCEL_ORDERS,
    ),
    **_rules(
        {"refunds_written_back": "money goes back once, and is found again"},
        Capability.REFUND_ORDERS,
    ),
    **_rules(
        {"orders_held_at_the_channel": "a hold here stops the channel's own fulfilment"},
        Capability.HOLD_ORDERS,
    ),
    **_rules(
        {"orders_listed_for_comparison": "the channel's own list of a day, whatever became of it"},
        Capability.LIST_ORDERS,
    ),
    **_rules({"lost_answers_are_unknown": "a write without an answer is OutcomeUnknown"}),
    **_rules(
        {"webhooks_signed": "only what the channel signed is taken"},
        Capability.RECEIVE_WEBHOOKS,
    ),
    **_rules(
        {"webhook_subscriptions_made": "the channel is told where to send what"},
        Capability.RECEIVE_WEBHOOKS,
        Capability.PULL_NOTIFICATIONS,
    ),
    **_rules(
        {
            "rate_limits_kept": "the gate is asked before every call and told what was learnt",
            "tokens_renewed_once": "one refresher at a time, across threads and processes",
            "tokens_stored_before_use": "a rotated token is saved before it is used",
            "shadow_writes_nothing": "without may_write nothing is written",
            "secrets_never_logged": "neither logs nor errors hold a secret",
            "documents_match_the_vendors_contract": "what is sent is checked against the vendor's",
            "consent_flow": "an operator can let the channel issue tokens",
            "bulk_back_fill": "history is read by the channel's bulk interface",
            "compliance_topics": "requests about personal data are answered",
        }
    ),
}
"""Every rule, in the order a checklist lists them."""


def judge(answers: Mapping[str, Answer], manifest: Manifest) -> tuple[RuleResult, ...]:
    """Every rule with its answer, then the connector's own rules; problems are named."""
    own = [name for name in answers if name not in RULES]
    return tuple(
        RuleResult(
            name=name, answer=answers.get(name), problem=_problem(name, answers.get(name), manifest)
        )
        for name in (*RULES, *own)
    )


def _problem(name: str, answer: Answer | None, manifest: Manifest) -> str:
    if answer is None:
        return "not answered: write done, todo, or {status: exempt, reason: …}"
    rule = RULES.get(name)
    if rule is None or answer.status != "done":
        return ""
    if rule.needs and not rule.needs & manifest.capabilities:
        return f"said to be done, but the manifest does not declare {_words(rule.needs)}"
    if rule.flag and not getattr(manifest, rule.flag):
        return f"said to be done, but the manifest does not set {rule.flag}"
    return ""


def _words(capabilities: frozenset[Capability]) -> str:
    return " or ".join(sorted(capabilities))
