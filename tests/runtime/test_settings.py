import json
import re
import stat
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from oms_sync.flows.records import AccountProfile
from oms_sync.runtime.config_accounts import (
    check_config,
    config_schema,
    secret_values,
    validate_account_settings,
)
from oms_sync.runtime.config_faults import ConfigError
from oms_sync.runtime.config_template import template_text, write_template
from oms_sync.runtime.registry import load_registry
from oms_sync.runtime.settings import (
    Settings,
    find_config,
    is_loopback,
    load_settings,
    parse_settings,
)

FILE = Path("/etc/oms/oms-sync.yaml")
CANARY = "canary-5ecret-value"


class ChannelModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    shop: str
    access_token: SecretStr
    threshold: int = 100


def _parse(text: str, **environment: str) -> Settings:
    return parse_settings(text, file=FILE, environment=environment)


def _faults(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _parse(text, **environment)
    return [str(fault).removeprefix(f"{FILE}:") for fault in caught.value.faults]


def _account(lines: str = "", **environment: str):
    text = "version: 1\naccounts:\n  - name: shop-us\n    connector: etsy\n"
    return _parse(text + lines, **environment).accounts[0]


# --- defaults and meaning ------------------------------------------------------------------------


def test_one_line_is_a_whole_configuration():
    settings = _parse("version: 1")
    assert settings.database.url.get_secret_value() == "sqlite:////etc/oms/oms-sync.db"
    assert settings.keys.file == Path("/etc/oms/oms-sync.key")
    assert (settings.web.host, settings.web.port) == ("127.0.0.1", 8080)
    assert settings.web.webhooks is None
    assert settings.logging.level == "info"
    assert [each.code for each in settings.locations] == ["main"]
    assert settings.accounts == ()
    assert settings.retention.personal_data_days == settings.retention.raw_payload_days == 30


def test_an_account_begins_enabled_in_shadow_mode_with_the_written_defaults():
    account = _account()
    assert (account.enabled, account.mode, account.endpoint) == (True, "shadow", None)
    assert account.poll_seconds is None
    assert (account.reconcile_seconds, account.overlap_seconds) == (3600, 600)
    assert (account.backfill_days, account.drift) == (30, "overwrite")
    assert account.stock.locations == ("main",)
    assert (account.stock.buffer, account.stock.cap) == (0, None)


def test_the_profile_takes_the_manifests_poll_period_where_the_file_has_none():
    assert _account().profile(poll_seconds=300) == AccountProfile(
        name="shop-us", connector="etsy", mode="shadow", poll_seconds=300
    )
    assert _account("    poll_seconds: 5\n").profile(poll_seconds=300).poll_seconds == 5


def test_relative_paths_start_at_the_file_and_absolute_ones_stay():
    text = "version: 1\nkeys: {file: ../k/a.key}\nmappings: {directory: /srv/tables}\n"
    settings = _parse(text + 'database: {url: "sqlite:////var/lib/a b.db"}')
    assert settings.keys.file == Path("/etc/oms/../k/a.key")
    assert settings.mappings.directory == Path("/srv/tables")
    assert settings.database.url.get_secret_value() == "sqlite:////var/lib/a%20b.db"


def test_yaml_is_version_1_2_so_norway_stays_a_country():
    [location] = _parse("version: 1\nlocations: [{code: main, country: NO}]").locations
    assert location.country == "NO"


def test_settings_cannot_be_changed():
    settings = _parse("version: 1")
    with pytest.raises(ValueError, match="frozen"):
        settings.web.port = 1


def test_a_byte_order_mark_is_no_fault():
    assert _parse("\ufeffversion: 1").version == 1


def test_json_is_yaml_too():
    text = json.dumps({"version": 1, "accounts": [{"name": "a", "connector": "etsy"}]})
    assert _parse(text).accounts[0].name == "a"


def test_the_file_is_chosen_by_option_then_environment_then_folder():
    assert find_config(Path("a.yaml"), environment={"OMS_SYNC_CONFIG": "b"}) == Path("a.yaml")
    assert find_config(None, environment={"OMS_SYNC_CONFIG": "b"}) == Path("b")
    assert find_config(None, environment={}) == Path("oms-sync.yaml")


# --- references ----------------------------------------------------------------------------------


def test_references_are_replaced_inside_text(tmp_path):
    (tmp_path / "host.txt").write_text("db.internal\n")
    text = 'version: 1\nweb: {port: "${PORT}"}\ndatabase:\n'
    text += '  url: "postgresql+psycopg://oms:${PG}@${file:host.txt}/oms"\n'
    settings = parse_settings(
        text, file=tmp_path / "c.yaml", environment={"PG": CANARY, "PORT": "99"}
    )
    url = settings.database.url.get_secret_value()
    assert url == f"postgresql+psycopg://oms:{CANARY}@db.internal/oms"
    assert settings.web.port == 99


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("${NOPE}", "variable NOPE is not set"),
        ("${file:nope.txt}", "the file nope.txt cannot be read"),
        ("${file:}", "cannot be read"),
        ("${file:a\\0b}", "its name is not valid"),
        ("${}", "holds no name"),
        ("${A B}", "holds no name"),
        ("x${NOPE", "no closing"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_fault_at_its_place(reference, said):
    [fault] = _faults(f'version: 1\nkeys:\n  file: "{reference}"\n')
    assert fault.startswith("3:9: keys.file: ")
    assert said in fault


@pytest.mark.proves("A57")
def test_a_replaced_value_is_in_no_fault_and_in_no_repr():
    text = 'version: 1\nkeys: {file: "${S}"}\ndatabase: {url: "${S}"}\nlogging: {level: "${S}"}\n'
    text += 'web: {host: "${S} x", public_url: "${S}"}\n"${S}": 1\n'
    assert CANARY not in "\n".join(_faults(text, S=CANARY))
    account = _account(f'    settings: {{shop: "{CANARY}"}}\n')
    assert CANARY not in repr(account) + str(account) + repr(account.settings)
    url = _parse(f'version: 1\ndatabase: {{url: "postgresql+psycopg://u:{CANARY}@h/d"}}')
    assert CANARY not in repr(url)


# --- endpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8101",
        "http://localhost:8101/prefix",
        "http://[::1]:8101",
        "http://127.9.9.9",
        "https://proxy.example.com/shop",
    ],
)
def test_an_endpoint_is_https_anywhere_or_http_on_loopback(url):
    assert _account(f'    endpoint: "{url}/"\n').endpoint == url


@pytest.mark.proves("A35")
@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.4:8101",
        "http://example.com",
        "http://127.1",
        "http://0x7f.1",
        "http://2130706433",
        "http://[::ffff:10.0.0.1]",
        "http://127.0.0.1.example.com",
        "http://user:pw@127.0.0.1",
        "http://127.0.0.1@example.com",
        "https://example.com?x=1",
        "https://example.com#x",
        "ftp://127.0.0.1",
        "//127.0.0.1",
        "https://",
        "https://exa mple.com",
        "http://localhost\\\\@example.com",
        "http://[::1",
        "http://127.0.0.1:99999",
        "javascript:alert(1)",
    ],
)
def test_every_other_endpoint_is_refused(url):
    text = f'version: 1\naccounts: [{{name: a, connector: b, endpoint: "{url}"}}]'
    [fault] = _faults(text)
    assert fault.startswith("2:")
    assert "accounts[0].endpoint: " in fault


def test_loopback_means_this_machine_and_nothing_else():
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("localhost.example.com")
    assert not is_loopback("0.0.0.0")  # noqa: S104 - a value to be judged, not bound


# --- accounts' own settings ----------------------------------------------------------------------


def test_the_name_of_our_own_orders_account_is_taken():
    (fault,) = _faults("version: 1\naccounts:\n  - name: manual\n    connector: etsy\n")
    assert fault.startswith("3:11: accounts[0].name: is taken by the orders")


def test_an_accounts_settings_become_its_connectors_model():
    account = _account(
        '    settings: {shop: x, access_token: "${T}", threshold: "${N}"}\n', T=CANARY, N="7"
    )
    made = validate_account_settings(account, ChannelModel)
    assert made.access_token.get_secret_value() == CANARY
    assert made.threshold == 7
    assert list(secret_values(made)) == [CANARY]


def test_of_a_database_url_the_password_alone_is_a_secret():
    url = "postgresql+psycopg://oms:p%40ssword@h/d"
    assert set(secret_values(_parse(f'version: 1\ndatabase: {{url: "{url}"}}'))) == {
        "p%40ssword",
        "p@ssword",
    }
    assert list(secret_values(_parse("version: 1"))) == []


@pytest.mark.proves("I-39")
def test_a_fault_in_one_accounts_settings_leaves_the_other_alone():
    text = "version: 1\naccounts:\n"
    text += '  - {name: bad, connector: e, settings: {shop: "${NOPE}", token: x}}\n'
    text += "  - {name: good, connector: e, settings: {shop: a, access_token: b}}\n"
    bad, good = _parse(text).accounts
    assert validate_account_settings(good, ChannelModel).shop == "a"
    with pytest.raises(ConfigError) as caught:
        validate_account_settings(bad, ChannelModel)
    assert [str(each).removeprefix(f"{FILE}:") for each in caught.value.faults] == [
        "3:41: accounts[0].settings.access_token: is missing; write it",
        "3:48: accounts[0].settings.shop: the environment variable NOPE is not set; set it",
        "3:59: accounts[0].settings.token: unknown key; allowed here: shop, access_token,"
        " threshold",
    ]


@pytest.mark.proves("A57")
def test_a_connectors_own_complaint_never_shows_a_value():
    class Chatty(BaseModel):
        shop: str
        token: SecretStr

        def model_post_init(self, _: object) -> None:
            raise ValueError(f"{self.shop} and {self.token.get_secret_value()} do not fit")

    account = _account(f'    settings: {{shop: "{CANARY}-1", token: "${{T}}"}}\n', T=CANARY)
    with pytest.raises(ConfigError) as caught:
        validate_account_settings(account, Chatty)
    assert "do not fit" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_settings_that_are_no_mapping_are_a_fault():
    [fault] = _faults("version: 1\naccounts: [{name: a, connector: b, settings: [1]}]")
    assert fault.startswith("2:46: accounts[0].settings: must be a mapping")


def test_check_names_core_and_connector_faults_in_one_run(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "version: 1\nlogging: {level: loud}\naccounts:\n"
        "  - {name: a, connector: nowhere}\n"
        "  - {name: off, connector: nowhere, enabled: false}\n"
    )
    settings, faults = check_config(file, load_registry([]))
    assert settings is None
    shown = [str(each).removeprefix(f"{file}:") for each in faults]
    assert len(shown) == 2
    assert shown[0].startswith("2:18: logging.level: is not one of")
    assert shown[1].startswith("4:26: accounts[0].connector: no connector 'nowhere'")


# --- what ships ----------------------------------------------------------------------------------


def test_the_template_passes_check(tmp_path):
    file = tmp_path / "oms-sync.yaml"
    write_template(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings, faults = check_config(file, load_registry(), environment={})
    assert faults == ()
    assert settings is not None
    assert settings.accounts == ()


def test_the_template_is_never_written_over_a_file(tmp_path):
    file = tmp_path / "oms-sync.yaml"
    file.write_text("mine")
    with pytest.raises(FileExistsError):
        write_template(file)
    assert file.read_text() == "mine"


def test_the_templates_accounts_pass_once_their_comment_signs_are_taken_away(tmp_path):
    before, _, rest = template_text().partition("accounts: []\n")
    lines = rest.splitlines()
    end = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    accounts = "\n".join(line.removeprefix("#") for line in lines[:end])
    file = tmp_path / "oms-sync.yaml"
    file.write_text(before + "accounts:\n" + accounts + "\n" + "\n".join(lines[end:]))
    secrets = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", accounts), CANARY * 2)
    settings = load_settings(file, environment=secrets)
    assert [each.connector for each in settings.accounts] == ["shopify", "amazon", "ebay"]
    assert {each.mode for each in settings.accounts} == {"shadow"}
    assert check_config(file, load_registry(), environment=secrets)[1] == ()
    faults = check_config(file, load_registry(), environment={})[1]
    assert len(faults) == len(secrets)
    assert all(".settings." in each.path for each in faults)


def test_the_example_is_the_template(request):
    example = request.config.rootpath / "config/oms-sync.example.yaml"
    assert example.read_text(encoding="utf-8") == template_text()


def _rows(model: type[BaseModel], prefix: str = "") -> dict[str, object]:
    rows: dict[str, object] = {}
    for name, field in model.model_fields.items():
        inner = [
            each
            for each in (field.annotation, *_unwrapped(field.annotation))
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        listed = "[]" if "tuple" in str(field.annotation) and inner else ""
        if inner:
            rows |= _rows(inner[0], f"{prefix}{name}{listed}.")
        else:
            rows[prefix + name] = field.default
    return rows


def _unwrapped(annotation: object) -> list[object]:
    return [deep for each in get_args(annotation) for deep in (each, *_unwrapped(each))]


def test_every_setting_has_a_row_with_its_default_in_the_guide(request):
    text = (request.config.rootpath / "config/README.md").read_text(encoding="utf-8")
    rows = _rows(Settings)
    assert "accounts[].stock.buffer" in rows
    table = {
        cells[1].strip(): cells[2].strip(" `")
        for line in text.splitlines()
        if len(cells := line.split("|")) > 3
    }
    assert [key for key in rows if f"`{key}`" not in table] == []
    plain = {
        key: json.dumps(value).strip('"')
        for key, value in rows.items()
        if isinstance(value, str | int | float | bool | None)
    }
    assert len(plain) > 15
    assert {k: v for k, v in plain.items() if table[f"`{k}`"] != v} == {}


def test_the_schema_knows_every_key_and_the_connectors_settings():
    schema = config_schema(load_registry())
    assert json.loads(json.dumps(schema)) == schema
    account = schema["$defs"]["AccountSettings"]
    assert schema["additionalProperties"] is False
    assert set(account["properties"]) >= {"name", "connector", "mode", "settings", "stock"}
    assert "name" in account["required"]
    rules = {each["if"]["properties"]["connector"]["const"]: each for each in account["allOf"]}
    assert set(rules) == set(load_registry().names)
    for rule in rules.values():
        target = rule["then"]["properties"]["settings"]["$ref"].removeprefix("#/$defs/")
        assert schema["$defs"][target]["properties"]
    port = schema["$defs"]["WebSettings"]["properties"]["port"]
    assert {each["type"] for each in port["anyOf"]} == {"integer", "string"}
