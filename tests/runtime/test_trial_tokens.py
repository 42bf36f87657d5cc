"""New tokens are tried apart: nobody else sees them before they are kept."""

from contextlib import contextmanager

import pytest

from oms_sync.runtime.trial_tokens import TrialTokens


class Store:
    def __init__(self, **fields):
        self.fields, self.is_held = fields, False

    def load(self):
        return dict(self.fields)

    def save(self, fields):
        assert self.is_held, "written without the account's lock"
        self.fields = dict(fields)

    @contextmanager
    def locked(self):
        self.is_held = True
        yield
        self.is_held = False


@pytest.mark.proves("I-35")
def test_nothing_reaches_the_account_before_it_is_kept():
    store = Store(refresh_token="old")
    trial = TrialTokens(store)
    with trial.locked():
        trial.save({**trial.load(), "refresh_token": "new"})
    assert (store.load(), trial.load()) == ({"refresh_token": "old"}, {"refresh_token": "new"})
    trial.keep()
    assert store.load() == {"refresh_token": "new"}


@pytest.mark.proves("I-35")
def test_what_others_wrote_meanwhile_stays_and_what_the_trial_took_out_goes():
    store = Store(refresh_token="old", expires_at="then", revisions="3", access_token="a")
    trial = TrialTokens(store)
    trial.save({"refresh_token": "new", "revisions": "3", "access_token": "b"})
    store.fields |= {"revisions": "4", "listings": "5", "access_token": "c"}
    trial.keep()
    assert store.load() == {
        "refresh_token": "new",
        "revisions": "4",
        "listings": "5",
        "access_token": "b",
    }


def test_a_trial_thrown_away_changes_nothing():
    store = Store(refresh_token="old")
    TrialTokens(store).save({})
    assert store.load() == {"refresh_token": "old"}
