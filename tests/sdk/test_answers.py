"""Answers of another shape than promised."""

import pytest

from oms_sync.sdk import BadPayload, ChannelDown, OutcomeUnknown
from oms_sync.sdk.answers import understood


@pytest.mark.parametrize(("is_write", "expected"), [(False, BadPayload), (True, OutcomeUnknown)])
@pytest.mark.parametrize("broken", [KeyError("lines"), TypeError(), ValueError(), AttributeError()])
def test_a_surprise_is_named_and_of_a_write_nobody_knows_what_it_did(broken, is_write, expected):
    names_it = pytest.raises(expected, match="the shop's answer")
    with names_it as caught, understood("the shop", is_write=is_write):
        raise broken
    assert caught.value.__cause__ is broken
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("error", [ChannelDown("later"), MemoryError()])
def test_errors_of_the_contract_and_of_the_machine_pass(error):
    with pytest.raises(type(error)), understood("the shop", is_write=True):
        raise error
