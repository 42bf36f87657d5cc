from ruamel.yaml import YAML


def test_the_unit_waits_longer_than_the_hub_drains(request):
    unit = (request.config.rootpath / "config/oms-sync.service").read_text(encoding="utf-8")
    [line] = [line for line in unit.splitlines() if line.startswith("TimeoutStopSec=")]
    assert 30 < int(line.removeprefix("TimeoutStopSec=")) <= 60


def test_the_compose_file_is_yaml_with_hub_and_database(request):
    text = (request.config.rootpath / "config/compose.example.yaml").read_text(encoding="utf-8")
    services = YAML(typ="safe", pure=True).load(text)["services"]
    assert set(services) == {"hub", "database"}
