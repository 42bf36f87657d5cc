"""What is a delivery of eBay's about, and is the address ours? Pure; whether it is genuine only a
key of eBay's tells, see `keys.py`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from connectors.ebay.ids import is_order_id
from oms_sync.sdk import BadPayload, ChallengeAnswer, Hint, HintKind
from oms_sync.sdk.strict_json import read_json

#: the headers name no topic; the body does, once it is known to be genuine
TOPIC: Final = "notification"
_CODE: Final = re.compile(r"[A-Za-z0-9._~-]{1,200}")
#: how a notice names a person, the way orders do first
_PERSON: Final = ("eiasToken", "userId", "username")
_PERSON_ID: Final = re.compile(r"[!-~]{1,200}")


class EbayWebhook:
    """See `oms_sync.sdk.WebhookPart` and `AnswerChallenge`."""

    def verify(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        """Without a key nothing is genuine; the opened part has one."""
        return False

    def topic(self, headers: Mapping[str, str]) -> str:
        return TOPIC

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> Hint:
        message = read_json(body)
        topic = _text(message, "metadata", "topic")
        if topic == "ORDER_CONFIRMATION":
            order_id = _text(message, "notification", "data", "order", "orderId")
            if not is_order_id(order_id):
                raise BadPayload(f"orderId is no id: {order_id[:60]!r}")
            return Hint(kind=HintKind.ORDER, object_id=order_id)
        if topic == "AUTHORIZATION_REVOCATION":
            # Whose consent ended is not taken from the message: the account is asked.
            return Hint(kind=HintKind.ACCOUNT)
        if topic == "MARKETPLACE_ACCOUNT_DELETION":
            return Hint(kind=HintKind.ERASURE, object_id=_person(message))
        # Nothing follows from topics nobody subscribed to.
        return Hint(kind=HintKind.NOTHING)

    def answer_challenge(
        self, settings: Any, url: str, query: Mapping[str, str]
    ) -> ChallengeAnswer | None:
        code, token = query.get("challenge_code", ""), settings.verification_token
        if token is None or not _CODE.fullmatch(code):
            return None
        whole = f"{code}{token.get_secret_value()}{url}"
        digest = hashlib.sha256(whole.encode()).hexdigest()
        return ChallengeAnswer(body=json.dumps({"challengeResponse": digest}).encode())


WEBHOOK: Final = EbayWebhook()


def _person(message: Any) -> str:
    """Who closed the account at eBay, by the id `parse.py` keys buyers on."""
    notification = message.get("notification")
    said = notification.get("data") if isinstance(notification, dict) else None
    names = [said.get(one) for one in _PERSON] if isinstance(said, dict) else []
    found = next((one for one in names if one), None)
    if not isinstance(found, str) or not _PERSON_ID.fullmatch(found):
        raise BadPayload("the notice of a closed account names nobody")
    return found


def _text(message: Any, *path: str) -> str:
    for name in path:
        message = message.get(name) if isinstance(message, dict) else None
    if not isinstance(message, str):
        raise BadPayload(f"the message has no {'.'.join(path)}")
    return message
