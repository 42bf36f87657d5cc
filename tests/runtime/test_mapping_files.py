from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_sync.domain.order import OrderState
from oms_sync.runtime.config_faults import ConfigError
from oms_sync.runtime.mapping_files import VOCABULARIES, load_tables, read_table
from oms_sync.runtime.registry import load_registry
from oms_sync.sdk import Connector, Manifest

CARRIERS = "unmapped: pass\nentries:\n  UPS: ups\n  FedEx: fedex\n"
STATUSES = "unmapped: hold\nentries:\n  PAID: open\n  NO: cancelled\n"


@pytest.fixture
def manifest(tmp_path, monkeypatch) -> Manifest:
    """A connector whose package ships two tables."""
    folder = tmp_path / "packaged" / "etsy_tables" / "etsy"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "carriers.yaml").write_text(CARRIERS)
    (folder / "order_status.yaml").write_text(STATUSES)
    (folder / "README.md").write_text("no table")
    monkeypatch.syspath_prepend(tmp_path / "packaged")
    return Manifest(id="etsy", label="Etsy", mappings=("etsy_tables", "etsy"))


@pytest.fixture
def overlay(tmp_path) -> Path:
    (tmp_path / "mine" / "etsy").mkdir(parents=True)
    return tmp_path / "mine"


def _faults(text: str, name: str = "carriers") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_table(text, name=name, file="t.yaml")
    return [str(fault) for fault in caught.value.faults]


def test_packaged_tables_are_read_by_name(manifest):
    tables = load_tables(manifest)
    assert set(tables) == {"carriers", "order_status"}
    assert tables["carriers"].look_up("UPS").value == "ups"
    assert tables["carriers"].look_up("DHL").value == "DHL"
    assert tables["order_status"].look_up("??").unmapped == "order_status: ??"


def test_a_code_is_text_whatever_it_looks_like(manifest):
    assert load_tables(manifest)["order_status"].look_up("NO").value == "cancelled"
    table = read_table(
        "unmapped: error\nentries: {1: a, null: b, true: c, 0.5: d}", name="services", file="t"
    )
    assert dict(table.entries) == {"1": "a", "null": "b", "true": "c", "0.5": "d"}


def test_a_connector_without_tables_has_none():
    assert load_tables(Manifest(id="plain", label="Plain")) == {}


def test_the_operator_overrides_single_entries_and_adds_others(manifest, overlay):
    (overlay / "etsy" / "carriers.yaml").write_text("entries: {FedEx: fedex_home, Bike: bike}\n")
    table = load_tables(manifest, overlay=overlay)["carriers"]
    assert dict(table.entries) == {"UPS": "ups", "FedEx": "fedex_home", "Bike": "bike"}
    assert table.unmapped == "pass"


def test_the_operator_may_change_what_happens_to_unknown_codes(manifest, overlay):
    (overlay / "etsy" / "carriers.yaml").write_text("unmapped: hold\n")
    table = load_tables(manifest, overlay=overlay)["carriers"]
    assert table.unmapped == "hold"
    assert len(table.entries) == 2


def test_an_overlay_without_a_folder_for_the_connector_changes_nothing(manifest, tmp_path):
    assert load_tables(manifest, overlay=tmp_path) == load_tables(manifest)


def test_an_overlay_that_is_not_there_is_a_fault(manifest, tmp_path):
    with pytest.raises(ConfigError, match=r"gone:1:1: file: is no folder; correct mappings\."):
        load_tables(manifest, overlay=tmp_path / "gone")


def test_an_overlay_for_a_table_that_does_not_exist_names_the_allowed_ones(manifest, overlay):
    (overlay / "etsy" / "carrier.yaml").write_text("entries: {}")
    with pytest.raises(ConfigError, match=r"allowed names: carriers\.yaml, order_status\.yaml"):
        load_tables(manifest, overlay=overlay)


def test_every_fault_of_every_overlay_file_is_reported_at_its_place(manifest, overlay):
    (overlay / "etsy" / "carriers.yaml").write_text("entries:\n  UPS: United Parcel\n")
    (overlay / "etsy" / "order_status.yaml").write_text("entries:\n  PAID: paid\n  X: 1\nmore: 1")
    with pytest.raises(ConfigError) as caught:
        load_tables(manifest, overlay=overlay)
    assert [(Path(each.file).name, each.line, each.path) for each in caught.value.faults] == [
        ("carriers.yaml", 2, "entries.UPS"),
        ("order_status.yaml", 2, "entries.PAID"),
        ("order_status.yaml", 3, "entries.X"),
        ("order_status.yaml", 4, "more"),
    ]


def test_a_connector_whose_folder_holds_no_table_is_a_fault(manifest):
    empty = Manifest(id="etsy", label="Etsy", mappings=("etsy_tables", "gone"))
    with pytest.raises(ConfigError, match="holds no mapping table"):
        load_tables(empty)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("entries: {A: a}", "t.yaml:1:1: unmapped: is missing; write one of hold, error, pass"),
        ("unmapped: skip\nentries: {}", "t.yaml:1:11: unmapped: must be one of hold, error, pass"),
        ("unmapped: [hold]\nentries: {}", "t.yaml:1:11: unmapped: must be one of"),
        ("unmapped: hold\nentries: [a]", "t.yaml:2:10: entries: must be a mapping"),
        ("unmapped: hold\nentries: {A: a, A: b}", "t.yaml:2:17: entries.A: stands twice"),
        ("unmapped: hold\nentries: {A: Big}", "t.yaml:2:14: entries.A: is not allowed"),
        ("unmapped: hold\nentries: {A: [x]}", "t.yaml:2:14: entries.A: must be a word"),
        ("unmapped: hold\nentries: {A: null}", "t.yaml:2:14: entries.A: must be a word"),
        ("unmapped: hold\nentries: {A: !!str a}", "t.yaml:2:14: entries.A: YAML tags"),
        ("unmapped: hold\nentires: {}", "t.yaml:2:1: entires: unknown key"),
        ("", "t.yaml:1:1: file: is empty"),
    ],
)
def test_each_mistake_in_a_table_is_said_at_its_place(text, expected):
    [fault] = _faults(text)
    assert fault.startswith(expected)


def test_an_order_status_must_be_a_state_of_ours():
    [fault] = _faults("unmapped: hold\nentries: {PAID: paid}", name="order_status")
    assert "allowed: cancelled, closed, held, open, pending" in fault
    assert VOCABULARIES["order_status"] == {state.value for state in OrderState}


@pytest.mark.parametrize("name", load_registry().names)
def test_every_table_that_ships_is_valid(name):
    connector = load_registry().get(name)
    assert isinstance(connector, Connector)
    tables = load_tables(connector.manifest)
    assert set(tables) >= {"carriers", "services", "cancel_reasons", "order_status"}
    assert metadata.version("oms-sync")


@settings(max_examples=100)
@given(st.text(max_size=60) | st.sampled_from(["hold", "- a", "{a: b}", "&a", "!!x"]))
def test_no_text_brings_a_traceback(text):
    for whole in (text, f"unmapped: hold\nentries: {text}", f"unmapped: hold\nentries:\n  {text}"):
        table, faults = None, ()
        try:
            table = read_table(whole, name="order_status", file="t.yaml")
        except ConfigError as error:
            faults = error.faults
        assert (table is None) == bool(faults)
        assert all(str(fault).isprintable() for fault in faults)
        assert table is None or set(table.entries.values()) <= VOCABULARIES["order_status"]
