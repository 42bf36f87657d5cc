"""A built wheel, and clean environments that hold it without reaching any network."""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
BUILD_SECONDS_MAX = 120


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
        timeout=BUILD_SECONDS_MAX,
    )
    (built,) = folder.glob("oms_sync-*.whl")
    return built


def _runtime_packages() -> Iterable[Requirement]:
    """Exactly what requirements.lock names for this machine."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for line in re.findall(r"^([a-z0-9.-]+==[^\\\n]+)", text, flags=re.MULTILINE):
        requirement = Requirement(line.strip())
        if not requirement.marker or requirement.marker.evaluate():
            yield requirement


def _link(requirements: Iterable[Requirement], folder: Path) -> None:
    """Lay packages out, linked from where they are already installed."""
    for requirement in requirements:
        installed = metadata.distribution(requirement.name)
        message = f"{requirement}: renew .venv by `make venv`"
        assert installed.version in requirement.specifier, message
        tops = {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (folder / top).exists():
                (folder / top).symlink_to(installed.locate_file(top))


@pytest.fixture(scope="session")
def make_environment(wheel: Path) -> Callable[..., Path]:
    """Makes a virtual environment in a folder: the wheel, the locked run-time packages, no more.

    But for the tools one names.
    """

    def make(folder: Path, *tools: str) -> Path:
        venv.create(folder / "env", with_pip=False)
        (site,) = (folder / "env" / "lib").glob("python*/site-packages")
        (folder / "runtime").mkdir()
        _link([*_runtime_packages(), *map(Requirement, tools)], folder / "runtime")
        (site / "runtime.pth").write_text(f"{folder / 'runtime'}\n", encoding="utf-8")
        python = folder / "env" / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "install", "--no-deps", "--no-index", wheel],
            check=True,
            capture_output=True,
            timeout=BUILD_SECONDS_MAX,
        )
        return folder / "env"

    return make


@pytest.fixture(scope="session")
def clean_variables() -> Callable[..., dict[str, str]]:
    """The variables of a process that knows one environment and nothing of the checkout."""

    def make(environment: Path, home: Path) -> dict[str, str]:
        path = f"{environment / 'bin'}{os.pathsep}{os.defpath}"
        return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "COLUMNS": "100"}

    return make
