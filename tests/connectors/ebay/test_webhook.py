"""Deliveries: signed by a key of eBay's, read as hints; and the challenge for the address."""

import base64
import contextlib
import hashlib
import json
import threading

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from connectors.ebay import keys
from connectors.ebay.keys import HEADER, open_webhook, read_key
from connectors.ebay.webhook import WEBHOOK
from oms_sync.sdk import BadPayload, HintKind, RetryLater

KID = "9936261a-7d7b-4621-a0f1-96ccb428af49"
BODY = b'{"metadata":{"topic":"ORDER_CONFIRMATION"}}'
KEY = ec.derive_private_key(7_777_777, ec.SECP256R1())


def _pem(public):
    whole = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return whole.decode().replace("\n", "")  # on one line, as eBay sends it


def _shown(public=None, **changes):
    fields = {"key": _pem(public or KEY.public_key()), "algorithm": "ECDSA", "digest": "SHA1"}
    return fields | changes


def _header(body=BODY, *, digest=hashes.SHA1(), **changes):  # noqa: B008, S303 - a constant
    signature = base64.b64encode(KEY.sign(body, ec.ECDSA(digest))).decode()
    claim = {"alg": "ecdsa", "kid": KID, "signature": signature, "digest": "SHA1"} | changes
    return base64.b64encode(json.dumps(claim).encode()).decode()


@pytest.fixture
def part(scripted, make_request):
    scripted.answers = [(200, {}, _shown())]
    return open_webhook(make_request())


@pytest.fixture
def settings(make_request):
    return make_request().settings


def _verify(part, header, body=BODY):
    return part.verify(None, {HEADER: header}, body)


# --- genuine or not ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digest", "named"),
    [(hashes.SHA1(), "SHA1"), (hashes.SHA256(), "SHA256")],  # noqa: S303
)
def test_what_ebay_signed_is_genuine_by_the_hash_its_key_names(digest, named, scripted, part):
    scripted.answers = [(200, {}, _shown(digest=named))]
    assert _verify(part, _header(digest=digest))


@pytest.mark.proves("A01", "A04")
@pytest.mark.parametrize(
    "body", [BODY + b" ", BODY[:-1], b"", json.dumps(json.loads(BODY)).encode()]
)
def test_the_raw_bytes_are_what_is_signed(body, part):
    assert not _verify(part, _header(), body)


@pytest.mark.proves("A02", "A03", "A32")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "e30=",
        "not base64",
        "é",
        "\udcff",
        "A" * 10_240,
        _header(kid="../../oauth2/token"),
        _header(kid=KID.upper()),
        _header(kid=f"{KID}?x"),
        _header(kid=7),
        _header(kid=None),
        _header(alg="none"),
        _header(alg="rsa"),
        _header(signature="!!"),
        base64.b64encode(b"[" * 900).decode(),
        base64.b64encode(b'"text"').decode(),
    ],
)
def test_a_claim_of_any_other_form_is_refused_and_no_key_is_asked_for(header, scripted, part):
    assert not _verify(part, header)
    assert scripted.asked == []


def test_an_empty_signature_is_refused(part):
    assert not _verify(part, _header(signature=""))


def test_a_missing_header_is_refused(part):
    assert not part.verify(None, {}, BODY)


@pytest.mark.parametrize(
    "fields",
    [
        _shown(ec.derive_private_key(99, ec.SECP384R1()).public_key()),
        _shown(rsa.generate_private_key(65537, 2048).public_key()),
        _shown(algorithm="RSA"),
        _shown(digest="MD5"),
        _shown(digest=None),
        _shown(key="-----BEGIN PUBLIC KEY-----x-----END PUBLIC KEY-----"),
        _shown(key="A" * 5_000),
        _shown(key=None),
        {},
    ],
)
def test_only_ecdsa_on_p256_with_a_known_hash_is_a_key(fields, scripted, part):
    assert read_key(fields) is None
    scripted.answers = [(200, {}, fields)]
    assert not _verify(part, _header())


def test_another_key_signed_nothing_of_ours(scripted, part):
    scripted.answers = [(200, {}, _shown(ec.derive_private_key(5, ec.SECP256R1()).public_key()))]
    assert not _verify(part, _header())


def test_the_pure_part_takes_nothing_for_genuine(settings):
    assert not WEBHOOK.verify(settings, {HEADER: _header()}, BODY)


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_asked_for_with_the_applications_token_and_kept_for_an_hour(scripted, part):
    clock = part._keys._clock
    for seconds in (0, 3_599, 2):
        clock.advance(seconds)
        assert _verify(part, _header())
    whats = [what for what, _, _ in scripted.asked]
    assert whats == [f"GET /commerce/notification/v1/public_key/{KID}"] * 2
    assert scripted.asked[0][1]["authorization"].startswith("Bearer app-token")


@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_key_is_remembered_as_such(status, scripted, part):
    scripted.answers = [(status, {}, {"errors": []})]
    for _ in range(5):
        assert not _verify(part, _header())
    assert len(scripted.asked) == 1


@pytest.mark.proves("A32", "I-33")
def test_nobody_can_spend_our_calls_by_inventing_keys(scripted, part):
    scripted.answers = [(404, {}, {"errors": []})]
    refused = 0
    for number in range(40):
        try:
            assert not _verify(part, _header(kid=f"{number:08x}-0000-4000-8000-000000000000"))
        except RetryLater:
            refused += 1
    assert len(scripted.asked) == keys.FETCHES_MAX
    assert refused == 40 - keys.FETCHES_MAX
    part._keys._clock.advance(keys.FETCH_SECONDS)
    assert not _verify(part, _header(kid="ffffffff-0000-4000-8000-000000000000"))


def test_a_key_already_known_works_while_others_are_invented(scripted, part):
    assert _verify(part, _header())
    scripted.answers = [(404, {}, {})]
    for number in range(keys.FETCHES_MAX - 1):
        _verify(part, _header(kid=f"{number:08x}-0000-4000-8000-000000000000"))
    assert _verify(part, _header())


def _invent(part, numbers):
    for number in numbers:
        with contextlib.suppress(RetryLater):
            _verify(part, _header(kid=f"{number:08x}-0000-4000-8000-000000000000"))


@pytest.mark.proves("A32", "I-33")
def test_invented_keys_neither_drive_out_a_good_one_nor_keep_it_from_being_renewed(scripted, part):
    assert _verify(part, _header())
    scripted.answers = [(404, {}, {})]
    for turn in range(2 * keys.KEYS_MAX // keys.FETCHES_MAX):
        _invent(part, range(turn * 100, turn * 100 + keys.FETCHES_MAX))
        part._keys._clock.advance(keys.FETCH_SECONDS)
    asked = len(scripted.asked)
    assert _verify(part, _header())
    assert len(scripted.asked) == asked
    assert len(part._keys._keys) <= keys.KEYS_MAX
    part._keys._clock.advance(keys.KEY_SECONDS)
    _invent(part, range(5_000, 5_000 + keys.FETCHES_MAX))
    scripted.answers = [(200, {}, _shown())]
    assert _verify(part, _header()), "a key that was good is asked for whatever else is"


@pytest.mark.proves("A32")
def test_a_good_key_waits_for_no_invented_one(scripted, part):
    assert _verify(part, _header())
    begun, go_on = threading.Event(), threading.Event()

    def slow(_):
        begun.set()
        go_on.wait(5)
        return (404, {}, {})

    scripted.answers = [slow]
    inventing = threading.Thread(target=_invent, args=(part, [1]))
    inventing.start()
    assert begun.wait(5)
    judged = []
    judging = threading.Thread(target=lambda: judged.append(_verify(part, _header())))
    judging.start()
    judging.join(1)
    go_on.set()
    inventing.join(5)
    assert judged == [True]


@pytest.mark.parametrize(
    "answer", [(500, {}, b""), (200, {}, b"<html>"), (401, {}, b"{}"), (403, {}, b"{}")]
)
def test_a_key_that_cannot_be_read_is_tried_later_and_nothing_is_remembered(answer, scripted, part):
    scripted.answers = [answer]
    with pytest.raises(RetryLater):
        _verify(part, _header())
    scripted.answers = [(200, {}, _shown())]
    assert _verify(part, _header())


# --- hints ---------------------------------------------------------------------------------------


def _message(topic, data=None):
    notification = {"notificationId": "1_2", "data": data or {}}
    return json.dumps({"metadata": {"topic": topic}, "notification": notification}).encode()


def test_a_confirmed_order_is_a_hint_to_read_it():
    body = _message("ORDER_CONFIRMATION", {"order": {"orderId": "14-12345-67890"}})
    hint = WEBHOOK.read_hint({}, body)
    assert (hint.kind, hint.object_id, hint.order) == (HintKind.ORDER, "14-12345-67890", None)


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("AUTHORIZATION_REVOCATION", HintKind.ACCOUNT),
        ("ITEM_MARKED_SHIPPED", HintKind.NOTHING),
    ],
)
def test_other_topics_name_no_order(topic, kind):
    hint = WEBHOOK.read_hint({}, _message(topic, {"username": "somebody", "userId": "x"}))
    assert (hint.kind, hint.object_id) == (kind, "")


CLOSED = "MARKETPLACE_ACCOUNT_DELETION"


def test_a_closed_account_is_named_as_its_orders_name_the_buyer(seller):
    session, placed = seller.open(), seller.place_order(1)
    (raw,) = session.read_orders_by_id([placed])
    buyer = session.parse_order(raw.payload, seller.now()).facts.buyer
    body = _message(CLOSED, seller.sandbox.pushes.close_account(placed))
    headers = {HEADER: seller.sandbox.pushes.key.header(body)}
    part = open_webhook(seller.request())
    assert part.verify(seller.settings, headers, body) is True
    hint = part.read_hint(headers, body)
    assert (hint.kind, hint.object_id) == (HintKind.ERASURE, buyer.channel_buyer_id)
    other = body.replace(buyer.channel_buyer_id.encode(), b"else")
    assert part.verify(seller.settings, headers, other) is False


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"username": "n", "userId": "u", "eiasToken": "nY+sHZ2Pr=="}, "nY+sHZ2Pr=="),
        ({"username": "n", "userId": "u"}, "u"),
        ({"username": "n", "userId": "", "eiasToken": None}, "n"),
    ],
)
def test_a_closed_account_is_named_by_what_never_changes_first(said, named):
    hint = WEBHOOK.read_hint({}, _message(CLOSED, said))
    assert (hint.kind, hint.object_id) == (HintKind.ERASURE, named)


@pytest.mark.parametrize(
    "said", [{}, {"eiasToken": 7}, {"eiasToken": "a b"}, {"userId": "x" * 201}]
)
def test_a_notice_of_a_closed_account_that_names_nobody_is_bad_payload(said):
    with pytest.raises(BadPayload, match="names nobody"):
        WEBHOOK.read_hint({}, _message(CLOSED, said))


@pytest.mark.parametrize("order_id", [None, 7, "", "../x", "a b", "9" * 65, ["1"]])
def test_an_order_id_of_any_other_form_is_bad_payload(order_id):
    body = _message("ORDER_CONFIRMATION", {"order": {"orderId": order_id}})
    with pytest.raises(BadPayload):
        WEBHOOK.read_hint({}, body)


@pytest.mark.proves("A13", "A22", "A25")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"metadata":{"topic":1}}',
        b'{"metadata":{"topic":"A"},"metadata":{"topic":"B"}}',
    ],
)
def test_a_senseless_body_is_bad_payload(body):
    with pytest.raises(BadPayload):
        WEBHOOK.read_hint({}, body)


# --- the challenge -------------------------------------------------------------------------------

URL = "https://hub.example/webhooks/ebay-a"


@pytest.mark.proves("C-30")
def test_the_answer_to_a_challenge_is_the_hash_of_code_token_and_address(settings):
    answer = WEBHOOK.answer_challenge(settings, URL, {"challenge_code": "a8628072-3d33"})
    digest = hashlib.sha256(f"a8628072-3d33{'v' * 40}{URL}".encode()).hexdigest()
    assert json.loads(answer.body) == {"challengeResponse": digest}
    assert answer.media_type == "application/json"


@pytest.mark.proves("A33")
@pytest.mark.parametrize(
    "query",
    [{}, {"challenge_code": ""}, {"challenge_code": "a" * 201}]
    + [{"challenge_code": code} for code in ("a b", "<x>", "é", "a\n", "a%20")],
)
def test_a_hostile_challenge_is_not_answered(query, settings):
    assert WEBHOOK.answer_challenge(settings, URL, query) is None


def test_without_a_token_no_challenge_is_answered(make_request):
    settings = make_request(settings={"verification_token": None}).settings
    assert WEBHOOK.answer_challenge(settings, URL, {"challenge_code": "abc"}) is None
