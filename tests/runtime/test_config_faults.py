import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_sync.runtime.config_accounts import check_config
from oms_sync.runtime.config_faults import FAULTS_MAX, ConfigError, show_path
from oms_sync.runtime.config_file import FILE_BYTES_MAX, NESTING_MAX, resolve
from oms_sync.runtime.config_template import template_text
from oms_sync.runtime.registry import load_registry
from oms_sync.runtime.settings import load_draft, load_settings, parse_draft

FILE = Path("oms-sync.yaml")
FAULT_LINE = re.compile(r"oms-sync\.yaml:[1-9]\d*:[1-9]\d*: \S[^\n]*: [^\n]+")


def _faults(text: str) -> list[str]:
    draft = parse_draft(text, file=FILE, environment={})
    assert (draft.settings is None) == bool(draft.faults)
    return [str(fault).removeprefix("oms-sync.yaml:") for fault in draft.faults]


def test_ten_planted_mistakes_are_each_reported_with_line_and_remedy_in_one_run(tmp_path):
    file = tmp_path / "oms-sync.yaml"
    file.write_text(TEN_MISTAKES)
    _, faults = check_config(file, load_registry(), environment={})
    shown = [str(fault).removeprefix(f"{file}:") for fault in faults]
    assert [(fault.line, fault.path) for fault in faults] == [
        (2, "databse"),
        (3, "web.port"),
        (4, "web.public_url"),
        (5, "logging.level"),
        (6, "logging"),
        (9, "locations[1].code"),
        (11, "accounts[0].name"),
        (13, "accounts[0].poll_seconds"),
        (14, "accounts[0].stock.locations[1]"),
        (15, "accounts[0].settings.access_token"),
    ]
    remedies = (
        "allowed here: version, database",
        "less than or equal to 65535",
        "write https://",
        "'debug', 'info', 'warning' or 'error'",
        "keep one of the two",
        "choose another code",
        "lower-case letters, digits and dashes",
        "greater than or equal to 1",
        "allowed: main",
        "SHOP_TOKEN is not set; set it",
    )
    for line, remedy in zip(shown, remedies, strict=True):
        assert remedy in line


@pytest.mark.proves("A43")
@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("version: 1\nweb: !!python/object:os.system {}", "2:6: web", "tags"),
        ("version: !!int 1", "1:10: version", "tags"),
        ("version: ! 1", "1:10: version", "tags"),
        ("version: &v 1", "1:10: version", "anchors"),
        ("version: 1\nweb: &w {}\nkeys: *w", "2:6: web", "anchors"),
        ("version: 1\nkeys: *nowhere", "2:7: keys", "aliases"),
        ("version: 1\nversion: 1", "2:1: version", "stands twice, first in line 1"),
        ('version: 1\n"version": 1', "2:1: version", "stands twice"),
        ("version: 1\nweb: {port: 1,\n  port: 2}", "3:3: web.port", "stands twice"),
        ("version: 1\n<<: {web: {}}", "2:1: …", "unknown key"),
        ("version: 1\n? [a]\n: 1", "2:3: file", "a key must be a plain word"),
        ("%YAML 1.1\n---\nversion: 1", "2:1: file", "directives"),
        ("%TAG ! tag:x,1:\n---\nversion: 1", "2:1: file", "directives"),
        ("version: 1\n---\nversion: 1", "2:1: file", "second document"),
        ("", "1:1: file", "is empty"),
        ("# only a comment\n", "1:1: file", "is empty"),
        ("- version", "1:1: file", "no mapping"),
        ("just text", "1:1: file", "no mapping"),
        ("version: 1\n\tweb: {}", "2:", "not valid YAML"),
        ("version: [1", "1:", "not valid YAML"),
        ("version: 1\nkeys: {file: a\x00b}", "2:15: file", "a character YAML does not allow"),
        ('version: 1\nkeys: {file: "\\ud800"}', "2:14: keys.file", "surrogate"),
        ('version: 1\n"\\ud800": 1', "2:1: file", "broken character"),
        ('version: 1\nkeys: "\\UFFFFFFFF"', "2:", "not valid YAML"),
    ],
)
def test_yaml_that_means_something_else_than_it_shows_is_refused(text, place, said):
    faults = _faults(text)
    assert any(fault.startswith(place) and said in fault for fault in faults), faults


@pytest.mark.proves("A43")
def test_an_alias_bomb_is_refused_without_being_opened():
    lines = ["version: 1", "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    faults = _faults("\n".join(lines))
    assert any("aliases" in fault for fault in faults)


def test_a_file_too_large_is_refused(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("version: 1\n#" + "x" * FILE_BYTES_MAX)
    with pytest.raises(ConfigError, match="1:1: file: is too large; at most 262144 bytes"):
        load_settings(file)
    assert "is too large" in _faults("#" * (FILE_BYTES_MAX + 1))[0]


def test_nesting_and_number_of_values_are_bounded():
    assert "nested too deeply" in _faults("a: " + "[" * (NESTING_MAX + 5))[0]
    assert "too many values" in _faults("a: [" + "1," * 20_001 + "1]")[0]


def test_only_the_first_faults_are_shown_and_the_rest_is_counted():
    text = "version: 1\n" + "\n".join(f"unknown_{n}: 1" for n in range(FAULTS_MAX + 20))
    error = ConfigError(parse_draft(text, file=FILE, environment={}).faults)
    assert len(error.faults) == FAULTS_MAX
    assert str(error).endswith("and 20 more faults")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file"), (b"version: \xff", "1:10: file: is not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_a_fault_not_a_traceback(tmp_path, content, said):
    file = tmp_path / "c.yaml"
    if content is not None:
        file.write_bytes(content)
    [fault] = load_draft(file, environment={}).faults
    assert said in str(fault)


def test_a_folder_is_no_file(tmp_path):
    [fault] = load_draft(tmp_path, environment={}).faults
    assert "cannot be read: Is a directory" in str(fault)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("keys: null", "2:7: keys: must be a mapping"),
        ("keys: [a]", "2:7: keys: must be a mapping"),
        ("keys: {file: 5}", "2:14: keys.file: "),
        ("keys: {file: ''}", "2:14: keys.file: must be the path"),
        ("locations: []", "2:12: locations: must name at least one"),
        ("locations: main", "2:12: locations: must be a list"),
        ("locations: [{code: 1}]", "2:20: locations[0].code: must be text; put it in quotes"),
        ("web: {port: true}", "2:13: web.port: must be a whole number"),
        ("web: {port: 80.5}", "2:13: web.port: must be a whole number"),
        ("web: {port: 8080, webhooks: {port: 8080}}", "2:36: web.webhooks.port: is the port of"),
        ("web: {webhooks: {}}", "2:17: web.webhooks.port: is missing"),
        ("web: {trusted_proxies: [10.0.0.1/8]}", "2:25: web.trusted_proxies[0]: must be an IP"),
        ("accounts: [5]", "2:12: accounts[0]: must be a mapping"),
        ("accounts: {a: 1}", "2:11: accounts: must be a list"),
        ("accounts: [{name: -a, connector: b}]", "2:19: accounts[0].name: may hold"),
        ("retention: {raw_payload_days: 0}", "2:31: retention.raw_payload_days: "),
        ("database: {url: 'sqlite://'}", "2:17: database.url: must be sqlite:///FILE or"),
        ("database: {url: 'sqlite:///:memory:'}", "2:17: database.url: must name a file"),
        ("database: {url: 'postgresql://u@h/d'}", "2:17: database.url: must be sqlite:///FILE or"),
        ("database: {url: 'postgresql+psycopg://u@h/'}", "2:17: database.url: must be"),
        ("database: {url: 'postgresql+psycopg://u:a/b@h:x/d'}", "2:17: database.url: "),
    ],
)
def test_each_kind_of_mistake_is_said_at_its_place(lines, expected):
    [fault] = _faults(f"version: 1\n{lines}")
    assert fault.startswith(expected)


@pytest.mark.parametrize("number", [".nan", ".inf", "1e999", "true", "0", "-1", "x"])
def test_a_period_must_be_a_finite_number_of_at_least_one(number):
    text = f"version: 1\naccounts: [{{name: a, connector: b, poll_seconds: {number}}}]"
    [fault] = _faults(text)
    assert fault.startswith("2:50: accounts[0].poll_seconds: ")


def test_two_accounts_of_one_name_are_a_fault_that_names_both_lines():
    text = "version: 1\naccounts:\n  - {name: a, connector: b}\n  - {name: a, connector: c}"
    [fault] = _faults(text)
    assert fault == "4:12: accounts[1].name: is used twice, first in line 3; choose another name"


def test_the_default_location_must_exist_where_an_account_names_none():
    text = "version: 1\nlocations: [{code: berlin}]\naccounts: [{name: a, connector: b}]"
    [fault] = _faults(text)
    assert fault.startswith("3:12: accounts[0].stock.locations: is no location; allowed: berlin")


def test_a_location_named_twice_by_one_account_is_a_fault():
    text = "version: 1\naccounts: [{name: a, connector: b, stock: {locations: [main, main]}}]"
    [fault] = _faults(text)
    assert "names a location twice" in fault


def test_a_value_gone_astray_into_a_key_is_not_shown():
    [fault] = _faults("version: 1\nkeys: {access_token:shpat_0123456789}")
    assert "shpat" not in fault
    assert fault.startswith("2:8: keys.access_token…: unknown key")
    assert show_path(("a", 0, "b\nc")) == "a[0].b…"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None), ("~", None), ("", None), ("true", True), ("FALSE", False),
        ("yes", "yes"), ("NO", "NO"), ("on", "on"), ("12", 12), ("-3", -3), ("0x1F", "0x1F"),
        ("1_000", "1_000"), ("2026-10", "2026-10"), ("2026-10-01", "2026-10-01"), ("1:30", "1:30"),
        ("1.5", 1.5), ("1e3", 1000.0), (".nan", ".nan"), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_unquoted_values_mean_what_yaml_1_2_says(text, value):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


# --- fuzzing: never a traceback, every fault one printable line ----------------------------------

_WORDS = st.sampled_from(
    "version database url keys file web host port webhooks accounts name connector settings stock"
    " locations code buffer main 1 0 -1 null true ~ ${X} ${file:/} ${ } - ? : { } [ ] , # & * ! |"
    " > % @ ` ' \" \\ --- ... << \n \t \x00 \x85 \u2028 \ufeff é \U0001f4a9 shadow live".split(" ")
)


def _check_any(text: str) -> None:
    draft = parse_draft(text, file=FILE, environment={"X": "value-from-outside"})
    assert (draft.settings is None) == bool(draft.faults)
    for fault in draft.faults:
        assert FAULT_LINE.fullmatch(str(fault)), str(fault)
        assert str(fault).isprintable()
        assert "value-from-outside" not in str(fault)


@settings(max_examples=150)
@given(st.lists(_WORDS, max_size=40).map(" ".join))
def test_no_mixture_of_yaml_words_brings_a_traceback(text):
    _check_any("version: 1\n" + text)


@settings(max_examples=100)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_no_text_at_all_brings_a_traceback(text):
    _check_any(text)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["main", "a", "${X}", "shadow", "http://127.0.0.1"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from("name connector stock locations settings code port x".split()), inner
    ),
    max_leaves=6,
)  # fmt: skip
_KEYS = st.sampled_from("database keys web logging locations accounts retention mappings".split())


@settings(max_examples=80)
@given(st.dictionaries(_KEYS, _VALUES | st.lists(_VALUES, max_size=3), max_size=4))
def test_no_shape_of_values_brings_a_traceback(values):
    import json

    _check_any(json.dumps({"version": 1, **values}))


@settings(max_examples=100)
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=30), st.text(max_size=4))
def test_no_hole_torn_into_the_template_brings_a_traceback(start, length, filling):
    text = template_text().replace("accounts: []\n#", "accounts:\n ").replace("\n#  ", "\n   ")
    at = start % len(text)
    _check_any(text[:at] + filling + text[at + length :])


TEN_MISTAKES = """\
version: 1
databse: {url: "sqlite:///oms-sync.db"}
web: {host: 127.0.0.1, port: 80800,
      public_url: "http://hub.example.com"}
logging: {level: loud}
logging: {level: info}
locations:
  - {code: main, name: Main warehouse, country: US}
  - {code: main, name: Second}
accounts:
  - name: Shop_US
    connector: shopify
    poll_seconds: 0.5
    stock: {locations: [main, cellar]}
    settings: {shop: my-shop.myshopify.com, access_token: "${SHOP_TOKEN}"}
"""
