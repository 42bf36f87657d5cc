import sys
import types
from importlib import metadata

import pytest
from pydantic import BaseModel

from oms_sync.runtime.registry import ConnectorUnavailable, load_registry
from oms_sync.sdk import API_VERSION, Capability, Connector, Manifest

GROUP = "oms_sync.connectors"


class Plain(BaseModel):
    shop: str


@pytest.fixture
def offer(monkeypatch):
    """Make an importable module with one attribute, and the entry point that leads to it."""

    def make(name: str, value: object, *, module: str | None = None) -> metadata.EntryPoint:
        made = types.ModuleType(module or f"offered_{name}")
        made.CONNECTOR = value
        made.Plain = Plain
        monkeypatch.setitem(sys.modules, made.__name__, made)
        return metadata.EntryPoint(name, f"{made.__name__}:CONNECTOR", GROUP)

    return make


def _connector(name: str, **fields) -> Connector:
    manifest = Manifest(id=name, label=name.title(), **fields)
    return Connector(manifest=manifest, settings=f"offered_{name}:Plain", open="nowhere:open")


def test_a_good_connector_is_found_by_name_and_listed_ready(offer):
    connector = _connector("etsy", version="2.1", capabilities=frozenset({Capability.READ_ORDERS}))
    registry = load_registry([offer("etsy", connector)])
    assert registry.get("etsy") is connector
    assert registry.settings_model("etsy") is Plain
    [line] = registry.listed()
    assert (line.name, line.version, line.state) == ("etsy", "2.1", "ready")
    assert line.capabilities == (Capability.READ_ORDERS,)


def test_a_connector_no_enabled_account_uses_is_listed_disabled(offer):
    registry = load_registry([offer("etsy", _connector("etsy")), offer("otto", _connector("otto"))])
    states = {line.name: line.state for line in registry.listed(enabled={"otto"})}
    assert states == {"etsy": "disabled", "otto": "ready"}


@pytest.mark.proves("A58")
@pytest.mark.parametrize(
    "failure", [ImportError("no such SDK"), RuntimeError("boom\nboom"), SystemExit(3)]
)
def test_a_connector_that_breaks_at_import_is_listed_with_its_reason(
    offer, monkeypatch, failure, tmp_path
):
    (tmp_path / "offered_broken.py").write_text(f"raise {failure!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    broken = metadata.EntryPoint("broken", "offered_broken:CONNECTOR", GROUP)
    registry = load_registry([broken, offer("etsy", _connector("etsy"))])
    states = {line.name: line for line in registry.listed()}
    assert states["etsy"].state == "ready"
    assert states["broken"].state == "broken"
    assert type(failure).__name__ in states["broken"].reason
    assert "\n" not in states["broken"].reason
    with pytest.raises(ConnectorUnavailable, match="'broken' is broken"):
        registry.get("broken")


def test_another_major_version_of_the_interface_is_refused_with_a_sentence(offer):
    registry = load_registry([offer("etsy", _connector("etsy", api_version="9.0"))])
    [line] = registry.listed()
    assert line.state == "broken"
    assert "made for version 9.0" in line.reason
    assert API_VERSION in line.reason


def test_another_minor_version_of_the_interface_is_welcome(offer):
    minor = f"{API_VERSION.split('.')[0]}.7"
    registry = load_registry([offer("etsy", _connector("etsy", api_version=minor))])
    assert registry.listed()[0].state == "ready"


@pytest.mark.parametrize("version", ["", "one", "10.0", "v1"])
def test_a_version_that_only_looks_similar_is_refused(offer, version):
    registry = load_registry([offer("etsy", _connector("etsy", api_version=version))])
    assert registry.listed()[0].state == "broken"


def test_two_packages_offering_one_name_are_both_named(offer):
    registry = load_registry(
        [
            offer("etsy", _connector("etsy"), module="offered_first"),
            offer("etsy", _connector("etsy"), module="offered_second"),
        ]
    )
    [line] = registry.listed()
    assert line.state == "broken"
    assert "offered_first" in line.reason
    assert "offered_second" in line.reason


def test_an_entry_point_that_is_no_connector_is_listed_broken(offer):
    [line] = load_registry([offer("etsy", {"id": "etsy"})]).listed()
    assert "no sdk.Connector but dict" in line.reason


def test_an_entry_point_named_unlike_its_manifest_is_broken(offer):
    [line] = load_registry([offer("esty", _connector("etsy"))]).listed()
    assert "'esty'" in line.reason
    assert "'etsy'" in line.reason


def test_an_unknown_name_is_answered_with_the_installed_ones(offer):
    registry = load_registry([offer("etsy", _connector("etsy"))])
    with pytest.raises(ConnectorUnavailable, match=r"no connector 'ebya'.*installed: etsy"):
        registry.get("ebya")


def test_nothing_is_imported_before_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "offered_lazy.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = load_registry([metadata.EntryPoint("lazy", "offered_lazy:CONNECTOR", GROUP)])
    assert registry.names == ("lazy",)
    assert "offered_lazy" not in sys.modules


def test_a_settings_model_that_cannot_be_loaded_is_said_so(offer):
    class Strange:
        pass

    lost = Connector(
        manifest=Manifest(id="lost", label="Lost"), settings="offered_lost:Gone", open="x:y"
    )
    odd = Connector(
        manifest=Manifest(id="odd", label="Odd"), settings="offered_odd:CONNECTOR", open="x:y"
    )
    registry = load_registry([offer("lost", lost), offer("odd", odd)])
    with pytest.raises(ConnectorUnavailable, match="offered_lost:Gone cannot be imported"):
        registry.settings_model("lost")
    with pytest.raises(ConnectorUnavailable, match="no pydantic model"):
        registry.settings_model("odd")


def test_the_built_in_connectors_come_through_the_same_door():
    listed = load_registry().listed()
    assert listed
    assert all(line.state == "ready" for line in listed), [line.reason for line in listed]
