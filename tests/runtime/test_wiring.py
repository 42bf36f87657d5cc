"""From a connector's parts to an account that can run: what its settings change, who may write."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from pydantic import BaseModel

from oms_sync.runtime.budgets import BudgetParts, Budgets
from oms_sync.runtime.redaction import Redactor
from oms_sync.runtime.settings import parse_settings
from oms_sync.runtime.wiring import Ground, budget_owner, wire
from oms_sync.sdk import Call, Connector, Manifest
from oms_sync.sdk.fake_ports import MemoryTokens, SeededIds
from oms_sync.storage.crypto import create_key_file


class PlainSettings(BaseModel):
    shop: str = "a"


class LaggingSettings(PlainSettings):
    visibility_lag_seconds: float = 120


@pytest.fixture
def parts(monkeypatch):
    """The module a connector record names; whoever is opened notes what with."""
    module = ModuleType("a_connector_of_this_test")
    module.asked = []
    module.WEBHOOK = object()
    module.open_session = lambda request: module.asked.append(("session", request))
    module.open_webhook = lambda request: module.asked.append(("webhook", request))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def wired(parts, clock, metrics, tmp_path):
    """Wire one live account whose settings are of this model."""
    create_key_file(tmp_path / "oms-sync.key")

    def make(model, *, public_url=None, **targets):
        connector = Connector(
            manifest=Manifest(id="fake", label="Fake", visibility_lag_seconds=5),
            settings="never:loaded",
            open=f"{parts.__name__}:open_session",
            webhook=f"{parts.__name__}:WEBHOOK",
            **{name: f"{parts.__name__}:{target}" for name, target in targets.items()},
        )
        web = f"web: {{public_url: '{public_url}'}}\n" if public_url else ""
        text = f"version: 1\n{web}accounts:\n  - {{name: shop-a, connector: fake, mode: live}}\n"
        settings = parse_settings(text, file=tmp_path / "oms-sync.yaml")
        registry = SimpleNamespace(get=lambda _: connector, settings_model=lambda _: model)
        ground = Ground(
            settings=settings,
            registry=registry,
            tokens=lambda _: MemoryTokens(),
            clock=clock,
            ids=SeededIds(1),
            metrics=metrics,
            redactor=Redactor(),
            budgets=Budgets(
                BudgetParts(
                    store=None,
                    clock=clock,
                    metrics=metrics,
                    redactor=Redactor(),
                    node="process-1",
                )
            ),
        )
        return wire(settings.accounts[0], ground)

    return make


@pytest.mark.parametrize(("model", "lag"), [(PlainSettings, 5), (LaggingSettings, 120)])
def test_the_flows_see_the_visibility_lag_of_the_account(wired, model, lag):
    wiring = wired(model)
    assert wiring.manifest.visibility_lag_seconds == lag
    assert wiring.manifest.id == "fake"


def test_who_verifies_with_a_key_of_the_channel_is_opened_late_and_may_not_write(wired, parts):
    wiring = wired(PlainSettings, open_webhook="open_webhook")
    assert parts.asked == []
    wiring.open()
    wiring.open_webhook()
    (_, session), (_, webhook) = parts.asked
    assert (session.may_write, webhook.may_write) == (True, False)
    assert webhook.settings is session.settings
    assert wiring.webhook is parts.WEBHOOK, "what reads hints stays the pure part"


def test_an_account_that_verifies_with_a_secret_opens_nothing(wired):
    wiring = wired(PlainSettings)
    assert wiring.open_webhook is None
    assert wiring.webhook_url is None


def test_the_registered_address_names_the_account(wired):
    wiring = wired(PlainSettings, public_url="https://hub.example")
    assert wiring.webhook_url == "https://hub.example/webhooks/shop-a"


def test_every_session_notes_its_calls_in_the_log_of_its_account(wired, parts):
    wiring = wired(PlainSettings, open_webhook="open_webhook")
    wiring.open()
    wiring.open_webhook()
    (_, session), (_, webhook) = parts.asked
    assert session.calls is webhook.calls
    session.calls.note(
        Call(operation="orders", at=session.clock.now(), duration_seconds=0.1, status="200")
    )
    assert [call.operation for call in session.calls.drain()] == ["orders"]


@pytest.mark.parametrize(
    ("shared", "endpoint", "owner"),
    [
        (None, None, "shop-a"),
        ("app-1", None, "fake app-1"),
        # another host of the same channel counts for itself
        ("app-1", "http://127.0.0.1:9", "fake app-1 at http://127.0.0.1:9"),
    ],
)
def test_accounts_of_one_application_share_a_budget(shared, endpoint, owner):
    account = SimpleNamespace(name="shop-a", connector="fake", endpoint=endpoint)
    assert budget_owner(account, shared) == owner
