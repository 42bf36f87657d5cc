"""From the configuration to accounts that can run: connector, settings, tables, tokens, budget.

An account of which a part is wrong is disabled with a reason; the others run.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from oms_sync.flows.manual import MANUAL
from oms_sync.flows.records import AccountProfile
from oms_sync.runtime.budgets import Budgets
from oms_sync.runtime.config_accounts import secret_values, validate_account_settings
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.redaction import Redactor
from oms_sync.runtime.registry import ConnectorUnavailable, Registry
from oms_sync.runtime.sessions import AccountWiring
from oms_sync.runtime.settings import AccountSettings, Settings
from oms_sync.sdk import Clock, Ids, Manifest, Metrics, OpenRequest, TokenStore

log = structlog.get_logger()

#: of an account whose connector cannot be loaded: it does not run, but its stock is shared
POLL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every account is wired with."""

    settings: Settings
    registry: Registry
    #: where the tokens of an account live
    tokens: Callable[[str], TokenStore]
    clock: Clock
    ids: Ids
    metrics: Metrics
    redactor: Redactor
    #: call budgets and logs of calls of this process
    budgets: Budgets


def hide_secrets(settings: Settings, redactor: Redactor) -> None:
    """Keep what the configuration holds in secret (the database's password) out of the logs."""
    for secret in secret_values(settings):
        redactor.register_secret(secret)


class _WatchedTokens:
    """A token store that keeps its tokens out of the logs."""

    def __init__(self, store: TokenStore, redactor: Redactor) -> None:
        self._store, self._redactor = store, redactor

    def load(self) -> Mapping[str, str]:
        fields = self._store.load()
        self._hide(fields)
        return fields

    def save(self, fields: Mapping[str, str]) -> None:
        self._hide(fields)
        self._store.save(fields)

    def locked(self) -> AbstractContextManager[None]:
        return self._store.locked()

    def _hide(self, fields: Mapping[str, str]) -> None:
        for name, value in fields.items():
            # Times and documents are no secrets; changing with every write, they would push the
            # real ones out of what the redactor remembers.
            if not name.endswith("_at") and not value.startswith(("{", "[")):
                self._redactor.register_secret(value)


def own_manifest(account: AccountSettings, registry: Registry) -> Manifest:
    """What the connector declares for this account; raises where its settings are wrong."""
    own = validate_account_settings(account, registry.settings_model(account.connector))
    return registry.get(account.connector).manifest_for(own)


def wire(account: AccountSettings, ground: Ground) -> AccountWiring:
    """Everything the hub needs of one account; raises where a part of it is wrong."""
    connector, name = ground.registry.get(account.connector), account.name
    own = validate_account_settings(account, ground.registry.settings_model(account.connector))
    manifest = connector.manifest_for(own)
    for secret in secret_values(own):
        ground.redactor.register_secret(secret)
    owner = budget_owner(account, connector.budget_owner(own))
    gate = ground.budgets.gate(name, manifest.rate_limits, owner=owner)
    request = OpenRequest(
        account=name,
        settings=own,
        endpoint=account.endpoint,
        locations=account.stock.locations,
        overlap_seconds=account.overlap_seconds,
        may_write=account.mode == "live",
        tables=load_tables(manifest, overlay=ground.settings.mappings.directory),
        clock=ground.clock,
        ids=ground.ids,
        gate=gate,
        tokens=_WatchedTokens(ground.tokens(name), ground.redactor),
        calls=ground.budgets.calls(name),
    )
    opener, public_url = connector.load_open(), ground.settings.web.public_url
    verifying, consenting = connector.load_open_webhook(), connector.load_consent()
    return AccountWiring(
        profile=_profile(account, ground.settings, poll_seconds=manifest.poll_seconds),
        manifest=manifest,
        open=lambda: opener(request),
        gate=gate,
        settings=own,
        webhook=connector.load_webhook(),
        # who verifies reads keys and writes nothing, whatever the account may
        open_webhook=partial(verifying, replace(request, may_write=False)) if verifying else None,
        webhook_url=f"{public_url}/webhooks/{name}" if public_url else None,
        consent=partial(consenting, request) if consenting else None,
    )


def budget_owner(account: AccountSettings, shared: str | None) -> str:
    """Whose call budget the account takes from; two places of one channel grant one each."""
    if shared is None:
        return account.name
    place = f" at {account.endpoint}" if account.endpoint else ""
    return f"{account.connector} {shared}{place}"


class _NoSession:
    """Stands where no channel is."""

    def close(self) -> None:
        """Nothing is open."""


def _wire_manual(ground: Ground) -> AccountWiring:
    """The account of orders from files: it has the local flows and no channel."""
    return AccountWiring(
        profile=_manual_profile(ground.settings),
        manifest=Manifest(id=MANUAL, label="Orders by hand"),
        open=_NoSession,
        gate=RateBuckets((), clock=ground.clock, metrics=ground.metrics, account=MANUAL),
    )


def _manual_profile(settings: Settings) -> AccountProfile:
    places = tuple(location.code for location in settings.locations)
    own = AccountProfile(name=MANUAL, connector=MANUAL, locations=places)
    return _with_retention(own, settings)


def _profile(
    account: AccountSettings, settings: Settings, *, poll_seconds: float
) -> AccountProfile:
    return _with_retention(account.profile(poll_seconds=poll_seconds), settings)


def _with_retention(profile: AccountProfile, settings: Settings) -> AccountProfile:
    """The profile with how long what it brings is kept: the same for every account."""
    return replace(
        profile,
        personal_data_days=settings.retention.personal_data_days,
        raw_payload_days=settings.retention.raw_payload_days,
    )


def wire_all(ground: Ground) -> dict[str, AccountWiring]:
    """Every usable account; the others are named in the log with what is wrong."""
    wirings: dict[str, AccountWiring] = {MANUAL: _wire_manual(ground)}
    for account in ground.settings.accounts:
        if not account.enabled:
            continue
        try:
            wirings[account.name] = wire(account, ground)
        except Exception as error:
            log.exception("account.disabled", account=account.name, reason=str(error))
    return wirings


def profiles_of(settings: Settings, registry: Registry) -> dict[str, AccountProfile]:
    """Every account, disabled ones and `manual` too: stock is shared between them."""
    configured = {
        account.name: _profile(account, settings, poll_seconds=_poll_seconds(account, registry))
        for account in settings.accounts
    }
    return {MANUAL: _manual_profile(settings), **configured}


def _poll_seconds(account: AccountSettings, registry: Registry) -> float:
    try:
        return registry.get(account.connector).manifest.poll_seconds
    except ConnectorUnavailable:
        return POLL_SECONDS
