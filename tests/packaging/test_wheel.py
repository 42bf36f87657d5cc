"""What a stranger installs: the wheel, in an environment of its own, without our tools."""

import json
import os
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = ("oms_sync", "connectors", "mappings")
RUN_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def environment(make_environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel and the locked run-time packages, no more."""
    made: Path = make_environment(tmp_path_factory.mktemp("installed"))
    return made


@pytest.fixture(scope="module")
def connector_names() -> list[str]:
    """The connectors that pyproject.toml announces."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = sorted(project["entry-points"]["oms_sync.connectors"])
    assert names
    return names


def _run(environment: Path, *command: str, cwd: Path) -> str:
    """Run a program of the clean environment, far from the checkout."""
    program, *rest = command
    done = subprocess.run(
        [environment / "bin" / program, *rest],
        cwd=cwd,
        env={"PATH": os.defpath, "HOME": str(cwd), "LANG": "C.UTF-8", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _python(environment: Path, code: str, cwd: Path) -> object:
    return json.loads(_run(environment, "python", "-I", "-c", code, cwd=cwd))


def test_the_wheel_carries_every_file_of_our_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours - carried == set()


def test_the_wheel_carries_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


@pytest.mark.parametrize(
    "pattern",
    [
        "mappings/*/order_status.yaml",
        "mappings/*/carriers.yaml",
        "oms_sync/docs/*.md",
        "oms_sync/decisions/*.md",
        "oms_sync/storage/migrations/env.py",
        "oms_sync/storage/migrations/versions/*.py",
        "oms_sync/cli/templates/connector/*.j2",
        "oms_sync/py.typed",
        "connectors/*/checklist.yaml",
    ],
)
def test_the_wheel_carries_the_files_read_at_run_time(wheel, pattern):
    with zipfile.ZipFile(wheel) as archive:
        assert any(Path(name).match(pattern) for name in archive.namelist())


def test_our_generic_package_names_are_ours_and_no_tool_of_ours_is_near(environment, tmp_path):
    code = (
        "import json, importlib.util as u, oms_sync, connectors, mappings\n"
        "tools = [n for n in ('pytest', 'mypy', 'hypothesis', 'hatchling') if u.find_spec(n)]\n"
        "print(json.dumps([[m.__file__ for m in (oms_sync, connectors, mappings)], tools]))"
    )
    files, tools = _python(environment, code, tmp_path)
    assert tools == []
    assert all(Path(file).is_relative_to(environment) for file in files)


def test_each_entry_point_loads_from_the_wheel(environment, connector_names, tmp_path):
    code = (
        "import json\nfrom importlib.metadata import entry_points\n"
        "found = entry_points(group='oms_sync.connectors')\n"
        "print(json.dumps({each.name: each.load().manifest.id for each in found}))"
    )
    assert _python(environment, code, tmp_path) == {name: name for name in connector_names}


def test_mapping_tables_are_read_from_the_wheel(environment, connector_names, tmp_path):
    code = (
        "import json\nfrom importlib.resources import files\n"
        "folders = [f for f in files('mappings').iterdir() if f.is_dir()]\n"
        "print(json.dumps({f.name: len(f.joinpath('order_status.yaml').read_text()) "
        "for f in folders if not f.name.startswith('__')}))"
    )
    sizes = _python(environment, code, tmp_path)
    assert set(sizes) == set(connector_names)
    assert all(sizes.values())


def test_the_installed_command_lists_the_connectors(environment, connector_names, tmp_path):
    listed = json.loads(_run(environment, "oms-sync", "connectors", "list", "--json", cwd=tmp_path))
    assert {each["name"] for each in listed} >= set(connector_names)


def test_the_hub_also_starts_as_a_module(environment, tmp_path):
    assert "oms-sync" in _run(environment, "python", "-m", "oms_sync", "--help", cwd=tmp_path)
