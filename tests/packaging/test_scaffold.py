"""The walk in connectors/README.md, word for word, from nothing to a channel that works.

Its shell lines are run and its code is put where it says, in an environment that holds the built
wheel, pytest and a build backend, far from the checkout.
"""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TOOLS = (
    "editables hatchling iniconfig packaging pathspec pip pluggy pytest trove-classifiers".split()
)
#: pip's way to stay off every network and take the build backend that is there
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
RUN_SECONDS_MAX = 120
LINES_HEARD_MAX = 100
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_FIRST_LINE = re.compile(r"# (?P<file>[\w/]+\.py): (?P<act>change|imports|append)")
_IMPORTS = re.compile(r"^(?:import|from) .*?^(?=\n\n)", flags=re.MULTILINE | re.DOTALL)


@dataclass(kw_only=True)
class Walker:
    """Does what a reader of the walk would do."""

    folder: Path
    variables: dict[str, str]
    #: what each command said, in order
    said: list[tuple[str, str]] = field(default_factory=list)

    def follow(self, text: str) -> None:
        for kind, block in _BLOCK.findall(text):
            if kind == "python":
                self._edit(block)
            else:
                for line in block.splitlines():
                    self._type(line)

    def heard(self, command: str) -> list[str]:
        """What a command said, each time it was run."""
        return [text for typed, text in self.said if typed == command]

    def _type(self, line: str) -> None:
        command, _, note = (part.strip() for part in line.partition("#"))
        if command.startswith("cd "):
            self.folder = self.folder / command.removeprefix("cd ")
        elif command.startswith("oms-sync sandbox"):
            self._look_at_the_sandbox(command)
        else:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=self.folder,
                env=self.variables,
                capture_output=True,
                text=True,
                timeout=RUN_SECONDS_MAX,
                check=False,
            )
            said = f"{done.stdout}\n{done.stderr}"
            assert done.returncode == (1 if note == "red" else 0), f"{line}:\n{said[-6000:]}"
            self.said.append((command, done.stdout if "--json" in command else said))

    def _look_at_the_sandbox(self, command: str) -> None:
        process = subprocess.Popen(
            command.split(),
            cwd=self.folder,
            env=self.variables,
            executable=f"{self.variables['PATH'].split(':')[0]}/oms-sync",
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        heard = []
        try:
            for _ in range(LINES_HEARD_MAX):
                heard.append(process.stdout.readline())
                if "# truth:" in heard[-1]:
                    break
            url = heard[-1].rpartition(" ")[2].strip()
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - it said http
                assert json.load(answer)["quantities"], "the sandbox sells nothing"
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=RUN_SECONDS_MAX)
        self.said.append((command, "".join(heard)))

    def _edit(self, block: str) -> None:
        first, _, code = block.partition("\n")
        found = _FIRST_LINE.fullmatch(first)
        assert found, f"say where the code goes: {first}"
        path = self.folder / found["file"]
        text = path.read_text(encoding="utf-8")
        if found["act"] == "append":
            text = f"{text}\n{code}"
        elif found["act"] == "imports":
            text, count = _IMPORTS.subn(lambda _: code, text, count=1)
            assert count == 1
        else:
            for line in code.splitlines():
                start = re.match(r"[^=]*?(=|import)", line)
                assert start, f"which line is meant? {line}"
                pattern = rf"^{re.escape(start.group())}.*$"
                text, count = re.subn(pattern, lambda _, to=line: to, text, flags=re.MULTILINE)
                assert count == 1, f"{line}: {count} lines begin so"
        path.write_text(text, encoding="utf-8")


def _walk() -> str:
    guide = (ROOT / "connectors" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## A channel in an afternoon\n(.*?)^## ", guide, re.MULTILINE | re.DOTALL)
    assert found, "the walk is gone"
    return found[1]


def test_the_walk_leads_to_a_channel_that_keeps_every_promise(
    make_environment, clean_variables, tmp_path
):
    environment = make_environment(tmp_path / "clean", *TOOLS)
    home = tmp_path / "home"
    home.mkdir()
    walker = Walker(folder=home, variables=clean_variables(environment, home) | OFFLINE)
    walker.follow(_walk())

    # As generated: the tests pass, the connector is listed, its checklist is open.
    pytest_runs = walker.heard("python -m pytest")
    assert re.search(r"\d+ passed in", pytest_runs[0])
    assert re.search(r"^etsy +0\.1\.0 +ready", walker.heard("oms-sync connectors list")[0], re.M)
    checks = walker.heard("oms-sync connectors check etsy")
    assert "the_manifest_is_sound" in checks[0]
    assert "1 passed" in checks[0]

    # A declared capability turns both red, and the message says what to write.
    for told in (pytest_runs[1], checks[1]):
        assert "give the session check(), as sdk.CheckAccount says" in told
    (told,) = walker.heard("python -m pytest --exitfirst")
    assert "declared, but the session lacks the methods: discover_listings, push_stock" in told

    # In the end everything is kept but what this channel cannot play.
    (last,) = walker.heard("oms-sync connectors check etsy --json")
    judged = json.loads(last)
    assert judged["ok"]
    assert len(judged["capabilities"]) == 7
    passed = {each["name"] for each in judged["checks"] if each["state"] == "passed"}
    others = {each["name"]: each["reason"] for each in judged["checks"]} | dict.fromkeys(passed)
    assert len(passed) > 30
    assert others["lines_of_one_sku_stay_apart"], "what cannot be played is skipped with a reason"
    assert {each["state"] for each in judged["checks"]} == {"passed", "skipped"}
    _is_clean(walker.folder)


def _is_clean(folder: Path) -> None:
    """What the walk wrote keeps the rules the distribution brings along."""
    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        paths = [] if tool == ["mypy"] else ["."]
        done = subprocess.run(
            [sys.executable, "-m", *tool, *paths],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(tool)}:\n{done.stdout}\n{done.stderr}"
