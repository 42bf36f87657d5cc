"""The signatures eBay publishes to try a receiver with."""

import json

from connectors.ebay.keys import read_claim, read_key

KID = "9936261a-7d7b-4621-a0f1-96ccb428af49"


def test_ebays_own_vectors_verify(specs, example):
    path = specs / "ebay/samples/notification_signature_vectors.json"
    vectors = json.loads(path.read_text(encoding="utf-8"))
    genuine = {}
    for name, vector in vectors.items():
        if vector["response"] is None:
            continue
        example("ebay signature", name)
        body = json.dumps(vector["message"], separators=(",", ":")).encode()
        kid, signature = read_claim(vector["signature"])
        assert kid == KID
        key = read_key(vector["response"])
        genuine[name] = key.has_signed(body, signature)
        spaced = json.dumps(vector["message"]).encode()
        assert not key.has_signed(spaced, signature), "the bytes received are what counts"
    assert genuine == {"VALID": True, "INVALID": False, "SIGNATURE_MISMATCH": False}
