"""Tokens are kept out of the logs, and what lies beside them pushes nothing out of memory."""

import json

from oms_sync.runtime import redaction
from oms_sync.runtime.redaction import Redactor
from oms_sync.runtime.wiring import _WatchedTokens
from oms_sync.sdk.testing import MemoryTokens


def test_a_stored_token_shows_nowhere():
    redactor = Redactor()
    store = _WatchedTokens(MemoryTokens(), redactor)
    store.save({"refresh_token": "Atzr|canary-1"})
    store.load()
    assert "canary" not in redactor.text("granted Atzr|canary-1 just now")


def test_what_changes_beside_the_tokens_does_not_uncover_older_secrets(monkeypatch):
    monkeypatch.setattr(redaction, "SECRETS_MAX", 12)
    redactor = Redactor()
    redactor.register_secret("canary-of-the-settings")
    store = _WatchedTokens(MemoryTokens(), redactor)
    for number in range(50):
        notes = json.dumps([{"key": f"refund/{number}", "at": "2026-03-01T12:00:00+00:00"}])
        renew_at = f"2026-03-01T12:00:{number:02d}+00:00"
        counts = json.dumps({"day": "2026-03-01", "counts": {"1": number}})
        fields = {"order_feeds": notes, "access_token_renew_at": renew_at, "revisions": counts}
        store.save({"access_token": "Atza|canary-2", **fields})
    told = redactor.text("canary-of-the-settings Atza|canary-2 at 2026-03-01T12:00:07+00:00")
    assert "canary" not in told
    assert "2026-03-01" in told, "a time is no secret"
