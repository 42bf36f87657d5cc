"""`connectors new` and `connectors check`: what is written, what is refused, what is judged."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from oms_sync.cli.connectors import _installed
from oms_sync.cli.main import app
from oms_sync.cli.scaffold import NAME_LENGTH_MAX, BadName, check_name, render_connector
from oms_sync.sdk.checklist import RULES

ROOT = Path(__file__).parents[2]
LONGEST = "abcdefghij_klmnop_qr"


def run(*args: str, status: int = 0):
    result = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(app, ["connectors", *args])
    assert result.exit_code == status, (args, result.stdout, result.stderr)
    return result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own to stand in, without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMS_SYNC_CONFIG", raising=False)
    return tmp_path


# --- new -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["etsy", "a", "my_shop_2", LONGEST])
def test_what_is_written_keeps_our_rules_whatever_its_name(name, folder):
    assert len(LONGEST) == NAME_LENGTH_MAX
    run("new", name)
    made = folder / f"oms-sync-{name.replace('_', '-')}"
    for tool in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *tool, "--no-cache", "."],
            cwd=made,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    for path in made.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(source)), f"{path} does not say what it is for"


def test_a_new_connector_has_the_files_every_connector_has(folder):
    run("new", "etsy", "--directory", "here/it/is")
    package = folder / "here" / "it" / "is" / "oms_sync_etsy"
    files = "__init__ settings client parse render webhook session".split()
    assert {f"{each}.py" for each in files} <= {path.name for path in package.iterdir()}
    assert {path.name for path in (package / "mappings").iterdir()} == {
        f"{table}.yaml" for table in "order_status carriers services cancel_reasons".split()
    }
    tests = {path.name for path in (package.parent / "tests").iterdir()}
    assert {"test_parse.py", "test_render.py", "test_client.py", "test_contract.py"} <= tests
    assert {"recordings", "expected"} <= tests


def test_its_project_names_package_door_and_rules():
    rendered = {str(path): text for path, text in render_connector("my_shop").items()}
    project = tomllib.loads(rendered["pyproject.toml"])
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "oms-sync-my-shop"
    assert project["project"]["entry-points"] == {
        "oms_sync.connectors": {"my_shop": "oms_sync_my_shop:CONNECTOR"}
    }
    assert f"oms-sync>={metadata.version('oms-sync')}" in project["project"]["dependencies"]
    for rule in ("select", "mccabe", "pylint"):
        assert project["tool"]["ruff"]["lint"][rule] == ours["tool"]["ruff"]["lint"][rule]
    assert project["tool"]["ruff"]["line-length"] == ours["tool"]["ruff"]["line-length"]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Etsy", "say etsy"),
        ("my-shop", "say my_shop"),
        ("2shops", "say shops"),
        ("a__b", "say a_b"),
        ("etsy_", "say etsy"),
        ("../etsy", "say etsy"),
        ("a" * 21, f"say {'a' * 20}"),
        ("ß", "at most 20 characters"),
        ("", "at most 20 characters"),
        ("class", "say class_channel"),
        ("manual", "say manual_channel"),
    ],
)
def test_a_name_no_connector_can_have_is_wrong_usage(name, better, folder):
    with pytest.raises(BadName, match=better):
        check_name(name)
    assert run("new", name, status=2).stdout == ""
    assert list(folder.iterdir()) == []


def test_an_installed_connector_is_not_made_again(folder):
    error = run("new", "shopify", status=1).stderr
    assert "installed already; choose another name" in error
    assert list(folder.iterdir()) == []


def test_what_is_already_there_is_never_written_over(folder):
    (folder / "oms-sync-etsy").mkdir()
    run("new", "etsy")  # an empty folder is as good as none
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert before
    assert "--directory" in run("new", "etsy", status=1).stderr
    (folder / "file").write_text("mine", encoding="utf-8")
    assert "not empty" in run("new", "etsy", "--directory", "file", status=1).stderr
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before | {folder / "file": b"mine"}


def test_a_place_that_cannot_be_written_is_named(folder):
    (folder / "file").write_text("mine", encoding="utf-8")
    assert "file" in run("new", "etsy", "--directory", "file/etsy", status=1).stderr
    assert [path.name for path in folder.iterdir()] == ["file"]


# --- check ---------------------------------------------------------------------------------------


class Installed:
    """A scaffolded connector, installed as pip would do it."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.package = name, root / f"oms_sync_{name}"
        run("new", name, "--directory", str(root))
        door = root / f"oms_sync_{name}-0.1.0.dist-info"
        door.mkdir()
        about = f"Metadata-Version: 2.1\nName: oms-sync-{name}\nVersion: 0.1.0\n"
        (door / "METADATA").write_text(about, encoding="utf-8")
        text = f"[oms_sync.connectors]\n{name} = oms_sync_{name}:CONNECTOR\n"
        (door / "entry_points.txt").write_text(text, encoding="utf-8")

    def change(self, file: str, old: str, new: str) -> None:
        path = self.package / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def declare(self, *capabilities: str) -> None:
        names = ", ".join(f"Capability.{each}" for each in capabilities)
        self.change("__init__.py", "import Connector", "import Capability, Connector")
        self.change("__init__.py", "frozenset()", f"frozenset({{{names}}})")

    def check(self, *options: str, status: int = 0):
        return run("check", self.name, *options, status=status)

    def judged(self, *options: str, status: int = 0):
        return json.loads(self.check("--json", *options, status=status).stdout)


@pytest.fixture
def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Installed]]:
    known = set(sys.modules)

    def make() -> Installed:
        made = Installed("nowhere", folder / "site")
        monkeypatch.syspath_prepend(str(folder / "site"))
        return made

    yield make
    for name in set(sys.modules) - known:
        if name.partition(".")[0] == "oms_sync_nowhere":
            del sys.modules[name]


def test_a_new_connector_is_listed_and_passes_its_check(install):
    made = install()
    (line,) = [one for one in json.loads(run("list", "--json").stdout) if one["name"] == "nowhere"]
    assert (line["state"], line["capabilities"]) == ("ready", [])
    judged = made.judged()
    assert (judged["ok"], judged["name"], judged["version"]) == (True, "nowhere", "0.1.0")
    assert "the_manifest_is_sound" in {one["name"] for one in judged["checks"]}
    assert {one["state"] for one in judged["checks"]} == {"passed"}
    assert {one["status"] for one in judged["rules"]} == {"todo"}
    shown = made.check().stdout
    assert "1 passed" in shown
    assert f"{len(RULES)} todo" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_a_declared_capability_without_its_method_fails_and_says_what_to_write(install):
    made = install()
    made.declare("CHECK_ACCOUNT")
    result = made.check(status=1)
    assert "give the session check(), as sdk.CheckAccount says" in result.stderr
    assert "lacks the methods: check_account" in result.stderr
    assert " failed" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_a_capability_needs_a_driver(install):
    made = install()
    made.change("__init__.py", '    contract="oms_sync_nowhere.sandbox.driver:start",\n', "")
    made.declare("READ_STOCK")
    assert "name one as Connector.contract" in made.check(status=1).stderr


def test_a_rule_is_not_done_before_its_capability_is_declared(install):
    made = install()
    made.change("checklist.yaml", "listings_discovered: todo", "listings_discovered: done")
    error = made.check(status=1).stderr
    assert "listings_discovered: said to be done" in error
    assert "does not declare discover_listings" in error


def test_a_rule_left_to_do_fails_only_when_asked_strictly(install):
    made = install()
    path = made.package / "checklist.yaml"
    path.write_text(path.read_text().replace(": todo", ": {status: exempt, reason: none here}"))
    made.judged("--strict")
    made.change("checklist.yaml", "holds: {status: exempt, reason: none here}", "holds: todo")
    assert made.judged()["ok"]
    assert "holds: to do" in made.check("--strict", status=1).stderr


def test_a_rule_must_be_answered(install):
    made = install()
    made.change("checklist.yaml", "  holds: todo\n", "")
    (rule,) = [one for one in made.judged(status=1)["rules"] if one["problem"]]
    assert (rule["name"], rule["status"]) == ("holds", None)


def test_a_faulty_checklist_is_named_with_its_place(install):
    made = install()
    made.change("checklist.yaml", "  holds: todo", "  holds: perhaps")
    assert "rules.holds: must be done, todo, or" in made.check(status=2).stderr
    (made.package / "checklist.yaml").unlink()
    assert "checklist.yaml" in made.check(status=2).stderr


def test_an_unknown_connector_is_refused():
    assert "no connector 'nowhere' is installed" in run("check", "nowhere", status=1).stderr


def test_the_shell_completes_the_names_of_installed_connectors():
    assert "shopify" in _installed("sho")
    assert "shopify" not in _installed("x")


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "connectors").glob("*/checklist.yaml")),
    ids=lambda path: path.parent.name,
)
def test_our_own_checklists_answer_the_rules_of_the_sdk(path):
    answers = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["rules"]
    assert set(RULES) <= set(answers), "a rule of oms_sync/sdk/checklist.py is not answered"


@pytest.mark.slow
def test_our_own_connectors_pass_their_check():
    judged = json.loads(run("check", "shopify", "--json").stdout)
    assert judged["ok"]
    assert len(judged["checks"]) > 30
