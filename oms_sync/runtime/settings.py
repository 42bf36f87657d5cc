"""The configuration file → frozen settings, or every fault of it with file, line and column.

An account's `settings:` belong to its connector: they are kept as written, and validated for that
account alone, so that one account's mistake leaves the others running.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from pydantic.json_schema import WithJsonSchema

from oms_sync.domain.values import QUANTITY_MAX
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.records import AccountProfile
from oms_sync.runtime.config_checks import core_values, note_crossed
from oms_sync.runtime.config_faults import ConfigError, Fault
from oms_sync.runtime.config_file import read_text, read_tree
from oms_sync.runtime.config_values import RawSettings, Reading, Source, note_errors

ACCOUNTS_MAX = 200
LOCATIONS_MAX = 500
SECONDS_MAX = 30 * 86_400
DAYS_MAX = 3_650
CONFIG_VARIABLE = "OMS_SYNC_CONFIG"
CONFIG_DEFAULT = Path("oms-sync.yaml")

Entry = TypeVar("Entry")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_CONNECTOR = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})")
_SQLITE = "sqlite:///"
_POSTGRES = "postgresql+psycopg"


def _whole(value: object) -> object:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)  # "${PORT}" comes as text
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic collects ValueError
    return value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic collects ValueError
    return value


def _flag(value: object) -> object:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            "may hold lower-case letters, digits and dashes only, begin with a letter or digit,"
            " and have at most 40 characters"
        )
    return text


def _account_name(text: str) -> str:
    if _name(text) == MANUAL:
        raise ValueError("is taken by the orders your own people import; choose another name")
    return text


def _connector(text: str) -> str:
    if not _CONNECTOR.fullmatch(text):
        raise ValueError("must be a connector's name; `oms-sync connectors list` shows them")
    return text


def _country(text: str) -> str:
    if not _COUNTRY.fullmatch(text):
        raise ValueError("must be a country code of two capital letters such as US")
    return text


def _title(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be printable text, not empty")
    return text


def _some(listed: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if not listed:
        raise ValueError("must name at least one location")
    return listed


def _file(path: Path, validation: ValidationInfo) -> Path:
    if not path.name or "\0" in str(path):
        raise ValueError("must be the path of a file or folder")
    return _folder(validation) / path


def _folder(validation: ValidationInfo) -> Path:
    folder: Path = (validation.context or {}).get("folder", Path.cwd())
    return folder


def _bind_host(text: str) -> str:
    if not _is_address(text) and not _HOST.fullmatch(text):
        raise ValueError("must be an address such as 127.0.0.1, or a host name")
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """True when `host` can mean nothing but this machine."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError("must be an IP address or a network such as 10.0.0.0/8") from error


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError("is not a URL; write https://host/path") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("is not a URL; write https://host/path")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("may hold no user, password, query or fragment; write https://host/path")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("may hold printable ASCII without blanks only; write https://host/path")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("plain http is allowed on loopback only (127.0.0.1); write https://")
    return text.rstrip("/")


def _database_url(secret: SecretStr, validation: ValidationInfo) -> SecretStr:
    url = secret.get_secret_value()
    if url.startswith(_SQLITE):
        return SecretStr(_sqlite_url(url.removeprefix(_SQLITE), _folder(validation)))
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.path.strip("/")) and (parts.port or True)
    except ValueError as error:
        raise ValueError(
            "cannot be read as a URL; percent-encode special characters of the password"
        ) from error
    if parts.scheme != _POSTGRES or not is_usable:
        raise ValueError(
            "must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        )
    return secret


def _sqlite_url(path: str, folder: Path) -> str:
    name = unquote(path)
    if not name or "?" in path or "\0" in name or name.startswith(":memory:"):
        raise ValueError("must name a file: sqlite:///oms-sync.db")
    return _SQLITE + quote(str(folder / name))


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Name = Annotated[str, AfterValidator(_name)]
AccountName = Annotated[str, AfterValidator(_account_name)]
Title = Annotated[str, Field(max_length=200), AfterValidator(_title)]
File = Annotated[Path, AfterValidator(_file)]
Host = Annotated[str, AfterValidator(_bind_host)]
Port = Annotated[Whole, Field(ge=0, le=65_535)]
BaseUrl = Annotated[str, Field(max_length=500), AfterValidator(_base_url)]
Quantity = Annotated[Whole, Field(ge=0, le=QUANTITY_MAX)]
Days = Annotated[Whole, Field(ge=1, le=DAYS_MAX)]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )


class DatabaseSettings(_Frozen):
    """`database:`"""

    #: a relative SQLite file is already made absolute; holds the password, so never shown
    url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr("sqlite:///oms-sync.db")


class KeySettings(_Frozen):
    """`keys:`"""

    file: File = Path("oms-sync.key")


class WebhookSettings(_Frozen):
    """`web.webhooks:` — a listener for webhooks alone."""

    host: Host = "127.0.0.1"
    port: Port


class WebSettings(_Frozen):
    """`web:`"""

    host: Host = "127.0.0.1"
    port: Port = 8080
    public_url: BaseUrl | None = None
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    webhooks: WebhookSettings | None = None


class LogSettings(_Frozen):
    """`logging:`"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class LocationSettings(_Frozen):
    """One of `locations:`"""

    code: Name
    name: Title = "Main warehouse"
    country: Annotated[str, AfterValidator(_country)] | None = None


class StockSettings(_Frozen):
    """`accounts[].stock:`"""

    locations: Annotated[
        tuple[Name, ...], Field(max_length=LOCATIONS_MAX), AfterValidator(_some)
    ] = ("main",)
    buffer: Quantity = 0
    cap: Quantity | None = None


class AccountSettings(_Frozen):
    """One of `accounts:`"""

    name: AccountName
    connector: Annotated[str, AfterValidator(_connector)]
    enabled: Flag = True
    mode: Literal["shadow", "live"] = "shadow"
    endpoint: BaseUrl | None = None
    #: None is the connector's own default, from its manifest
    poll_seconds: Annotated[Number, Field(ge=1, le=SECONDS_MAX)] | None = None
    reconcile_seconds: Annotated[Number, Field(ge=1, le=SECONDS_MAX)] = 3_600
    overlap_seconds: Annotated[Number, Field(ge=0, le=SECONDS_MAX)] = 600
    backfill_days: Annotated[Whole, Field(ge=0, le=DAYS_MAX)] = 30
    silence_hours: Annotated[Number, Field(ge=1, le=720)] | None = None
    stock: StockSettings = Field(default_factory=StockSettings)
    drift: Literal["overwrite", "adopt", "hold"] = "overwrite"
    cancellation_requests: Literal["hold", "accept"] = "hold"
    #: the connector's own, as written; `validate_account_settings` reads them
    settings: Annotated[
        InstanceOf[RawSettings], WithJsonSchema({"type": "object", "default": {}})
    ] = RawSettings()

    def profile(self, *, poll_seconds: float = 60) -> AccountProfile:
        """What the flows need; `poll_seconds` is the manifest's, used when the file has none."""
        return AccountProfile(
            name=self.name,
            connector=self.connector,
            mode=self.mode,
            locations=self.stock.locations,
            buffer=self.stock.buffer,
            cap=self.stock.cap,
            drift=self.drift,
            cancellation_requests=self.cancellation_requests,
            poll_seconds=poll_seconds if self.poll_seconds is None else self.poll_seconds,
            reconcile_seconds=self.reconcile_seconds,
            overlap_seconds=self.overlap_seconds,
            backfill_days=self.backfill_days,
            silence_hours=self.silence_hours,
        )


class RetentionSettings(_Frozen):
    """`retention:`"""

    personal_data_days: Days = 30
    raw_payload_days: Days = 30


class MappingSettings(_Frozen):
    """`mappings:`"""

    #: folder with the operator's own entries, CONNECTOR/TABLE.yaml
    directory: File | None = None


class Settings(_Frozen):
    """The whole configuration file."""

    version: Annotated[Literal[1], BeforeValidator(_whole)]
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    keys: KeySettings = Field(default_factory=KeySettings)
    web: WebSettings = Field(default_factory=WebSettings)
    logging: LogSettings = Field(default_factory=LogSettings)
    locations: Annotated[
        tuple[LocationSettings, ...], Field(max_length=LOCATIONS_MAX), AfterValidator(_some)
    ] = (LocationSettings(code="main"),)
    accounts: Annotated[tuple[AccountSettings, ...], Field(max_length=ACCOUNTS_MAX)] = ()
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    mappings: MappingSettings = Field(default_factory=MappingSettings)


def find_config(option: Path | None, *, environment: Mapping[str, str] = os.environ) -> Path:
    """Which file counts: `--config FILE`, else `$OMS_SYNC_CONFIG`, else `./oms-sync.yaml`."""
    if option is not None:
        return option
    return Path(environment.get(CONFIG_VARIABLE) or CONFIG_DEFAULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file as far as it could be read: for `check`, which wants all faults at once."""

    #: None when anything outside the accounts' own settings is wrong
    settings: Settings | None
    #: plain values by key, whatever they are
    values: dict[str, Any]
    faults: tuple[Fault, ...]


def load_settings(path: Path, *, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the file, or ConfigError with every fault of it."""
    return _accepted(load_draft(path, environment=environment))


def parse_settings(
    text: str, *, file: Path, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The same for text at hand; `file` names it in faults, its folder holds relative paths."""
    return _accepted(parse_draft(text, file=file, environment=environment))


def load_draft(path: Path, *, environment: Mapping[str, str] = os.environ) -> Draft:
    """The file as far as it can be read; never raises."""
    text, faults = read_text(path)
    if faults:
        return Draft(settings=None, values={}, faults=tuple(faults))
    return parse_draft(text, file=path, environment=environment)


def parse_draft(text: str, *, file: Path, environment: Mapping[str, str] = os.environ) -> Draft:
    """The text as far as it can be read; never raises."""
    tree, faults = read_tree(text.removeprefix("\ufeff"), str(file))
    if tree is None:
        return Draft(settings=None, values={}, faults=tuple(faults))
    source = Source(file=file, environment=environment)
    reading = Reading(source=source, faults=faults)
    values = {"database": {}, "keys": {}, **core_values(tree, reading)}
    settings = None
    try:
        settings = Settings.model_validate(values, context={"folder": source.folder})
    except ValidationError as error:
        note_errors(error, Settings, tree, reading)
    note_crossed(values, tree, reading)
    usable = None if reading.faults else settings
    return Draft(settings=usable, values=values, faults=tuple(reading.faults))


def _accepted(draft: Draft) -> Settings:
    if draft.settings is None:
        raise ConfigError(draft.faults)
    return draft.settings
