"""One account at a time: its connector, its connector's settings, its mapping tables.

A fault here disables that account and no other; `oms-sync check` reports all of them. Also the
JSON Schema of the whole file, connectors included.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from oms_sync.runtime.config_faults import ConfigError, Fault, KeyPath, make_fault
from oms_sync.runtime.config_values import RawSettings, Reading, note_errors, texts_of
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.runtime.registry import ConnectorUnavailable, Registry
from oms_sync.runtime.settings import AccountSettings, Settings, load_draft

Model = TypeVar("Model", bound=BaseModel)
_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}


def validate_account_settings(account: AccountSettings, model: type[Model]) -> Model:
    """The account's `settings:` as its connector understands them.

    Raises ConfigError with every fault at its place; no value of theirs is ever in a message.
    """
    return _validated(account.settings, model)


def check_account(account: AccountSettings, settings: Settings, registry: Registry) -> list[Fault]:
    """Everything wrong with one account that its connector has to judge."""
    return _faults_of(account.settings, account.connector, settings.mappings.directory, registry)


def check_config(
    path: Path, registry: Registry, *, environment: Mapping[str, str] = os.environ
) -> tuple[Settings | None, tuple[Fault, ...]]:
    """The settings where they can be used at all, and every fault of the file in its order.

    The accounts' own settings are judged also when the rest is wrong; switched-off accounts are
    not judged.
    """
    draft = load_draft(path, environment=environment)
    found = list(draft.faults)
    overlay = draft.settings.mappings.directory if draft.settings else None
    listed = draft.values.get("accounts")
    for account in listed if isinstance(listed, list) else ():
        is_on = isinstance(account, dict) and account.get("enabled") not in (False, "false")
        connector = account.get("connector") if is_on else None
        if isinstance(connector, str) and isinstance(account["settings"], RawSettings):
            found += _faults_of(account["settings"], connector, overlay, registry)
    return draft.settings, ConfigError(found).faults


def _validated(raw: RawSettings, model: type[Model]) -> Model:
    base: KeyPath = (*raw.path, "settings")
    reading = Reading(source=raw.source)
    values = reading.plain(raw.node, base)
    reading.secrets += texts_of(raw.node)
    made = None
    try:
        made = model.model_validate(values)
    except ValidationError as error:
        note_errors(error, model, raw.node, reading, base=base)
    if made is None or reading.faults:
        raise ConfigError(reading.faults)
    return made


def _faults_of(
    raw: RawSettings, connector: str, overlay: Path | None, registry: Registry
) -> list[Fault]:
    try:
        found, model = registry.get(connector), registry.settings_model(connector)
    except ConnectorUnavailable as error:
        path: KeyPath = (*raw.path, "connector")
        return [make_fault(str(raw.source.file), raw.place_of("connector"), path, str(error))]
    faults: list[Fault] = []
    try:
        _validated(raw, model)
    except ConfigError as error:
        faults += error.faults
    try:
        load_tables(found.manifest, overlay=overlay)
    except ConfigError as error:
        faults += error.faults
    return faults


def secret_values(value: object) -> Iterator[str]:
    """Every secret inside a settings model, for the redaction of logs."""
    if isinstance(value, SecretStr):
        yield from _secrets_in(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secret_values(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from secret_values(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from secret_values(each)


def _secrets_in(text: str) -> Iterator[str]:
    if "://" not in text:
        yield text
    elif password := urlsplit(text).password:  # of a database URL only this part is secret
        yield password
        yield unquote(password)


def config_schema(registry: Registry | None = None) -> dict[str, Any]:
    """JSON Schema of the configuration file, with the settings of every usable connector."""
    schema = Settings.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    rules = []
    for name in registry.names if registry else ():
        model = _settings_model(registry, name) if registry else None
        if model is not None:
            prefix = f"{name}."
            own = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
            definitions |= {prefix + key: each for key, each in own.pop("$defs", {}).items()}
            definitions[f"{prefix}settings"] = own
            rules.append(_rule(name, f"#/$defs/{prefix}settings"))
    if rules:
        definitions["AccountSettings"]["allOf"] = rules
    opened: dict[str, Any] = _allow_references(schema)
    opened["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    opened["title"] = "oms-sync configuration"
    return opened


def _settings_model(registry: Registry, name: str) -> type[BaseModel] | None:
    try:
        return registry.settings_model(name)
    except ConnectorUnavailable:
        return None  # `oms-sync connectors list` says why


def _rule(connector: str, target: str) -> dict[str, Any]:
    return {
        "if": {"properties": {"connector": {"const": connector}}, "required": ["connector"]},
        "then": {"properties": {"settings": {"$ref": target}}},
    }


def _allow_references(schema: Any) -> Any:
    """Let `${NAME}` stand wherever a number or a flag is expected."""
    if isinstance(schema, list):
        return [_allow_references(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("integer", "number", "boolean"):
        outside = {key: schema[key] for key in ("default", "title") if key in schema}
        inside = {key: each for key, each in schema.items() if key not in outside}
        return {**outside, "anyOf": [inside, _REFERENCE]}
    return {key: _allow_references(each) for key, each in schema.items()}
