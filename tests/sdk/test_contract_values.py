"""What a connector is made of: errors by recovery, mapping tables, manifest, connector record."""

import inspect
import re

import pytest

import oms_sync.sdk
from oms_sync.sdk import (
    API_VERSION,
    Capability,
    Connector,
    Manifest,
    Mapped,
    MappingTable,
    RateLimited,
    UnmappedCode,
    errors,
)
from oms_sync.sdk.fake import FakeChannel, fake_connector
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.fake_webhooks import FakeSettings, FakeWebhookPart
from oms_sync.sdk.testing import FakeClock, SeededChance

PUBLIC = """
API_VERSION AccountCheck Address AnswerChallenge AuthFailed BadPayload Bug Call CallLog
CancelOrders Capability ChallengeAnswer ChannelDown ChannelError ChannelListing ChannelRefund
ChannelShipment CheckAccount Clock Connector Consent CorrectTracking DeclineCancellations
DiscoverListings ESSENTIALS
FixAccount FixData FollowWrites Hint HintKind HoldOrders Ids InvalidValue LineSight ListOrders
ListingPage Manifest Mapped MappingTable Metrics Money NoCallLog Notification OpenRequest
OrderFacts OrderFeed OrderPage OrderSight OrderState OutcomeUnknown OutgoingCancellation
OutgoingHold OutgoingPackage OutgoingRefund OutgoingShipment PermissionMissing Person Priority
PullNotifications PushOutcome PushResult PushStock PushTracking RateGate RateLimit RateLimited
RawOrder ReadOrders ReadPools ReadStock ReceiveWebhooks RefundOrders Rejected RetryLater Session
Sku StockBatch StockPush StockReading TokenStore TrackingCorrection UnknownListing UnmappedCode
Version WebhookPart WriteReason parse_sku
""".split()


def test_the_public_names_are_these():
    assert sorted(oms_sync.sdk.__all__) == sorted(PUBLIC)
    assert [name for name in PUBLIC if not hasattr(oms_sync.sdk, name)] == []


def test_the_error_tree_is_the_one_drawn_in_its_docstring():
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─\s]*)([A-Z]\w+)(\s|$)", line)
        if found and hasattr(errors, found[2]):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else "Exception"
    real = {
        name: each.__bases__[0].__name__
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.ChannelError)
    }
    assert drawn == real


def test_every_error_tells_an_operator_something():
    for _, each in inspect.getmembers(errors, inspect.isclass):
        assert each.__doc__


def test_a_rate_limit_may_say_how_long_to_wait():
    assert RateLimited("slow down").retry_after_seconds is None
    assert RateLimited("slow down", retry_after_seconds=2.5).retry_after_seconds == 2.5


@pytest.mark.proves("F42")
@pytest.mark.parametrize(
    ("policy", "mapped"),
    [
        ("pass", Mapped(value="dhl")),
        ("hold", Mapped(value=None, unmapped="carriers: dhl")),
    ],
)
def test_a_code_the_table_lacks_follows_its_policy(policy, mapped):
    table = MappingTable(name="carriers", unmapped=policy, entries={"UPS": "ups"})
    assert table.look_up("UPS") == Mapped(value="ups")
    assert table.look_up("dhl") == mapped


def test_a_code_may_be_an_error():
    table = MappingTable(name="carriers", unmapped="error", entries={})
    with pytest.raises(UnmappedCode, match="carriers has no entry for 'UPS'"):
        table.look_up("UPS")


def test_a_table_turns_round_and_the_first_of_equal_codes_wins():
    table = MappingTable(
        name="carriers", unmapped="error", entries={"UPS": "ups", "UPS US": "ups", "DHL": "dhl"}
    )
    assert table.reverse().entries == {"ups": "UPS", "dhl": "DHL"}
    assert table.reverse().unmapped == "error"


def test_a_manifest_declares_nothing_unless_told():
    manifest = Manifest(id="etsy", label="Etsy")
    assert manifest.capabilities == frozenset()
    assert manifest.api_version == API_VERSION
    assert not manifest.has_compare_and_set
    assert not manifest.is_push_idempotent


def test_a_connectors_parts_are_loaded_when_asked_for():
    channel = FakeChannel(clock=FakeClock(), chance=SeededChance(1, "x"))
    connector = fake_connector(channel)
    assert connector.manifest.capabilities == frozenset(Capability)
    assert connector.load_settings() is FakeSettings
    assert isinstance(connector.load_webhook(), FakeWebhookPart)
    assert connector.load_sandbox() is None
    session = connector.load_open()(channel.request("shop-a"))
    assert isinstance(session, FakeSession)
    session.close()


def test_a_connector_may_have_no_webhooks_and_a_sandbox():
    connector = Connector(
        manifest=Manifest(id="etsy", label="Etsy"),
        settings="builtins:dict",
        open="builtins:print",
        sandbox="builtins:len",
    )
    assert connector.load_webhook() is None
    assert connector.load_sandbox() is len
    broken = Connector(manifest=connector.manifest, settings="no_such_module:X", open="x:y")
    with pytest.raises(ModuleNotFoundError):
        broken.load_settings()
