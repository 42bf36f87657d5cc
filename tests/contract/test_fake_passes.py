"""The fake channel keeps the contract it helps to test, with and without compare-and-set."""

from dataclasses import replace

import pytest

from oms_sync.sdk import Capability, Manifest
from oms_sync.sdk.fake import FakeChannel, FakeOptions
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.testing import (
    CHECKS,
    Check,
    CheckResult,
    ContractChannel,
    FakeClock,
    NotApplicable,
    SeededChance,
    connector_contract,
    no_channel,
    run_contract,
    start_fake,
)


def _manifest(options: FakeOptions) -> Manifest:
    return FakeChannel(clock=FakeClock(), chance=SeededChance(1, "x"), options=options).manifest


FAKE = _manifest(FakeOptions())
PLAIN = _manifest(FakeOptions(has_compare_and_set=False, is_push_idempotent=False))

TestFake = connector_contract(FAKE, start_fake())
TestPlainFake = connector_contract(
    PLAIN, start_fake(has_compare_and_set=False, is_push_idempotent=False)
)


def test_every_check_applies_to_a_channel_that_can_do_everything():
    assert all(check.applies(FAKE) for check in CHECKS)
    assert [one.skipped for one in run_contract(CHECKS, FAKE, start_fake())] == [""] * len(CHECKS)


def test_each_flag_switches_its_check_on():
    left_out = [check.name for check in CHECKS if not check.applies(PLAIN)]
    assert left_out == ["a_push_sent_again_has_no_second_effect", "a_stale_push_applies_nothing"]


BARE = Manifest(id="etsy", label="Etsy")

TestBare = connector_contract(BARE)


def test_a_manifest_that_declares_nothing_asks_only_for_itself():
    assert [check.name for check in CHECKS if check.applies(BARE)] == ["the_manifest_is_sound"]
    assert run_contract(CHECKS, BARE, no_channel) == [CheckResult(name="the_manifest_is_sound")]


def test_a_declared_capability_asks_for_a_driver():
    declared = replace(BARE, capabilities=frozenset({Capability.READ_STOCK}))
    problems = {one.name: one.problem for one in run_contract(CHECKS, declared, no_channel)}
    assert "hand a start function" in problems["quantities_are_the_channels"]
    assert problems["the_manifest_is_sound"] == ""


def test_what_a_channel_cannot_play_is_skipped_with_the_reason():
    def cannot(channel: ContractChannel, manifest: Manifest) -> None:
        raise NotApplicable("no such trouble here")

    (result,) = run_contract([Check(name="cannot", run=cannot)], BARE, no_channel)
    assert (result.problem, result.skipped) == ("", "no such trouble here")
    suite = connector_contract(BARE)()
    with pytest.raises(pytest.skip.Exception, match="no such trouble"):
        suite.test_contract(Check(name="cannot", run=cannot))


def test_every_capability_switches_checks_on():
    checked = {capability for check in CHECKS for capability in check.needs}
    assert sorted(set(Capability) - checked) == []
    # A shipment needs an order to be about, so tracking is checked together with reading orders.
    both = frozenset({Capability.PUSH_TRACKING, Capability.READ_ORDERS})
    assert any(
        "shipment" in one.name for one in CHECKS if one.applies(replace(BARE, capabilities=both))
    )


class ChecksOnly:
    """A session of a connector that has only begun."""

    def __init__(self, channel, request):
        self._whole = FakeSession(channel, request)

    def check(self):
        return self._whole.check()

    def close(self):
        self._whole.close()


def test_a_connector_that_has_only_begun_passes_its_part():
    begun = replace(BARE, capabilities=frozenset({Capability.CHECK_ACCOUNT}))
    results = run_contract(CHECKS, begun, start_fake(open_session=ChecksOnly))
    assert len(results) > 5
    assert [one for one in results if one.problem or one.skipped] == []
